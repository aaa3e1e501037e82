"""`vita live` from files: what goes in, what comes out, and what is refused."""

from __future__ import annotations

import json
import wave
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

import vita.api
import vita.duplex.voice_activity as voice_activity
import vita.speech.voices as voices
from tests.duplex.stage import QUESTION, SIDE_TALK, STORY, WordsVoice, hears, script
from vita.api import Assistant
from vita.cli.main import main
from vita.engine.scripted import Line, ScriptedEngine
from vita.speech import write_wav
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
    monkeypatch.setattr(voices, "get_voice", WordsVoice)
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
    ],
)
def test_what_is_refused(folder: Path, options: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    files = ["--in", str(folder / "in.wav"), "--out", str(folder / "out.wav"), "--events", str(folder / "e.jsonl")]
    assert main(["live", *files, *options]) == 2
    assert line in capsys.readouterr().err
    assert not (folder / "e.jsonl").exists()
