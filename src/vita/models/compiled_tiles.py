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
_BLOCK = 16


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
    picture_HX = np.asarray(image).reshape(image.height, -1)
    minus = np.array([255 * value for value in mean], np.float32)
    times = np.array([1 / (255 * value) for value in std], np.float32)
    columns_XH = _transpose()(picture_HX)
    _fill(columns_XH, pixels_N3SS[: columns * rows], columns, minus, times)
    if several:
        _fill(columns_XH, pixels_N3SS[-1:], 1, minus, times)
    return pixels_N3SS


def _fill(columns_XH: np.ndarray, tiles_N3SS: np.ndarray, columns: int, minus: np.ndarray, times: np.ndarray) -> None:
    """Resizes a picture, given column by column, to the grid of the tiles and writes them.

    columns_XH: uint8 [3 * W, H], the channels of a pixel one after another.
    """
    tile = tiles_N3SS.shape[-1]
    across, down = _kernels()
    wide_XH = across(columns_XH, *coefficients(len(columns_XH) // 3, columns * tile))
    new_height = len(tiles_N3SS) // columns * tile
    down(_transpose()(wide_XH), *coefficients(wide_XH.shape[1], new_height), columns, minus, times, tiles_N3SS)


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
    """The loop over blocks, compiled when it is first called."""
    import numba

    edge = _BLOCK

    @numba.njit(cache=True, nogil=True)
    def transpose(source_AB):
        """uint8 [A, B] -> [B, A], block by block; the constant bounds let the compiler keep a block in registers."""
        height, width = source_AB.shape
        target_BA = np.empty((width, height), np.uint8)
        for top in range(0, height, edge):
            for left in range(0, width, edge):
                source = source_AB[top : top + edge, left : left + edge]
                target = target_BA[left : left + edge, top : top + edge]
                if source.shape == (edge, edge):
                    for x in range(edge):
                        for y in range(edge):
                            target[x, y] = source[y, x]
                else:
                    for x in range(source.shape[1]):
                        for y in range(source.shape[0]):
                            target[x, y] = source[y, x]
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
                for k in range(taps):
                    weight = weights[x, k]
                    if weight != 0:
                        column = columns_XH[3 * (starts[x] + k) + channel]
                        for y in range(height):
                            sums[y] += weight * np.int32(column[y])
                out = wide_XH[channel * new_width + x]
                for y in range(height):
                    out[y] = min(max(sums[y] >> bits, 0), 255)
        return wide_XH

    @numba.njit(cache=True, nogil=True)
    def down(wide_HX, starts, weights, columns, minus, times, tiles_N3SS):
        """Columns to another height, normalised, into tiles: uint8 [H, 3 * W'] -> float32 [N, 3, S, S]."""
        width, new_height, taps, size = wide_HX.shape[1] // 3, weights.shape[0], weights.shape[1], tiles_N3SS.shape[3]
        sums = np.empty(width, np.int32)
        for channel in range(3):
            less, factor = minus[channel], times[channel]
            for y in range(new_height):
                sums[:] = half
                for k in range(taps):
                    weight = weights[y, k]
                    if weight != 0:
                        row = wide_HX[starts[y] + k, channel * width : (channel + 1) * width]
                        for x in range(width):
                            sums[x] += weight * np.int32(row[x])
                for column in range(columns):
                    out = tiles_N3SS[y // size * columns + column, channel, y % size]
                    for x in range(size):
                        value = min(max(sums[column * size + x] >> bits, 0), 255)
                        out[x] = (np.float32(value) - less) * factor

    return across, down
