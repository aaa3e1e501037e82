"""Keeps a server's memory small: what is freed goes back to the system. Called by `vita serve` and `realtime/route.py`.

Sessions compute in threads of their own. The allocator of glibc gives threads heaps of their own (up to eight for each
core) and keeps what is freed in them, so that a server which holds 300 MB comes to take twice that. Elsewhere, nothing
is done here.
"""

from __future__ import annotations

import ctypes
from functools import cache

_ARENA_MAX, _MMAP_THRESHOLD, _TRIM_THRESHOLD = -8, -3, -1
"""Names of settings in malloc.h."""
_LARGE_BYTES = 1024 * 1024


def bound_heaps() -> None:
    """Two heaps for all threads, and blocks above 1 MiB apart; to be called before there are threads."""
    libc = _glibc()
    if libc is not None:
        for setting, value in ((_ARENA_MAX, 2), (_MMAP_THRESHOLD, _LARGE_BYTES), (_TRIM_THRESHOLD, _LARGE_BYTES)):
            libc.mallopt(setting, value)


def give_back() -> None:
    """What lies free in the heaps goes back to the system; some milliseconds."""
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)


@cache
def _glibc() -> ctypes.CDLL | None:
    try:
        libc = ctypes.CDLL("libc.so.6")
    except OSError:
        return None
    return libc if hasattr(libc, "malloc_trim") else None
