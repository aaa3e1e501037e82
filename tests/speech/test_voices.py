"""The embedded voice, the registry of voices, and WAV files."""

from __future__ import annotations

import wave
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest

from vita.errors import ConfigError, DependencyError, MediaError
from vita.speech import speak, voices, write_wav
from vita.speech.voices import make_voice, voice_names


def test_mixed_text_is_spoken_by_both_languages() -> None:
    english, rate_hz = speak("It is blue.")
    chinese, _ = speak("它是蓝色的。")
    mixed, _ = speak("<1>It is **blue**. 它是蓝色的。")
    assert english.dtype == np.float32
    assert np.abs(mixed).max() <= 1
    assert len(mixed) == pytest.approx(len(english) + len(chinese), rel=0.1)
    assert 0.5 < len(english) / rate_hz < 2


def test_empty_text_gives_no_samples() -> None:
    samples, rate_hz = speak("<1>")
    assert len(samples) == 0
    assert rate_hz > 0


def test_digits_are_read_in_the_language_asked_for() -> None:
    assert len(speak("7", "zh")[0]) != len(speak("7", "en")[0])
    with pytest.raises(ConfigError, match="does not speak this language"):
        speak("7", "fr")


def test_options_and_unknown_names() -> None:
    slow, fast = make_voice("espeak", rate_wpm=100), make_voice("espeak", rate_wpm=300, variant="")
    assert len(slow.speak("one two three")[0]) > 1.5 * len(fast.speak("one two three")[0])
    slow.close()
    fast.close()
    with pytest.raises(ConfigError, match="unknown voice"):
        make_voice("nobody")
    with pytest.raises(ConfigError, match="unknown option"):
        make_voice("espeak", speed=3)


class Beep:
    """A voice as a plug-in would bring it."""

    def speak(self, text: str, lang: str | None = None) -> tuple[np.ndarray, int]:
        return np.ones(len(text), np.float32), 100

    def close(self) -> None:
        return None


def test_a_plugin_adds_a_voice(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [
        EntryPoint("beep", f"{__name__}:Beep", voices.ENTRY_POINT_GROUP),
        EntryPoint("broken", "no_such_module:Voice", voices.ENTRY_POINT_GROUP),
    ]
    monkeypatch.setattr(voices, "entry_points", lambda group: entries)
    assert voice_names() == ["beep", "broken", "espeak"]
    assert len(make_voice("beep").speak("abc")[0]) == 3
    with pytest.raises(DependencyError, match="broken"):
        make_voice("broken")


def test_wav_round_trip(tmp_path: Path) -> None:
    samples = np.array([0, 0.5, -0.5, 2, -2], np.float32)
    write_wav(tmp_path / "new" / "a.wav", samples, 16000)
    with wave.open(str(tmp_path / "new" / "a.wav")) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 16000)
        data = np.frombuffer(file.readframes(9), "<i2")
    assert np.abs(data / 32767 - np.clip(samples, -1, 1)).max() < 1e-4


def test_wav_to_an_impossible_place_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MediaError, match="cannot be written"):
        write_wav(tmp_path / "file" / "a.wav", np.zeros(3, np.float32), 16000)
