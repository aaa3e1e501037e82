"""From sound to events: onsets before voice activity, sounds that were none, and where a turn's last sound was."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from vita.duplex import events as ev
from vita.duplex.loudness import BLOCK, Loudness
from vita.duplex.microphone import Microphone
from vita.duplex.turns import FixedSilence, Semantic, StartStrategy, StopStrategy
from vita.duplex.voice_activity import ScriptedVoiceActivity

RATE_HZ = 16_000


def noise(seconds: float, level: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, level, round(seconds * RATE_HZ)).astype(np.float32)


def hear(
    sound: np.ndarray, judge: Callable[[np.ndarray], float] = lambda window: 0.0, stop: StopStrategy | None = None
) -> list[tuple[float, ev.Event]]:
    """(seconds, event) of a sound that is fed in pieces of 10 ms."""
    microphone = Microphone(ScriptedVoiceActivity(judge), StartStrategy(), stop or FixedSilence())
    return [
        (round((start + 160) / RATE_HZ, 3), event)
        for start in range(0, len(sound), 160)
        for event in microphone.feed(sound[start : start + 160])
    ]


def is_loud(window: np.ndarray) -> float:
    return float(np.sqrt(np.mean(window**2)) > 0.05)


@pytest.mark.parametrize("start_s", [1.0, 1.003, 1.011, 1.02, 1.031])
@pytest.mark.parametrize("around", [0.0005, 0.01])
def test_a_sound_is_told_within_30_ms(start_s: float, around: float) -> None:
    quiet = noise(start_s, around)
    events = hear(np.concatenate([quiet, noise(0.5, 0.2)]), is_loud)
    told_s, first = events[0]
    assert first == ev.Voice(is_heard=True)
    assert start_s < told_s <= start_s + 0.030
    assert [event for _, event in events if event == ev.Voice(is_heard=False)] == []


def test_a_knock_is_taken_back_and_told_once() -> None:
    sound = np.concatenate([noise(1.0, 0.0005), noise(0.03, 0.3), noise(1.0, 0.0005)])
    (on_s, on), (off_s, off) = hear(sound)
    assert (on, off) == (ev.Voice(is_heard=True), ev.Voice(is_heard=False))
    assert 0.05 < off_s - on_s < 0.15


def test_a_hum_that_goes_on_is_no_voice_however_loud() -> None:
    sound = np.concatenate([noise(1.0, 0.0005), noise(5.0, 0.3), noise(1.0, 0.0005), noise(0.2, 0.3)])
    events = hear(sound)
    assert [event for _, event in events] == [ev.Voice(is_heard=True), ev.Voice(is_heard=False)] * 2
    assert events[2][0] == pytest.approx(7.02, abs=0.02)


def test_what_is_always_there_is_no_onset() -> None:
    loudness = Loudness()
    sound = noise(10.0, 0.1)
    onsets = 0
    for start in range(0, len(sound) - BLOCK, BLOCK):
        loudness.push(sound[start : start + BLOCK])
        onsets += loudness.is_onset and start > RATE_HZ
    assert onsets == 0
    assert loudness.loud_s < 0.1


def asked_s(voice_s: float, sound_s: float) -> float:
    """When the model is asked first, after a voice of 1 s; its activity, and noise, outlast it by so much."""
    sound = np.concatenate([noise(1.0, 0.0005), noise(1.0 + sound_s, 0.2), noise(1.0, 0.0005)])
    windows = iter(range(10_000))

    def judge(window: np.ndarray) -> float:
        return float(1.0 <= (next(windows) + 1) * 0.032 <= 2.0 + voice_s)

    return next(at for at, event in hear(sound, judge, Semantic()) if isinstance(event, ev.SpeechPaused))


def test_silence_counts_from_the_last_sound_when_activity_outlasts_it() -> None:
    assert 2.2 <= asked_s(0.0, 0.0) <= 2.25
    assert 2.2 <= asked_s(0.08, 0.0) <= 2.25
    assert 2.35 <= asked_s(0.25, 0.0) <= 2.40, "by 96 ms at most"
    assert 2.18 <= asked_s(0.0, 0.5) <= 2.25, "noise that goes on is not waited for"
