"""/v1/realtime: connections of realtime clients, from the handshake to the end, whatever it is. Made by `app.py`."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from starlette.websockets import WebSocket

from vita.errors import VitaError
from vita.memory import give_back
from vita.server.chat import check_model
from vita.server.edge import NOTES
from vita.server.failures import ApiError, as_api_error
from vita.server.realtime.connection import Connection, say_goodbye
from vita.server.realtime.conversation import LiveParts
from vita.server.realtime.parking import Parked, Parking
from vita.server.realtime.places import Places

_PARKED_PER_PLACE = 4
_POLL_S = 0.1


class Realtime:
    """Serves connections.

    Args:
        parts: shared by all conversations.
    """

    def __init__(self, parts: LiveParts) -> None:
        self._parts, settings = parts, parts.settings
        self._places = Places(settings, parts.metrics)
        self._parking = Parking(settings.resume_s, _PARKED_PER_PLACE * settings.max_sessions)
        self._connections: set[Connection] = set()

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
                session_id = socket.query_params.get("session_id")
                ending = await self._talk(socket, self._parking.take(session_id) if session_id else None)
            await asyncio.to_thread(give_back)
        except (ApiError, VitaError) as error:
            await say_goodbye(socket, as_api_error(error))
        socket.scope[NOTES]["ending"] = ending
        self._parts.metrics.session_ends.labels(ending).inc()

    async def _talk(self, socket: WebSocket, parked: Parked | None) -> str:
        connection = Connection(self._parts, socket, parked)
        self._connections.add(connection)
        try:
            ending, left = await connection.run()
        finally:
            self._connections.discard(connection)
        if ending == "dropped" and left is not None:
            self._parking.keep(left)
        return ending

    async def drain(self, within_s: float) -> None:
        """Let nobody new in, let answers that have begun end, then end the sessions."""
        self._places.is_closing = True
        for connection in self._connections:
            connection.leave()
        deadline_s = asyncio.get_running_loop().time() + within_s
        while self._connections and asyncio.get_running_loop().time() < deadline_s:
            await asyncio.sleep(_POLL_S)
