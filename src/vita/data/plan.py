"""Which samples stand in which batch: the stream of a mixture shared out among ranks, padded or packed.

A plan only decides; `loader.py` reads and encodes. Each step carries the state after it (JSON), from which the same
plan goes on exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from vita.data.mixture import Draw, Mixture, Position
from vita.data.packing import packs
from vita.errors import ConfigError, DataError, VitaError

State = dict[str, Any]


@dataclass(frozen=True)
class Step:
    """One batch.

    rows: the samples of each row; one a row where nothing is packed.
    after: the state after this step.
    left_out: why samples that would have been in this batch are not.
    """

    rows: tuple[tuple[Draw, ...], ...]
    after: State
    left_out: tuple[str, ...] = ()


class Plan(Protocol):
    """What the loader goes through."""

    @property
    def mixture(self) -> Mixture:
        """Where the samples come from."""
        ...

    def steps(self, state: State | None = None) -> Iterator[Step]:
        """All steps from a state, or from the beginning, on; there is no end."""
        ...


@dataclass(frozen=True, kw_only=True)
class PaddedPlan:
    """`batch_size` samples a step, one a row.

    rank, world_size: a step of all ranks together takes world_size * batch_size neighbouring samples of the stream.
    """

    mixture: Mixture
    batch_size: int
    rank: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        _check_sizes(batch_size=self.batch_size)
        _check_rank(self.rank, self.world_size)

    def steps(self, state: State | None = None) -> Iterator[Step]:
        """See `Plan`."""
        position = self.mixture.start() if state is None else Position.from_json(state["position"])
        first, size = position.number, self.world_size * self.batch_size
        own = range(self.rank * self.batch_size, (self.rank + 1) * self.batch_size)
        rows: list[tuple[Draw, ...]] = []
        for draw, after in self.mixture.draws(position):
            place = (draw.number - first) % size
            if place in own:
                rows.append((draw,))
            if place == size - 1:
                yield Step(tuple(rows), {"position": after.to_json()})
                rows = []


@dataclass(frozen=True, kw_only=True)
class PackedPlan:
    """`rows` rows of at most `budget` tokens a step, each packed with several samples.

    length_of: tokens of a sample; raises VitaError for one that is unusable.
    window: so many neighbouring samples of the stream are packed together; a rank takes every world_size-th window.
    leave_out: samples that are unusable or longer than the budget are left out and named; else they are errors.
    """

    mixture: Mixture
    length_of: Callable[[Draw], int]
    budget: int
    rows: int = 1
    window: int = 512
    rank: int = 0
    world_size: int = 1
    leave_out: bool = False

    def __post_init__(self) -> None:
        _check_sizes(budget=self.budget, rows=self.rows, window=self.window)
        _check_rank(self.rank, self.world_size)

    def steps(self, state: State | None = None) -> Iterator[Step]:
        """See `Plan`."""
        rows: list[tuple[Draw, ...]] = []
        left_out: list[str] = []
        for row, after, reasons in self._packed_rows(state):
            rows.append(row)
            left_out += reasons
            if len(rows) == self.rows:
                yield Step(tuple(rows), after, tuple(left_out))
                rows, left_out = [], []

    def _packed_rows(self, state: State | None) -> Iterator[tuple[tuple[Draw, ...], State, list[str]]]:
        """Every row of the own windows, the state after it, and what was left out of its window."""
        position = self.mixture.start() if state is None else Position.from_json(state["position"])
        skip = 0 if state is None else int(state["row"])
        if position.number % self.window:
            got = f"sample {position.number}"
            raise ConfigError("the saved position is that of another window", got=got, expected=f"n * {self.window}")
        reasons: list[str] = []
        for start, draws, end in self._windows(position):
            if start.number // self.window % self.world_size != self.rank:
                if skip:
                    raise ConfigError("the saved position is that of another rank or number of ranks")
                continue
            rows, found = self._pack(draws)
            reasons += [] if skip else found
            if len(reasons) > self.mixture.num_records:
                raise DataError("no sample of the mixture can be packed", got=reasons[0])
            for index in range(skip, len(rows)):
                is_last = index + 1 == len(rows)
                after = {"position": (end if is_last else start).to_json(), "row": 0 if is_last else index + 1}
                yield rows[index], after, reasons
                reasons = []
            skip = 0

    def _windows(self, position: Position) -> Iterator[tuple[Position, list[Draw], Position]]:
        draws: list[Draw] = []
        start = position
        for draw, after in self.mixture.draws(position):
            draws.append(draw)
            if len(draws) == self.window:
                yield start, draws, after
                draws, start = [], after

    def _pack(self, draws: list[Draw]) -> tuple[list[tuple[Draw, ...]], list[str]]:
        usable, lengths, reasons = [], [], []
        for draw in draws:
            try:
                length = self.length_of(draw)
                if length > self.budget:
                    name = self.mixture.where(draw)
                    raise ConfigError(f"{name} does not fit into a row", got=length, expected=f"at most {self.budget}")
            except VitaError as error:
                if not self.leave_out:
                    raise
                reasons.append(str(error))
                continue
            usable.append(draw)
            lengths.append(length)
        return [tuple(usable[index] for index in row) for row in packs(lengths, self.budget)], reasons


def _check_sizes(**sizes: int) -> None:
    for name, size in sizes.items():
        if size < 1:
            raise ConfigError(f"{name} of the plan is out of range", got=size, expected="at least 1")


def _check_rank(rank: int, world_size: int) -> None:
    if not 0 <= rank < world_size:
        raise ConfigError("the rank is out of range", got=rank, expected=f"0 .. {world_size - 1}")
