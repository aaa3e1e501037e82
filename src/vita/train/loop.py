"""The training loop of every pocket stage: resumable at any step, the same on CPU and GPU.

A stage is a model, a function from the step number to a batch, and a function from a batch to a loss. Because batches
depend on (seed, step) alone, a resumed run sees exactly what an uninterrupted one would have seen.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vita.train.optimiser import StageSettings, parameter_groups, update


def optimiser_for(model: nn.Module, settings: StageSettings) -> torch.optim.AdamW:
    """AdamW over the parameters that require a gradient; weight decay on matrices only."""
    groups = parameter_groups(model.parameters(), settings.weight_decay)
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.98), fused=True)


def run_stage(
    name: str,
    model: nn.Module,
    batch_of: Callable[[int], Any],
    loss_of: Callable[[Any], tuple[Tensor, dict[str, float]]],
    settings: StageSettings,
    folder: Path,
    *,
    device: torch.device,
    report: Callable[[str], None] = print,
) -> None:
    """Train `model` in place to `settings.steps`, going on from the last checkpoint in `folder` if there is one.

    Writes `folder/NAME.pt` (weights, optimiser, step; atomic) and one JSON line per log to `folder/NAME.log.jsonl`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path, log = folder / f"{name}.pt", folder / f"{name}.log.jsonl"
    optimiser = optimiser_for(model, settings)
    first = load_progress(path, model, optimiser, device)
    if first:
        report(f"{name}: going on at step {first} of {settings.steps}")
    model.train()
    means = _Means()
    for step in range(first, settings.steps):
        torch.manual_seed(step)
        rate, batch = settings.rate_at(step), batch_of(step)
        with torch.autocast(device.type, torch.bfloat16):
            loss, figures = loss_of(batch)
        loss.backward()
        norm = nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], settings.gradient_clip)
        if not update(optimiser, rate, float(norm)):
            report(f"{name}: step {step} has a gradient that is not finite; its update is left out")
        means.add({"loss": float(loss.detach()), **figures})
        done = step + 1
        if done % settings.log_every == 0 or done == settings.steps:
            row = {"step": done, "lr": rate, **means.take()}
            with log.open("a") as file:
                file.write(json.dumps(row) + "\n")
            report(f"{name}: " + " ".join(f"{k} {v:.4g}" for k, v in row.items()))
        if done % settings.save_every == 0 or done == settings.steps:
            save_progress(path, model, optimiser, done)


class _Means:
    """Figures of the steps since the last line of the log."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._count, self._since = 0, time.perf_counter()

    def add(self, figures: dict[str, float]) -> None:
        """Those of one step."""
        self._count += 1
        for key, value in figures.items():
            self._sums[key] = self._sums.get(key, 0.0) + value

    def take(self) -> dict[str, float]:
        """Seconds per step and the means; counting begins anew."""
        means = {key: value / self._count for key, value in self._sums.items()}
        row = {"s_per_step": (time.perf_counter() - self._since) / self._count, **means}
        self._sums, self._count, self._since = {}, 0, time.perf_counter()
        return row


def save_progress(path: Path, model: nn.Module, optimiser: torch.optim.Optimizer, step: int) -> None:
    """Write weights, optimiser state and step; a crash in the middle leaves the last file intact."""
    partial = path.with_suffix(".partial")
    torch.save({"model": model.state_dict(), "optimiser": optimiser.state_dict(), "step": step}, partial)
    os.replace(partial, path)


def load_progress(path: Path, model: nn.Module, optimiser: torch.optim.Optimizer | None, device: torch.device) -> int:
    """Restore what `save_progress` wrote; the step to go on from, 0 when there is no file."""
    if not path.is_file():
        return 0
    state = torch.load(path, map_location=device, weights_only=True)
    model.load_state_dict(state["model"])
    if optimiser is not None:
        optimiser.load_state_dict(state["optimiser"])
    return int(state["step"])
