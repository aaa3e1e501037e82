"""PosteriorProjection: tokens as the expectation of a table of LLM-width embeddings under a posterior.

A head gives logits over one or more groups of symbols (the CTC vocabulary; or place, colour, shape ... of an object).
Softmax per group, concatenated, times the table gives the token, plus a linear residual of the hidden vector. Because
the table can be fed any posterior, symbolic and simulated input trains the language model before the tower can hear
or see. Used by the "ctc" audio connector and the "slots" vision connector.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class PosteriorProjection(nn.Module):
    """hidden [..., in_dim] -> tokens [..., out_dim] by way of grouped posteriors.

    Args:
        in_dim: width of the hidden vectors.
        group_sizes: symbols in each group; one softmax a group.
        out_dim: width of the language model.
        residual: add a linear map of the hidden vector (zero at the start).
    """

    def __init__(self, in_dim: int, group_sizes: list[int], out_dim: int, residual: bool = True) -> None:
        super().__init__()
        self.group_sizes = list(group_sizes)
        self.head = nn.Linear(in_dim, sum(self.group_sizes))
        self.table = nn.Parameter(torch.empty(sum(self.group_sizes), out_dim))
        self.residual = nn.Linear(in_dim, out_dim) if residual else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Random head and table, zero residual."""
        self.head.reset_parameters()
        nn.init.normal_(self.table, std=0.02)
        if self.residual is not None:
            nn.init.zeros_(self.residual.weight)
            nn.init.zeros_(self.residual.bias)

    def logits(self, hidden: Tensor) -> Tensor:
        """hidden [..., in_dim] -> unnormalised scores [..., sum(group_sizes)], groups one after another."""
        return self.head(hidden)

    def posterior(self, logits: Tensor) -> Tensor:
        """Softmax within each group, float32 [..., sum(group_sizes)]."""
        groups = logits.float().split(self.group_sizes, dim=-1)
        return torch.cat([group.softmax(-1) for group in groups], dim=-1)

    def embed(self, posterior: Tensor) -> Tensor:
        """posterior [..., sum(group_sizes)] -> tokens [..., out_dim], without the residual."""
        return posterior.to(self.table.dtype) @ self.table

    def forward(self, hidden: Tensor) -> Tensor:
        """hidden [..., in_dim] -> tokens [..., out_dim]."""
        return self.with_posterior(hidden)[0]

    def with_posterior(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """hidden [..., in_dim] -> tokens [..., out_dim] and the posterior [..., sum(group_sizes)] that made them."""
        posterior = self.posterior(self.logits(hidden))
        tokens = self.embed(posterior)
        return (tokens if self.residual is None else tokens + self.residual(hidden)), posterior
