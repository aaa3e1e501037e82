"""Samples -> a batch: ids padded on the right, pictures and sounds of all samples one after another.

Called by the training data loader. Shape legend: B samples, L ids, N tiles, S pixels, C clips, T mel frames, F bins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vita.errors import DataError
from vita.models.batching import pad_clips, pad_ids
from vita.tokens import IGNORE_LABEL


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One sample, ready for a batch.

    input_ids, labels: of equal length.
    pixel_values: float32 [N, 3, S, S], its tiles in order of appearance; None without pictures.
    tile_token_counts: features of each tile that stand in the sequence; None if all do.
    audio_features: mel features [T, F] of each clip, in order of appearance.
    """

    input_ids: Sequence[int]
    labels: Sequence[int]
    pixel_values: Tensor | None = None
    tile_token_counts: Sequence[int] | None = None
    audio_features: Sequence[Tensor] = ()


def collate(samples: Sequence[Sample], *, pad_id: int) -> dict[str, Tensor]:
    """The model's inputs for a batch of samples.

    Returns input_ids, labels, attention_mask, position_ids int64 [B, L] (the mask is 1 at a sample's own ids,
    also where one happens to be the pad id), and where there are any: pixel_values [sum N, 3, S, S], tile_token_counts
    [sum N], audio_features float32 [sum C, max T, F] padded with zeros, audio_lengths [sum C].
    """
    _check(samples)
    batch = pad_ids([sample.input_ids for sample in samples], pad_id=pad_id)
    batch["labels"] = pad_ids([sample.labels for sample in samples], pad_id=IGNORE_LABEL)["input_ids"]
    return batch | _media(samples)


def collate_packs(rows: Sequence[Sequence[Sample]], *, pad_id: int, length: int | None = None) -> dict[str, Tensor]:
    """The model's inputs for rows of several samples each, none of which sees another.

    There is no attention_mask: transformers reads from position_ids, which count from 0 in each sample anew, that
    attention is block-diagonal (for FlashAttention: a single row with variable lengths). Padding is a block of its own.

    Args:
        rows: the samples of each row.
        pad_id: stands at the padding.
        length: tokens of every row; by default those of the longest.

    Returns input_ids, labels, position_ids int64 [B, L] and the media of `collate`.
    """
    samples = [sample for row in rows for sample in row]
    _check(samples)
    longest = max(sum(len(sample.input_ids) for sample in row) for row in rows)
    length = longest if length is None else length
    if longest > length:
        raise DataError("a packed row is too long", got=longest, expected=f"at most {length}")
    batch = {
        "input_ids": torch.full((len(rows), length), pad_id, dtype=torch.int64),
        "labels": torch.full((len(rows), length), IGNORE_LABEL, dtype=torch.int64),
        "position_ids": torch.zeros((len(rows), length), dtype=torch.int64),
    }
    for index, row in enumerate(rows):
        end = 0
        for sample in row:
            start, end = end, end + len(sample.input_ids)
            batch["input_ids"][index, start:end] = torch.tensor(sample.input_ids, dtype=torch.int64)
            batch["labels"][index, start:end] = torch.tensor(sample.labels, dtype=torch.int64)
            batch["labels"][index, start] = IGNORE_LABEL  # the token before it belongs to another sample
            batch["position_ids"][index, start:end] = torch.arange(end - start)
        batch["position_ids"][index, end:] = torch.arange(length - end)
    return batch | _media(samples)


def _check(samples: Sequence[Sample]) -> None:
    if not samples:
        raise DataError("an empty batch")
    for index, sample in enumerate(samples):
        if len(sample.input_ids) != len(sample.labels):
            raise DataError(
                f"sample {index} of the batch: ids and labels differ in length",
                got=f"{len(sample.input_ids)} and {len(sample.labels)}",
            )


def _media(samples: Sequence[Sample]) -> dict[str, Tensor]:
    """Tiles and clips of all samples, one after another."""
    batch: dict[str, Tensor] = {}
    tiles = [sample.pixel_values for sample in samples if sample.pixel_values is not None]
    if tiles:
        batch["pixel_values"] = tiles[0] if len(tiles) == 1 else torch.cat(tiles)
        counts = [sample.tile_token_counts for sample in samples if sample.pixel_values is not None]
        if any(count is not None for count in counts):
            batch["tile_token_counts"] = _token_counts(counts, tiles)
    return batch | pad_clips([clip for sample in samples for clip in sample.audio_features])


def _token_counts(counts: Sequence[Sequence[int] | None], tiles: Sequence[Tensor]) -> Tensor:
    """The counts of all samples' tiles, int64 [sum N]; every sample with tiles must have one for each."""
    got = [None if count is None else len(count) for count in counts]
    expected = [len(tile) for tile in tiles]
    if got != expected:
        raise DataError("tile_token_counts do not fit the tiles of the batch", got=got, expected=expected)
    return torch.tensor([value for count in counts for value in count or ()], dtype=torch.int64)
