"""The safetensors format by hand, where the library cannot do it: files that are filled in any order.

A file is eight bytes with the length of the header, the header (JSON: dtype, shape and place of each tensor) and the
tensors' bytes without gaps. The library writes a file at once, from tensors in memory; here a file is laid out first
and each tensor, or a run of its rows, is written where it belongs. Used by the converters.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from vita.errors import CheckpointError

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
NAMES = {dtype: name for name, dtype in DTYPES.items()}
METADATA = "__metadata__"
_LENGTH_BYTES = 8


@dataclass(frozen=True)
class TensorSpec:
    """A tensor without its values."""

    dtype: torch.dtype
    shape: tuple[int, ...]

    @property
    def num_bytes(self) -> int:
        """Bytes of its values."""
        return math.prod(self.shape) * self.dtype.itemsize


def dtype_named(name: str, path: Path) -> torch.dtype:
    """The dtype that a header names."""
    if name not in DTYPES:
        raise CheckpointError(f"{path} holds numbers of a kind that is not converted", got=name)
    return DTYPES[name]


def read_header(path: Path) -> str:
    """The header of a safetensors file, as it stands there."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        return file.read(length).decode("utf-8")


def header_tensors(header: str) -> dict[str, dict[str, Any]]:
    """The entries of the tensors in a header: dtype, shape, data_offsets."""
    return {name: entry for name, entry in json.loads(header).items() if name != METADATA}


def make_header(specs: Mapping[str, TensorSpec]) -> str:
    """The header of a file with these tensors, in this order."""
    entries: dict[str, Any] = {METADATA: {"format": "pt"}}
    start = 0
    for name, spec in specs.items():
        end = start + spec.num_bytes
        entries[name] = {"dtype": NAMES[spec.dtype], "shape": list(spec.shape), "data_offsets": [start, end]}
        start = end
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False)
    return text + " " * (-len(text.encode()) % _LENGTH_BYTES)


class TensorFile:
    """A safetensors file with a given header, whose tensors are written in any order.

    A file that is there already, with the same header, is continued: what was written stays.
    """

    def __init__(self, path: Path, header: str) -> None:
        self.path = path
        raw = header.encode("utf-8")
        self._start = _LENGTH_BYTES + len(raw)
        entries = header_tensors(header).items()
        self._places = {name: (*entry["data_offsets"], DTYPES[entry["dtype"]]) for name, entry in entries}
        size = self._start + max((end for _, end, _ in self._places.values()), default=0)
        if path.is_file() and path.stat().st_size == size and read_header(path) == header:
            return
        with path.open("wb") as file:
            file.write(len(raw).to_bytes(_LENGTH_BYTES, "little") + raw)
            file.truncate(size)

    def open(self) -> BinaryIO:
        """The file, to be written into with `write`."""
        return self.path.open("r+b")

    def write(self, file: BinaryIO, name: str, tensor: Tensor, *, part: int = 0, num_parts: int = 1) -> None:
        """Writes a tensor, or part number `part` of `num_parts` equal runs of its rows."""
        start, end, dtype = self._places[name]
        values = tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy()
        if tensor.dtype != dtype or len(values) * num_parts != end - start:
            raise CheckpointError(
                f"{name} does not fit into its place in {self.path.name}",
                got=f"{NAMES.get(tensor.dtype, tensor.dtype)}, {len(values) * num_parts} bytes",
                expected=f"{NAMES[dtype]}, {end - start} bytes",
            )
        file.seek(self._start + start + part * len(values))
        file.write(values.data)


def sync(file: BinaryIO) -> None:
    """Makes sure that what was written is on the disk."""
    file.flush()
    os.fsync(file.fileno())
