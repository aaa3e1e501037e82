"""Which frames of a video are looked at, and their pixels, against the reference's numbers (its section 8)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from safetensors.numpy import load_file

from vita.errors import MediaError
from vita.media import sample_frame_indices
from vita.models.tiling import IMAGE_MEAN, IMAGE_STD, crop_frame, normalise

TABLES = ("pairs", "segments", "other")


def reference_file(reference_dir: Path, name: str) -> Path:
    """A file of the reference; a folder without it (a subset) skips the test."""
    path = reference_dir / name
    if not path.is_file():
        pytest.skip(f"no {name} in {reference_dir}")
    return path


@pytest.fixture(scope="module")
def table(reference_dir: Path) -> dict[str, Any]:
    """The table of frame rates and lengths with the indices that the reference takes."""
    return json.loads(reference_file(reference_dir, "video_sampling.json").read_text(encoding="utf-8"))


def sample(table: dict[str, Any], row: dict[str, Any]) -> list[int]:
    """Our indices for a row; what the row does not set, the file does."""
    settings = {key: row.get(key, table[key]) for key in ("max_frames", "min_frames", "video_framerate")}
    return sample_frame_indices(
        row["fps"],
        row["total_frames"],
        max_frames=settings["max_frames"],
        min_frames=settings["min_frames"],
        frames_per_second=settings["video_framerate"],
        start_s=row.get("s"),
        end_s=row.get("e"),
    )


@pytest.mark.parametrize("name", TABLES)
def test_indices(table: dict[str, Any], name: str, record_difference: Callable[..., None]) -> None:
    """Every row of the table, exactly."""
    rows = [row for row in table[name] if row["indices"] is not None]
    assert rows
    differing = [row for row in rows if sample(table, row) != row["indices"]]
    record_difference(f"{name}: rows with other indices, of {len(rows)}", len(differing), 0)


def test_where_the_reference_fails_we_say_why(table: dict[str, Any]) -> None:
    """Rows that make the reference raise (no frame, stride 0) raise a MediaError of one line."""
    failing = [row for name in TABLES for row in table[name] if row["indices"] is None]
    if not failing:
        pytest.skip("the reference fails on no row of this folder")
    for row in failing:
        with pytest.raises(MediaError, match=r"too slow|no frame|no usable frame rate") as caught:
            sample(table, row)
        assert "\n" not in str(caught.value)


def test_pixels(reference_dir: Path, record_difference: Callable[..., None]) -> None:
    """Frames, one tile each, padded or cut to a square, as the reference hands them to the vision tower."""
    tensors = load_file(reference_file(reference_dir, "video_sampling.safetensors"))
    frames = [PIL.Image.fromarray(frame) for frame in tensors["frames"]]
    cases = {name.removesuffix(".pixel_values"): value for name, value in tensors.items() if name != "frames"}
    assert cases
    mean, std = processor_colours(reference_dir)
    for name, expected in cases.items():
        tiles = [crop_frame(frame, tile=expected.shape[-1], pad=name == "pad") for frame in frames]
        ours = normalise(tiles, mean, std)
        assert ours.shape == expected.shape
        record_difference(name, np.abs(ours - expected).max(), 1e-6)


def processor_colours(reference_dir: Path) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of the reference's image processor, where the folder tells them."""
    path = reference_dir / "dynamic_patch.json"
    if not path.is_file():
        return IMAGE_MEAN, IMAGE_STD
    config = json.loads(path.read_text(encoding="utf-8"))["pixel_processor_config"]
    return tuple(config["image_mean"]), tuple(config["image_std"])
