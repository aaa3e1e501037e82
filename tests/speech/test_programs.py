"""Synthesisers that are programs: what they are asked, and what is said where they fail."""

from __future__ import annotations

import shutil
import subprocess
from typing import Any

import numpy as np
import pytest
import soundfile

from vita.errors import DependencyError
from vita.speech import programs


@pytest.mark.parametrize(
    ("engine", "voice", "out", "said"),
    [
        ("flite", "awb", "-o", ["-voice", "awb", "--setf", "duration_stretch=1.25", "-t", "a < b"]),
        ("rhvoice", "bdl", "-o", ["-p", "bdl", "-r", "80"]),
        ("pico", "en-GB", "-w", ["-l", "en-GB", '<speed level="80">a &lt; b</speed>']),
        ("festival", "ked_diphone", "-o", ["-eval", "(voice_ked_diphone)"]),
    ],
)
def test_a_program_is_asked_for_text_voice_and_speed(
    monkeypatch: pytest.MonkeyPatch, engine: str, voice: str, out: str, said: list[str]
) -> None:
    calls: list[tuple[list[str], bytes | None]] = []

    def run(command: list[str], **options: Any) -> None:
        assert options["check"]
        calls.append((command, options["input"]))
        soundfile.write(command[command.index(out) + 1], np.full(800, 0.25), 8000)

    monkeypatch.setattr(programs, "installed", lambda engine: True)
    monkeypatch.setattr(subprocess, "run", run)
    samples, rate_hz = programs.run("a < b", engine, voice, 1.25)
    assert (samples.dtype, samples.shape, rate_hz) == (np.float32, (800,), 8000)
    (command, read) = calls[0]
    assert command[0] == programs.PROGRAMS[engine]
    assert set(said) <= set(command)
    assert (read == b"a < b") == (engine in ("rhvoice", "festival"))


@pytest.mark.parametrize("engine", programs.PROGRAMS)
def test_a_program_that_is_missing_is_said(monkeypatch: pytest.MonkeyPatch, engine: str) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(DependencyError, match=f"{engine} is not installed") as raised:
        programs.run("hello", engine, "any")
    assert f"apt-get install {programs.PACKAGES[engine]}" in str(raised.value)


@pytest.mark.parametrize("ending", ["fails", "writes nothing", "writes no sound"])
def test_a_program_that_did_not_speak_is_said(monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    def run(command: list[str], **options: Any) -> None:
        if ending == "fails":
            raise subprocess.CalledProcessError(1, command)
        if ending == "writes no sound":
            with open(command[command.index("-o") + 1], "wb") as file:
                file.write(b"no sound")

    monkeypatch.setattr(programs, "installed", lambda engine: True)
    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(DependencyError, match="flite did not say 'hello' as kal"):
        programs.run("hello", "flite", "kal")


@pytest.mark.parametrize(("engine", "voice"), [("flite", "kal16"), ("rhvoice", "bdl"), ("pico", "en-US")])
def test_a_program_that_is_installed_speaks(engine: str, voice: str) -> None:
    if not programs.installed(engine):
        pytest.skip(f"{engine} is not installed")
    samples, rate_hz = programs.run("what is the capital of france", engine, voice)
    slow, _ = programs.run("what is the capital of france", engine, voice, 1.4)
    assert 0.8 < len(samples) / rate_hz < 4
    assert 0.05 < np.abs(samples).max() <= 1
    assert 1.15 < len(slow) / len(samples) < 1.6
