"""Sounds that are no speech, and mixing."""

from __future__ import annotations

import numpy as np
import pytest

from vita.synth.sounds import SAMPLE_RATE_HZ, SOUND_KINDS, mix, sound


@pytest.mark.parametrize("kind", SOUND_KINDS)
@pytest.mark.parametrize("seconds", [0.05, 0.5, 2.0])
def test_sounds_have_their_length_and_stay_in_range(kind: str, seconds: float) -> None:
    for seed in range(5):
        wave = sound(kind, seconds, np.random.default_rng(seed))
        assert (wave.shape, wave.dtype) == ((int(seconds * SAMPLE_RATE_HZ),), np.float32)
        assert np.isfinite(wave).all()
        peak = np.abs(wave).max()
        assert peak < 0.72
        assert (peak < 0.004) == (kind == "silence")


@pytest.mark.parametrize("kind", SOUND_KINDS)
def test_the_same_seed_makes_the_same_sound(kind: str) -> None:
    first, again, other = (sound(kind, 0.5, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_hum_is_low_and_hiss_is_wide() -> None:
    def centre_hz(kind: str) -> float:
        spectra = [np.abs(np.fft.rfft(sound(kind, 1.0, np.random.default_rng(seed)))) ** 2 for seed in range(8)]
        power = np.mean([s / s.sum() for s in spectra], axis=0)
        return float((power * np.fft.rfftfreq(SAMPLE_RATE_HZ, 1 / SAMPLE_RATE_HZ)).sum())

    assert centre_hz("hum") < 700 < centre_hz("hiss")


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 10.0, 30.0])
@pytest.mark.parametrize("noise_length", [500, 16_000, 40_000])
def test_mix_reaches_the_ratio_asked_for(snr_db: float, noise_length: int) -> None:
    rng = np.random.default_rng(0)
    signal = (0.05 * np.sin(np.arange(16_000) / 9)).astype(np.float32)
    noise = rng.normal(size=noise_length).astype(np.float32) * 3
    mixed = mix(signal, noise, snr_db)
    assert (mixed.shape, mixed.dtype) == (signal.shape, np.float32)
    ratio = np.mean(signal**2) / np.mean((mixed - signal) ** 2)
    assert 10 * np.log10(ratio) == pytest.approx(snr_db, abs=0.05)


def test_mix_is_scaled_down_where_it_would_clip() -> None:
    rng = np.random.default_rng(0)
    signal = np.sin(np.arange(16_000) / 9).astype(np.float32)
    noise = rng.normal(size=16_000)
    mixed = mix(signal, noise, 0.0)
    assert np.abs(mixed).max() == pytest.approx(1.0)
    # the two parts keep their ratio: a least-squares fit finds them again
    parts, *_ = np.linalg.lstsq(np.stack([signal, noise], 1), mixed, rcond=None)
    ratio = (parts[0] ** 2 * np.mean(signal**2)) / (parts[1] ** 2 * np.mean(noise**2))
    assert 10 * np.log10(ratio) == pytest.approx(0.0, abs=0.05)


def test_mixing_with_silence_changes_nothing() -> None:
    signal = np.linspace(-0.5, 0.5, 1000, dtype=np.float32)
    assert np.allclose(mix(signal, np.zeros(10), 10.0), signal)
