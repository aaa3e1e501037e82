"""Compiled tiles are Pillow's to the last bit, whatever the size of the picture."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vita.models.compiled_tiles import coefficients, compiled_tile_pixels
from vita.models.tiling import tile_pixels

pytest.importorskip("numba")
SHARP = np.array([0, 255], np.uint8)  # steps overshoot: sums beyond 0 and 255


def picture(width: int, height: int, seed: int = 0, sharp: bool = False) -> Image.Image:
    rng = np.random.default_rng(seed)
    values = rng.choice(SHARP, (height, width, 3)) if sharp else rng.integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(values)


@given(st.integers(1, 300), st.integers(1, 300), st.booleans(), st.booleans())
def test_small_tiles_of_any_picture(width: int, height: int, sharp: bool, pad: bool) -> None:
    image = picture(width, height, width, sharp)
    options = {"max_tiles": 6, "tile": 32, "pad": pad}
    wanted = tile_pixels(image, **options)
    assert np.array_equal(compiled_tile_pixels(image, **options), wanted)


@pytest.mark.parametrize("size", [(640, 480), (448, 448), (333, 1000), (1920, 1080), (448, 30)])
def test_tiles_of_the_released_models(size: tuple[int, int]) -> None:
    image = picture(*size)
    wanted = tile_pixels(image)
    found = compiled_tile_pixels(image)
    assert found.dtype == wanted.dtype
    assert np.array_equal(found, wanted)


def test_a_single_tile_has_no_thumbnail() -> None:
    image = picture(640, 480)
    assert np.array_equal(compiled_tile_pixels(image, max_tiles=1), tile_pixels(image, max_tiles=1))


@given(st.integers(1, 500), st.integers(1, 500))
def test_weights_of_a_pixel_are_one_together(size: int, new_size: int) -> None:
    starts, weights = coefficients(size, new_size)
    assert weights.shape[0] == new_size
    assert np.abs(weights.sum(1, dtype=np.int64) - (1 << 22)).max() <= weights.shape[1]
    assert (starts >= 0).all()
    assert (starts + weights.shape[1] <= size).all()
