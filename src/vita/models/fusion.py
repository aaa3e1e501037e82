"""Fusion: features of pictures and sounds take the place of their placeholder ids among the token embeddings.

Placeholders are already expanded to one id for each feature, so nothing is lengthened here: features are counted
against placeholders, then scattered. `expand_sentinels` makes such ids from the reference's (one sentinel for a whole
picture or clip); the parity tests use it, and data made for the reference.
Shape legend: B rows, T positions, F features, H width of the language model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vita.errors import ConfigError, PromptError
from vita.tokens import AUDIO_SENTINEL, IGNORE_LABEL, IMAGE_SENTINEL


def scatter_features(embeds_BTH: Tensor, is_placeholder_BT: Tensor, features_FH: Tensor, kind: str) -> Tensor:
    """The embeddings with the features written over the placeholders, row by row, in order.

    Args:
        embeds_BTH: token embeddings.
        is_placeholder_BT: bool, True where a feature belongs.
        features_FH: as many features as there are placeholders.
        kind: "image" or "audio", for the error.

    Raises:
        PromptError: the numbers differ.
    """
    num_placeholders, num_features = int(is_placeholder_BT.sum()), features_FH.shape[0]
    if num_placeholders != num_features:
        raise PromptError(
            f"{kind} placeholders and {kind} features do not match",
            got=f"{num_placeholders} placeholders, {num_features} features",
            fix=f"expand every {kind} to one {kind} token id for each of its features",
        )
    if not num_features and not features_FH.requires_grad:
        return embeds_BTH
    return embeds_BTH.masked_scatter(is_placeholder_BT.unsqueeze(-1), features_FH.to(embeds_BTH))


def select_features(tokens_NKH: Tensor, counts_N: Tensor | None) -> Tensor:
    """The first counts_N[i] of the K tokens of each tile or clip i, one after another: [F, H]. None takes all."""
    if counts_N is None:
        return tokens_NKH.flatten(0, 1)
    num_items, num_tokens = tokens_NKH.shape[:2]
    counts_N = counts_N.to(tokens_NKH.device)
    if counts_N.shape != (num_items,) or int(counts_N.min()) < 0 or int(counts_N.max()) > num_tokens:
        raise PromptError(
            "token counts do not fit the features",
            got=f"{counts_N.tolist()}",
            expected=f"{num_items} counts of 0 .. {num_tokens}",
        )
    return tokens_NKH[torch.arange(num_tokens, device=tokens_NKH.device) < counts_N[:, None]]


@dataclass(frozen=True, kw_only=True)
class Expanded:
    """Inputs of VitaForConditionalGeneration, made from sentinel ids.

    input_ids: int64 [B, T], placeholders expanded, padded with the pad id.
    attention_mask: bool [B, T].
    labels: int64 [B, T] or None.
    tile_token_counts: int64 [tiles], features of each tile that are in the sequence (0 for an unused one).
    audio_token_counts: int64 [clips], the same for each clip.
    """

    input_ids: Tensor
    attention_mask: Tensor
    labels: Tensor | None
    tile_token_counts: Tensor
    audio_token_counts: Tensor


class _Features:
    """Hands out the features of tiles or clips in order and notes how many of each were used."""

    def __init__(self, kind: str, sizes: Sequence[int], token_id: int) -> None:
        self.kind, self.sizes, self.token_id = kind, list(sizes), token_id
        self.used: list[int] = []

    def take(self) -> int:
        """The size of the next item."""
        if len(self.used) == len(self.sizes):
            raise PromptError(f"more {self.kind} sentinels than {self.kind}s", got=f"{len(self.sizes)} {self.kind}s")
        self.used.append(self.sizes[len(self.used)])
        return self.used[-1]


def expand_sentinels(
    input_ids_BL: Tensor,
    *,
    image_sizes: Sequence[int],
    audio_sizes: Sequence[int],
    image_token_id: int,
    audio_token_id: int,
    attention_mask_BL: Tensor | None = None,
    labels_BL: Tensor | None = None,
    pad_id: int = 0,
    padding_side: str = "right",
    max_length: int | None = None,
    unused_per_row: bool = True,
) -> Expanded:
    """Sentinel ids (-200 a tile, -500 a clip) to one placeholder id for each feature.

    Args:
        input_ids_BL: ids with sentinels.
        image_sizes: features of each tile, in order of appearance.
        audio_sizes: features of each clip, in order of appearance.
        image_token_id: id that stands for one picture feature.
        audio_token_id: id that stands for one sound feature.
        attention_mask_BL: bool, False at padding (dropped before expansion).
        labels_BL: labels of the ids; placeholders are not learned.
        pad_id: id of the padding.
        padding_side: "left" or "right".
        max_length: longer rows are cut to it; features that fall off are not counted.
        unused_per_row: a row without image (audio) sentinel consumes one unused tile (clip), as in the reference.

    Raises:
        PromptError: tiles or clips do not fit the sentinels.
    """
    if padding_side not in ("left", "right"):
        raise ConfigError("unknown padding_side", got=padding_side, expected="left or right")
    images, audios = _Features("image", image_sizes, image_token_id), _Features("audio", audio_sizes, audio_token_id)
    by_sentinel = {IMAGE_SENTINEL: images, AUDIO_SENTINEL: audios}
    rows = []
    for row, ids_L in enumerate(input_ids_BL):
        keep = slice(None) if attention_mask_BL is None else attention_mask_BL[row].bool()
        labels_L = torch.full_like(ids_L, IGNORE_LABEL) if labels_BL is None else labels_BL[row]
        rows.append(_expand_row(ids_L[keep].tolist(), labels_L[keep].tolist(), by_sentinel, max_length))
        for sentinel, features in by_sentinel.items():
            if unused_per_row and sentinel not in rows[-1].sentinels:
                features.take()
                features.used[-1] = 0
    for features in by_sentinel.values():
        if len(features.used) != len(features.sizes):
            raise PromptError(
                f"{features.kind}s without a sentinel", got=len(features.sizes), expected=len(features.used)
            )
    return Expanded(
        input_ids=_pad([row.ids for row in rows], pad_id, padding_side),
        attention_mask=_pad([[1] * len(row.ids) for row in rows], 0, padding_side).bool(),
        labels=None if labels_BL is None else _pad([row.labels for row in rows], IGNORE_LABEL, padding_side),
        tile_token_counts=torch.tensor(images.used, dtype=torch.int64),
        audio_token_counts=torch.tensor(audios.used, dtype=torch.int64),
    )


@dataclass(frozen=True)
class _Row:
    ids: list[int]
    labels: list[int]
    sentinels: set[int]


def _expand_row(ids: list[int], labels: list[int], by_sentinel: dict[int, _Features], max_length: int | None) -> _Row:
    out_ids: list[int] = []
    out_labels: list[int] = []
    for token, label in zip(ids, labels, strict=True):
        if token not in by_sentinel:
            out_ids.append(token)
            out_labels.append(label)
            continue
        features = by_sentinel[token]
        size = features.take()
        if max_length is not None:
            features.used[-1] = min(size, max(0, max_length - len(out_ids)))
        out_ids += [features.token_id] * size
        out_labels += [IGNORE_LABEL] * size
    return _Row(out_ids[:max_length], out_labels[:max_length], set(ids) & set(by_sentinel))


def _pad(rows: list[list[int]], value: int, side: str) -> Tensor:
    length = max(len(row) for row in rows)
    padded = [row + [value] * (length - len(row)) for row in rows]
    if side == "left":
        padded = [[value] * (length - len(row)) + row for row in rows]
    return torch.tensor(padded, dtype=torch.int64)
