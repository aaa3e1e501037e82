"""Compiled mel features are those of the array passes to the last bit, whatever the sound, whole or in pieces."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vita.errors import MediaError
from vita.models.filterbank import MelStream, mel_features

pytest.importorskip("numba")


def noise(num_samples: int, loud: float, offset: float, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).normal(0, loud, num_samples) + offset).astype(np.float32)


@given(
    st.integers(400, 12_000),
    st.sampled_from([0.0, 1e-6, 0.1, 0.9]),
    st.sampled_from([0.0, 0.5]),
    st.sampled_from([(16_000, 80), (16_000, 23), (8_000, 40), (11_025, 80)]),
)
def test_any_sound(num_samples: int, loud: float, offset: float, kind: tuple[int, int]) -> None:
    samples, (rate_hz, num_bins) = noise(num_samples, loud, offset), kind
    wanted = mel_features(samples, sample_rate_hz=rate_hz, num_bins=num_bins)
    found = mel_features(samples, sample_rate_hz=rate_hz, num_bins=num_bins, compiled=True)
    assert found.dtype == wanted.dtype == np.float32
    assert np.array_equal(found, wanted)


def test_a_long_sound_of_several_blocks() -> None:
    samples = noise(16_000 * 12 + 7, 0.1, 0.0)
    assert np.array_equal(mel_features(samples, compiled=True), mel_features(samples))


def test_a_sound_in_pieces() -> None:
    samples, stream = noise(20_000, 0.1, 0.1), MelStream(compiled=True)
    pieces = [stream.push(piece) for piece in np.split(samples, [100, 1_700, 1_701, 9_000])]
    assert np.array_equal(np.concatenate(pieces), mel_features(samples))


def test_too_short_a_sound() -> None:
    with pytest.raises(MediaError, match="too short"):
        mel_features(np.zeros(399, np.float32), compiled=True)
