"""The parts of a model: which of them a stage trains, and a table that says so.

Called by `tuning.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torch import nn

from vita.models.modeling_vita import VitaForConditionalGeneration
from vita.train.lora import add_adapters
from vita.train.tuning_stage import LORA, PARTS, TuningStage


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


def part_sizes(model: nn.Module) -> list[PartSize]:
    """Every part that the model has, in order, adapters counted apart."""
    sizes = []
    for name in (part for part in PARTS if hasattr(model, part)):
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


def _size(name: str, values: list[nn.Parameter]) -> PartSize:
    return PartSize(name, sum(v.numel() for v in values), sum(v.numel() for v in values if v.requires_grad))
