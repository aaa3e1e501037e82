"""Time for everything that is live: the machine's clock, or a virtual one on which an hour passes in a moment.

A live conversation asks its Clock for the time, waits on it, and hands it whatever computes. On the real clock that
work runs in threads; on virtual time it runs at once and costs what the clock is told it costs. Used by duplex, by the
command line and by tests.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
Cost = Callable[[str], float]
"""Kind of work ("reply", "speak", ...) -> seconds that it takes on virtual time."""


class Clock(Protocol):
    """The time of one running event loop, in seconds from the clock's start."""

    def now_s(self) -> float:
        """Seconds since the start."""
        ...

    async def sleep_until(self, when_s: float) -> None:
        """Wait until then; a time that has passed is not waited for."""
        ...

    async def run(self, kind: str, work: Callable[[], T]) -> T:
        """The result of `work`, which computes; the event loop is not held up. Several may run side by side: whatever
        must be done in order is waited for in order.
        """
        ...

    def close(self) -> None:
        """Wait for work that still runs, and let its threads go."""
        ...


class RealClock:
    """The machine's clock; made inside the running event loop, and starts there. Each session has one of its own.

    Its threads are enough for the two contexts and the voice of a session; sessions that share an engine meet there.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._start_s = self._loop.time()
        self._threads = ThreadPoolExecutor(3, thread_name_prefix="vita-live")

    def now_s(self) -> float:
        """See Clock."""
        return self._loop.time() - self._start_s

    async def sleep_until(self, when_s: float) -> None:
        """See Clock."""
        await asyncio.sleep(max(0.0, when_s - self.now_s()))

    async def run(self, kind: str, work: Callable[[], T]) -> T:
        """See Clock."""
        return await self._loop.run_in_executor(self._threads, work)

    def close(self) -> None:
        """See Clock."""
        self._threads.shutdown()


class VirtualClock:
    """Virtual time; made inside the loop of `run_virtual`. Work runs in the order in which it is asked for.

    Args:
        cost_s: what each kind of work takes; nothing by default.
    """

    def __init__(self, cost_s: Cost = lambda kind: 0.0) -> None:
        self._loop = asyncio.get_running_loop()
        self._cost_s = cost_s

    def now_s(self) -> float:
        """See Clock."""
        return self._loop.time()

    async def sleep_until(self, when_s: float) -> None:
        """See Clock."""
        await _at(self._loop, when_s)

    async def run(self, kind: str, work: Callable[[], T]) -> T:
        """See Clock. The result is there when its cost has passed."""
        result = work()
        await _at(self._loop, self.now_s() + self._cost_s(kind))
        return result

    def close(self) -> None:
        """See Clock. There are no threads."""


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Like asyncio.run, on virtual time that starts at 0 and jumps to whatever is due next.

    Raises RuntimeError where everything waits and nothing is due: on virtual time that would be for ever.
    """
    loop = _VirtualTimeLoop()
    try:
        return loop.run_until_complete(main)
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left))
        loop.close()


async def _at(loop: asyncio.AbstractEventLoop, when_s: float) -> None:
    """Wait for exactly that time: `asyncio.sleep` would add and subtract, and lose the last bits."""
    if when_s <= loop.time():
        return await asyncio.sleep(0)
    woken = loop.create_future()
    timer = loop.call_at(when_s, lambda: woken.done() or woken.set_result(None))
    try:
        await woken
    finally:
        timer.cancel()


class _VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose waiting is skipped: its clock is set forward instead."""

    def __init__(self) -> None:
        super().__init__(_SkippingSelector(self))
        self.virtual_now_s = 0.0
        self._clock_resolution = 1e-9

    def time(self) -> float:
        return self.virtual_now_s

    def next_due_s(self) -> float | None:
        """When the first timer is due."""
        timers = [timer.when() for timer in self._scheduled if not timer.cancelled()]  # type: ignore[attr-defined]
        return min(timers, default=None)


class _SkippingSelector(selectors.DefaultSelector):
    """Never waits: sets its loop's time to that of the first timer."""

    def __init__(self, loop: _VirtualTimeLoop) -> None:
        super().__init__()
        self._virtual_loop = loop

    def select(self, timeout: float | None = None) -> Any:
        events = super().select(0)
        if not events and timeout != 0:
            due_s = self._virtual_loop.next_due_s()
            if due_s is None:
                raise RuntimeError("everything waits and nothing is due: this would take for ever on virtual time")
            self._virtual_loop.virtual_now_s = max(due_s, self._virtual_loop.virtual_now_s)
        return events
