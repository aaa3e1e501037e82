"""Mel features apart from the reference: lengths, streams, bad input, what a tone and silence give."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vita.errors import MediaError
from vita.models.filterbank import NUM_BINS, SAMPLE_RATE_HZ, MelStream, mel_features, num_frames


def noise(num_samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, num_samples).astype(np.float32)


@settings(deadline=None, max_examples=40)
@given(num_samples=st.integers(0, 9000), cuts=st.lists(st.integers(0, 9000), max_size=9))
def test_stream_equals_clip_bit_for_bit(num_samples: int, cuts: list[int]) -> None:
    samples, stream = noise(num_samples), MelStream()
    pieces = [stream.push(piece) for piece in np.split(samples, sorted(cuts))]
    streamed = np.concatenate(pieces)
    assert len(streamed) == num_frames(num_samples)
    if len(streamed):
        np.testing.assert_array_equal(streamed, mel_features(samples))


@pytest.mark.parametrize("num_samples", [0, 1, 399])
def test_too_short_is_a_media_error(num_samples: int) -> None:
    with pytest.raises(MediaError, match=r"sound is too short \(got .* ms, expected at least 25 ms\)"):
        mel_features(noise(num_samples))


@pytest.mark.parametrize(("num_samples", "frames"), [(400, 1), (559, 1), (560, 2), (16000, 98)])
def test_frames(num_samples: int, frames: int) -> None:
    features = mel_features(noise(num_samples))
    assert features.shape == (frames, NUM_BINS)
    assert features.dtype == np.float32
    assert num_frames(num_samples) == frames


def test_two_channels_are_a_media_error() -> None:
    with pytest.raises(MediaError, match="must have one channel"):
        mel_features(np.zeros((2, 16000), np.float32))


def test_silence_is_the_floor() -> None:
    np.testing.assert_allclose(mel_features(np.zeros(800, np.float32)), np.log(np.float32(1.1920929e-07)), atol=1e-5)


@pytest.mark.parametrize("frequency_hz", [200, 1000, 3000, 7000])
def test_a_tone_peaks_at_its_mel_bin(frequency_hz: int) -> None:
    time_s = np.arange(8000) / SAMPLE_RATE_HZ
    features = mel_features((0.3 * np.sin(2 * np.pi * frequency_hz * time_s)).astype(np.float32))
    low, high, mel = (1127 * np.log1p(f / 700) for f in (20, SAMPLE_RATE_HZ / 2, frequency_hz))
    expected = (mel - low) / (high - low) * (NUM_BINS + 1) - 1
    assert np.abs(features.argmax(1) - expected).max() <= 1


def test_twice_the_amplitude_is_four_times_the_energy() -> None:
    quiet = mel_features(noise(4000))
    np.testing.assert_allclose(mel_features(noise(4000) * 2) - quiet, np.log(4), atol=1e-3)


def test_no_dither() -> None:
    np.testing.assert_array_equal(mel_features(noise(4000)), mel_features(noise(4000)))


def test_integers_and_float64_count_as_samples() -> None:
    np.testing.assert_array_equal(mel_features(noise(800).astype(np.float64)), mel_features(noise(800)))
