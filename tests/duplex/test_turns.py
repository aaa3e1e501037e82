"""Turn detection window by window, and the strategies."""

from __future__ import annotations

import numpy as np
import pytest

from vita.duplex import turns
from vita.duplex.turns import FixedSilence, Semantic, StartStrategy, StopStrategy
from vita.errors import ConfigError
from vita.tokens import State

WINDOW_S = 0.032


def detect(probabilities: list[float], stop: StopStrategy) -> list[tuple[int, turns.Signal]]:
    """(window, signal) for windows of these probabilities."""
    hearing, found = turns.QUIET, []
    for n, probability in enumerate(probabilities):
        window = turns.Window((n + 1) * WINDOW_S, WINDOW_S, probability)
        hearing, signals = turns.hear(hearing, window, StartStrategy(), stop)
        found += [(n, signal) for signal in signals]
    return found


def test_a_turn_with_its_preroll_and_its_end() -> None:
    found = detect([0.1] * 20 + [0.9] * 10 + [0.1] * 20, FixedSilence(silence_ms=320))
    assert [(n, type(signal)) for n, signal in found] == [
        (20, turns.VoiceHeard), (22, turns.TurnStarted), (39, turns.TurnEnded),
    ]  # fmt: skip
    started, ended = found[1][1], found[2][1]
    assert isinstance(started, turns.TurnStarted)
    assert isinstance(ended, turns.TurnEnded)
    assert started.voice_s == pytest.approx(20 * WINDOW_S)
    assert started.from_s == pytest.approx(20 * WINDOW_S - 0.3)
    assert (ended.voice_s, ended.voiced_ms) == (pytest.approx(30 * WINDOW_S), pytest.approx(320))


def test_a_click_is_taken_back() -> None:
    found = detect([0.1, 0.9, 0.9, *[0.1] * 20], FixedSilence())
    assert [(n, type(signal)) for n, signal in found] == [(1, turns.VoiceHeard), (7, turns.VoiceGone)]


def test_within_a_turn_less_is_voice_than_before_it() -> None:
    wavering = [0.4] * 10
    assert detect(wavering, FixedSilence()) == []
    found = detect([0.9] * 3 + wavering + [0.1] * 20, FixedSilence(silence_ms=320))
    assert [(n, type(signal)) for n, signal in found][-1] == (22, turns.TurnEnded)


def test_the_semantic_strategy_asks_and_goes_on_without_an_answer() -> None:
    found = detect([0.9] * 10 + [0.1] * 20, Semantic(ask_after_ms=200, silence_ms=320))
    assert [n for n, signal in found if isinstance(signal, turns.MayBeComplete)] == [16, 17, 18]
    assert (found[-1][0], type(found[-1][1])) == (19, turns.TurnEnded)
    assert Semantic().is_complete({State.SPOKEN_QUERY: 0.95})
    assert not Semantic().is_complete({State.SPOKEN_QUERY: 0.85, State.NOISE: 0.15})
    assert not FixedSilence().is_complete({State.SPOKEN_QUERY: 1.0})


def test_the_longest_turn_is_cut_and_another_begins() -> None:
    found = detect([0.9] * 70, FixedSilence(max_turn_s=1.0))
    ends = [n for n, signal in found if isinstance(signal, turns.TurnEnded)]
    starts = [n for n, signal in found if isinstance(signal, turns.TurnStarted)]
    assert (starts, ends) == ([2, 34, 66], [31, 63])


def test_a_turn_can_be_ended_by_the_model_once() -> None:
    window = turns.Window(WINDOW_S, 0.2, 0.9)
    hearing, _ = turns.hear(turns.QUIET, window, StartStrategy(), Semantic())
    hearing, signals = turns.end_turn(hearing)
    assert [type(signal) for signal in signals] == [turns.TurnEnded]
    assert turns.end_turn(hearing) == (turns.QUIET, ())


def test_thresholds_that_do_not_fit() -> None:
    with pytest.raises(ConfigError, match="thresholds of voice"):
        StartStrategy(threshold=0.3)


def test_silero_tells_speech_from_hum_and_silence() -> None:
    from pathlib import Path

    from vita.duplex.voice_activity import WINDOW_SAMPLES, SileroVoiceActivity
    from vita.media import load_audio

    examples = Path(__file__).parents[2] / "examples"

    def voiced(samples: np.ndarray) -> float:
        activity = SileroVoiceActivity()
        starts = range(0, len(samples) - WINDOW_SAMPLES + 1, WINDOW_SAMPLES)
        return float(np.mean([activity.probability(samples[n : n + WINDOW_SAMPLES]) > 0.5 for n in starts]))

    assert voiced(load_audio(examples / "capital_en.wav")) > 0.7
    assert voiced(load_audio(examples / "hum.wav")) < 0.1
    assert voiced(np.zeros(16_000, np.float32)) == 0


def test_streams_share_the_model_and_nothing_else():
    from vita.duplex.voice_activity import WINDOW_SAMPLES, SileroVoiceActivity

    rng = np.random.default_rng(0)
    windows = rng.uniform(-0.5, 0.5, (6, WINDOW_SAMPLES)).astype(np.float32)
    alone, one, other = (SileroVoiceActivity() for _ in range(3))
    expected = [alone.probability(window) for window in windows]
    found = []
    for window in windows:
        found.append(one.probability(window))
        other.probability(-window / 2)
    assert found == expected
    assert one._model is other._model
