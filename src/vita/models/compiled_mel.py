"""Mel features by compiled loops: the numbers of `filterbank.mel_features`, in a quarter of the time.

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
    stages, twiddles = _plan(filters.fft_size)
    energy_TF = np.empty((num_frames(len(waveform)), NUM_BINS), np.float32)
    _kernel()(
        waveform, energy_TF, shift, povey_window(window), np.float32(PREEMPHASIS),
        np.float32(1 - PREEMPHASIS), stages, twiddles, filters.used.start,
        np.append(filters.starts, filters.used.stop - filters.used.start), filters.intervals,
        filters.rising[:, 0], filters.falling[:, 0],
    )  # fmt: skip
    return np.log(np.maximum(energy_TF, FLOOR))


@lru_cache(maxsize=4)
def _plan(size: int) -> tuple[np.ndarray, np.ndarray]:
    """A transform's passes of radix 4 and 2: int64 [passes, 4], where each has radix, blocks, length of a block and the
    place of its factors among the twiddles, float64 (cosine and sine in turn).
    """
    radices = []
    rest = size
    while rest % 4 == 0:
        radices.append(4)
        rest //= 4
    if rest == 2:
        radices.insert(0, 2)
        rest = 1
    assert rest == 1, "a power of two"
    stages, twiddles, before = [], [], 1
    for radix in radices:
        length = size // (before * radix)
        stages.append((radix, before, length, len(twiddles)))
        for part in range(1, radix):
            for i in range(1, (length - 1) // 2 + 1):
                angle = 2 * np.pi * (part * before * i % size) / size
                twiddles += [np.cos(angle), np.sin(angle)]
        before *= radix
    return np.array(stages[::-1]), np.array(twiddles, np.float64)


@lru_cache(maxsize=1)
def _kernel() -> Callable[..., Any]:
    """The loop over blocks of frames, compiled when it is first called."""
    import numba

    lanes, root_half = _LANES, np.sqrt(0.5)

    @numba.njit(cache=True, nogil=True)
    def add_pairwise(rows_NL, first, count, out_L):
        """Numpy's sum of rows: up to seven one after the other, else eight running sums."""
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

    @numba.njit(cache=True, nogil=True)
    def add_all(rows_NL, first, count, out_L):
        """Numpy's pairwise sum of more than 128 rows: of two halves, the first a multiple of 8."""
        if count <= 128:
            add_pairwise(rows_NL, first, count, out_L)
            return
        half = count // 2
        half -= half % 8
        left, right = np.empty(lanes, np.float32), np.empty(lanes, np.float32)
        add_all(rows_NL, first, half, left)
        add_all(rows_NL, first + half, count - half, right)
        for t in range(lanes):
            out_L[t] = left[t] + right[t]

    @numba.njit(cache=True, nogil=True)
    def radix_2(x, y, blocks, length, w):
        for k in range(blocks):
            a, b, c, d = x[length * k], x[length * (k + blocks)], y[2 * length * k], y[2 * length * (k + 1) - 1]
            for t in range(lanes):
                c[t] = a[t] + b[t]
                d[t] = a[t] - b[t]
            a, b = x[length * (k + 1) - 1], x[length * (k + blocks + 1) - 1]
            c, d = y[2 * length * k + length - 1], y[2 * length * k + length]
            for t in range(lanes):
                c[t] = a[t]
                d[t] = -b[t]
            for i in range(2, length, 2):
                j = length - i
                wr, wi = w[i - 2], w[i - 1]
                ar, ai = x[length * k + i - 1], x[length * k + i]
                br, bi = x[length * (k + blocks) + i - 1], x[length * (k + blocks) + i]
                y0r, y0i = y[2 * length * k + i - 1], y[2 * length * k + i]
                y1r, y1i = y[length * (2 * k + 1) + j - 1], y[length * (2 * k + 1) + j]
                for t in range(lanes):
                    re = wr * br[t] + wi * bi[t]
                    im = wr * bi[t] - wi * br[t]
                    y0r[t] = ar[t] + re
                    y1r[t] = ar[t] - re
                    y0i[t] = im + ai[t]
                    y1i[t] = im - ai[t]

    @numba.njit(cache=True, nogil=True)
    def radix_4(x, y, blocks, length, w):
        span = (length - 1) // 2 * 2
        for k in range(blocks):
            x0, x1, x2, x3 = length * k, length * (k + blocks), length * (k + 2 * blocks), length * (k + 3 * blocks)
            y0 = 4 * length * k
            y1, y2, y3 = y0 + length, y0 + 2 * length, y0 + 3 * length
            a, b, c, d = x[x0], x[x1], x[x2], x[x3]
            p, q, r, s = y[y0], y[y2], y[y1 + length - 1], y[y3 + length - 1]
            for t in range(lanes):
                odd = d[t] + b[t]
                even = a[t] + c[t]
                q[t] = d[t] - b[t]
                r[t] = a[t] - c[t]
                p[t] = even + odd
                s[t] = even - odd
            if length == 1:
                continue
            e = length - 1
            a, b, c, d = x[x0 + e], x[x1 + e], x[x2 + e], x[x3 + e]
            p, q, r, s = y[y0 + e], y[y2 + e], y[y3], y[y1]
            for t in range(lanes):
                im = -root_half * (b[t] + d[t])
                re = root_half * (b[t] - d[t])
                p[t] = a[t] + re
                q[t] = a[t] - re
                r[t] = im + c[t]
                s[t] = im - c[t]
            for i in range(2, length, 2):
                j = length - i
                w1r, w1i = w[i - 2], w[i - 1]
                w2r, w2i = w[i - 2 + span], w[i - 1 + span]
                w3r, w3i = w[i - 2 + 2 * span], w[i - 1 + 2 * span]
                ar, ai, br, bi = x[x0 + i - 1], x[x0 + i], x[x1 + i - 1], x[x1 + i]
                cr, ci, dr, di = x[x2 + i - 1], x[x2 + i], x[x3 + i - 1], x[x3 + i]
                p0r, p0i, p1r, p1i = y[y0 + i - 1], y[y0 + i], y[y1 + j - 1], y[y1 + j]
                p2r, p2i, p3r, p3i = y[y2 + i - 1], y[y2 + i], y[y3 + j - 1], y[y3 + j]
                for t in range(lanes):
                    c2r = w1r * br[t] + w1i * bi[t]
                    c2i = w1r * bi[t] - w1i * br[t]
                    c3r = w2r * cr[t] + w2i * ci[t]
                    c3i = w2r * ci[t] - w2i * cr[t]
                    c4r = w3r * dr[t] + w3i * di[t]
                    c4i = w3r * di[t] - w3i * dr[t]
                    t1r, t4r = c4r + c2r, c4r - c2r
                    t1i, t4i = c2i + c4i, c2i - c4i
                    t2r, t3r = ar[t] + c3r, ar[t] - c3r
                    t2i, t3i = ai[t] + c3i, ai[t] - c3i
                    p0r[t] = t2r + t1r
                    p3r[t] = t2r - t1r
                    p0i[t] = t1i + t2i
                    p3i[t] = t1i - t2i
                    p2r[t] = t3r + t4i
                    p1r[t] = t3r - t4i
                    p2i[t] = t4r + t3i
                    p1i[t] = t4r - t3i

    @numba.njit(cache=True, nogil=True)
    def mel_energies(
        waveform, energy_TF, shift, window, preemphasis, first_share, stages, twiddles, first, starts, intervals,
        rising, falling,
    ):  # fmt: skip
        width, size = len(window), stages[-1][0] * stages[-1][1] * stages[-1][2]
        frames_WL, mean_L = np.zeros((width, lanes), np.float32), np.empty(lanes, np.float32)
        x_NL, y_NL = np.empty((size, lanes), np.float64), np.empty((size, lanes), np.float64)
        power_PL, part_PL = np.empty((len(rising), lanes), np.float32), np.empty((len(rising), lanes), np.float32)
        bins_FL = np.empty((energy_TF.shape[1] + 2, lanes), np.float32)
        for begin in range(0, len(energy_TF), lanes):
            count = min(lanes, len(energy_TF) - begin)
            for t in range(count):
                place = (begin + t) * shift
                for n in range(width):
                    frames_WL[n, t] = waveform[place + n]
            add_all(frames_WL, 0, width, mean_L)
            for t in range(lanes):
                mean_L[t] /= np.float32(width)
            for n in range(width):
                row = frames_WL[n]
                for t in range(lanes):
                    row[t] -= mean_L[t]
            for n in range(width):
                row, out, weight = frames_WL[n], x_NL[n], window[n]
                if n == 0:
                    for t in range(lanes):
                        out[t] = row[t] * first_share * weight
                else:
                    last = frames_WL[n - 1]
                    for t in range(lanes):
                        out[t] = (last[t] * -preemphasis + row[t]) * weight
            x_NL[width:] = 0.0
            x, y = x_NL, y_NL
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
            bins_FL[:] = np.float32(0.0)
            for number in range(len(intervals)):
                low, high = starts[number], starts[number + 1]
                for up in range(2):
                    weights, row = (rising if up else falling), bins_FL[intervals[number] + up]
                    for p in range(low, high):
                        power, part, weight = power_PL[p], part_PL[p], weights[p]
                        for t in range(lanes):
                            part[t] = power[t] * weight
                    add_pairwise(part_PL, low + 1, high - low - 1, mean_L)
                    head = part_PL[low]
                    for t in range(lanes):
                        row[t] += head[t] + mean_L[t]
            for t in range(count):
                for f in range(energy_TF.shape[1]):
                    energy_TF[begin + t, f] = bins_FL[f + 1, t]

    return mel_energies
