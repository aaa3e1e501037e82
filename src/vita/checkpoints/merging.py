"""What the reference's training leaves when it trains a part only, merged into the checkpoint it was trained from.

- adapters (LoRA): adapter_config.json with adapter_model.safetensors or adapter_model.bin, as peft writes them;
- non_lora_trainables.bin: what was trained in full beside adapters;
- mm_projector.bin, audio_adpter.bin: the connectors, from the alignment stages.

A tensor found there takes the place of the base's; adapters are added to it: W + scale * B A, in float32, rounded once
to the base's dtype. The base is read tensor by tensor as ever. Used by `reference_layout`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from vita.checkpoints.sources import InMemory, PickleFile, SafetensorsFile, Source, read_json
from vita.errors import CheckpointError

ADAPTER_CONFIG = "adapter_config.json"
ADAPTERS = ("adapter_model.safetensors", "adapter_model.bin")
TRAINED = ("non_lora_trainables.bin", "mm_projector.bin", "audio_adpter.bin")
_NOT_SUPPORTED = ("use_dora", "rank_pattern", "alpha_pattern", "fan_in_fan_out", "trainable_token_indices")


@dataclass(frozen=True)
class Adapter:
    """A low-rank change of one matrix: scale * b @ a, a [rank, in], b [out, rank]."""

    a: Tensor
    b: Tensor
    scale: float

    def added_to(self, weight: Tensor) -> Tensor:
        """The changed matrix, in the dtype of the given one."""
        if (self.b.shape[0], self.a.shape[1]) != tuple(weight.shape):
            raise CheckpointError(
                "an adapter does not fit its matrix",
                got=f"{self.b.shape[0]} x {self.a.shape[1]}",
                expected=" x ".join(map(str, weight.shape)),
                fix="is this the base that the adapters were trained on?",
            )
        return (weight.float() + self.scale * (self.b.float() @ self.a.float())).to(weight.dtype)


@dataclass
class Changes:
    """What a folder holds that its base does not.

    tensors: whole tensors, by the reference's name.
    adapters: by the name of the matrix that they change.
    origins: the file of each.
    """

    tensors: dict[str, Tensor] = field(default_factory=dict)
    adapters: dict[str, Adapter] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)


def find_changes(folder: Path, base: Path | None) -> Changes:
    """The changes in a folder; CheckpointError if there are none, or there is no base."""
    files = [folder / name for name in (*ADAPTERS, *TRAINED) if (folder / name).is_file()]
    if not files:
        if base is None:
            return Changes()
        raise CheckpointError(
            f"{folder} holds nothing to merge into {base}", expected=" or ".join((*ADAPTERS, *TRAINED))
        )
    if base is None:
        trained_from = read_json(folder / "config.json").get("_name_or_path")
        hint = f" (it was trained from {trained_from})" if trained_from else ""
        raise CheckpointError(
            f"{folder} holds only what was trained: {files[0].name}{hint}", fix="name its base: --base FOLDER"
        )
    changes = Changes()
    halves: dict[str, dict[str, Tensor]] = {}
    for path in files:
        source = SafetensorsFile(path) if path.suffix == ".safetensors" else PickleFile(path)
        for name, tensor in _with_reference_names(dict(source.read())).items():
            stem, is_adapter, half = name.partition(".lora_")
            if is_adapter:
                halves.setdefault(stem + ".weight", {})[half.split(".")[0]] = tensor
                changes.origins[stem + ".weight"] = path.name
            else:
                changes.tensors[name] = tensor
                changes.origins[name] = path.name
    if halves:
        scale = _adapter_scale(folder / ADAPTER_CONFIG)
        for name, pair in halves.items():
            if set(pair) != {"A", "B"}:
                raise CheckpointError(
                    f"the adapter of {name} is not whole", got=sorted(pair), expected="lora_A, lora_B"
                )
            changes.adapters[name] = Adapter(pair["A"], pair["B"], scale)
    return changes


def merge(sources: list[Source], changes: Changes) -> tuple[list[Source], dict[str, str]]:
    """The base's sources with the changes in them, and for each changed tensor where it comes from."""
    known = {name for source in sources for name in source.shapes}
    without_base = sorted(changes.adapters.keys() - known - changes.tensors.keys())
    if without_base:
        raise CheckpointError(f"{len(without_base)} adapters change nothing in the base", got=without_base[0])
    merged: list[Source] = [Merged(source, changes) for source in sources]
    added = {name: tensor for name, tensor in changes.tensors.items() if name not in known}
    if added:
        merged.append(InMemory({name: _changed(name, tensor, changes) for name, tensor in added.items()}))
    return merged, dict(sorted(changes.origins.items()))


class Merged:
    """A source of the base with the changes in it."""

    def __init__(self, source: Source, changes: Changes) -> None:
        self.path, self.prefix = source.path, source.prefix
        self._source, self._changes = source, changes
        trained = {name: tuple(tensor.shape) for name, tensor in changes.tensors.items() if name in source.shapes}
        self.shapes, self.dtypes = source.shapes | trained, source.dtypes

    def read(self) -> Iterator[tuple[str, Tensor]]:
        """The tensors of the base, changed."""
        for name, tensor in self._source.read():
            trained = self._changes.tensors.get(name)
            if trained is not None:
                tensor = trained.to(self.dtypes[name])
            yield name, _changed(name, tensor, self._changes)


def _changed(name: str, tensor: Tensor, changes: Changes) -> Tensor:
    adapter = changes.adapters.get(name)
    return tensor if adapter is None else adapter.added_to(tensor)


def _adapter_scale(path: Path) -> float:
    """alpha / rank (or its root) from peft's adapter_config.json."""
    if not path.is_file():
        raise CheckpointError(f"adapters without {path.name}", got=path.parent)
    settings = read_json(path)
    used = [name for name in _NOT_SUPPORTED if settings.get(name)]
    if used:
        raise CheckpointError(f"{path} uses {used[0]}, which is not merged here", fix="merge it with peft first")
    try:
        rank, alpha = int(settings["r"]), float(settings["lora_alpha"])
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} lacks or misstates {error}", expected="r and lora_alpha") from error
    return alpha / (math.sqrt(rank) if settings.get("use_rslora") else rank)


def _with_reference_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without the prefixes that wrapping a model for adapters adds to its names."""
    stripped = {name.removeprefix("base_model."): tensor for name, tensor in tensors.items()}
    if any(name.startswith("model.model.") or name.startswith("model.lm_head.") for name in stripped):
        stripped = {name.removeprefix("model."): tensor for name, tensor in stripped.items()}
    return stripped
