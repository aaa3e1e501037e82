"""Tiles of a picture by compiled loops: the numbers of `tiling.tile_pixels` to the last bit, in a third of the time.

Pillow's bicubic resampling in its own fixed-point arithmetic (`Resample.c`: coefficients of 22 bits, rows before
columns, rounded to 8 bits in between), and our normalisation while the rows are in the cache. Needs numba, which takes
a few seconds to compile them once and keeps the result on the disk. Called by the training loader; not by `vita ask`,
which has one picture to look at. Legend: H, W pixels of the picture, X values of a row of it or of
its new width, S pixels of a tile's edge, N tiles, K taps.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image

from vita.models.tiling import IMAGE_MEAN, IMAGE_STD, choose_grid, pad_to_square

_BITS = 22
_SUPPORT, _SHARPNESS = 2.0, -0.5


def is_available() -> bool:
    """Whether numba is installed."""
    return importlib.util.find_spec("numba") is not None


def compiled_tile_pixels(
    image: Image.Image,
    mean: Sequence[float] = IMAGE_MEAN,
    std: Sequence[float] = IMAGE_STD,
    *,
    max_tiles: int = 12,
    min_tiles: int = 1,
    tile: int = 448,
    pad: bool = False,
) -> np.ndarray:
    """See `tiling.tile_pixels`: float32 [N, 3, S, S]."""
    image = pad_to_square(image) if pad else image
    columns, rows = choose_grid(image.width, image.height, max_tiles, min_tiles, tile)
    several = columns * rows > 1
    pixels_N3SS = np.empty((columns * rows + several, 3, tile, tile), dtype=np.float32)
    columns_XH = _turned(np.asarray(image).reshape(image.height, -1))
    minus = np.array([255 * value for value in mean], np.float32)
    times = np.array([1 / (255 * value) for value in std], np.float32)
    for tiles_N3SS, across in ((pixels_N3SS[: columns * rows], columns), (pixels_N3SS[columns * rows :], 1)):
        if len(tiles_N3SS):
            _fill(columns_XH, image.size, tiles_N3SS, across, minus, times)
    return pixels_N3SS


def _fill(
    columns_XH: np.ndarray,
    size: tuple[int, int],
    tiles_N3SS: np.ndarray,
    columns: int,
    minus: np.ndarray,
    times: np.ndarray,
) -> None:
    """Resizes a picture, given column by column, to the grid of the tiles and writes them.

    columns_XH: uint8 [3 * W, H] or more, the channels of a pixel one after another; size: W and H.
    """
    tile = tiles_N3SS.shape[-1]
    across, down = _kernels()
    width, height = columns * tile, len(tiles_N3SS) // columns * tile
    wide_HX = _turned(across(columns_XH, *coefficients(size[0], width)))
    down(wide_HX, *coefficients(size[1], height), columns, minus, times, tiles_N3SS)


def _turned(source_AB: np.ndarray) -> np.ndarray:
    """uint8 [A, B] -> [B, A], both rounded up to eights; what is in the rows and columns beyond means nothing."""
    rounded = tuple(-(-size // 8) * 8 for size in source_AB.shape)
    if rounded != source_AB.shape:
        whole_AB = np.empty(rounded, np.uint8)
        whole_AB[: source_AB.shape[0], : source_AB.shape[1]] = source_AB
        source_AB = whole_AB
    return _transpose()(source_AB.view(np.uint64)).view(np.uint8)


@lru_cache(maxsize=256)
def coefficients(size: int, new_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Pillow's coefficients of a bicubic resize along one axis.

    Returns int64 [new_size], where the pixels that a new one is made of begin, and int32 [new_size, K], their weights
    times 2^22, zero beyond the last. Of equal sizes, every pixel is itself.
    """
    if size == new_size:
        return np.arange(size), np.full((size, 1), 1 << _BITS, np.int32)
    scale = size / new_size
    filter_scale = max(scale, 1.0)
    support = _SUPPORT * filter_scale
    taps = math.ceil(support) * 2 + 1
    starts, weights = np.zeros(new_size, np.int64), np.zeros((new_size, taps), np.int32)
    for place in range(new_size):
        center = (place + 0.5) * scale
        first = max(0, int(center - support + 0.5))
        last = min(size, int(center + support + 0.5))
        own = [_bicubic((x + first - center + 0.5) * (1.0 / filter_scale)) for x in range(last - first)]
        total = 0.0
        for value in own:
            total += value
        for index, value in enumerate(own):
            fixed = value / total * (1 << _BITS) if total else value
            weights[place, index] = int(fixed - 0.5) if fixed < 0 else int(fixed + 0.5)
        starts[place] = min(first, size - taps) if size >= taps else 0
        shift = first - int(starts[place])
        if shift:
            weights[place] = np.roll(weights[place], shift)
    return starts, weights[:, : min(taps, size)]


def _bicubic(x: float) -> float:
    """The cubic filter with a = -0.5, as Pillow evaluates it."""
    a, x = _SHARPNESS, abs(x)
    if x < 1.0:
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1
    if x < 2.0:
        return (((x - 5) * x + 8) * x - 4) * a
    return 0.0


