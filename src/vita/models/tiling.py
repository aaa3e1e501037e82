"""Pictures to tiles to numbers: the dynamic patching of InternVL, as VITA uses it.

A picture is cut into the grid of square tiles whose aspect ratio is closest to its own; when there is more than one
tile, a thumbnail of the whole picture comes last. A video frame is a single tile. Called by VitaProcessor, by the
data room and by the parity tests. No torch here. Legend: N tiles, S pixels of a tile's edge.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from PIL import Image

from vita.errors import ConfigError, MediaError

IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)


@lru_cache(maxsize=64)
def candidate_grids(max_tiles: int, min_tiles: int = 1) -> tuple[tuple[int, int], ...]:
    """All (columns, rows) with min_tiles <= columns * rows <= max_tiles, by number of tiles.

    Grids of equal size come in the iteration order of a Python set filled in this order of sizes: the reference has
    this order, and it decides between two grids that are equally close.
    """
    if not 1 <= min_tiles <= max_tiles:
        raise ConfigError("the limits of the tile count are wrong", got=f"min {min_tiles}, max {max_tiles}")
    grids: set[tuple[int, int]] = set()
    for most in range(min_tiles, max_tiles + 1):
        for columns in range(1, most + 1):
            rows = range(-(-min_tiles // columns), min(most, max_tiles // columns) + 1)
            grids.update((columns, row) for row in rows)
    return tuple(sorted(grids, key=lambda grid: grid[0] * grid[1]))


def choose_grid(width: int, height: int, max_tiles: int, min_tiles: int = 1, tile: int = 448) -> tuple[int, int]:
    """The (columns, rows) whose ratio is closest to width / height.

    On an exact tie the later grid (more tiles) wins if the picture fills more than half of it.
    """
    if width < 1 or height < 1:
        raise MediaError("a picture without pixels cannot be tiled", got=f"{width} x {height}")
    aspect = width / height
    best, best_distance = (1, 1), float("inf")
    for columns, rows in candidate_grids(max_tiles, min_tiles):
        distance = abs(aspect - columns / rows)
        tie_won = distance == best_distance and width * height > 0.5 * tile * tile * columns * rows
        if distance < best_distance or tie_won:
            best, best_distance = (columns, rows), distance
    return best


def num_tiles(width: int, height: int, max_tiles: int, min_tiles: int = 1, tile: int = 448) -> int:
    """Tiles that `tile_image` makes of a picture of this size, the thumbnail included."""
    columns, rows = choose_grid(width, height, max_tiles, min_tiles, tile)
    return columns * rows + (1 if columns * rows > 1 else 0)


def resize(image: Image.Image, width: int, height: int) -> Image.Image:
    """Bicubic, rows before columns.

    Pillow 13 took to resizing the columns of some tall pictures first, which rounds differently; two steps give the
    pixels of every Pillow version.
    """
    return image.resize((width, image.height), Image.Resampling.BICUBIC).resize(
        (width, height), Image.Resampling.BICUBIC
    )


def pad_to_square(image: Image.Image, mean: Sequence[float] = IMAGE_MEAN) -> Image.Image:
    """The picture in the middle of a square of the mean colour."""
    edge = max(image.size)
    if image.size == (edge, edge):
        return image
    square = Image.new("RGB", (edge, edge), tuple(int(value * 255) for value in mean))
    square.paste(image, ((edge - image.width) // 2, (edge - image.height) // 2))
    return square


def tile_image(
    image: Image.Image,
    *,
    max_tiles: int = 12,
    min_tiles: int = 1,
    tile: int = 448,
    thumbnail: bool = True,
    pad: bool = False,
) -> list[Image.Image]:
    """A picture as 1 .. max_tiles tiles row by row, then a thumbnail if there is more than one.

    Args:
        image: RGB.
        max_tiles: most tiles, the thumbnail not counted.
        min_tiles: fewest tiles.
        tile: pixels of a tile's edge.
        thumbnail: add the thumbnail.
        pad: pad the picture to a square first.
    """
    image = pad_to_square(image) if pad else image
    columns, rows = choose_grid(image.width, image.height, max_tiles, min_tiles, tile)
    whole = resize(image, columns * tile, rows * tile)
    if columns * rows == 1:
        return [whole]
    corners = [(column * tile, row * tile) for row in range(rows) for column in range(columns)]
    tiles = [whole.crop((left, top, left + tile, top + tile)) for left, top in corners]
    return [*tiles, resize(image, tile, tile)] if thumbnail else tiles


def crop_frame(image: Image.Image, *, tile: int = 448, pad: bool = False, crop: bool = True) -> Image.Image:
    """A picture as a single tile, as the reference treats video frames: shortest edge to `tile`, middle cut out.

    With `pad` the whole frame is kept, in a square of the mean colour; without `crop` it is squeezed to a square.
    """
    image = pad_to_square(image) if pad else image
    if not crop:
        return resize(image, tile, tile)
    shortest = min(image.size)
    width, height = (tile if edge == shortest else int(tile * edge / shortest) for edge in image.size)
    image = resize(image, width, height)
    left, top = (width - tile) // 2, (height - tile) // 2
    return image.crop((left, top, left + tile, top + tile))


def tile_pixels(
    image: Image.Image,
    mean: Sequence[float] = IMAGE_MEAN,
    std: Sequence[float] = IMAGE_STD,
    *,
    max_tiles: int = 12,
    min_tiles: int = 1,
    tile: int = 448,
    pad: bool = False,
) -> np.ndarray:
    """`normalise(tile_image(...))`, the same to the last bit, with no picture cut out: float32 [N, 3, S, S]."""
    image = pad_to_square(image) if pad else image
    columns, rows = choose_grid(image.width, image.height, max_tiles, min_tiles, tile)
    whole = resize(image, columns * tile, rows * tile)
    if columns * rows == 1:
        return normalise([whole], mean, std)
    pixels = np.empty((columns * rows + 1, 3, tile, tile), dtype=np.float32)
    for channel, band in enumerate(whole.split()):
        values_RCSS = np.asarray(band).reshape(rows, tile, columns, tile).swapaxes(1, 2)
        for row, values_CSS in enumerate(values_RCSS):
            out_CSS = pixels[row * columns : (row + 1) * columns, channel]
            _normalise_band(values_CSS, out_CSS, mean[channel], std[channel])
    pixels[-1:] = normalise([resize(image, tile, tile)], mean, std)
    return pixels


def normalise(
    tiles: Sequence[Image.Image], mean: Sequence[float] = IMAGE_MEAN, std: Sequence[float] = IMAGE_STD
) -> np.ndarray:
    """RGB tiles of one size -> float32 [N, 3, S, S], (value / 255 - mean) / std."""
    if not tiles:
        raise MediaError("no tiles to normalise")
    size = tiles[0].size
    pixels = np.empty((len(tiles), 3, size[1], size[0]), dtype=np.float32)
    for out_CHW, tile in zip(pixels, tiles, strict=True):
        if tile.size != size or tile.mode != "RGB":
            raise MediaError(
                "tiles must be RGB and of one size", got=f"{tile.mode} {tile.size}", expected=f"RGB {size}"
            )
        for channel, band in enumerate(tile.split()):
            _normalise_band(np.asarray(band), out_CHW[channel], mean[channel], std[channel])
    return pixels


def _normalise_band(values: np.ndarray, out: np.ndarray, mean: float, std: float) -> None:
    """One channel, uint8 -> float32 of the same shape, in two passes that stay in float32."""
    np.subtract(values, np.float32(255 * mean), out=out, dtype=np.float32)
    out *= np.float32(1 / (255 * std))
