"""Tiling: grids, tiles, frames, pixel values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vita.errors import ConfigError, MediaError
from vita.models.tiling import (
    IMAGE_MEAN,
    IMAGE_STD,
    candidate_grids,
    choose_grid,
    crop_frame,
    normalise,
    num_tiles,
    pad_to_square,
    resize,
    tile_image,
    tile_pixels,
)


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@settings(max_examples=200, deadline=None)
@given(width=st.integers(1, 30000), height=st.integers(1, 30000), most=st.integers(1, 16), fewest=st.integers(1, 16))
def test_grid_is_within_limits_and_closest(width: int, height: int, most: int, fewest: int) -> None:
    fewest = min(fewest, most)
    columns, rows = choose_grid(width, height, most, fewest)
    assert fewest <= columns * rows <= most
    distance = abs(width / height - columns / rows)
    assert distance == min(abs(width / height - c / r) for c, r in candidate_grids(most, fewest))
    assert num_tiles(width, height, most, fewest) == columns * rows + (columns * rows > 1)


@pytest.mark.parametrize("most", [1, 2, 6, 12, 40])
def test_candidates_are_all_grids_by_size(most: int) -> None:
    grids = candidate_grids(most)
    sizes = [columns * rows for columns, rows in grids]
    assert sizes == sorted(sizes)
    assert set(grids) == {(c, r) for c in range(1, most + 1) for r in range(1, most + 1) if c * r <= most}
    assert len(set(grids)) == len(grids)


@pytest.mark.parametrize(
    ("size", "grid"), [((448, 448), (1, 1)), ((640, 480), (4, 3)), ((1, 10000), (1, 12)), ((10000, 1), (12, 1))]
)
def test_known_grids(size: tuple[int, int], grid: tuple[int, int]) -> None:
    assert choose_grid(*size, 12) == grid


def test_tie_goes_to_more_tiles_only_for_large_pictures() -> None:
    assert choose_grid(448, 448, 4) == (1, 1)
    assert choose_grid(1000, 1000, 4) == (2, 2)
    assert choose_grid(1000, 1000, 4, tile=28) == (2, 2)


def test_tiles_are_the_resized_picture_row_by_row_then_the_thumbnail() -> None:
    image = picture(90, 61)
    tiles = tile_image(image, tile=14, max_tiles=6)
    columns, rows = choose_grid(90, 61, 6, tile=14)
    assert (columns, rows) == (3, 2)
    whole = np.asarray(resize(image, 42, 28))
    for index, tile in enumerate(tiles[:-1]):
        top, left = 14 * (index // columns), 14 * (index % columns)
        assert np.array_equal(np.asarray(tile), whole[top : top + 14, left : left + 14])
    assert np.array_equal(np.asarray(tiles[-1]), np.asarray(resize(image, 14, 14)))
    assert len(tiles) == num_tiles(90, 61, 6, tile=14) == 7
    assert len(tile_image(image, tile=14, max_tiles=6, thumbnail=False)) == 6
    assert len(tile_image(image, tile=14, max_tiles=1)) == 1


def test_resizing_rounds_between_the_two_passes_rows_first() -> None:
    """Pillow 13 swaps the passes for pictures that get much lower; the pixels must not depend on its version."""
    image = picture(30, 90)
    rows_first = image.resize((28, 90), Image.Resampling.BICUBIC).resize((28, 28), Image.Resampling.BICUBIC)
    columns_first = image.resize((30, 28), Image.Resampling.BICUBIC).resize((28, 28), Image.Resampling.BICUBIC)
    assert np.array_equal(np.asarray(resize(image, 28, 28)), np.asarray(rows_first))
    assert not np.array_equal(np.asarray(rows_first), np.asarray(columns_first))


@pytest.mark.parametrize("size", [(30, 20), (20, 30), (25, 25)])
def test_padding_keeps_the_picture_in_the_middle_of_the_mean_colour(size: tuple[int, int]) -> None:
    image = picture(*size)
    square = np.asarray(pad_to_square(image))
    edge, (width, height) = max(size), size
    assert square.shape == (edge, edge, 3)
    top, left = (edge - height) // 2, (edge - width) // 2
    assert np.array_equal(square[top : top + height, left : left + width], np.asarray(image))
    if width != height:
        assert square[0 if height < width else edge // 2, 0].tolist() == [123, 116, 103]
    assert len(tile_image(image, tile=14, pad=True)) == num_tiles(edge, edge, 12, tile=14)


@pytest.mark.parametrize("size", [(36, 20), (20, 36), (28, 28), (14, 14), (1, 100), (1000, 3)])
@pytest.mark.parametrize("pad", [False, True])
def test_a_frame_is_one_tile(size: tuple[int, int], pad: bool) -> None:
    assert crop_frame(picture(*size), tile=14, pad=pad).size == (14, 14)


def test_normalised_values() -> None:
    image = picture(5, 4)
    pixels = normalise([image, picture(5, 4, seed=1)])
    assert pixels.shape == (2, 3, 4, 5)
    assert pixels.dtype == np.float32
    expected = (np.asarray(image, np.float64) / 255 - IMAGE_MEAN) / IMAGE_STD
    np.testing.assert_allclose(pixels[0], expected.transpose(2, 0, 1), rtol=0, atol=1e-6)
    other = normalise([image], mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    assert other.min() >= -1
    assert other.max() <= 1


@pytest.mark.parametrize(
    "tiles",
    [[], [picture(4, 4), picture(4, 5)], [picture(4, 4).convert("L")], [picture(4, 4), picture(4, 4).convert("RGBA")]],
    ids=["none", "sizes", "grey", "alpha"],
)
def test_tiles_that_cannot_be_normalised(tiles: list[Image.Image]) -> None:
    with pytest.raises(MediaError):
        normalise(tiles)


@pytest.mark.parametrize(("most", "fewest"), [(0, 0), (3, 4), (4, 0), (-1, 1)])
def test_limits_that_make_no_sense(most: int, fewest: int) -> None:
    with pytest.raises(ConfigError, match="tile count"):
        candidate_grids(most, fewest)


@pytest.mark.parametrize("size", [(0, 5), (5, 0)])
def test_a_picture_without_pixels(size: tuple[int, int]) -> None:
    with pytest.raises(MediaError, match="without pixels"):
        choose_grid(*size, 12)


@pytest.mark.parametrize(
    ("size", "pad"), [((640, 480), False), ((100, 900), False), ((30, 30), False), ((300, 90), True)]
)
def test_tile_pixels_are_those_of_the_tiles_bit_for_bit(size: tuple[int, int], pad: bool) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (*size[::-1], 3), dtype=np.uint8))
    options = {"max_tiles": 6, "tile": 28, "pad": pad}
    np.testing.assert_array_equal(tile_pixels(image, **options), normalise(tile_image(image, **options)))
