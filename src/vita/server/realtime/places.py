"""How many realtime sessions there may be: a place for each, a short queue, polite refusals. Used by `route.py`."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from vita.server.failures import ApiError
from vita.server.metrics import Metrics
from vita.server.settings import ServerSettings


class Places:
    """Gives places to clients.

    Args:
        settings: how many.
        metrics: told of all of it.

    is_closing: the server is ending: nobody new gets one.
    """

    def __init__(self, settings: ServerSettings, metrics: Metrics) -> None:
        self._settings, self._metrics = settings, metrics
        self._places = asyncio.Semaphore(settings.max_sessions)
        self._num_waiting = 0
        self._of_client: Counter[str] = Counter()
        self.is_closing = False

    @asynccontextmanager
    async def one(self, client: str) -> AsyncIterator[None]:
        """A place, for the length of the block. Raises ApiError where there is none for this client."""
        if self.is_closing:
            raise ApiError(503, "the server is being stopped; connect again later", code="server_stopping")
        if self._of_client[client] >= self._settings.max_sessions_per_client:
            raise self._full("this client has as many sessions as it may have; close one")
        self._of_client[client] += 1
        try:
            await self._take()
            self._metrics.sessions.inc()
            try:
                yield
            finally:
                self._metrics.sessions.dec()
                self._places.release()
        finally:
            self._of_client -= Counter([client])

    async def _take(self) -> None:
        if self._places.locked() and self._num_waiting >= self._settings.max_waiting:
            raise self._full("the server has as many sessions as it can; try again later")
        self._num_waiting += 1
        try:
            with anyio.fail_after(self._settings.max_session_wait_s):
                await self._places.acquire()
        except TimeoutError:
            raise self._full("the server has as many sessions as it can; try again later") from None
        finally:
            self._num_waiting -= 1

    def _full(self, message: str) -> ApiError:
        self._metrics.refused.inc()
        return ApiError(429, message, code="rate_limit_exceeded")
