"""Sounds that are no speech (hum, clicks, chords, traffic, beeps, silence ...), and mixing by signal-to-noise ratio.

Called by `speech_set` and by the test split.
"""

from __future__ import annotations

import numpy as np

SAMPLE_RATE_HZ = 16_000
SOUND_KINDS = ("hum", "clicks", "chords", "traffic", "silence", "hiss", "beeps", "knocks")


def sound(kind: str, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """[seconds * 16000] float32 in [-1, 1] of one of SOUND_KINDS."""
    count = int(seconds * SAMPLE_RATE_HZ)
    t = np.arange(count, dtype=np.float32) / SAMPLE_RATE_HZ
    wave = _MAKERS[kind](t, rng).astype(np.float32)
    peak = float(np.abs(wave).max()) or 1.0
    level = 10 ** (rng.uniform(-34, -3) / 20)
    if kind == "silence":
        level = 10 ** (rng.uniform(-90, -50) / 20)
    return wave / peak * np.float32(level)


def _hum(t: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    base = rng.choice([50, 60, 100, 120]) * rng.uniform(0.8, 1.6)
    wave = sum(
        rng.uniform(0.1, 1) / k * np.sin(2 * np.pi * base * k * t + rng.uniform(0, 6))
        for k in range(1, rng.integers(3, 14))
    )
    return wave * (1 + rng.uniform(0, 0.5) * np.sin(2 * np.pi * rng.uniform(0.2, 6) * t)) + 0.02 * rng.normal(
        size=t.size
    )


def _clicks(t: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    wave = 0.003 * rng.normal(size=t.size)
    for start in np.sort(rng.integers(0, max(t.size - 1, 1), size=rng.integers(2, 30))):
        length = min(int(rng.integers(20, 400)), t.size - start)
        wave[start : start + length] += (
            rng.uniform(0.2, 1) * rng.normal(size=length) * np.exp(-np.arange(length) / rng.uniform(5, 90))
        )
    return wave


def _chords(t: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    wave = np.zeros_like(t)
    beat = rng.uniform(0.18, 0.8)
    root = rng.uniform(90, 420)
    for k in range(int(t[-1] / beat) + 1 if t.size else 0):
        begin = int(k * beat * SAMPLE_RATE_HZ)
        local = t[: t.size - begin]
        step = 2 ** (rng.integers(-5, 8) / 12)
        for interval in rng.choice([0, 3, 4, 7, 10, 12], size=rng.integers(1, 4), replace=False):
            f = root * step * 2 ** (interval / 12)
            tone = sum(
                np.sin(2 * np.pi * f * h * local) / h ** rng.uniform(0.8, 2) for h in range(1, rng.integers(2, 6))
            )
            wave[begin:] += tone * np.exp(-local * rng.uniform(1, 8))
    return wave


def _coloured(size: int, rng: np.random.Generator, slope: float) -> np.ndarray:
    """Noise whose power falls with frequency to the power of `slope`."""
    spectrum = np.fft.rfft(rng.normal(size=size))
    frequency = np.maximum(np.fft.rfftfreq(size, 1 / SAMPLE_RATE_HZ), 30)
    return np.fft.irfft(spectrum * frequency ** (-slope / 2), n=size)


def _traffic(t: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    wave = _coloured(t.size, rng, rng.uniform(1.2, 2.6))
    swell = 1 + 0.9 * np.sin(2 * np.pi * rng.uniform(0.05, 0.6) * t + rng.uniform(0, 6))
    wave = wave / (np.abs(wave).max() + 1e-9) * swell
    if rng.random() < 0.3:
        f = rng.uniform(250, 500)
        start = rng.uniform(0, max(t[-1] - 0.4, 0.01))
        horn = ((t > start) & (t < start + rng.uniform(0.2, 0.7))) * (
            np.sin(2 * np.pi * f * t) + np.sin(2 * np.pi * f * 1.26 * t)
        )
        wave = wave + 0.4 * horn
    return wave


def _hiss(t: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    gusts = 1 + rng.uniform(0, 0.9) * np.sin(2 * np.pi * rng.uniform(0.1, 2) * t)
    return _coloured(t.size, rng, rng.uniform(-0.5, 1.0)) * gusts


def _beeps(t: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    f, period = rng.uniform(400, 3000), rng.uniform(0.2, 1.2)
    sweep = rng.choice([0.0, 0.0, rng.uniform(-0.6, 0.6)])
    gate = (t % period) < period * rng.uniform(0.2, 0.8)
    return np.sin(2 * np.pi * (f * t + sweep * f * t**2 / max(t[-1], 0.1) / 2)) * gate + 0.002 * rng.normal(size=t.size)


def _knocks(t: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    wave = 0.002 * rng.normal(size=t.size)
    f = rng.uniform(60, 400)
    for start in np.sort(rng.integers(0, max(t.size - 1, 1), size=rng.integers(1, 9))):
        local = t[: t.size - start]
        wave[start:] += rng.uniform(0.3, 1) * np.sin(2 * np.pi * f * local) * np.exp(-local * rng.uniform(15, 60))
    return wave


def _silence(t: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=t.size) if rng.random() < 0.8 else np.zeros(t.size)


_MAKERS = {
    "hum": _hum,
    "clicks": _clicks,
    "chords": _chords,
    "traffic": _traffic,
    "silence": _silence,
    "hiss": _hiss,
    "beeps": _beeps,
    "knocks": _knocks,
}


def mix(signal: np.ndarray, noise: np.ndarray, snr_db: float) -> np.ndarray:
    """`signal` with `noise` (repeated or cut to its length) at `snr_db` decibels, scaled down if it would clip."""
    noise = np.resize(noise, signal.shape)
    gain = np.sqrt(np.mean(signal**2) / (np.mean(noise**2) + 1e-12) / 10 ** (snr_db / 10))
    mixed = signal + noise * gain
    return (mixed / max(1.0, float(np.abs(mixed).max()))).astype(np.float32)
