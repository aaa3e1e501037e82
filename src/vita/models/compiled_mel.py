"""Mel energies by compiled loops: the numbers of `filterbank` to the last bit, in half the time.

The passes over the windows, which `filterbank` makes one after another over arrays, are made for each frame while it
is in the cache, in the same order of operations. Needs numba. Called by `filterbank` for the training loader. Shape
legend: T mel frames, W samples of a window, P frequencies, I intervals between mel bins.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np


@lru_cache(maxsize=1)
def kernels() -> tuple[Callable[..., Any], Callable[..., Any]]:
    """(windows, energies), compiled when they are first called."""
    import numba

    @numba.njit(cache=True, nogil=True)
    def windows(samples, shift, means_T, preemphasis, window_W, windows_TW):
        """Frame t begins at sample t * shift: less its mean, pre-emphasised, windowed, padded with zeros to [T, W]."""
        minus, rest = np.float32(-preemphasis), np.float32(1 - preemphasis)
        for t in range(len(windows_TW)):
            frame_W, mean = samples[t * shift : t * shift + len(window_W)], means_T[t]
            out_W = windows_TW[t]
            out_W[0] = (frame_W[0] - mean) * rest * window_W[0]
            for w in range(1, len(window_W)):
                out_W[w] = ((frame_W[w - 1] - mean) * minus + (frame_W[w] - mean)) * window_W[w]
            out_W[len(window_W) :] = 0

    @numba.njit(cache=True, nogil=True)
    def energies(spectrum_TP, edges_I, rising_P, energy_TF):
        """Power of each frequency, summed into the filters that rise and fall over its interval: float32 [T, F + 2].

        edges_I: where the frequencies of each interval begin and the last ones end; rising_P: their weights.
        """
        power_P = np.empty(len(rising_P), np.float32)
        for t in range(len(spectrum_TP)):
            energy_F, spectrum_P = energy_TF[t], spectrum_TP[t]
            for p in range(len(power_P)):
                power_P[p] = spectrum_P[p].real * spectrum_P[p].real + spectrum_P[p].imag * spectrum_P[p].imag
            energy_F[:] = 0
            for i in range(len(edges_I) - 1):
                up, down = np.float32(0), np.float32(0)
                for p in range(edges_I[i], edges_I[i + 1]):
                    up += power_P[p] * rising_P[p]
                    down += power_P[p] * (np.float32(1) - rising_P[p])
                energy_F[i] += down
                energy_F[i + 1] = up

    return windows, energies
