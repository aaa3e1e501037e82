"""Packing: records joined into one sample each, up to a budget of tokens, so that lengths are even.

Called by the data commands and the training data loader; groups, joined records and statistics are the reference's.
"""

from __future__ import annotations

import bisect
import itertools
import math
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from vita.data.records import Record
from vita.errors import ConfigError, DataError

Item = TypeVar("Item")

TOKENS_PER_TILE = 256
AUDIO_TOKENS_PER_SECOND = 12.5
HISTOGRAM_EDGES = (*range(0, 1000, 100), *range(1000, 10001, 500))


def estimated_length(
    num_text_ids: int,
    num_tiles: int,
    audio_seconds: Sequence[float] = (),
    *,
    tokens_per_tile: int = TOKENS_PER_TILE,
) -> int:
    """Tokens of a record by the reference's rule of thumb, for which no medium is encoded.

    Args:
        num_text_ids: ids of the prompt, an image placeholder counted once.
        num_tiles: tiles of all its images, thumbnails included.
        audio_seconds: duration of each clip; each is rounded up to an even number of seconds.
        tokens_per_tile: features of one tile.
    """
    seconds = sum(2 * math.ceil(duration / 2) for duration in audio_seconds)
    return num_text_ids + tokens_per_tile * num_tiles + math.ceil(AUDIO_TOKENS_PER_SECOND * seconds)


def reference_shuffle(items: Sequence[Item], seed: int) -> list[Item]:
    """The items in the order that the reference's scripts bring them into."""
    shuffled = list(items)
    random.Random(seed).shuffle(shuffled)
    return shuffled


def greedy_groups(lengths: Sequence[int], limit: int) -> list[list[int]]:
    """Indices of items joined in their order while their lengths add up to at most `limit`.

    An item longer than the limit stands alone.
    """
    if limit < 1:
        raise ConfigError("the packing limit is out of range", got=limit, expected="at least 1")
    groups: list[list[int]] = []
    total = 0
    for index, length in enumerate(lengths):
        if groups and total + length <= limit:
            groups[-1].append(index)
            total += length
        else:
            groups.append([index])
            total = length
    return groups


def packs(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Indices of items that share a row of `budget` tokens: the longest first, each into the fullest row that it fits.

    Rows come in the order of their first item and so do the items of a row, so that a shuffled order stays one.
    Raises DataError for an item longer than the budget.
    """
    if budget < 1:
        raise ConfigError("the packing budget is out of range", got=budget, expected="at least 1")
    rows: list[list[int]] = []
    room: list[tuple[int, int]] = []  # (tokens left, row), ascending
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        if lengths[index] > budget:
            raise DataError(f"item {index} is longer than a row", got=lengths[index], expected=f"at most {budget}")
        best = bisect.bisect_left(room, (lengths[index], -1))
        if best == len(room):
            rows.append([])
            left, row = budget, len(rows) - 1
        else:
            left, row = room.pop(best)
        rows[row].append(index)
        bisect.insort(room, (left - lengths[index], row))
    return sorted(sorted(row) for row in rows)


def join_records(records: Sequence[Record]) -> Record:
    """One record of several, their turns and media end to end."""
    if not records:
        raise DataError("no records to join")
    unfinished = next((record for record in records[:-1] if not record.end_tag), None)
    if unfinished:
        raise DataError(f"sample {unfinished.name} has no end tag: nothing can follow it", fix="pack it alone or last")
    noise_turns, offset = [], 0
    for record in records:
        noise_turns += [offset + index for index in record.noise_turns]
        offset += len(record.turns)
    return replace(
        records[-1],
        ids=_joined(records, "ids"),
        turns=_joined(records, "turns"),
        images=_joined(records, "images"),
        videos=_joined(records, "videos"),
        audios=_joined(records, "audios"),
        sets=_joined(records, "sets"),
        noise_turns=tuple(noise_turns),
        spoken=_joined_spoken(records),
    )


def histogram(lengths: Sequence[int]) -> dict[str, int]:
    """How many lengths lie in each of the reference's ranges: "0-100", ..., ">10000"; a range holds its lower edge."""
    counts = {f"{low}-{high}": 0 for low, high in itertools.pairwise(HISTOGRAM_EDGES)}
    counts[f">{HISTOGRAM_EDGES[-1]}"] = 0
    names = list(counts)
    for length in lengths:
        counts[names[sum(length >= edge for edge in HISTOGRAM_EDGES[1:])]] += 1
    return counts


def _joined_spoken(records: Sequence[Record]) -> tuple[str, ...]:
    if not any(record.spoken for record in records):
        return ()
    return tuple(name for record in records for name in record.spoken or ("",) * record.num_questions)


def _joined(records: Sequence[Record], field: str) -> tuple:
    return tuple(value for record in records for value in getattr(record, field))
