"""Passes of a real Fourier transform for compiled loops, many transforms at once: pocketfft's, of radix 4 and 2.

Called by `compiled_mel.py`. Legend: x and y are [points, lanes], a transform a lane; results are half-complex: real 0,
real 1, imaginary 1, real 2, and so on.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np


@lru_cache(maxsize=4)
def transform_plan(size: int) -> tuple[np.ndarray, np.ndarray]:
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


def radix_2_pass(compiled: Callable[..., Any], lanes: int) -> Callable[..., Any]:
    """A pass of radix 2 of a real transform, from x to y, with the factors w."""

    @compiled
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

    return radix_2


def radix_4_pass(compiled: Callable[..., Any], lanes: int) -> Callable[..., Any]:
    """A pass of radix 4."""
    root_half = np.sqrt(0.5)

    @compiled
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
                j, o = length - i, i - 2
                w1r, w1i, w2r, w2i = w[o], w[o + 1], w[o + span], w[o + span + 1]
                w3r, w3i = w[o + 2 * span], w[o + 2 * span + 1]
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

    return radix_4
