"""Latency under load against a small Realtime server on the loopback interface that answers after a known time."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.server import serve

from tests.evaluate.interaction.sounds import wave
from vita.errors import ConfigError, DependencyError
from vita.evaluate.interaction import load
from vita.evaluate.measuring import Run, Settings
from vita.speech import write_wav

AFTER_S = 0.15


async def answer(socket: Any) -> None:
    """A tenth of a second of sound, AFTER_S after the last sound that was not silent."""
    speaking = False
    async for message in socket:
        event = json.loads(message)
        assert event["type"] == "input_audio_buffer.append"
        samples = np.frombuffer(base64.b64decode(event["audio"]), "<i2")
        if np.abs(samples).max() > 1000:
            speaking = True
        elif speaking:
            speaking = False
            await asyncio.sleep(AFTER_S)
            sound = base64.b64encode(np.zeros(2400, "<i2").tobytes()).decode()
            for half in (sound[:3200], sound[3200:]):
                await socket.send(json.dumps({"type": "response.output_audio.delta", "delta": half}))
            await socket.send(json.dumps({"type": "response.done"}))


@pytest.fixture
def url() -> Iterator[str]:
    ready, done = threading.Event(), asyncio.Event()
    found: list[Any] = []

    async def main() -> None:
        async with serve(answer, "127.0.0.1", 0) as server:
            found.extend([asyncio.get_running_loop(), server.sockets[0].getsockname()[1]])
            ready.set()
            await done.wait()

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    ready.wait()
    yield f"ws://127.0.0.1:{found[1]}/v1/realtime"
    found[0].call_soon_threadsafe(done.set)
    thread.join()


def test_latency_is_that_of_the_server(url: str, tmp_path: Path) -> None:
    write_wav(tmp_path / "question.wav", wave(0.2, (0.0, 0.2, 0.5)), 16_000)
    settings = Settings(data=tmp_path, url=url, sessions=(1, 3), out=tmp_path / "out")
    rows = load.measure(Run(settings, "load"))
    assert [row.case for row in rows] == ["1/0/0", "3/0/0", "3/1/0", "3/2/0"]
    for row in rows:
        assert row.scores["answered"] is True
        assert AFTER_S <= float(row.scores["latency_p50_s"]) < AFTER_S + 1.0  # type: ignore[arg-type]
    (section,) = load.sections(rows)
    assert [line[0] for line in section.tables[0].texts()] == ["1 at once", "3 at once"]
    assert load.measure(Run(settings, "load")) == rows


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://host:8000/v1", "ws://host:8000/v1/realtime?model=pocket"),
        ("wss://host/v1/realtime?model=gpt", "wss://host/v1/realtime?model=gpt"),
    ],
)
def test_addresses(url: str, address: str) -> None:
    assert load.websocket_address(Settings(url=url)) == address


def test_mistakes(tmp_path: Path) -> None:
    write_wav(tmp_path / "question.wav", wave(0.1), 16_000)
    with pytest.raises(ConfigError, match="load measures a server"):
        load.measure(Run(Settings(), "load"))
    with pytest.raises(DependencyError, match="does not hold a conversation"):
        load.measure(Run(Settings(url="ws://127.0.0.1:9/v1", data=tmp_path, sessions=(1,)), "load"))
    with pytest.raises(ConfigError, match="no address of a server"):
        load.websocket_address(Settings(url="ftp://x"))
