"""Converting in bounded memory: interrupted and called again, laid out before it is written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.checkpoints.reference_like import ReferenceLike, make
from vita.checkpoints import convert
from vita.checkpoints.conversion import PROGRESS_FILE
from vita.checkpoints.sources import SafetensorsFile
from vita.checkpoints.tensor_file import TensorFile, TensorSpec, make_header
from vita.checkpoints.writer import PlannedShards
from vita.errors import CheckpointError, LimitError

NUM_SHARDS = 4


@pytest.fixture(scope="module")
def reference() -> ReferenceLike:
    return make()


def files(folder: Path) -> dict[str, bytes]:
    """The tensor files of a folder."""
    return {path.name: path.read_bytes() for path in sorted(folder.glob("model*"))}


class Interruption(BaseException):
    """Ctrl-C, a kill, a power cut."""


def interrupt_after(num_tensors: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The conversion ends when so many tensors have been read; the names of all that are read are noted."""
    read, names = SafetensorsFile.read, []

    def counted(source: SafetensorsFile) -> Iterator[tuple[str, torch.Tensor]]:
        for name, tensor in read(source):
            if len(names) == num_tensors:
                raise Interruption
            names.append(name)
            yield name, tensor

    monkeypatch.setattr(SafetensorsFile, "read", counted)
    return names


@pytest.mark.parametrize("num_tensors", [1, 50, 120])
def test_an_interrupted_conversion_goes_on(
    reference: ReferenceLike, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, num_tensors: int
) -> None:
    source = reference.write(tmp_path / "src", num_shards=NUM_SHARDS)
    convert(source, tmp_path / "whole", shard_bytes=20_000)
    with monkeypatch.context() as patch:
        first = interrupt_after(num_tensors, patch)
        with pytest.raises(Interruption):
            convert(source, tmp_path / "dst", shard_bytes=20_000)
    assert not (tmp_path / "dst").exists()
    per_file = [len(load_file(path)) for path in sorted(source.glob("*.safetensors"))]
    num_done = sum(num_tensors >= sum(per_file[: index + 1]) for index in range(NUM_SHARDS))
    second = interrupt_after(10_000, monkeypatch)
    lines: list[str] = []
    report = convert(source, tmp_path / "dst", shard_bytes=20_000, progress=lines.append)
    assert report.resumed_files == num_done
    assert len(second) == sum(per_file[num_done:])
    assert len(first) == num_tensors
    assert [line.split(":")[0] for line in lines] == [f"{n} of 4" for n in range(num_done + 1, NUM_SHARDS + 1)]
    assert files(tmp_path / "dst") == files(tmp_path / "whole")
    assert not list((tmp_path / "dst").glob("*progress*"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dst", "src", "whole"]


@pytest.mark.parametrize("what", ["source", "shard size", "note"])
def test_another_conversion_starts_anew(
    reference: ReferenceLike, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    source = reference.write(tmp_path / "src", num_shards=2)
    with monkeypatch.context() as patch:
        interrupt_after(100, patch)
        with pytest.raises(Interruption):
            convert(source, tmp_path / "dst")
    if what == "source":
        second = source / "model-00001-of-00002.safetensors"
        save_file({name: tensor + 1 for name, tensor in load_file(second).items()}, second)
    elif what == "note":
        (tmp_path / "dst.partial" / PROGRESS_FILE).write_text('{"digest": ')
    report = convert(source, tmp_path / "dst", shard_bytes=30_000 if what == "shard size" else 10**9)
    assert report.resumed_files == 0
    convert(source, tmp_path / "whole", shard_bytes=30_000 if what == "shard size" else 10**9)
    assert files(tmp_path / "dst") == files(tmp_path / "whole")


def test_a_full_disk_is_told_before_anything_is_written(
    reference: ReferenceLike, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    source = reference.write(tmp_path / "src")
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(LimitError, match=r"no room.*0.0 GB free"):
        convert(source, tmp_path / "dst")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["src"]


def test_parts_of_different_formats_do_not_make_a_tensor(reference: ReferenceLike, tmp_path: Path) -> None:
    tensors = dict(reference.tensors)
    name = "model.layers.0.block_sparse_moe.experts.1.w2.weight"
    tensors[name] = tensors[name].half()
    source = ReferenceLike(reference.model, tensors).write(tmp_path / "src")
    with pytest.raises(CheckpointError, match=r"down_proj do not fit together.*number format"):
        convert(source, tmp_path / "dst")


SPECS = {
    "a": TensorSpec(torch.float32, (4, 2)),
    "b": TensorSpec(torch.bfloat16, (3,)),
    "c": TensorSpec(torch.int64, ()),
    "d": TensorSpec(torch.bool, (2, 0)),
}


@pytest.mark.parametrize("shard_bytes", [1, 40, 10**6])
def test_tensors_in_any_order_and_in_parts(tmp_path: Path, shard_bytes: int) -> None:
    values = {name: torch.arange(8)[: spec.num_bytes // spec.dtype.itemsize] for name, spec in SPECS.items()}
    tensors = {name: values[name].to(spec.dtype).reshape(spec.shape) for name, spec in SPECS.items()}
    with PlannedShards(tmp_path, SPECS, shard_bytes) as shards:
        for name in ("d", "c", "b"):
            shards.write(name, tensors[name])
        shards.write("a", tensors["a"][2:], part=1, num_parts=2)
        shards.write("a", tensors["a"][:2], part=0, num_parts=2)
    found: dict[str, Any] = {}
    for path in tmp_path.glob("*.safetensors"):
        found |= load_file(path)
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())
    index = tmp_path / "model.safetensors.index.json"
    assert index.exists() == (shard_bytes < 10**6)
    if index.exists():
        assert json.loads(index.read_text())["weight_map"].keys() == tensors.keys()


@pytest.mark.parametrize("tensor", [torch.zeros(4, 2, dtype=torch.float16), torch.zeros(4, 3)])
def test_a_tensor_that_does_not_fit_its_place(tmp_path: Path, tensor: torch.Tensor) -> None:
    file = TensorFile(tmp_path / "x.safetensors", make_header(SPECS))
    with file.open() as opened, pytest.raises(CheckpointError, match="does not fit into its place"):
        file.write(opened, "a", tensor)
