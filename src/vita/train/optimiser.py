"""What every training loop shares: the learning rate of a step, which parameters decay, and one update.

Called by `loop.py` (the pocket stages) and `tuning.py` (any checkpoint).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

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


def parameter_groups(parameters: Iterable[nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Groups for an optimiser, of the parameters that learn: matrices decay, vectors do not."""
    trained = [p for p in parameters if p.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]


def update(optimiser: torch.optim.Optimizer, rate: float, gradient_norm: float) -> bool:
    """One optimiser step at this learning rate; False if it was left out, for the gradient is not finite."""
    is_finite = math.isfinite(gradient_norm)
    for group in optimiser.param_groups:
        group["lr"] = rate
    if is_finite:
        optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return is_finite
