"""Keeps the memory of a process that runs for hours small: what is freed goes back to the system.

Conversations compute now in one thread, now in another. The allocator of glibc gives threads heaps of their own (up to
eight for each core) and keeps what is freed in them: a server that holds 300 MB comes to take twice that, half an hour
of one conversation a third more. Elsewhere, nothing is done here. Called by `vita live`, `vita serve` and
`server/realtime/route.py`.
"""

from __future__ import annotations

import ctypes
from functools import cache

_ARENA_MAX, _MMAP_THRESHOLD, _TRIM_THRESHOLD = -8, -3, -1
"""Names of settings in malloc.h."""
_LARGE_BYTES = 128 * 1024
"""Caches of keys and values are of this size and more."""


def bound_heaps(heaps: int = 1) -> None:
    """So many heaps for all threads, and large blocks apart; to be called before there are threads."""
    libc = _glibc()
    if libc is not None:
        for setting, value in ((_ARENA_MAX, heaps), (_MMAP_THRESHOLD, _LARGE_BYTES), (_TRIM_THRESHOLD, _LARGE_BYTES)):
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
