"""convert_back: the reference's files again, byte for byte."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.checkpoints.reference_like import AUDIO_FOLDER, VISION_FOLDER, ReferenceLike, make, write_shards
from vita.checkpoints import convert, convert_back
from vita.checkpoints.table import AUDIO_PREFIX, VISION_PREFIX
from vita.errors import CheckpointError


@pytest.fixture(scope="module", params=["mixtral", "qwen2"])
def reference(request: pytest.FixtureRequest) -> ReferenceLike:
    return make(request.param)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("shard_bytes", [10**9, 20_000])
def test_files_are_the_same_byte_for_byte(reference: ReferenceLike, tmp_path: Path, shard_bytes: int) -> None:
    source = reference.write(tmp_path / "src", num_shards=3)
    (source / "tokenizer.json").write_text("{}")
    convert(source, tmp_path / "dst", shard_bytes=shard_bytes)
    written = convert_back(tmp_path / "dst", tmp_path / "back")
    assert contents(tmp_path / "back") == contents(source)
    assert written == sorted(contents(source))


def test_parts_in_folders_and_pickles(reference: ReferenceLike, tmp_path: Path) -> None:
    source = reference.write(tmp_path / "src", leave_out=(VISION_PREFIX, AUDIO_PREFIX))
    tensors = reference.tensors
    vision = {name.removeprefix(VISION_PREFIX): tensors[name] for name in tensors if name.startswith(VISION_PREFIX)}
    write_shards(source / VISION_FOLDER, vision)
    audio = {name.removeprefix(AUDIO_PREFIX): tensors[name] for name in tensors if name.startswith(AUDIO_PREFIX)}
    audio = {name: tensor.clone() for name, tensor in audio.items() if "global_cmvn" not in name}
    torch.save(audio, source / AUDIO_FOLDER / "final.pt")
    sums = {"mean_stat": [4.0] * 80, "var_stat": [12.0] * 80, "frame_num": 2}
    (source / AUDIO_FOLDER / "global_cmvn").write_text(json.dumps(sums))
    convert(source, tmp_path / "dst")
    (source / AUDIO_FOLDER).rename(tmp_path / "gone")
    convert_back(tmp_path / "dst", tmp_path / "back")
    again = torch.load(tmp_path / "back" / AUDIO_FOLDER / "final.pt", weights_only=True)
    assert list(again) == list(audio)
    assert all(torch.equal(again[name], tensor) for name, tensor in audio.items())
    (tmp_path / "gone").rename(source / AUDIO_FOLDER)
    expected, found = contents(source), contents(tmp_path / "back")
    assert found.keys() == expected.keys()
    pickled = f"{AUDIO_FOLDER}/final.pt"
    assert {**found, pickled: b""} == {**expected, pickled: b""}
    convert(tmp_path / "back", tmp_path / "again")
    assert load_file(tmp_path / "again" / "model.safetensors").keys()


def test_a_changed_tensor_arrives_under_its_old_name(reference: ReferenceLike, tmp_path: Path) -> None:
    convert(reference.write(tmp_path / "src"), tmp_path / "dst")
    path = tmp_path / "dst" / "model.safetensors"
    tensors = load_file(path)
    tensors["vision_tower.encoder.encoder.layer.1.attention.k_proj.bias"] += 1
    save_file(tensors, path, metadata={"format": "pt"})
    convert_back(tmp_path / "dst", tmp_path / "back")
    again, before = load_file(tmp_path / "back" / "model.safetensors"), reference.tensors
    changed = [name for name, tensor in again.items() if not torch.equal(tensor, before[name])]
    assert changed == [f"{VISION_PREFIX}encoder.layers.1.attn.qkv.bias"]
    difference = again[changed[0]] - before[changed[0]]
    assert difference.round().chunk(3)[1].eq(1).all()
    assert difference.count_nonzero() == len(difference) // 3


def test_what_cannot_be_written_back(reference: ReferenceLike, tmp_path: Path, tiny_folder: Path) -> None:
    with pytest.raises(CheckpointError, match=r"has no conversion.json"):
        convert_back(tiny_folder, tmp_path / "back")
    convert(reference.write(tmp_path / "src"), tmp_path / "dst")
    with pytest.raises(CheckpointError, match="is there already"):
        convert_back(tmp_path / "dst", tmp_path / "src")
    path = tmp_path / "dst" / "model.safetensors"
    tensors = load_file(path)
    save_file({name: tensor.bfloat16() for name, tensor in tensors.items()}, path)
    with pytest.raises(CheckpointError, match=r"no longer what it was \(got \['BF16'"):
        convert_back(tmp_path / "dst", tmp_path / "back")
    del tensors["vision_connector.input_projection.bias"]
    save_file(tensors, path)
    with pytest.raises(CheckpointError, match=r"no tensor vision_connector.input_projection.bias"):
        convert_back(tmp_path / "dst", tmp_path / "back")
    assert not (tmp_path / "back").exists()
