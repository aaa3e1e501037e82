"""Stretches of speech against the package silero-vad."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vita.evaluate.interaction.speech_segments import from_probabilities, merged, speech_segments


@pytest.fixture(scope="module")
def silero() -> Any:
    """The module with the public rule; the package itself would change the number of threads."""
    package = importlib.util.find_spec("silero_vad")
    assert package is not None
    assert package.origin is not None
    spec = importlib.util.spec_from_file_location("silero_utils", Path(package.origin).parent / "utils_vad.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, "get_speech_timestamps_from_probs"):
        pytest.skip("another version of silero-vad")
    return module


def test_the_rule_is_that_of_the_package(silero: Any) -> None:
    rng = np.random.default_rng(0)
    compared = 0
    for _ in range(200):
        steps = np.cumsum(rng.normal(0, 0.25, rng.integers(1, 200)))
        probabilities = (0.5 + 0.5 * np.sin(steps)).tolist()
        length = len(probabilities) * 512 - int(rng.integers(0, 512))
        wanted = silero.get_speech_timestamps_from_probs(
            probabilities, sampling_rate=16_000, threshold=0.5, min_speech_duration_ms=250,
            max_speech_duration_s=float("inf"), min_silence_duration_ms=100, speech_pad_ms=30, return_seconds=False,
            audio_length_samples=length,
        )  # fmt: skip
        found = from_probabilities(probabilities, length)
        assert [(round(a * 16_000), round(b * 16_000)) for a, b in found] == [(w["start"], w["end"]) for w in wanted]
        compared += len(wanted)
    assert compared > 200


class Loud:
    def probability(self, window: np.ndarray) -> float:
        return float(np.abs(window).max() > 0.1)


def test_segments_of_sound() -> None:
    sound = np.zeros(32_000, np.float32)
    sound[8192:16384] = 0.5
    assert speech_segments(sound, Loud()) == [(8192 / 16_000 - 0.03, 16384 / 16_000 + 0.03)]
    assert speech_segments(np.zeros(0, np.float32), Loud()) == []


def test_merging() -> None:
    assert merged([(3.0, 4.0), (0.0, 1.0), (1.4, 2.0)], 0.5) == [(0.0, 2.0), (3.0, 4.0)]
