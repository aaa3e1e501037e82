"""Sections of a report: tables of figures with their intervals, and charts, as plain values without a look.

Made by the tasks' `sections`, drawn by `report.py` and `plots.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from vita.evaluate import statistics
from vita.evaluate.rows import Row

Kind = Literal["share", "mean", "ratio", "p50", "p95"]
"""How cases become one figure: share of right ones, mean, sum over sum, median, 95th percentile."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A number, its 95 % interval, and of how many cases it is; nan for a number that nothing could be said about."""

    value: float
    low: float
    high: float
    count: int

    def text(self, digits: int = 3) -> str:
        """ "0.933 [0.787, 0.982]", or "-"."""
        if math.isnan(self.value):
            return "-"
        return f"{self.value:.{digits}f} [{self.low:.{digits}f}, {self.high:.{digits}f}]"


@dataclass(frozen=True)
class Measure:
    """A column of a table.

    name: of the score in the rows.
    title: on top of the column.
    kind: see Kind.
    digits: after the point.
    """

    name: str
    title: str
    kind: Kind = "share"
    digits: int = 3


Cell = str | Figure


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of cells below a header; `digits` of its figures, by column or for all."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    digits: Sequence[int] = ()

    def texts(self) -> list[list[str]]:
        """The cells as they are printed."""
        digits = [*self.digits, *[3] * (len(self.columns) - len(self.digits))]
        return [
            [cell.text(places) if isinstance(cell, Figure) else cell for cell, places in zip(row, digits, strict=True)]
            for row in self.rows
        ]


@dataclass(frozen=True, kw_only=True)
class Series:
    """One line of a curve, or one colour of bars: x and y, and for bars the intervals of y."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    intervals: Sequence[tuple[float, float]] = ()


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A picture of a section.

    name: of its file, without suffix.
    kind: bars (`labels` under them), curve, or matrix (`cells` by `labels` and `columns`).
    """

    name: str
    title: str
    kind: Literal["bars", "curve", "matrix"]
    x_title: str = ""
    y_title: str = ""
    labels: Sequence[str] = ()
    columns: Sequence[str] = ()
    series: Sequence[Series] = ()
    cells: Sequence[Sequence[float]] = ()


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the report: what it says, its tables and charts."""

    title: str
    text: str = ""
    tables: Sequence[Table] = ()
    charts: Sequence[Chart] = field(default_factory=tuple)


def figure(rows: Iterable[Row], measure: Measure) -> Figure:
    """A measure over all rows that have it."""
    scores = [row.scores[measure.name] for row in rows if row.scores.get(measure.name) is not None]
    values = np.asarray(scores, np.float64)
    if measure.kind == "share":
        right = int(values.sum())
        low, high = statistics.wilson(right, len(values))
        return Figure(value=right / len(values) if len(values) else math.nan, low=low, high=high, count=len(values))
    statistic = STATISTICS[measure.kind]
    low, high = statistics.bootstrap(values, statistic)
    return Figure(value=float(statistic(values)) if len(values) else math.nan, low=low, high=high, count=len(values))


STATISTICS: dict[str, statistics.Statistic] = {
    "share": statistics.mean,
    "mean": statistics.mean,
    "ratio": statistics.ratio,
    "p50": statistics.quantile(0.5),
    "p95": statistics.quantile(0.95),
}


def by_group(rows: Sequence[Row], measures: Sequence[Measure], title: str = "group") -> Table:
    """One line for each group and language, in the order of the rows; a column for each measure."""
    keys = dict.fromkeys((row.group, row.lang) for row in rows)
    lines: list[list[Cell]] = []
    for group, lang in keys:
        mine = [row for row in rows if (row.group, row.lang) == (group, lang)]
        lines.append([group, lang, *(figure(mine, measure) for measure in measures), str(len(mine))])
    columns = [title, "language", *(measure.title for measure in measures), "cases"]
    return Table(columns=columns, rows=lines, digits=[0, 0, *(measure.digits for measure in measures), 0])
