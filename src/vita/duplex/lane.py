"""One thing after the other: the work of one context, in order, beside the event loop. Used by `session.py`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from vita.errors import VitaError

Job = Callable[[], Awaitable[None]]


class Lane:
    """Runs jobs in the order in which they are submitted, one at a time.

    Args:
        on_error: told of a job's VitaError, with the turn it was about; the lane goes on. Any other exception is a
            fault of ours: it ends the lane, and `check` and `close` raise it.
    """

    def __init__(self, on_error: Callable[[int, VitaError], None]) -> None:
        self._on_error = on_error
        self._jobs: asyncio.Queue[tuple[int, Job] | None] = asyncio.Queue()
        self._is_closing = False
        self._num_left = 0
        self._task = asyncio.create_task(self._run())

    @property
    def is_idle(self) -> bool:
        """Nothing runs, nothing waits."""
        return self._num_left == 0

    def submit(self, turn: int, job: Job) -> None:
        """Run `job` after all that was submitted before; it is about `turn`."""
        self._num_left += 1
        self._jobs.put_nowait((turn, job))

    def check(self) -> None:
        """Raise what ended the lane, if something did."""
        if self._task.done() and not self._task.cancelled():
            self._task.result()

    async def close(self) -> None:
        """Wait for the job that runs; those that wait are dropped."""
        self._is_closing = True
        self._jobs.put_nowait(None)
        await self._task

    async def _run(self) -> None:
        while (entry := await self._jobs.get()) is not None:
            turn, job = entry
            if self._is_closing:
                continue
            try:
                await job()
            except VitaError as error:
                self._on_error(turn, error)
            finally:
                self._num_left -= 1
