"""Which encoder frame sees which: padding masks, static chunk masks and chunk sizes drawn for training.

Used by AudioTower. Shape legend: B batch, L encoder frames (queries), S encoder frames (keys).
"""

from __future__ import annotations

import torch
from torch import Tensor

from vita.models.configuration_audio import CHUNK_FRAMES_DRAWN

FULL = (-1, -1)


def valid_frames(lengths_B: Tensor, num_frames: int) -> Tensor:
    """lengths int [B] -> bool [B, num_frames], True for the frames of the clip itself."""
    return torch.arange(num_frames, device=lengths_B.device) < lengths_B[:, None]


def chunk_mask(num_frames: int, chunk_size: int, left_chunks: int, device: torch.device | None = None) -> Tensor:
    """bool [L, S]: frame i sees frames [max((i//C - left) * C, 0), (i//C + 1) * C); left -1 sees everything before."""
    position = torch.arange(num_frames, device=device)
    chunk = position // chunk_size
    behind = chunk[:, None] - chunk[None, :]
    return (behind >= 0) if left_chunks < 0 else (behind >= 0) & (behind <= left_chunks)


def visibility(mask_BL: Tensor, chunk_size: int, left_chunks: int) -> Tensor | None:
    """bool [B or 1, 1, L or 1, S] for attention, or None when every frame sees every other."""
    num_frames = mask_BL.shape[1]
    visible = None if bool(mask_BL.all()) else mask_BL[:, None, None, :]
    if 0 < chunk_size < num_frames:
        chunks = chunk_mask(num_frames, chunk_size, left_chunks, mask_BL.device)
        visible = chunks[None, None] if visible is None else visible & chunks
    return visible


def draw_chunks(num_frames: int) -> tuple[int, int]:
    """A random (chunk_size, left_chunks): full half the time, else 1..25 frames with some or all chunks to the left.

    Draws from torch's global CPU generator, so that a seeded run repeats.
    """
    if torch.rand(()) < 0.5:
        return FULL
    chunk_size = int(torch.randint(1, CHUNK_FRAMES_DRAWN + 1, ()))
    most = max(num_frames - 1, 0) // chunk_size
    left_chunks = -1 if torch.rand(()) < 0.5 else int(torch.randint(0, most + 1, ()))
    return chunk_size, left_chunks
