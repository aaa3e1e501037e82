"""Writing a model as safetensors shards while its tensors are still arriving. Used by `convert`."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from vita.checkpoints.sources import INDEX, SINGLE

SHARD_BYTES = 5 * 10**9


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
            file = f"model-{number + 1:05d}-of-{count:05d}.safetensors"
            self._unnamed(number).rename(self.folder / file)
            weight_map |= dict.fromkeys(names, file)
        index = {"metadata": {"total_size": self.total_bytes}, "weight_map": dict(sorted(weight_map.items()))}
        (self.folder / INDEX).write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")

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
