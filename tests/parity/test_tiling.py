"""Tiling against the reference's numbers: grids, candidates, pixels of tiles and of single frames."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from vita.models.tiling import candidate_grids, choose_grid, crop_frame, normalise, num_tiles, tile_image

PIXEL_TOLERANCE = 1e-6


@pytest.fixture(scope="module")
def described(reference_file: Callable[[str], Path]) -> dict[str, Any]:
    return json.loads(reference_file("dynamic_patch.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def arrays(reference_file: Callable[[str], Path]) -> dict[str, np.ndarray]:
    return load_file(reference_file("dynamic_patch.safetensors"))


def check_grid(row: dict[str, Any], chosen: dict[str, Any], *, max_tiles: int, min_tiles: int, tile: int) -> None:
    grid = choose_grid(row["w"], row["h"], max_tiles, min_tiles, tile)
    assert list(grid) == chosen["grid"], f"{row['w']} x {row['h']}, at most {max_tiles}"
    assert num_tiles(row["w"], row["h"], max_tiles, min_tiles, tile) == chosen["tiles"]


def test_grids_of_all_sizes(described: dict[str, Any]) -> None:
    num_checked = 0
    for row in described["sizes"]:
        for key, chosen in row.items():
            if match := re.fullmatch(r"max(\d+)", key):
                most, tile = int(match.group(1)), described["image_size"]
                check_grid(row, chosen, max_tiles=most, min_tiles=described["min_num"], tile=tile)
                num_checked += 1
    assert num_checked >= len(described["sizes"]) > 0


def test_grids_with_a_least_number_of_tiles(described: dict[str, Any]) -> None:
    limits = {key: re.fullmatch(r"min_num_(\d+)_max_(\d+)", key) for key in described}
    lists = {key: match for key, match in limits.items() if match}
    assert lists
    for key, match in lists.items():
        fewest, most = (int(group) for group in match.groups())
        for row in described[key]:
            check_grid(row, row, max_tiles=most, min_tiles=fewest, tile=described["image_size"])


def test_candidates_in_the_reference_order(described: dict[str, Any]) -> None:
    limits = {key: re.fullmatch(r"candidates_max(\d+)", key) for key in described}
    lists = {key: match for key, match in limits.items() if match}
    assert lists
    for key, match in lists.items():
        assert [list(grid) for grid in candidate_grids(int(match.group(1)), described["min_num"])] == described[key]


def test_pixels_of_tiles(
    described: dict[str, Any], arrays: dict[str, np.ndarray], record_difference: Callable[..., None]
) -> None:
    processor = described["pixel_processor_config"]
    mean, std = processor["image_mean"], processor["image_std"]
    assert described["pixel_cases"]
    for case in described["pixel_cases"]:
        image = Image.fromarray(arrays[case["source"]])
        tiles = tile_image(
            image,
            max_tiles=case["max_num"],
            min_tiles=described["min_num"],
            tile=case["tile_size"],
            thumbnail=described["use_thumbnail"],
            pad=case["expand2square_first"],
        )
        assert len(tiles) == case["tiles"]
        expected = arrays[f"{case['key']}.tiles"].astype(np.int16)
        found = np.stack([np.asarray(tile) for tile in tiles]).astype(np.int16)
        record_difference(f"{case['key']}.tiles", np.abs(found - expected).max(), 0)
        difference = np.abs(normalise(tiles, mean, std) - arrays[f"{case['key']}.pixel_values"]).max()
        record_difference(f"{case['key']}.pixel_values", difference, PIXEL_TOLERANCE)


def test_untiled_pictures(
    described: dict[str, Any], arrays: dict[str, np.ndarray], record_difference: Callable[..., None]
) -> None:
    processor = described["pixel_processor_config"]
    names = [name.removesuffix(".processor_only") for name in arrays if name.endswith(".processor_only")]
    assert names
    for name in names:
        frame = crop_frame(Image.fromarray(arrays[f"{name}.source"]), tile=processor["crop_size"])
        found = normalise([frame], processor["image_mean"], processor["image_std"])[0]
        difference = np.abs(found - arrays[f"{name}.processor_only"]).max()
        record_difference(f"{name}.processor_only", difference, PIXEL_TOLERANCE)


def test_video_frames(reference_file: Callable[[str], Path], record_difference: Callable[..., None]) -> None:
    arrays = load_file(reference_file("video_sampling.safetensors"))
    frames = [Image.fromarray(frame) for frame in arrays["frames"]]
    for name, pad in (("square", False), ("pad", True)):
        expected = arrays[f"{name}.pixel_values"]
        found = normalise([crop_frame(frame, tile=expected.shape[-1], pad=pad) for frame in frames])
        record_difference(f"{name}.pixel_values", np.abs(found - expected).max(), PIXEL_TOLERANCE)
