"""Mel features by compiled loops: the numbers of `filterbank.mel_features`, in half of the time.

The same arithmetic for a block of frames at once: numpy's pairwise sums in float32, its Fourier transform in float64,
rounded to float32. Needs numba, which takes some seconds to compile it once and keeps the result on the disk. Called by
the training loader.
Legend: L frames of a block, N points of the transform, W samples of a window, P frequencies, F mel bins.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from vita.models.compiled_fourier import radix_2_pass, radix_4_pass, transform_plan
from vita.models.filterbank import (
    FLOOR,
    NUM_BINS,
    PREEMPHASIS,
    SAMPLE_RATE_HZ,
    SHIFT_MS,
    WAVEFORM_SCALE,
    WINDOW_MS,
    check_length,
    mel_filters,
    num_frames,
    povey_window,
)

_LANES = 16


def compiled_mel_features(samples: np.ndarray) -> np.ndarray:
    """See `filterbank.mel_features`, for 16 kHz: float32 [T, 80]. Raises MediaError as it does."""
    check_length(samples)
    waveform = samples.astype(np.float32) * np.float32(WAVEFORM_SCALE)
    window, shift = SAMPLE_RATE_HZ * WINDOW_MS // 1000, SAMPLE_RATE_HZ * SHIFT_MS // 1000
    filters = mel_filters(SAMPLE_RATE_HZ, NUM_BINS, window)
    stages, twiddles = transform_plan(filters.fft_size)
    energy_TF = np.empty((num_frames(len(waveform)), NUM_BINS), np.float32)
    _kernel()(
        waveform, energy_TF, shift, povey_window(window), np.float32(PREEMPHASIS),
        np.float32(1 - PREEMPHASIS), stages, twiddles, filters.used.start,
        np.append(filters.starts, filters.used.stop - filters.used.start), filters.intervals,
        filters.rising[:, 0], filters.falling[:, 0],
    )  # fmt: skip
    return np.log(np.maximum(energy_TF, FLOOR))


@lru_cache(maxsize=1)
def _kernel() -> Callable[..., Any]:
    """The loop over blocks of frames, compiled when it is first called."""
    import numba

    lanes, compiled = _LANES, numba.njit(cache=True, nogil=True)
    add_few, add_all = _sums(compiled)
    radix_2, radix_4 = radix_2_pass(compiled, lanes), radix_4_pass(compiled, lanes)
    windowed, mel_sums = _windowed(compiled, add_all), _mel_sums(compiled, add_few)

    @compiled
    def energies(
        waveform, energy_TF, shift, window, preemphasis, first_share, stages, twiddles, first, starts, intervals,
        rising, falling,
    ):  # fmt: skip
        size = stages[-1][0] * stages[-1][1] * stages[-1][2]
        frames_WL = np.zeros((len(window), lanes), np.float32)
        one_NL, other_NL = np.empty((size, lanes), np.float64), np.empty((size, lanes), np.float64)
        power_PL = np.empty((len(rising), lanes), np.float32)
        bins_FL = np.empty((energy_TF.shape[1] + 2, lanes), np.float32)
        for begin in range(0, len(energy_TF), lanes):
            count = min(lanes, len(energy_TF) - begin)
            for t in range(count):
                place = (begin + t) * shift
                for n in range(len(window)):
                    frames_WL[n, t] = waveform[place + n]
            x, y = one_NL, other_NL
            windowed(frames_WL, x, window, preemphasis, first_share)
            for number in range(len(stages)):
                radix, blocks, length, place = stages[number]
                if radix == 4:
                    radix_4(x, y, blocks, length, twiddles[place:])
                else:
                    radix_2(x, y, blocks, length, twiddles[place:])
                x, y = y, x
            for p in range(len(rising)):
                re, im, power = x[2 * (first + p) - 1], x[2 * (first + p)], power_PL[p]
                for t in range(lanes):
                    power[t] = np.float32(re[t]) * np.float32(re[t]) + np.float32(im[t]) * np.float32(im[t])
            mel_sums(power_PL, bins_FL, starts, intervals, rising, falling)
            for t in range(count):
                for f in range(energy_TF.shape[1]):
                    energy_TF[begin + t, f] = bins_FL[f + 1, t]

    return energies


def _sums(compiled: Callable[..., Any]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Numpy's sum of rows: of up to 128, and of any number."""
    lanes = _LANES

    @compiled
    def add_few(rows_NL, first, count, out_L):
        """Up to seven one after the other, else eight running sums."""
        if count < 8:
            out_L[:] = np.float32(0.0)
            for n in range(first, first + count):
                row = rows_NL[n]
                for t in range(lanes):
                    out_L[t] += row[t]
            return
        sums = np.empty((8, lanes), np.float32)
        for n in range(8):
            sums[n] = rows_NL[first + n]
        whole = count - count % 8
        for n in range(8, whole):
            row, total = rows_NL[first + n], sums[n % 8]
            for t in range(lanes):
                total[t] += row[t]
        for t in range(lanes):
            left = (sums[0, t] + sums[1, t]) + (sums[2, t] + sums[3, t])
            right = (sums[4, t] + sums[5, t]) + (sums[6, t] + sums[7, t])
            out_L[t] = left + right
        for n in range(whole, count):
            row = rows_NL[first + n]
            for t in range(lanes):
                out_L[t] += row[t]

    @compiled
    def add_all(rows_NL, first, count, out_L):
        """More than 128 in two halves, the first a multiple of 8."""
        if count <= 128:
            add_few(rows_NL, first, count, out_L)
            return
        half = count // 2
        half -= half % 8
        left, right = np.empty(lanes, np.float32), np.empty(lanes, np.float32)
        add_all(rows_NL, first, half, left)
        add_all(rows_NL, first + half, count - half, right)
        for t in range(lanes):
            out_L[t] = left[t] + right[t]

    return add_few, add_all


