"""Many sets of records as one endless stream: weighted, shuffled, and the same again from any position.

What sample number n is follows from the seed alone, and the position (a number, and how often each source was drawn)
can be saved as JSON. Called by the plans (`plan.py`), which share the stream out among processes.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vita.data.records import MediaFolders, Record, RecordFile
from vita.data.spoken import with_spoken_questions
from vita.errors import ConfigError, DataError

_BLOCK = 1024


@dataclass(frozen=True, kw_only=True)
class Source:
    """One file of records.

    file: the records.
    folders: where their media lie.
    weight: its share of the samples, against the other weights; None is its number of records.
    spoken_rate: share of its samples whose questions are asked aloud, where they have sounds that say them (`spoken`).
    """

    file: RecordFile
    folders: MediaFolders
    weight: float | None = None
    spoken_rate: float = 0.0

    def __post_init__(self) -> None:
        if not len(self.file):
            raise DataError(f"{self.file.path} holds no records")
        if self.weight is not None and not 0 < self.weight < float("inf"):
            raise ConfigError(f"the weight of {self.file.path} is out of range", got=self.weight, expected="above 0")
        if not 0 <= self.spoken_rate <= 1:
            got = self.spoken_rate
            raise ConfigError(f"the spoken_rate of {self.file.path} is out of range", got=got, expected="0 .. 1")

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        folders: MediaFolders | None = None,
        weight: float | None = None,
        spoken_rate: float = 0.0,
    ) -> Source:
        """From a .json or .jsonl file; without `folders`, media lie in the folder of the file."""
        file = RecordFile(path)
        folders = MediaFolders(default=file.path.parent) if folders is None else folders
        return cls(file=file, folders=folders, weight=weight, spoken_rate=spoken_rate)


@dataclass(frozen=True)
class Position:
    """Where the stream goes on: `number` samples were drawn, `counts[i]` of them from source i."""

    number: int
    counts: tuple[int, ...]

    def to_json(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"number": self.number, "counts": list(self.counts)}

    @classmethod
    def from_json(cls, state: dict[str, Any]) -> Position:
        """From a checkpoint."""
        return cls(int(state["number"]), tuple(int(count) for count in state["counts"]))


@dataclass(frozen=True)
class Draw:
    """Sample `number` of the stream is record `index` of source `source`."""

    number: int
    source: int
    index: int


class Mixture:
    """The stream of all sources.

    Every record of a source comes once before any comes again, in a new order each time.

    Args:
        sources: at least one.
        seed: decides the order.
    """

    def __init__(self, sources: Sequence[Source], *, seed: int = 0) -> None:
        if not sources:
            raise ConfigError("a mixture needs at least one source")
        self.sources, self.seed = tuple(sources), seed
        weights = np.array([len(s.file) if s.weight is None else s.weight for s in sources], np.float64)
        self._bounds = np.cumsum(weights / weights.sum())[:-1]
        self._orders: dict[int, tuple[int, np.ndarray]] = {}

    @property
    def num_records(self) -> int:
        """Records of all sources: the length of an epoch where no weights are given."""
        return sum(len(source.file) for source in self.sources)

    def start(self) -> Position:
        """The beginning of the stream."""
        return Position(0, (0,) * len(self.sources))

    def draws(self, position: Position) -> Iterator[tuple[Draw, Position]]:
        """All samples from `position` on, each with the position after it."""
        if len(position.counts) != len(self.sources):
            got, expected = len(position.counts), len(self.sources)
            raise ConfigError("the saved position is that of another mixture", got=f"{got} sources", expected=expected)
        counts = list(position.counts)
        number = position.number
        while True:
            block, skip = divmod(number, _BLOCK)
            for source in self._choices(block)[skip:]:
                draw = Draw(number, source, self._index(source, counts[source]))
                counts[source] += 1
                number += 1
                yield draw, Position(number, tuple(counts))

    def record(self, draw: Draw) -> Record:
        """The record of a draw, its questions asked aloud if the source's rate says so. Raises DataError."""
        source = self.sources[draw.source]
        record = source.file[draw.index]
        if record.spoken and random.Random(f"{self.seed} {draw.number}").random() < source.spoken_rate:
            return with_spoken_questions(record)
        return record

    def where(self, draw: Draw) -> str:
        """How error messages call the place of a draw."""
        return self.sources[draw.source].file.where(draw.index)

    def _choices(self, block: int) -> list[int]:
        """The sources of the samples of a block."""
        drawn = np.random.default_rng([self.seed, block]).random(_BLOCK)
        return np.searchsorted(self._bounds, drawn, side="right").tolist()

    def _index(self, source: int, count: int) -> int:
        """The record that a source gives when it is drawn for the count-th time."""
        size = len(self.sources[source].file)
        epoch, offset = divmod(count, size)
        if self._orders.get(source, (-1,))[0] != epoch:
            order = np.random.default_rng([self.seed, source, epoch, 1]).permutation(size)
            self._orders[source] = (epoch, order)
        return int(self._orders[source][1][offset])
