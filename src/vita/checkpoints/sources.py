"""Tensor files as they lie on the disk: what is in them, and reading them one tensor at a time.

Used by `convert`. Safetensors headers are read without the tensors; a pickle is only ever read with weights_only.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from vita.checkpoints.tensor_file import dtype_named, header_tensors, read_header
from vita.errors import CheckpointError

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
PICKLE_INDEX = "pytorch_model.bin.index.json"
PICKLE = "pytorch_model.bin"


class Source(Protocol):
    """Some tensors under the reference's names.

    path: the file that holds them; None for tensors that were computed.
    prefix: what their names in the file lack.
    """

    @property
    def path(self) -> Path | None:
        """See above."""
        ...

    @property
    def prefix(self) -> str:
        """See above."""
        ...

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of each tensor."""
        ...

    @property
    def dtypes(self) -> dict[str, torch.dtype]:
        """Name and dtype of each tensor."""
        ...

    def read(self) -> Iterator[tuple[str, Tensor]]:
        """The tensors one by one."""
        ...


class SafetensorsFile:
    """A safetensors file whose names get a prefix."""

    def __init__(self, path: Path, prefix: str = "") -> None:
        self.path, self.prefix = path, prefix
        try:
            with safe_open(path, framework="pt"):
                self.header = read_header(path)  # safe_open has checked it
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{path} is no readable safetensors file: {error}", fix="fetch it again") from error
        described = sorted(header_tensors(self.header).items(), key=lambda item: item[1]["data_offsets"])
        self.shapes = {prefix + name: tuple(entry["shape"]) for name, entry in described}
        self.dtypes = {prefix + name: dtype_named(entry["dtype"], path) for name, entry in described}

    def read(self) -> Iterator[tuple[str, Tensor]]:
        """The tensors in the order in which they lie in the file."""
        with safe_open(self.path, framework="pt") as file:
            for name in self.shapes:
                yield name, file.get_tensor(name.removeprefix(self.prefix))


class PickleFile:
    """A PyTorch checkpoint of plain tensors. Anything else in it is refused, and nothing of it is executed.

    It is opened anew for every reading, so that it is not held in memory in between.
    """

    def __init__(self, path: Path, prefix: str = "") -> None:
        self.path, self.prefix = path, prefix
        tensors = dict(self.read())
        self.shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        self.dtypes = {name: tensor.dtype for name, tensor in tensors.items()}

    def read(self) -> Iterator[tuple[str, Tensor]]:
        """The tensors in the order of the file."""
        try:
            loaded = _load_tensors(self.path)
        except Exception as error:  # the unpickler raises whatever the file makes it raise
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise CheckpointError(f"{self.path} is no plain checkpoint of tensors: {reason}") from error
        if not isinstance(loaded, dict) or not all(isinstance(value, Tensor) for value in loaded.values()):
            raise CheckpointError(f"{self.path} holds something else than named tensors", expected="a state dict")
        for name in loaded:
            yield self.prefix + name, loaded[name]


@dataclass(frozen=True)
class InMemory:
    """Tensors that are already there, because they were computed or came from a small file."""

    tensors: dict[str, Tensor]
    path: Path | None = None
    prefix: str = ""

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of each tensor."""
        return {name: tuple(tensor.shape) for name, tensor in self.tensors.items()}

    @property
    def dtypes(self) -> dict[str, torch.dtype]:
        """Name and dtype of each tensor."""
        return {name: tensor.dtype for name, tensor in self.tensors.items()}

    def read(self) -> Iterator[tuple[str, Tensor]]:
        """The tensors."""
        yield from self.tensors.items()


def has_tensors(folder: Path) -> bool:
    """Whether `open_folder` would find tensors there."""
    return any((folder / name).is_file() for name in (INDEX, SINGLE, PICKLE_INDEX, PICKLE))


def open_folder(folder: Path, prefix: str = "") -> list[Source]:
    """The tensor files of a checkpoint folder, sharded or not: safetensors or, where there are none, pickles."""
    for index, single, opener in ((INDEX, SINGLE, SafetensorsFile), (PICKLE_INDEX, PICKLE, PickleFile)):
        if (folder / index).is_file():
            shards = sorted(set(read_json(folder / index).get("weight_map", {}).values()))
            missing = [shard for shard in shards if not (folder / shard).is_file()]
            if missing or not shards:
                found = ", ".join(missing[:3]) or "no shard"
                raise CheckpointError(f"shards listed in {folder / index} are missing", got=found)
            return [opener(folder / shard, prefix) for shard in shards]
        if (folder / single).is_file():
            return [opener(folder / single, prefix)]
    raise CheckpointError(f"no tensors in {folder}", expected=f"{SINGLE} or {PICKLE}")


def _load_tensors(path: Path) -> Any:
    """The content of a pickle; a zip file, as torch writes them, stays on the disk until its tensors are used."""
    return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file; CheckpointError if it is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} is no JSON object", got=type(content).__name__)
    return content
