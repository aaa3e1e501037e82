"""The training loss: shifted cross entropy, computed only where a label is.

Used by VitaForConditionalGeneration. Shape legend: B rows, T positions, K kept positions, V vocabulary.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from vita.tokens import IGNORE_LABEL


def label_positions(labels_BT: Tensor) -> tuple[Tensor, Tensor]:
    """The positions (of any row) whose next id is learned, int64 [K], and those next ids, [B, K].

    At least one position, so that a batch without labels has a loss (of zero) too.
    """
    targets_BT = labels_BT[:, 1:]
    keep = (targets_BT != IGNORE_LABEL).any(0).nonzero()[:, 0]
    if not keep.numel():
        keep = torch.zeros(1, dtype=torch.int64, device=labels_BT.device)
    return keep, targets_BT[:, keep] if targets_BT.shape[1] else labels_BT.new_full((len(labels_BT), 1), IGNORE_LABEL)


def causal_loss(logits_BKV: Tensor, targets_BK: Tensor, num_items: int | Tensor | None = None) -> Tensor:
    """Cross entropy in float32, summed over targets that are not -100, divided by `num_items` or by their number."""
    targets_BK = targets_BK.to(logits_BKV.device)
    learned_BK = targets_BK != IGNORE_LABEL
    total = F.cross_entropy(logits_BKV[learned_BK].float(), targets_BK[learned_BK], reduction="sum")
    return total / (learned_BK.sum().clamp(min=1) if num_items is None else num_items)