@lru_cache(maxsize=1)
def _transpose() -> Callable[[np.ndarray], np.ndarray]:
    """Transposes bytes, eight of them in a word; compiled when it is first called."""
    import numba

    masks = [np.uint64(mask) for mask in (0x00000000FFFFFFFF, 0x0000FFFF0000FFFF, 0x00FF00FF00FF00FF)]
    (halves, quarters, eighths), (by_4, by_2, by_1) = masks, [np.uint64(bits) for bits in (32, 16, 8)]

    @numba.njit(inline="always")
    def swap(a, b, mask, bits):
        """The upper part of each field of `a` changes places with the lower part of the same field of `b`."""
        moved = ((a >> bits) ^ b) & mask
        return a ^ (moved << bits), b ^ moved

    @numba.njit(cache=True, nogil=True)
    def transpose(source_AB):
        """Words of 8 bytes [8 * A, B] -> [8 * B, A]: in blocks of 8 x 8 bytes, fours, then twos, then ones swapped."""
        num_words, num_blocks = source_AB.shape[1], len(source_AB) // 8
        target_BA = np.empty((8 * num_words, num_blocks), np.uint64)
        for left in range(num_words):
            x = 8 * left
            for top in range(num_blocks):
                y = 8 * top
                a, b, c, d = source_AB[y, left], source_AB[y + 1, left], source_AB[y + 2, left], source_AB[y + 3, left]
                y += 4
                e, f, g, h = source_AB[y, left], source_AB[y + 1, left], source_AB[y + 2, left], source_AB[y + 3, left]
                a, e = swap(a, e, halves, by_4)
                b, f = swap(b, f, halves, by_4)
                c, g = swap(c, g, halves, by_4)
                d, h = swap(d, h, halves, by_4)
                a, c = swap(a, c, quarters, by_2)
                b, d = swap(b, d, quarters, by_2)
                e, g = swap(e, g, quarters, by_2)
                f, h = swap(f, h, quarters, by_2)
                a, b = swap(a, b, eighths, by_1)
                c, d = swap(c, d, eighths, by_1)
                e, f = swap(e, f, eighths, by_1)
                g, h = swap(g, h, eighths, by_1)
                target_BA[x, top], target_BA[x + 1, top], target_BA[x + 2, top], target_BA[x + 3, top] = a, b, c, d
                target_BA[x + 4, top], target_BA[x + 5, top], target_BA[x + 6, top], target_BA[x + 7, top] = e, f, g, h
        return target_BA

    return transpose


@lru_cache(maxsize=1)
def _kernels() -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Both resizing loops, compiled when they are first called."""
    import numba

    half, bits = 1 << (_BITS - 1), _BITS

    @numba.njit(cache=True, nogil=True)
    def across(columns_XH, starts, weights):
        """Rows to another width, of columns of pixels: uint8 [3 * W, H] -> [3 * W', H], a channel after another."""
        height, new_width, taps = columns_XH.shape[1], weights.shape[0], weights.shape[1]
        wide_XH = np.empty((3 * new_width, height), np.uint8)
        sums = np.empty(height, np.int32)
        for channel in range(3):
            for x in range(new_width):
                sums[:] = half
                for k in range(0, taps - 1, 2):
                    place, weight, next_weight = 3 * (starts[x] + k) + channel, weights[x, k], weights[x, k + 1]
                    column, next_column = columns_XH[place], columns_XH[place + 3]
                    for y in range(height):
                        sums[y] += weight * np.int32(column[y]) + next_weight * np.int32(next_column[y])
                if taps % 2:
                    column, weight = columns_XH[3 * (starts[x] + taps - 1) + channel], weights[x, taps - 1]
                    for y in range(height):
                        sums[y] += weight * np.int32(column[y])
                out = wide_XH[channel * new_width + x]
                for y in range(height):
                    out[y] = min(max(sums[y] >> bits, 0), 255)
        return wide_XH

    @numba.njit(cache=True, nogil=True)
    def down(wide_HX, starts, weights, columns, minus, times, tiles_N3SS):
        """Columns to another height, normalised, into tiles: uint8 [H, 3 * W' or more] -> float32 [N, 3, S, S]."""
        size = tiles_N3SS.shape[3]
        width, new_height, taps = columns * size, weights.shape[0], weights.shape[1]
        sums = np.empty(width, np.int32)
        for channel in range(3):
            less, factor = minus[channel], times[channel]
            for y in range(new_height):
                sums[:] = half
                for k in range(0, taps - 1, 2):
                    place, weight, next_weight = starts[y] + k, weights[y, k], weights[y, k + 1]
                    row = wide_HX[place, channel * width : (channel + 1) * width]
                    next_row = wide_HX[place + 1, channel * width : (channel + 1) * width]
                    for x in range(width):
                        sums[x] += weight * np.int32(row[x]) + next_weight * np.int32(next_row[x])
                if taps % 2:
                    row = wide_HX[starts[y] + taps - 1, channel * width : (channel + 1) * width]
                    weight = weights[y, taps - 1]
                    for x in range(width):
                        sums[x] += weight * np.int32(row[x])
                for column in range(columns):
                    out = tiles_N3SS[y // size * columns + column, channel, y % size]
                    for x in range(size):
                        value = min(max(sums[column * size + x] >> bits, 0), 255)
                        out[x] = (np.float32(value) - less) * factor

    return across, down
