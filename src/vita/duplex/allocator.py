"""Keeps a process that converses for hours from growing. Called by `vita live`, before it starts threads.

The C library's allocator gives every thread an arena of its own. The model runs now in one thread, now in another: what
one takes another gives back, and holes are left in all of them.
"""

from __future__ import annotations

import ctypes

_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8
_LARGE = 1 << 20


def use_one_arena() -> bool:
    """All threads take memory from one place; large pieces go back to the system at once. False where the C library is
    not glibc: nothing is changed there.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return mallopt(_M_ARENA_MAX, 1) == 1 and mallopt(_M_MMAP_THRESHOLD, _LARGE) == 1
