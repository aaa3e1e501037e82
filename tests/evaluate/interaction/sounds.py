"""Sounds made of silence and constant amplitudes, and a voice detector for them."""

from __future__ import annotations

import numpy as np

RATE_HZ = 16_000


class Loud:
    """Speech is what is not silent."""

    def probability(self, window: np.ndarray) -> float:
        return float(np.abs(window).max() > 1e-3)


def wave(seconds: float, *speech: tuple[float, float, float]) -> np.ndarray:
    """Float32 [num_samples], silent but for (start, end, amplitude)."""
    sound = np.zeros(int(seconds * RATE_HZ), np.float32)
    for start_s, end_s, amplitude in speech:
        sound[int(start_s * RATE_HZ) : int(end_s * RATE_HZ)] = amplitude
    return sound * np.float32(1.001)
