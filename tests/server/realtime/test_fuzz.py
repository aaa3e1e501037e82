"""Whatever a client sends over a realtime connection: its session goes on, and so do those of others."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
from collections.abc import Iterator
from typing import Any

import httpx2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.duplex.stage import QUESTION, hears
from tests.server.conftest import Bench, on_loopback
from tests.server.realtime.stage import text_item
from tests.server.realtime.wire import Wire, spoken
from vita.engine.scripted import Line, ScriptedEngine
from vita.server.speaking import Speaker
from vita.tokens import State

FRAMES_AT_ONCE = 25
PIXEL = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="
IDS = st.sampled_from(["item_1", "root", "", "x" * 70, "item_\u0000", "词"])
PARTS = st.sampled_from([
    {"type": "input_text", "text": "hello"}, {"type": "input_text"}, {"type": "input_image", "image_url": PIXEL},
    {"type": "input_image", "image_url": "http://127.0.0.1/"}, {"type": "input_audio", "audio": "AAAA" * 3000},
    {"type": "output_text", "text": "said"}, {"type": "item_reference"},
])  # fmt: skip
SESSION = st.fixed_dictionaries({}, optional={
    "instructions": st.text(max_size=20), "output_modalities": st.sampled_from([["text"], ["audio"], [], "text"]),
    "audio": st.sampled_from([
        {"input": {"turn_detection": None}}, {"input": {"format": {"type": "audio/pcmu"}}},
        {"input": {"turn_detection": {"type": "server_vad"}}}, {"output": {"voice": "nobody"}}, {"input": None},
        {"output": {"format": {"type": "audio/pcma"}, "speed": 1.5}}, {"input": {"turn_detection": {"type": 1}}},
    ]),
    "vita": st.sampled_from([{"events": True}, {"lead_ms": -1}, None]),
})  # fmt: skip
AUDIO = st.one_of(
    st.binary(max_size=2000).map(lambda data: base64.b64encode(data).decode()),
    st.sampled_from([spoken((0.3, QUESTION))["audio"], spoken((0.6, 0.0))["audio"], "=", "é"]),
)
VALID = st.one_of(
    st.builds(lambda session: {"type": "session.update", "session": session}, SESSION),
    st.builds(lambda audio: {"type": "input_audio_buffer.append", "audio": audio}, AUDIO),
    st.sampled_from([
        {"type": kind} for kind in (
            "input_audio_buffer.commit", "input_audio_buffer.clear", "response.create", "response.cancel",
            "output_audio_buffer.clear",
        )
    ]),
    st.builds(
        lambda parts, role, after, own: {
            "type": "conversation.item.create", "previous_item_id": after,
            "item": {"type": "message", "role": role, "content": parts, **({"id": own} if own else {})},
        },
        st.lists(PARTS, max_size=3), st.sampled_from(["user", "assistant", "system", "nobody"]), st.none() | IDS, IDS,
    ),
    st.builds(
        lambda kind, item, end: {"type": kind, "item_id": item, "content_index": 0, "audio_end_ms": end},
        st.sampled_from(["conversation.item.truncate", "vita.output_audio_buffer.played"]), IDS,
        st.integers(-5, 10_000),
    ),
    st.builds(
        lambda kind, item: {"type": f"conversation.item.{kind}", "item_id": item},
        st.sampled_from(["delete", "retrieve"]), IDS,
    ),
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
SPOILED = st.builds(lambda event, name, value: {**event, name: value}, VALID, st.sampled_from(
    ["type", "audio", "session", "item", "item_id", "event_id", "response", "more"]), JSON)  # fmt: skip
TEXTS = st.one_of(
    VALID.map(json.dumps), VALID.map(json.dumps), SPOILED.map(json.dumps), JSON.map(json.dumps), st.text(max_size=30),
    VALID.map(lambda event: json.dumps(event)[:-3]),
    st.sampled_from(["[" * 50_000, '{"type": "\\ud800"}', "1" * 5000, " " * 200_000]),
)  # fmt: skip
FRAMES = st.lists(
    st.one_of(TEXTS, TEXTS, TEXTS, st.binary(max_size=200)), min_size=FRAMES_AT_ONCE, max_size=FRAMES_AT_ONCE
)


class Quick:
    """Speaks everything in no time."""

    def speak(self, text: str, lang: str | None = None) -> tuple[Any, int]:
        return np.full(240, 0.5, np.float32), 24_000

    def close(self) -> None:
        pass


class Server:
    """An application, a loop for it, and a client that behaves."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop, self.num_frames, self.num_asked = loop, 0, 0
        engine = ScriptedEngine(lambda _: Line(State.TYPED_QUERY, ("Well. ", "Yes.")), hears)
        self.bench = Bench(engine=engine, max_events_per_s=1e6, max_bytes_per_s=1e9)
        self.good = Wire(self.bench, client="192.0.2.9")

    async def meet(self, frames: list[str | bytes]) -> None:
        """One client sends the frames; the other one is answered all the same."""
        wire = Wire(self.bench)
        for frame in frames:
            name = "text" if isinstance(frame, str) else "bytes"
            wire.put({"type": "websocket.receive", name: frame})
        wire.send({"type": "conversation.item.retrieve", "item_id": "last", "event_id": "the last one"})
        while not any(event["error"]["event_id"] == "the last one" for event in wire.all("error")):
            assert not wire.task.done(), wire.all("error")[-1:]
            await asyncio.sleep(0.001)
        assert "internal_error" not in {event["error"]["code"] for event in wire.all("error")}
        wire.put({"type": "websocket.disconnect", "code": 1005})
        await wire.ended()
        self.num_frames += len(frames)
        self.num_asked += 1
        self.good.send(text_item("hello"), {"type": "response.create"})
        done = await self.good.until("response.done", self.num_asked)
        assert done["response"]["status"] == "completed"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(Speaker, "voice", lambda self, name, **_: Quick())
    loop = asyncio.new_event_loop()

    async def made() -> Server:
        return Server(loop)

    found = loop.run_until_complete(made())
    yield found
    found.good.put({"type": "websocket.disconnect", "code": 1005})
    loop.run_until_complete(found.good.ended())
    loop.close()


def fuzz(server: Server, num_examples: int) -> None:
    @settings(max_examples=num_examples, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(FRAMES)
    def send(frames: list[str | bytes]) -> None:
        server.loop.run_until_complete(server.meet(frames))

    send()


def test_some_hundred_frames(server: Server) -> None:
    fuzz(server, 12)
    assert server.num_frames >= 300


@pytest.mark.slow
def test_ten_thousand_frames(server: Server) -> None:
    fuzz(server, 400)
    assert server.num_frames >= 10_000


def test_bytes_that_are_no_websocket_frames() -> None:
    with on_loopback(Bench(max_event_bytes=10_000).app) as url:
        port = int(url.rpartition(":")[2])
        hello = (
            f"GET /v1/realtime HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        ).encode()
        too_long = b"\x81\xff" + (20_000).to_bytes(8, "big") + bytes(4) + b"x" * 20_000
        for bad in (b"\xff" * 500, too_long, b"\x81\x82" + bytes(4) + b"\xff\xfe", b"\x80\x80" + bytes(4)):
            with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
                client.sendall(hello)
                assert b"101" in client.recv(100)
                client.sendall(bad)
                answer = b"?"
                while answer and b"\x88" not in answer:  # it closes the connection
                    answer = client.recv(10_000)
        assert httpx2.get(f"{url}/health").status_code == 200
