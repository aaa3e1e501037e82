"""The parts of a model: which of them a stage trains, a table that says so, and the proof that the others stayed.

Called by `tuning.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vita.models.modeling_vita import VitaForConditionalGeneration
from vita.train.lora import add_adapters
from vita.train.tuning_recipe import LORA, PARTS, TuningStage


@dataclass(frozen=True)
class PartSize:
    """How many parameters a part has and how many of them are trained."""

    name: str
    parameters: int
    trained: int


def prepare_parts(model: VitaForConditionalGeneration, stage: TuningStage) -> None:
    """Adds the adapters that the stage asks for and leaves gradients on for what it trains, nothing else."""
    for name in PARTS:
        getattr(model, name).requires_grad_(name in stage.train)
    if LORA in stage.train:
        add_adapters(model, stage.lora)


def train_mode(model: VitaForConditionalGeneration, stage: TuningStage) -> None:
    """Trained parts in training mode, frozen towers and connectors in evaluation mode.

    The language model is in training mode even when frozen: only so it computes activations again in the backward
    pass. Statistics of batch norms stay: they are not learned, and would depend on how samples are spread.
    """
    model.train()
    for name in PARTS:
        if name not in (*stage.train, "language_model"):
            getattr(model, name).eval()
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()


def part_sizes(model: VitaForConditionalGeneration) -> list[PartSize]:
    """Every part, in order, adapters counted apart."""
    sizes = []
    for name in PARTS:
        own = dict(getattr(model, name).named_parameters())
        adapters = [value for key, value in own.items() if ".lora_" in key]
        weights = [value for key, value in own.items() if ".lora_" not in key]
        sizes.append(_size(name, weights))
        if adapters:
            sizes.append(_size(f"{name} ({LORA})", adapters))
    return sizes


def table(sizes: Iterable[PartSize]) -> list[str]:
    """Lines for the terminal."""
    rows = list(sizes)
    lines = [f"{'part':<24}{'parameters':>16}  "]
    for row in rows:
        lines.append(f"{row.name:<24}{row.parameters:>16,}  {'trained' if row.trained else 'frozen'}")
    total, trained = sum(row.parameters for row in rows), sum(row.trained for row in rows)
    return [*lines, f"{'all':<24}{total:>16,}  {trained:,} trained ({trained / max(total, 1):.2%})"]


def frozen_digests(model: nn.Module) -> dict[str, str]:
    """A digest of all that must not change: frozen parameters, all buffers; of a shared out one, of this share."""
    return {name: _digest(value) for name, value in _frozen(model)}


def assert_frozen(model: nn.Module, before: dict[str, str]) -> None:
    """Raises RuntimeError that names what has changed; that is a fault of ours, not of the user."""
    after = frozen_digests(model)
    changed = [name for name in before.keys() | after.keys() if before.get(name) != after.get(name)]
    if changed:
        raise RuntimeError(f"{len(changed)} frozen tensors have changed in training, such as {min(changed)}")


def _frozen(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from ((name, value) for name, value in model.named_parameters() if not value.requires_grad)
    yield from model.named_buffers()


def _digest(value: Tensor) -> str:
    local = getattr(value, "to_local", lambda: value)()  # a rank's share under FSDP2
    content = local.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    return hashlib.blake2b(content.numpy().tobytes(), digest_size=16).hexdigest()


def _size(name: str, values: list[nn.Parameter]) -> PartSize:
    return PartSize(name, sum(v.numel() for v in values), sum(v.numel() for v in values if v.requires_grad))
