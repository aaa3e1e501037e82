"""Batches of the model's inputs: rows of ids padded, pictures and sounds of all rows one after another.

Called by the processor, the engine and the collation of training samples. Shape legend: B rows, L ids, N tiles, S
pixels of a tile's edge, C clips, T mel frames, F mel bins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from vita.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class EncodedMedium:
    """One medium as numbers.

    pixel_values: float32 [N, 3, S, S] for an image (its tiles) or a video (its frames).
    tile_token_counts: features of each tile.
    audio_features: float32 [T, F] for a sound.
    """

    pixel_values: np.ndarray | None = None
    tile_token_counts: tuple[int, ...] = ()
    audio_features: np.ndarray | None = None


def pad_token_id(tokenizer: PreTrainedTokenizerBase) -> int:
    """The id for padding: the tokenizer's, else its unknown or end token; padding is masked, so any id will do."""
    for token_id in (tokenizer.pad_token_id, tokenizer.unk_token_id, tokenizer.eos_token_id):
        if isinstance(token_id, int):
            return token_id
    return 0


def pad_ids(rows: Sequence[Sequence[int]], *, pad_id: int, padding_side: str = "right") -> dict[str, Tensor]:
    """Rows of ids as input_ids, attention_mask and position_ids, int64 [B, L].

    Args:
        rows: ids of each row.
        pad_id: stands at the padding.
        padding_side: "left" or "right". Positions count from 0 at a row's first own id and are 0 at left padding.
    """
    if padding_side not in ("left", "right"):
        raise ConfigError("unknown padding_side", got=padding_side, expected="left or right")
    length = max(len(row) for row in rows)
    input_ids_BL = torch.full((len(rows), length), pad_id, dtype=torch.int64)
    attention_mask_BL = torch.zeros((len(rows), length), dtype=torch.int64)
    for index, row in enumerate(rows):
        own = slice(length - len(row), length) if padding_side == "left" else slice(0, len(row))
        input_ids_BL[index, own] = torch.tensor(row, dtype=torch.int64)
        attention_mask_BL[index, own] = 1
    position_ids_BL = (attention_mask_BL.cumsum(-1) - 1).clamp(min=0)
    return {"input_ids": input_ids_BL, "attention_mask": attention_mask_BL, "position_ids": position_ids_BL}


def pad_clips(clips: Sequence[Tensor]) -> dict[str, Tensor]:
    """Mel features [T, F] of each clip as audio_features [C, max T, F] and audio_lengths [C]; nothing for no clips."""
    if not clips:
        return {}
    lengths_C = torch.tensor([len(clip) for clip in clips], dtype=torch.int64)
    features_CTF = torch.nn.utils.rnn.pad_sequence(list(clips), batch_first=True)
    return {"audio_features": features_CTF, "audio_lengths": lengths_C}


def stack_media(media: Sequence[EncodedMedium]) -> dict[str, Tensor]:
    """All media of a batch, in order, as the model takes them; see `VitaProcessor.__call__`."""
    stacked = pad_clips([torch.from_numpy(m.audio_features) for m in media if m.audio_features is not None])
    pixels = [medium.pixel_values for medium in media if medium.pixel_values is not None]
    if pixels:
        counts = [count for medium in media for count in medium.tile_token_counts]
        stacked["pixel_values"] = torch.from_numpy(np.concatenate(pixels))
        stacked["tile_token_counts"] = torch.tensor(counts, dtype=torch.int64)
    return stacked
