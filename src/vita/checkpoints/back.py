"""`convert_back`: a converted model under the reference's names again, in the files that it came from.

A safetensors file gets the very header it had, so that it is the same file, byte for byte, if its tensors are; a pickle
gets the same tensors. Called by `vita convert --back`.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from vita.checkpoints.report import KEPT_FOLDER, REPORT_FILE
from vita.checkpoints.sources import INDEX, SINGLE, read_json
from vita.checkpoints.table import Step, Table
from vita.checkpoints.tensor_file import NAMES, TensorFile
from vita.errors import CheckpointError
from vita.models.configuration_vita import VitaConfig


def convert_back(src: str | Path, dst: str | Path) -> list[str]:
    """Writes the reference's checkpoint from a converted one.

    Args:
        src: a folder that `convert` wrote; its tensors may have been trained since, in the same shapes and formats.
        dst: folder to write; it must be new or empty.

    Returns:
        The files written.

    Raises:
        CheckpointError: it was not converted from one checkpoint, or a tensor changed its shape or format.
    """
    src, dst = Path(src), Path(dst)
    if not (src / REPORT_FILE).is_file():
        raise CheckpointError(f"{src} has no {REPORT_FILE}", expected="a folder that `vita convert` wrote")
    report = read_json(src / REPORT_FILE)
    if report["merged"] or not report["kept_files"]:
        raise CheckpointError(f"{src} was not converted from one checkpoint of the reference", fix="use it as it is")
    if dst.exists() and (not dst.is_dir() or any(dst.iterdir())):
        raise CheckpointError(f"{dst} is there already", fix="name a new folder")
    steps = Table(VitaConfig.from_pretrained(src)).steps(list(report["names"]))
    ours = OurTensors(src)
    dst.mkdir(parents=True, exist_ok=True)
    try:
        for name in report["kept_files"]:
            (dst / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(src / KEPT_FOLDER / name, dst / name)
        files = [file for file in report["files"] if file["path"] is not None]
        for file in files:
            _write_file(file, steps, ours, dst)
    except CheckpointError:
        shutil.rmtree(dst)
        raise
    return sorted([*report["kept_files"], *(file["path"] for file in files)])


class OurTensors:
    """The tensors of a folder of ours, read as they are asked for."""

    def __init__(self, folder: Path) -> None:
        single = not (folder / INDEX).is_file()
        names = {SINGLE} if single else set(read_json(folder / INDEX)["weight_map"].values())
        self._files = [safe_open(folder / name, framework="pt") for name in sorted(names)]
        self._file_of = {name: file for file in self._files for name in file.keys()}  # noqa: SIM118

    def get(self, name: str) -> Tensor:
        """A tensor."""
        return self._open(name).get_tensor(name)

    def row(self, name: str, number: int) -> Tensor:
        """One entry of a tensor's first dimension."""
        return self._open(name).get_slice(name)[number]

    def _open(self, name: str) -> Any:
        if name not in self._file_of:
            raise CheckpointError(f"the model has no tensor {name}")
        return self._file_of[name]


def restored(step: Step, ours: OurTensors) -> Tensor:
    """The tensor of the reference; of stacked experts only the one that is needed is read."""
    if not step.num_stacked:
        return step.pick({name: ours.get(name) for name in step.targets})
    parts_per_row = step.num_parts // step.num_stacked
    row = ours.row(step.targets[0], step.part // parts_per_row)
    return row.chunk(parts_per_row)[step.part % parts_per_row]


def _write_file(file: dict[str, Any], steps: Mapping[str, Step], ours: OurTensors, dst: Path) -> None:
    path, prefix = dst / file["path"], file["prefix"]
    path.parent.mkdir(parents=True, exist_ok=True)
    if file["header"] is None:
        tensors = {name: _checked(name, kind, restored(steps[name], ours)) for name, kind in file["tensors"].items()}
        plain = {name.removeprefix(prefix): tensor.clone() for name, tensor in tensors.items()}
        torch.save(plain, path)
        return
    whole = TensorFile(path, file["header"])
    with whole.open() as opened:
        for name, kind in file["tensors"].items():
            whole.write(opened, name.removeprefix(prefix), _checked(name, kind, restored(steps[name], ours)))


def _checked(name: str, kind: list[Any], tensor: Tensor) -> Tensor:
    found = [NAMES[tensor.dtype], *tensor.shape]
    if found != kind:
        raise CheckpointError(f"{name} is no longer what it was", got=found, expected=kind)
    return tensor
