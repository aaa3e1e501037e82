"""The training loop of every stage: resumable at any step, the same on CPU and GPU.

A stage is a model, a function from the step number to a batch, and a function from a batch to a loss. Because batches
depend on (seed, step) alone, a resumed run sees exactly what an uninterrupted one would have seen.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vita.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class StageSettings:
    """How long and how fast one stage learns.

    steps: optimiser steps in all.
    learning_rate: the peak; linear warm-up, then cosine to `final_share` of it.
    warmup_steps: steps of the warm-up.
    final_share: learning rate at the end as a share of the peak.
    weight_decay: on matrices only.
    gradient_clip: largest norm of the gradient.
    save_every: steps between checkpoints.
    log_every: steps between log lines.
    """

    steps: int
    learning_rate: float = 1e-3
    warmup_steps: int = 200
    final_share: float = 0.05
    weight_decay: float = 0.05
    gradient_clip: float = 1.0
    save_every: int = 200
    log_every: int = 50

    def __post_init__(self) -> None:
        for name in ("steps", "save_every", "log_every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} of a stage out of range", got=getattr(self, name), expected="at least 1")
        for name in ("learning_rate", "gradient_clip"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(f"{name} of a stage out of range", got=getattr(self, name), expected="more than 0")
        for name in ("warmup_steps", "final_share", "weight_decay"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"{name} of a stage out of range", got=getattr(self, name), expected="0 or more")

    def rate_at(self, step: int) -> float:
        """The learning rate of `step`."""
        warm = min(1.0, (step + 1) / max(self.warmup_steps, 1))
        progress = min(1.0, max(0.0, (step - self.warmup_steps) / max(self.steps - self.warmup_steps, 1)))
        cosine = self.final_share + (1 - self.final_share) * 0.5 * (1 + math.cos(math.pi * progress))
        return self.learning_rate * warm * cosine


def optimiser_for(model: nn.Module, settings: StageSettings) -> torch.optim.AdamW:
    """AdamW over the parameters that require a gradient; weight decay on matrices only."""
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": settings.weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
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
    step = load_progress(path, model, optimiser, device)
    if step:
        report(f"{name}: going on at step {step} of {settings.steps}")
    model.train()
    sums: dict[str, float] = {}
    since, counted = time.perf_counter(), 0
    while step < settings.steps:
        torch.manual_seed(step)
        rate = settings.rate_at(step)
        for group in optimiser.param_groups:
            group["lr"] = rate
        batch = batch_of(step)
        with torch.autocast(device.type, torch.bfloat16):
            loss, figures = loss_of(batch)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], settings.gradient_clip)
        if torch.isfinite(norm):
            optimiser.step()
        else:
            report(f"{name}: step {step} has a gradient that is not finite; its update is left out")
        step += 1
        counted += 1
        for key, value in {"loss": float(loss.detach()), **figures}.items():
            sums[key] = sums.get(key, 0.0) + value
        if step % settings.log_every == 0 or step == settings.steps:
            elapsed = time.perf_counter() - since
            row = {
                "step": step,
                "lr": rate,
                "s_per_step": elapsed / counted,
                **{k: v / counted for k, v in sums.items()},
            }
            with log.open("a") as file:
                file.write(json.dumps(row) + "\n")
            report(f"{name}: " + " ".join(f"{k} {v:.4g}" for k, v in row.items()))
            sums, since, counted = {}, time.perf_counter(), 0
        if step % settings.save_every == 0 or step == settings.steps:
            save_progress(path, model, optimiser, step)


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
