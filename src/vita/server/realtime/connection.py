"""One connection of a realtime client that has a place: reading, sending, the ways to end. Used by `route.py`."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Any

import anyio
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from vita.errors import VitaError
from vita.server.failures import ApiError, as_api_error
from vita.server.realtime.configuration import Configuration
from vita.server.realtime.conversation import Conversation, LiveParts
from vita.server.realtime.outbox import Outbox
from vita.server.realtime.pace import Pace
from vita.server.realtime.parking import Parked

_logger = logging.getLogger("vita.server")
_GOODBYE_S = 2.0
_WATCH_S = 0.25
_CLOSE_CODES = {"server_stopping": 1001, "rate_limit_exceeded": 1013, "internal_error": 1011}
_POLICY = 1008


class Connection:
    """See the top of the file.

    Args:
        parts: shared by all conversations.
        socket: accepted.
        parked: a conversation to go on with.
    """

    def __init__(self, parts: LiveParts, socket: WebSocket, parked: Parked | None) -> None:
        self._settings, self._socket = parts.settings, socket
        self._outbox = Outbox(parts.settings.max_unread_bytes)
        configuration = Configuration(model=parts.settings.model_name)
        self._recording = parts.recorder.begin() if parts.recorder else None
        self._conversation = Conversation(parts, configuration, self._emit, parked)
        self._now = asyncio.get_running_loop().time
        self._heard_s, self._has_sent = self._now(), False
        self._is_leaving = False

    async def run(self) -> tuple[str, Parked | None]:
        """Talk until it ends; how it ended, and what was said."""
        tasks: list[asyncio.Task[str]] = []
        ending, left = "failed", None
        try:
            await self._conversation.open()
            tasks = [
                asyncio.create_task(work) for work in (self._receive(), self._send(), self._watch(), self._guard())
            ]
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            ending = done.pop().result()
        except Exception as error:  # the edge of a connection: it ends, the others go on
            refusal = as_api_error(error)
            if not isinstance(error, (ApiError, VitaError)):
                _logger.exception("session failed")
            ending = refusal.code or "failed"
            self._outbox.close()
            await say_goodbye(self._socket, refusal)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            try:
                left = await self._conversation.close()
            finally:
                if self._recording is not None:
                    self._recording.close(ending)
        return ending, left

    def _emit(self, kind: str, **fields: Any) -> None:
        self._outbox.emit(kind, **fields)
        if self._recording is not None:
            self._recording.sent(kind, fields)

    def leave(self) -> None:
        """End it when the answer that goes on has ended."""
        self._is_leaving = self._conversation.is_leaving = True

    async def _receive(self) -> str:
        events = Pace(self._settings.max_events_per_s, 2 * self._settings.max_events_per_s, self._now)
        sizes = Pace(self._settings.max_bytes_per_s, 2 * self._settings.max_event_bytes, self._now)
        while True:
            message = await self._socket.receive()
            self._heard_s, self._has_sent = self._now(), True
            if message["type"] == "websocket.disconnect":
                is_lost = message.get("code") in (1005, 1006) and "reason" not in message
                return "dropped" if is_lost else "left"
            text = message.get("text")
            if text is None:
                self._conversation.tell_error(ApiError(400, "events are text messages", code="invalid_event"))
            else:
                if self._recording is not None:
                    self._recording.received(text)
                await self._conversation.handle(text)
            await events.spend(1)
            await sizes.spend(len(text or message.get("bytes") or ""))

    async def _send(self) -> str:
        try:
            while (event := await self._outbox.next()) is not None:
                with anyio.fail_after(self._settings.send_timeout_s):
                    await self._socket.send_text(event)
        except TimeoutError:
            raise _slow_reader() from None
        except (WebSocketDisconnect, RuntimeError):
            await asyncio.sleep(_WATCH_S)  # the reader learns how the client has left
            return "dropped"
        return "closed"

    async def _guard(self) -> str:
        """Also while an event is being sent and nobody takes it."""
        await self._outbox.overflow.wait()
        raise _slow_reader()

    async def _watch(self) -> str:
        """Look after time, and after faults that nobody else sees."""
        opened_s = self._now()
        while True:
            await asyncio.sleep(_WATCH_S)
            self._conversation.check()
            if self._is_leaving and not self._conversation.is_answering:
                raise ApiError(503, "the server is being stopped; connect again later", code="server_stopping")
            if self._now() - opened_s > self._settings.max_session_s:
                raise ApiError(408, "the session has lasted as long as it may; open another", code="session_expired")
            longest_s = self._settings.max_silence_s if self._has_sent else self._settings.max_first_silence_s
            if self._now() - self._heard_s > longest_s and not self._conversation.is_answering:
                raise ApiError(408, "nothing has come from the client for too long", code="session_idle")


def _slow_reader() -> ApiError:
    return ApiError(408, "the client does not read what is sent to it", code="slow_reader")


async def say_goodbye(socket: WebSocket, error: ApiError) -> None:
    """Tell why the connection is closed, and close it; not for long, if the client does not read."""
    told = {"type": error.kind, "code": error.code, "message": str(error), "param": error.param, "event_id": None}
    with suppress(WebSocketDisconnect, RuntimeError, TimeoutError), anyio.fail_after(_GOODBYE_S):
        if socket.application_state is WebSocketState.CONNECTED:
            await socket.send_json({"type": "error", "event_id": "event_goodbye", "error": told})
            await socket.close(_CLOSE_CODES.get(error.code or "", _POLICY), str(error)[:100])
