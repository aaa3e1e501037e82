"""Tiles of a picture by compiled loops: the numbers of `tiling.tile_pixels` to the last bit, in a third of the time.

Pillow's bicubic resampling in its own fixed-point arithmetic (`Resample.c`: coefficients of 22 bits, rows before
columns, rounded to 8 bits in between), and our normalisation while the rows are in the cache. Needs numba, which takes
a few seconds to compile them once and keeps the result on the disk. Called by the training loader; not by `vita ask`,
which has one picture to look at. Legend: H, W pixels of the picture, S of a tile's edge, N tiles, K taps.
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
_BLOCK = 64


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
    bands = image.transpose(Image.Transpose.TRANSPOSE).split()
    columns_W3H = np.stack([np.asarray(band) for band in bands], axis=1)
    minus = np.array([255 * value for value in mean], np.float32)
    times = np.array([1 / (255 * value) for value in std], np.float32)
    _fill(columns_W3H, pixels_N3SS[: columns * rows], columns, minus, times)
    if several:
        _fill(columns_W3H, pixels_N3SS[-1:], 1, minus, times)
    return pixels_N3SS


def _fill(columns_W3H: np.ndarray, tiles_N3SS: np.ndarray, columns: int, minus: np.ndarray, times: np.ndarray) -> None:
    """Resizes a picture, given column by column, to the grid of the tiles and writes them."""
    width, _, height = columns_W3H.shape
    tile = tiles_N3SS.shape[-1]
    across, down = _kernels()
    wide_XW = across(columns_W3H.reshape(width, -1), *coefficients(width, columns * tile))
    down(
        wide_XW.reshape(3, height, -1),
        *coefficients(height, len(tiles_N3SS) // columns * tile),
        columns,
        minus,
        times,
        tiles_N3SS,
    )


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
def _kernels() -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Both loops, compiled when they are first called."""
    import numba

    half, bits = 1 << (_BITS - 1), _BITS

    @numba.njit(cache=True, nogil=True)
    def across(picture_WX, starts, weights):
        """Rows to another width, of columns of pixels that are X long: uint8 [W, X] -> uint8 [X, W']."""
        length, new_width, taps = picture_WX.shape[1], weights.shape[0], weights.shape[1]
        wide_XW = np.empty((length, new_width), np.uint8)
        sums, block = np.empty(length, np.int32), np.empty((_BLOCK, length), np.uint8)
        for begin in range(0, new_width, _BLOCK):
            count = min(_BLOCK, new_width - begin)
            for x in range(count):
                sums[:] = half
                for k in range(taps):
                    weight = weights[begin + x, k]
                    if weight != 0:
                        column = picture_WX[starts[begin + x] + k]
                        for y in range(length):
                            sums[y] += weight * np.int32(column[y])
                for y in range(length):
                    block[x, y] = min(max(sums[y] >> bits, 0), 255)
            for y in range(length):
                for x in range(count):
                    wide_XW[y, begin + x] = block[x, y]
        return wide_XW

    @numba.njit(cache=True, nogil=True)
    def down(wide_3HW, starts, weights, columns, minus, times, tiles_N3SS):
        """Columns to another height, normalised, into tiles: uint8 [3, H, W] -> float32 [N, 3, S, S]."""
        width, new_height, taps, edge = wide_3HW.shape[2], weights.shape[0], weights.shape[1], tiles_N3SS.shape[3]
        sums = np.empty(width, np.int32)
        for channel in range(3):
            less, factor = minus[channel], times[channel]
            for y in range(new_height):
                sums[:] = half
                for k in range(taps):
                    weight = weights[y, k]
                    if weight != 0:
                        row = wide_3HW[channel, starts[y] + k]
                        for x in range(width):
                            sums[x] += weight * np.int32(row[x])
                for column in range(columns):
                    out = tiles_N3SS[y // edge * columns + column, channel, y % edge]
                    for x in range(edge):
                        value = min(max(sums[column * edge + x] >> bits, 0), 255)
                        out[x] = (np.float32(value) - less) * factor

    return across, down
