"""Recordings of realtime sessions: what is in them, that they are bounded, and that nothing is written elsewhere."""

from __future__ import annotations

import base64
import json
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.server.conftest import Bench
from tests.server.realtime.stage import text_item
from tests.server.realtime.test_limits import made
from tests.server.realtime.wire import ASKED, wired
from vita.errors import ConfigError
from vita.server.realtime.recording import Recorder

pytestmark = pytest.mark.anyio
PCMU = {
    "type": "session.update",
    "session": {"type": "realtime", "audio": {"input": {"format": {"type": "audio/pcmu"}}}},
}


class Clock:
    """The time, set by hand."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def events(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]


def pcm(seconds: float, amplitude: float, rate_hz: int = 24_000) -> str:
    return base64.b64encode(np.full(round(seconds * rate_hz), amplitude * 32767).astype("<i2").tobytes()).decode()


async def test_a_session_is_recorded(tmp_path: Path) -> None:
    bench = made(("One two three.",), record_to=tmp_path / "kept")
    async with wired(bench) as wire:
        wire.send(ASKED)
        done = await wire.until("response.done")
        assert done["response"]["status"] == "completed"
    (folder,) = (tmp_path / "kept").iterdir()
    heard, rate_hz = soundfile.read(folder / "input.wav")
    asked = base64.b64decode(ASKED["audio"])
    assert rate_hz == 24_000
    np.testing.assert_allclose(heard[-len(asked) // 2 :] * 32768, np.frombuffer(asked, "<i2"), atol=1.5)
    said, rate_hz = soundfile.read(folder / "output.wav")
    sent = b"".join(base64.b64decode(event["delta"]) for event in wire.all("response.output_audio.delta"))
    assert rate_hz == 24_000
    np.testing.assert_allclose(said[-len(sent) // 2 :] * 32768, np.frombuffer(sent, "<i2"), atol=1.5)
    told = events(folder)
    assert [event["type"] for event in told if event["from"] == "server"][:-1] == [
        event["type"] for event in wire.events
    ]
    assert [event["type"] for event in told if event["from"] == "client"] == ["input_audio_buffer.append"]
    assert told[-1]["ending"] == "left"
    assert [event["t"] for event in told] == sorted(event["t"] for event in told)
    assert max(len(json.dumps(event)) for event in told) < 3000
    for path in (folder, folder.parent):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


async def test_nothing_is_recorded_unless_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with wired(made()) as wire:
        wire.send(text_item("hello"))
        await wire.until("conversation.item.done")
    assert list(tmp_path.iterdir()) == []


async def test_a_full_folder_ends_the_recording_and_not_the_session(tmp_path: Path) -> None:
    (tmp_path / "before.wav").write_bytes(bytes(60_000))
    bench = made(("Yes.",), record_to=tmp_path, max_recorded_bytes=100_000)
    for _ in range(2):
        async with wired(bench) as wire:
            wire.send(ASKED)
            await wire.until("response.done")
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.*") if path.is_file()) < 101_000


async def test_what_a_client_sends_is_never_a_path(tmp_path: Path) -> None:
    bench = made(record_to=tmp_path / "kept")
    async with wired(bench) as wire:
        wire.send(text_item("../../x", previous_item_id=None, event_id="../../../y"), "{", '{"type": "../z"}')
        await wire.until("error", 2)
    (folder,) = (tmp_path / "kept").iterdir()
    assert list(tmp_path.iterdir()) == [tmp_path / "kept"]
    assert {path.name for path in folder.iterdir()} == {"events.jsonl"}
    assert sum(event["from"] == "client" for event in events(folder)) == 3


def test_both_sounds_begin_with_the_connection(tmp_path: Path) -> None:
    clock = Clock()
    recording = Recorder(tmp_path, 10**9, clock).begin()
    assert recording is not None
    clock.now_s = 102.0
    recording.received(json.dumps({"type": "input_audio_buffer.append", "audio": pcm(0.5, 0.5)}))
    clock.now_s = 102.1  # a little late is no pause
    recording.received(json.dumps({"type": "input_audio_buffer.append", "audio": pcm(0.1, 0.5)}))
    clock.now_s = 103.0
    recording.sent("response.output_audio.delta", {"delta": pcm(1.0, 0.25)})
    clock.now_s = 103.5
    recording.sent("input_audio_buffer.speech_started", {})
    recording.sent("response.output_audio.delta", {"delta": pcm(0.5, 0.75)})
    recording.close("left")
    (folder,) = tmp_path.iterdir()
    heard, _ = soundfile.read(folder / "input.wav")
    assert (np.flatnonzero(heard)[0], len(heard)) == (1.5 * 24_000, 2.1 * 24_000)
    said, _ = soundfile.read(folder / "output.wav")
    assert [said[round(at * 24_000)] for at in (2.9, 3.1, 3.4, 3.6)] == pytest.approx([0, 0.25, 0.25, 0.75], abs=1e-3)
    assert len(said) == 4 * 24_000
    assert pcm(0.5, 0.5) not in (folder / "events.jsonl").read_text()


async def test_another_format_is_another_file(tmp_path: Path) -> None:
    async with wired(made(record_to=tmp_path)) as wire:
        wire.send(ASKED, PCMU, {"type": "input_audio_buffer.append", "audio": base64.b64encode(bytes(800)).decode()})
        await wire.until("session.updated")
        wire.send({"type": "input_audio_buffer.append", "audio": "!"})
        await wire.until("error")
    (folder,) = tmp_path.iterdir()
    assert soundfile.info(folder / "input-2.wav").samplerate == 8000


def test_folders_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match="cannot record to"):
        Bench(record_to=tmp_path / "file" / "folder")
