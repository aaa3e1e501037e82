"""`vita live` from files: what goes in, what comes out, and what is refused."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import threading
import wave
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import PIL.Image
import pytest

import vita.api
import vita.duplex.voice_activity as voice_activity
import vita.speech.voices as voices
from tests.duplex.stage import QUESTION, SIDE_TALK, STORY, WordsVoice, hears, script
from vita.api import Assistant
from vita.cli.live_terminal import Terminal
from vita.cli.main import main
from vita.engine.scripted import Line, ScriptedEngine
from vita.speech import write_wav
from vita.speech.voices import voice_of
from vita.tokens import State


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recording (a question from 1 to 2 s, side talk from 4 to 5 s), a clip, and a model that needs no weights."""
    sound = np.zeros(6 * 16_000, np.float32)
    sound[16_000:32_000], sound[64_000:80_000] = QUESTION, SIDE_TALK
    write_wav(tmp_path / "in.wav", sound * 1.001, 16_000)
    frames = [PIL.Image.new("RGB", (20, 20), (shade, 0, 0)) for shade in (10, 90, 170, 250)]
    frames[0].save(tmp_path / "film.gif", save_all=True, append_images=frames[1:], duration=250)
    engine = ScriptedEngine(script, hears)
    monkeypatch.setattr(vita.api, "load", lambda *args, **options: Assistant(engine))
    monkeypatch.setattr(voice_activity, "SileroVoiceActivity", voice_activity.ScriptedVoiceActivity)
    monkeypatch.setattr(voices, "voice_of", lambda spec, **options: WordsVoice())
    return tmp_path


def live(folder: Path, *options: str) -> tuple[int, list[dict[str, Any]]]:
    """The exit code and the events."""
    files = ["--in", str(folder / "in.wav"), "--out", str(folder / "o" / "out.wav")]
    code = main(["live", *files, "--events", str(folder / "o" / "events.jsonl"), *options])
    lines = (folder / "o" / "events.jsonl").read_text(encoding="utf-8").splitlines()
    return code, [json.loads(line) for line in lines]


