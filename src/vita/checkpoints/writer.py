"""Writing a model as safetensors shards: `PlannedShards` for tensors that arrive in any order and in parts, into files
laid out before (used by `convert`); `ShardWriter` for tensors of which nothing is known before (used by training).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from safetensors.torch import save_file
from torch import Tensor

from vita.checkpoints.sources import INDEX, SINGLE
from vita.checkpoints.tensor_file import TensorFile, TensorSpec, make_header, sync

SHARD_BYTES = 5 * 10**9


class PlannedShards:
    """The shards of a model, laid out at once; tensors are then written where they belong, so that none is kept.

    A context manager: the files are open inside it. Laid out again in the same folder for the same tensors, it goes on
    with the files that are there.

    Args:
        folder: where the files go; it must exist.
        specs: all tensors of the model, in the order in which they are to lie in the files.
        shard_bytes: most bytes of a shard (a larger tensor gets one of its own).
    """

    def __init__(self, folder: Path, specs: Mapping[str, TensorSpec], shard_bytes: int = SHARD_BYTES) -> None:
        self.total_bytes = sum(spec.num_bytes for spec in specs.values())
        groups = _groups(specs, shard_bytes)
        names = [SINGLE] if len(groups) == 1 else [_shard_name(number, len(groups)) for number in range(len(groups))]
        self._files = [TensorFile(folder / name, make_header(group)) for name, group in zip(names, groups, strict=True)]
        self._shard_of = {name: number for number, group in enumerate(groups) for name in group}
        self._open: list[BinaryIO] = []
        for file in self._files:
            file.path.chmod(0o644)
        if len(groups) > 1:
            weight_map = {name: names[number] for name, number in self._shard_of.items()}
            _write_index(folder, self.total_bytes, weight_map)

    def __enter__(self) -> PlannedShards:
        self._open = [file.open() for file in self._files]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._open:
            file.close()

    def write(self, name: str, tensor: Tensor, *, part: int = 0, num_parts: int = 1) -> None:
        """Writes a tensor, or part number `part` of `num_parts` equal runs of its rows."""
        number = self._shard_of[name]
        self._files[number].write(self._open[number], name, tensor, part=part, num_parts=num_parts)

    def sync(self) -> None:
        """Makes sure that all that was written is on the disk."""
        for file in self._open:
            sync(file)


def _groups(specs: Mapping[str, TensorSpec], shard_bytes: int) -> list[dict[str, TensorSpec]]:
    """The tensors of each shard."""
    groups: list[dict[str, TensorSpec]] = [{}]
    size = 0
    for name, spec in specs.items():
        if groups[-1] and size + spec.num_bytes > shard_bytes:
            groups.append({})
            size = 0
        groups[-1][name] = spec
        size += spec.num_bytes
    return groups


def _shard_name(number: int, count: int) -> str:
    return f"model-{number + 1:05d}-of-{count:05d}.safetensors"


def _write_index(folder: Path, total_bytes: int, weight_map: dict[str, str]) -> None:
    index = {"metadata": {"total_size": total_bytes}, "weight_map": dict(sorted(weight_map.items()))}
    (folder / INDEX).write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")


class ShardWriter:
    """Collects tensors and writes a shard whenever `shard_bytes` are together; `close` names them and adds the index.

    Args:
        folder: where the files go; it must exist.
        shard_bytes: most bytes of a shard (a larger tensor gets one of its own).
    """

    def __init__(self, folder: Path, shard_bytes: int = SHARD_BYTES) -> None:
        self.folder, self.shard_bytes = folder, shard_bytes
        self.total_bytes = 0
        self._pending: dict[str, Tensor] = {}
        self._pending_bytes = 0
        self._shards: list[list[str]] = []

    def add(self, name: str, tensor: Tensor) -> None:
        """Takes one tensor."""
        num_bytes = tensor.numel() * tensor.element_size()
        if self._pending and self._pending_bytes + num_bytes > self.shard_bytes:
            self._flush()
        self._pending[name] = tensor.contiguous()
        self._pending_bytes += num_bytes
        self.total_bytes += num_bytes

    def close(self) -> None:
        """Writes what is left and gives the files their final names."""
        self._flush()
        count = len(self._shards)
        if count == 1:
            self._unnamed(0).rename(self.folder / SINGLE)
            return
        weight_map: dict[str, str] = {}
        for number, names in enumerate(self._shards):
            file = _shard_name(number, count)
            self._unnamed(number).rename(self.folder / file)
            weight_map |= dict.fromkeys(names, file)
        _write_index(self.folder, self.total_bytes, weight_map)

    def _flush(self) -> None:
        if not self._pending:
            return
        path = self._unnamed(len(self._shards))
        save_file(self._pending, path, metadata={"format": "pt"})
        path.chmod(0o644)  # safetensors makes files that only their owner can read
        self._shards.append(list(self._pending))
        self._pending, self._pending_bytes = {}, 0

    def _unnamed(self, number: int) -> Path:
        return self.folder / f"shard-{number}.part"
