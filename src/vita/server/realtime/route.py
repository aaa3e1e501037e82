"""/v1/realtime: connections of realtime clients, from the handshake to the end, whatever it is. Made by `app.py`."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

import anyio
from fastapi import APIRouter
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from vita.errors import VitaError
from vita.server.chat import check_model
from vita.server.edge import NOTES
from vita.server.failures import ApiError, as_api_error
from vita.server.realtime.configuration import Configuration
from vita.server.realtime.conversation import Conversation, LiveParts
from vita.server.realtime.outbox import Outbox, SlowReaderError
from vita.server.realtime.places import Places

_logger = logging.getLogger("vita.server")
_GOODBYE_S = 2.0
_POLICY, _FAULT, _TRY_LATER = 1008, 1011, 1013


class Realtime:
    """Serves connections.

    Args:
        parts: shared by all conversations.
    """

    def __init__(self, parts: LiveParts) -> None:
        self._parts = parts
        self._places = Places(parts.settings, parts.metrics)

    def router(self) -> APIRouter:
        """The route."""
        router = APIRouter()
        router.websocket("/v1/realtime")(self.serve)
        return router

    async def serve(self, socket: WebSocket) -> None:
        """One connection."""
        await socket.accept(subprotocol="realtime" if "realtime" in socket.scope.get("subprotocols", ()) else None)
        client = socket.client.host if socket.client else ""
        ending = "refused"
        try:
            check_model(socket.query_params.get("model", self._parts.settings.model_name), self._parts.settings)
            async with self._places.one(client):
                ending = await _Connection(self._parts, socket).run()
        except (ApiError, VitaError) as error:
            await _say_goodbye(socket, as_api_error(error))
        socket.scope[NOTES]["ending"] = ending
        self._parts.metrics.session_ends.labels(ending).inc()


class _Connection:
    """A connection that has a place."""

    def __init__(self, parts: LiveParts, socket: WebSocket) -> None:
        self._parts, self._socket = parts, socket
        self._outbox = Outbox(parts.settings.max_unread_bytes)
        configuration = Configuration(model=parts.settings.model_name)
        self._conversation = Conversation(parts, configuration, self._outbox.emit)

    async def run(self) -> str:
        """Talk until it ends; how it ended."""
        tasks: list[asyncio.Task[str]] = []
        try:
            await self._conversation.open()
            tasks = [asyncio.create_task(work) for work in (self._receive(), self._send(), self._watch())]
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return done.pop().result()
        except ApiError as error:
            self._outbox.close()
            await _say_goodbye(self._socket, error)
            return error.code or "error"
        finally:
            for task in tasks:
                task.cancel()
            await self._conversation.close()

    async def _receive(self) -> str:
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return "left"
            text = message.get("text")
            if text is None:
                self._conversation.tell_error(ApiError(400, "events are text messages", code="invalid_event"))
            else:
                await self._conversation.handle(text)

    async def _send(self) -> str:
        try:
            while (event := await self._outbox.next()) is not None:
                with anyio.fail_after(self._parts.settings.send_timeout_s):
                    await self._socket.send_text(event)
        except (SlowReaderError, TimeoutError):
            raise ApiError(408, "the client does not read what is sent to it", code="slow_reader") from None
        except (WebSocketDisconnect, RuntimeError):
            return "left"
        return "closed"

    async def _watch(self) -> str:
        await asyncio.sleep(self._parts.settings.max_session_s)
        raise ApiError(408, "the session has lasted as long as it may; open another", code="session_expired")


async def _say_goodbye(socket: WebSocket, error: ApiError) -> None:
    """Tell why the connection is closed, and close it; not for long, if the client does not read."""
    code = _TRY_LATER if error.status in (429, 503) else _POLICY
    told = {"type": error.kind, "code": error.code, "message": str(error), "param": error.param, "event_id": None}
    with suppress(WebSocketDisconnect, RuntimeError, TimeoutError), anyio.fail_after(_GOODBYE_S):
        if socket.application_state is WebSocketState.CONNECTED:
            await socket.send_json({"type": "error", "event_id": "event_goodbye", "error": told})
            await socket.close(code, str(error)[:100])