def _windowed(compiled: Callable[..., Any], add_all: Callable[..., Any]) -> Callable[..., Any]:
    """Frames without their mean, pre-emphasised, windowed, zeros behind them."""
    lanes = _LANES

    @compiled
    def windowed(frames_WL, out_NL, window, preemphasis, first_share):
        width, mean_L = len(window), np.empty(lanes, np.float32)
        add_all(frames_WL, 0, width, mean_L)
        for t in range(lanes):
            mean_L[t] /= np.float32(width)
        for n in range(width):
            row = frames_WL[n]
            for t in range(lanes):
                row[t] -= mean_L[t]
        for t in range(lanes):
            out_NL[0, t] = frames_WL[0, t] * first_share * window[0]
        for n in range(1, width):
            last, row, out, weight = frames_WL[n - 1], frames_WL[n], out_NL[n], window[n]
            for t in range(lanes):
                out[t] = (last[t] * -preemphasis + row[t]) * weight
        out_NL[width:] = 0.0

    return windowed


def _mel_sums(compiled: Callable[..., Any], add_few: Callable[..., Any]) -> Callable[..., Any]:
    """Energies of the mel bins, one more at either end, of powers; sums as those of np.add.reduceat."""
    lanes = _LANES

    @compiled
    def mel_sums(power_PL, bins_FL, starts, intervals, rising, falling):
        part_PL, sum_L = np.empty_like(power_PL), np.empty(lanes, np.float32)
        bins_FL[:] = np.float32(0.0)
        for number in range(len(intervals)):
            low, high = starts[number], starts[number + 1]
            for up in range(2):
                weights, row = (rising if up else falling), bins_FL[intervals[number] + up]
                for p in range(low, high):
                    power, part, weight = power_PL[p], part_PL[p], weights[p]
                    for t in range(lanes):
                        part[t] = power[t] * weight
                add_few(part_PL, low + 1, high - low - 1, sum_L)
                head = part_PL[low]
                for t in range(lanes):
                    row[t] += head[t] + sum_L[t]

    return mel_sums
