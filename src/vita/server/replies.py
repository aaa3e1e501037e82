"""The queue, and replies while they are being written: a worker thread each, read from the event loop.

Used by `chat.py`. A place is taken from before the media are read until the thread has ended, whoever still listens.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Union

import anyio

from vita.engine.protocol import Reply, Result
from vita.server.failures import ApiError
from vita.server.metrics import Metrics
from vita.server.settings import ServerSettings

Opener = Callable[[Callable[[], None]], Reply]
"""Reads the question and begins the reply, in a worker thread; calls what it is given now and then, which raises when
nobody waits for the reply any more."""
_Event = Union[Reply, str, Result, BaseException]  # noqa: UP007  (an alias that Python 3.10 can evaluate)


class AbandonedError(Exception):
    """The client has left before the reply began. Never reaches anybody."""


class Desk:
    """Lets a few replies be written at once, some wait, and refuses the rest.

    Args:
        settings: how many.
        metrics: told of all of it.
    """

    def __init__(self, settings: ServerSettings, metrics: Metrics) -> None:
        self._settings, self._metrics = settings, metrics
        self._places = asyncio.Semaphore(settings.max_sessions)
        self._pool = ThreadPoolExecutor(settings.max_sessions, thread_name_prefix="reply")
        self._num_waiting = 0

    async def begin(self, opener: Opener) -> RunningReply:
        """A reply whose state is known. Raises ApiError when the server is full, and whatever `opener` raises."""
        await self._take_place()
        running = RunningReply(asyncio.get_running_loop(), self._metrics.note_reply)
        self._metrics.running.inc()
        future = asyncio.get_running_loop().run_in_executor(self._pool, running.work, opener)
        future.add_done_callback(lambda _: self._leave())
        try:
            await running.begun()
        except BaseException:
            running.abort()
            raise
        return running

    def close(self) -> None:
        """Begin no more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _take_place(self) -> None:
        if self._places.locked() and self._num_waiting >= self._settings.max_waiting:
            raise self._full()
        self._num_waiting += 1
        self._metrics.waiting.set(self._num_waiting)
        try:
            with anyio.fail_after(self._settings.max_wait_s):
                await self._places.acquire()
        except TimeoutError:
            raise self._full() from None
        finally:
            self._num_waiting -= 1
            self._metrics.waiting.set(self._num_waiting)

    def _leave(self) -> None:
        self._places.release()
        self._metrics.running.dec()

    def _full(self) -> ApiError:
        self._metrics.refused.inc()
        message = "the server is answering as many questions as it can; try again in some seconds"
        return ApiError(429, message, code="rate_limit_exceeded", headers={"Retry-After": "5"})


class RunningReply:
    """A reply that is being written in a thread. Iterate for its pieces, then ask for its `result`.

    Made by `Desk.begin`. What was written is kept until it is read; it is no more than the tokens that were asked for.

    Args:
        loop: where it is read.
        when_done: told the result, in the thread.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, when_done: Callable[[Result], None]) -> None:
        self._loop, self._when_done = loop, when_done
        self._events: asyncio.Queue[_Event] = asyncio.Queue()
        self._lock = threading.Lock()
        self._abandoned = False
        self._reply: Reply | None = None
        self._result: Result | None = None

    @property
    def reply(self) -> Reply:
        """The engine's, for its state and probabilities."""
        assert self._reply is not None
        return self._reply

    async def begun(self) -> None:
        """Wait until the state is known."""
        await self._next()

    async def __aiter__(self) -> AsyncIterator[str]:
        while isinstance(piece := await self._next(), str):
            yield piece

    async def result(self) -> Result:
        """The finished reply; pieces that have not been read are passed over."""
        while self._result is None:
            await self._next()
        return self._result

    def abort(self) -> None:
        """End it now, or as soon as the question has been read."""
        with self._lock:
            self._abandoned = True
            if self._reply is not None:
                self._reply.abort()

    def work(self, opener: Opener) -> None:
        """What the thread does."""
        try:
            reply = opener(self._check)
            with self._lock:
                self._reply = reply
                if self._abandoned:
                    reply.abort()
            self._post(reply)
            for piece in reply:
                self._post(piece)
            result = reply.result()
            self._when_done(result)
            self._post(result)
        except BaseException as error:  # raised again where the reply is read
            self._post(error)

    def _check(self) -> None:
        if self._abandoned:
            raise AbandonedError

    def _post(self, event: _Event) -> None:
        with suppress(RuntimeError):  # the loop has been closed: nobody is left to tell
            self._loop.call_soon_threadsafe(self._events.put_nowait, event)

    async def _next(self) -> _Event:
        event = await self._events.get()
        if isinstance(event, BaseException):
            raise event
        if isinstance(event, Result):
            self._result = event
        return event
