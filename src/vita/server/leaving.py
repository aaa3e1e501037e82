"""Ends the work for a client that has gone: for a reply that is sent whole, and for one that is streamed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send


@asynccontextmanager
async def until_client_leaves(receive: Receive) -> AsyncIterator[None]:
    """Runs its block until the client closes the connection; then cancels it, and goes on behind it.

    Args:
        receive: of a request whose body has been read.
    """
    with anyio.CancelScope() as scope:
        watcher = asyncio.create_task(_watch(receive, scope))
        try:
            yield
        finally:
            watcher.cancel()


async def _watch(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


class LiveStream(Response):
    """A response in pieces that stops when its client leaves.

    Args:
        pieces: the pieces of the body.
        media_type: of the body.
        close: called at the end, however it comes.
    """

    def __init__(
        self, pieces: AsyncGenerator[bytes, None], *, media_type: str, close: Callable[[], None] | None = None
    ) -> None:
        self.status_code, self.background = 200, None
        self.media_type = media_type
        self._pieces, self._close = pieces, close
        self.init_headers()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            async with until_client_leaves(receive):
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                async for piece in self._pieces:
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            if self._close is not None:
                self._close()
            with anyio.CancelScope(shield=True):
                await self._pieces.aclose()