def test_the_answer_is_on_the_clock_of_the_input(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, events = live(folder, "--speed", "max", "--stop", "silence")
    assert code == 0
    states = [(e["turn"], e["role"], e["context"], e["state"]) for e in events if e["event"] == "state"]
    assert states == [(1, "monitor", "b", "spoken_query"), (2, "monitor", "a", "noise")]
    (first_s,) = [event["t"] for event in events if event["event"] == "first_audio"]
    assert first_s == 2.53  # fed in pieces of 10 ms
    assert "".join(event["text"] for event in events if event["event"] == "reply_text") == "".join(STORY)
    assert [event["t"] for event in events] == sorted(event["t"] for event in events)
    with wave.open(str(folder / "o" / "out.wav")) as file:
        rate_hz = file.getframerate()
        sound = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    assert len(sound) / rate_hz == pytest.approx(12.54, abs=0.05)  # the story goes on after the recording
    assert np.flatnonzero(np.abs(sound) > 1000)[0] / rate_hz == pytest.approx(first_s, abs=0.002)
    out = capsys.readouterr().out
    assert "turn 1  spoken_query\n" in out
    assert "turn 2  noise\n" in out


def test_the_camera_is_seen(folder: Path) -> None:
    code, events = live(folder, "--speed", "max", "--video", str(folder / "film.gif"))
    assert code == 0
    assert [event["state"] for event in events if event["event"] == "state"] == ["spoken_query", "noise"]


def test_at_its_own_pace(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = np.zeros(12_000, np.float32)
    sound[1_600:8_000] = QUESTION
    write_wav(folder / "in.wav", sound * 1.001, 16_000)
    engine = ScriptedEngine([Line(State.SPOKEN_QUERY, ("yes",))])
    monkeypatch.setattr(vita.api, "load", lambda *args, **options: Assistant(engine))
    code, events = live(folder, "--speed", "real", "--stop", "silence", "--silence-ms", "200")
    assert code == 0
    times_s = {event["event"]: event["t"] for event in events}
    assert 0.7 <= times_s["speech_end"] <= times_s["first_audio"] <= times_s["playback_end"] - 0.9


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--silence-ms", "50"], "--silence-ms is too short (got 50.0, expected 200 or more)"),
        (["--early", "0.3"], "early_threshold is too low (got 0.3, expected more than 0.5)"),
        (["--video", "nowhere.mp4"], "nowhere.mp4"),
        (["--voice", "openai"], "the voice openai needs base_url"),
    ],
)
def test_what_is_refused(
    folder: Path, options: list[str], line: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(voices, "voice_of", voice_of)
    files = ["--in", str(folder / "in.wav"), "--out", str(folder / "out.wav"), "--events", str(folder / "e.jsonl")]
    assert main(["live", *files, *options]) == 2
    assert line in capsys.readouterr().err
    assert not (folder / "e.jsonl").exists()


class FakeAudio(ModuleType):
    """The package sounddevice: a microphone that hears a question and then Ctrl-C, and a speaker."""

    class PortAudioError(Exception):
        pass

    def __init__(self, missing: str = "") -> None:
        super().__init__("sounddevice")
        self.missing, self.is_over = missing, threading.Event()
        self.played: list[np.ndarray] = []
        self.closed: list[str] = []
        self.InputStream = lambda **options: self._stream("input", self._speak, options)
        self.OutputStream = lambda **options: self._stream("output", self._listen, options)

    def _stream(self, name: str, work: Callable[..., None], options: dict[str, Any]) -> SimpleNamespace:
        if name == self.missing:
            raise self.PortAudioError("Error querying device -1")
        thread = threading.Thread(target=work, args=(options["callback"],))
        return SimpleNamespace(start=thread.start, close=lambda: (self.is_over.set(), self.closed.append(name)))

    def _speak(self, callback: Callable[..., None]) -> None:
        question = np.full((160, 1), QUESTION, np.float32)
        for block in [question] * 40 + [np.zeros_like(question)] * 150:
            callback(block, 160, None, None)
            self.is_over.wait(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    def _listen(self, callback: Callable[..., None]) -> None:
        while not self.is_over.wait(0.01):
            block = np.full((240, 1), 7.0, np.float32)
            callback(block, 240, None, None)
            self.played.append(block[:, 0])


def test_the_microphone_and_the_speakers(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = ScriptedEngine([Line(State.SPOKEN_QUERY, ("yes",))], says=lambda samples: "is it")
    monkeypatch.setattr(vita.api, "load", lambda *args, **options: Assistant(engine))
    audio = FakeAudio()
    monkeypatch.setitem(sys.modules, "sounddevice", audio)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background ignores it
    try:
        code = main(["live", "--events", str(folder / "e.jsonl"), "--headphones", "--stop", "silence"])
    finally:
        signal.signal(signal.SIGINT, before)
    assert (code, sorted(audio.closed)) == (0, ["input", "output"])
    events = [json.loads(line)["event"] for line in (folder / "e.jsonl").read_text().splitlines()]
    assert events[-1] == "disconnected"
    assert "first_audio" in events
    assert np.abs(np.concatenate(audio.played)).max() == pytest.approx(0.5, abs=0.1)
    assert 'turn 1  spoken_query: "is it"' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("audio", "line"),
    [
        (None, "pip install 'vita-omni[mic]'"),
        (FakeAudio("input"), "the microphone cannot be opened (got Error querying device -1)"),
        (FakeAudio("output"), "the speaker cannot be opened"),
    ],
)
def test_no_microphone(
    folder: Path,
    audio: FakeAudio | None,
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", audio)
    assert main(["live"]) == 2
    assert line in capsys.readouterr().err
    assert main(["live", "--out", "x.wav"]) == 2
    assert "--out needs --in" in capsys.readouterr().err
    assert main(["live", "--in", "x.wav"]) == 2
    assert "--in needs --out and --events" in capsys.readouterr().err


def test_the_meter_is_drawn_below_the_lines() -> None:
    out = io.StringIO()
    terminal = Terminal(has_meter=True, out=out)
    for _ in range(8):
        terminal.meter(np.full(160, 0.1, np.float32))
    terminal.show({"event": "first_audio", "t": 1.0, "turn": 1})
    terminal.show({"event": "reply_end", "t": 1.5, "turn": 1, "text": "yes"})
    for _ in range(8):
        terminal.meter(np.zeros(160, np.float32))
    drawn = out.getvalue().split("\r\033[K")
    assert drawn[1] == f"[{'#' * 16}{' ' * 8}] listening"
    assert drawn[2] == "    1.50 s  turn 1  answer: yes\n"
    assert drawn[3] == f"[{' ' * 24}] speaking"
