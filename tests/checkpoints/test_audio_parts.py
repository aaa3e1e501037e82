"""The audio tower and connector alone are those of the whole model, from one file or from shards."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from vita.checkpoints.audio_parts import load_audio_parts
from vita.errors import CheckpointError


@pytest.mark.parametrize("max_shard_size", ["1GB", "100KB"])
def test_they_are_the_whole_models(max_shard_size: str, tiny_model: tuple[Any, Any], tmp_path: Path) -> None:
    model = tiny_model[0]
    model.save_pretrained(tmp_path, max_shard_size=max_shard_size)
    assert (len(list(tmp_path.glob("*.safetensors"))) > 1) == (max_shard_size == "100KB")
    for part, whole in zip(load_audio_parts(tmp_path), (model.audio_tower, model.audio_connector), strict=True):
        found, expected = part.state_dict(), whole.state_dict()
        assert set(found) == set(expected)
        assert all(torch.equal(found[name], expected[name]) for name in expected)
        assert not part.training


def test_a_tensor_that_is_missing_is_told(tiny_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "damaged")
    tensors = load_file(folder / "model.safetensors")
    del tensors["audio_connector.projection.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match="do not fit"):
        load_audio_parts(folder)
