"""The CTC loss of each clip. Called by the pocket model's hearing (`hearing.py`) and by CTC stages (`ctc.py`).

Shape legend: C clips, N steps, V symbols with the blank, which is the last.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def ctc_losses(log_probs_CNV: Tensor, lengths_C: Tensor, targets: Sequence[Sequence[int]]) -> Tensor:
    """The CTC loss of each clip per target symbol, [C]; the blank is the last class.

    Args:
        log_probs_CNV: log-probabilities.
        lengths_C: steps of each clip.
        targets: symbols of each clip. A clip too short for its text counts as 0.
    """
    device = log_probs_CNV.device
    flat = torch.tensor([i for t in targets for i in t], dtype=torch.long, device=device)
    sizes = torch.tensor([len(t) for t in targets], dtype=torch.long, device=device)
    losses = F.ctc_loss(
        log_probs_CNV.transpose(0, 1),
        flat,
        lengths_C.to(device),
        sizes,
        blank=log_probs_CNV.shape[-1] - 1,
        reduction="none",
        zero_infinity=True,
    )
    return losses / sizes.clamp_min(1)
