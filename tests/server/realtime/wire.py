"""Realtime connections to an application in this process: no socket, no thread, messages by hand."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import numpy as np

from tests.duplex.stage import QUESTION
from tests.server.conftest import Bench

RATE_HZ = 24_000
DROPPED = {"type": "websocket.disconnect", "code": 1005}
LEFT = {"type": "websocket.disconnect", "code": 1000, "reason": ""}


def spoken(*parts: tuple[float, float]) -> dict[str, Any]:
    """Sound to be appended: (seconds, amplitude)."""
    sound = np.concatenate([np.full(round(seconds * RATE_HZ), amplitude) for seconds, amplitude in parts])
    data = base64.b64encode((sound * 32767).astype("<i2").tobytes()).decode()
    return {"type": "input_audio_buffer.append", "audio": data}


ASKED = spoken((0.2, 0.0), (0.8, QUESTION), (0.7, 0.0))


class Wire:
    """One connection.

    is_read: a client that does not read leaves this unset: what is sent waits.
    """

    def __init__(self, bench: Bench, *, query: str = "", client: str = "192.0.2.1", headers: Any = ()) -> None:
        self.events: list[dict[str, Any]] = []
        self.close_code: int | None = None
        self.status: int | None = None
        self.is_read = asyncio.Event()
        self.is_read.set()
        self._changed = asyncio.Event()
        self._to_server: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._to_server.put_nowait({"type": "websocket.connect"})
        scope = {
            "type": "websocket", "path": "/v1/realtime", "raw_path": b"/v1/realtime", "query_string": query.encode(),
            "headers": [(b"host", b"localhost"), *headers], "client": (client, 1), "server": ("localhost", 80),
            "subprotocols": [], "scheme": "ws", "extensions": {"websocket.http.response": {}}, "state": {},
        }  # fmt: skip
        self.task = asyncio.create_task(bench.app(scope, self._to_server.get, self._sent))

    def send(self, *events: dict[str, Any] | str) -> None:
        """Events or texts of the client."""
        for event in events:
            text = event if isinstance(event, str) else json.dumps(event)
            self._to_server.put_nowait({"type": "websocket.receive", "text": text})

    def put(self, message: dict[str, Any]) -> None:
        """A bare message of the ASGI server."""
        self._to_server.put_nowait(message)

    def all(self, kind: str) -> list[dict[str, Any]]:
        """Every event of a type so far."""
        return [event for event in self.events if event["type"] == kind]

    async def until(self, kind: str, number: int = 1) -> dict[str, Any]:
        """The event of this type, once there are so many."""
        with anyio.fail_after(20):
            while len(self.all(kind)) < number:
                self._changed.clear()
                await self._changed.wait()
        return self.all(kind)[number - 1]

    async def ended(self) -> str | None:
        """Wait until the application has let go; the code of the last error."""
        with anyio.fail_after(20):
            await self.task
        errors = self.all("error")
        return errors[-1]["error"]["code"] if errors else None

    async def _sent(self, message: Any) -> None:
        await self.is_read.wait()
        if message["type"] == "websocket.send":
            self.events.append(json.loads(message["text"]))
        elif message["type"] == "websocket.close":
            self.close_code = message["code"]
        elif message["type"] == "websocket.http.response.start":
            self.status = message["status"]
        self._changed.set()


@asynccontextmanager
async def wired(bench: Bench, **options: Any) -> AsyncIterator[Wire]:
    """A connection that is open, and left at the end."""
    wire = Wire(bench, **options)
    await wire.until("session.created")
    yield wire
    wire.is_read.set()
    wire.put(LEFT)
    await wire.ended()


async def num_sessions(bench: Bench) -> int:
    """Sessions that are open, as the metrics tell."""
    text = (await bench.http.get("/metrics")).text
    return int(float(text.partition("\nvita_sessions ")[2].partition("\n")[0]))
