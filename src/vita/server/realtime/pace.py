"""How fast a client may send: what comes faster is read later. Used by `route.py`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Pace:
    """A store that fills up with time, from which what comes is paid.

    Args:
        per_second: how fast it fills up.
        most: what it holds at most.
        now: seconds.
    """

    def __init__(self, per_second: float, most: float, now: Callable[[], float]) -> None:
        self._per_second, self._most, self._now = per_second, most, now
        self._left, self._at_s = most, now()

    async def spend(self, amount: float) -> None:
        """Wait until there is something, then take `amount`; it may be more than there is, and the next one waits."""
        now_s = self._now()
        self._left = min(self._most, self._left + (now_s - self._at_s) * self._per_second)
        self._at_s = now_s
        if self._left < 0:
            await asyncio.sleep(-self._left / self._per_second)
        self._left -= amount
