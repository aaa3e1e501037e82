"""Attention for rows that hold several samples: sample by sample, so that no work is done between them.

With a block-diagonal mask the cost of a row grows with the square of its length, here with the squares of its samples'
lengths; the numbers are the same. FlashAttention does this by itself. Called by training on packed rows.
Legend: B rows, T positions, A heads of queries, G heads of keys, D width of a head.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel

NAME = "vita_packed"
ARGUMENT = "sample_lengths"


class SampleLengths:
    """Tokens of each sample of all rows. An object, for torch.compile compiles anew for each list of numbers.

    Args:
        position_ids_BT: they count from 0 in each sample.
    """

    def __init__(self, position_ids_BT: Tensor) -> None:
        starts = (position_ids_BT.reshape(-1) == 0).nonzero()[:, 0].tolist()
        ends = [*starts[1:], position_ids_BT.numel()]
        self.lengths = [end - start for start, end in zip(starts, ends, strict=True)]


def use_packed_attention(language_model: PreTrainedModel, *, compiled: bool = False) -> bool:
    """Turns it on: from then on every call needs `sample_lengths`. False for models that do not only attend so.

    With `compiled`, for layers that torch.compile compiles: it is left out of what is compiled.
    """
    config = language_model.config
    slides = getattr(config, "sliding_window", None) and getattr(config, "use_sliding_window", True)
    if slides or not getattr(language_model, "_supports_attention_backend", False):
        return False
    if config._attn_implementation not in ("sdpa", "eager"):
        return False  # FlashAttention
    AttentionInterface.register(NAME, torch.compiler.disable(packed_attention) if compiled else packed_attention)
    language_model.set_attn_implementation(NAME)
    return True


def packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    sample_lengths: SampleLengths,
    dropout: float = 0.0,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Causal attention within each sample; see transformers' AttentionInterface.

    Args:
        module: not used.
        query: [B, A, T, D].
        key, value: [B, G, T, D].
        attention_mask: not used; nothing is padded but by blocks of their own.
        sample_lengths: of all samples and blocks of padding, B * T together.
        dropout, scaling: of the attention.
        kwargs: not used.
    """
    rows, heads, length, width = query.shape
    parts = [x.transpose(0, 1).reshape(1, x.shape[1], rows * length, width) for x in (query, key, value)]
    pieces = [
        F.scaled_dot_product_attention(
            q, k, v, dropout_p=dropout, scale=scaling, is_causal=True, enable_gqa=q.shape[1] != k.shape[1]
        )
        for q, k, v in zip(*(part.split(sample_lengths.lengths, dim=2) for part in parts), strict=True)
    ]
    out = torch.cat(pieces, dim=2).reshape(heads, rows, length, width)
    return out.permute(1, 2, 0, 3).contiguous(), None
