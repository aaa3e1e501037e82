"""`vita eval compare A B`: which differences between two runs are real, on the cases that both have.

Right or wrong is compared by McNemar's exact test, everything else by a paired bootstrap over cases. Over all lines
of the table, Holm's procedure keeps the chance of a single false "real" at 5 %.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vita.errors import DataError
from vita.evaluate import statistics
from vita.evaluate.rows import Row, Score, read_rows
from vita.evaluate.tables import Section, Table

LEVEL = 0.05


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One measure of one group in both runs.

    count: of the cases that both have.
    low, high: 95 % interval of second minus first.
    p: the chance of such a difference or a larger one where there is none.
    is_real: p is small enough among all that were compared.
    """

    task: str
    group: str
    lang: str
    measure: str
    count: int
    first: float
    second: float
    low: float
    high: float
    p: float
    is_real: bool = False


def read_run(folder: Path) -> list[Row]:
    """The rows of all tasks of a run. Raises DataError where there are none."""
    files = sorted({*folder.glob("rows.jsonl"), *folder.glob("*/rows.jsonl")})
    if not files:
        raise DataError(f"{folder} holds no run", expected="a folder written by `vita eval TASK --out`")
    return [row for file in files for row in read_rows(file)]


def compare(first: Iterable[Row], second: Iterable[Row]) -> list[Difference]:
    """Every measure that both have at least once on the same case. Raises DataError where they have none."""
    known = {(row.task, row.case): row for row in first}
    pairs: dict[tuple[str, str, str, str], list[tuple[Score, Score]]] = defaultdict(list)
    for row in second:
        before = known.get((row.task, row.case))
        for name, score in row.scores.items():
            old = None if before is None else before.scores.get(name)
            if score is not None and old is not None:
                pairs[row.task, row.group, row.lang, name].append((old, score))
    if not pairs:
        raise DataError("the two runs have no case in common", fix="run the same tasks on the same data")
    return _mark([_difference(*key, scores) for key, scores in pairs.items()])


def section(differences: Sequence[Difference]) -> Section:
    """As a table."""
    columns = ["task", "group", "language", "measure", "A", "B", "B - A, 95 %", "p", "real", "cases"]
    rows = [
        [
            d.task, d.group, d.lang, d.measure, f"{d.first:.3f}", f"{d.second:.3f}", f"[{d.low:+.3f}, {d.high:+.3f}]",
            f"{d.p:.3g}", "yes" if d.is_real else "no", str(d.count),
        ]
        for d in differences
    ]  # fmt: skip
    real = sum(d.is_real for d in differences)
    text = f"{real} of {len(differences)} differences are real (Holm's procedure at 5 % over all lines)."
    return Section(title="B against A", text=text, tables=[Table(columns=columns, rows=rows)])


def _difference(task: str, group: str, lang: str, measure: str, scores: list[tuple[Score, Score]]) -> Difference:
    a, b = (np.asarray([pair[side] for pair in scores], np.float64) for side in (0, 1))
    statistic = statistics.ratio if a.ndim == 2 else statistics.mean
    (low, high), p = statistics.paired_bootstrap(a, b, statistic)
    if all(isinstance(score, bool) for pair in scores for score in pair):
        p = statistics.mcnemar(int(((a == 1) & (b == 0)).sum()), int(((a == 0) & (b == 1)).sum()))
    return Difference(
        task=task, group=group, lang=lang, measure=measure, count=len(scores),
        first=float(statistic(a)), second=float(statistic(b)), low=low, high=high, p=1.0 if math.isnan(p) else p,
    )  # fmt: skip


def _mark(differences: list[Difference]) -> list[Difference]:
    """Holm: the k-th smallest p value of n is real below LEVEL / (n - k), if all smaller ones are."""
    order = sorted(range(len(differences)), key=lambda at: differences[at].p)
    real: set[int] = set()
    for rank, at in enumerate(order):
        if differences[at].p > LEVEL / (len(order) - rank):
            break
        real.add(at)
    return [Difference(**{**vars(d), "is_real": at in real}) for at, d in enumerate(differences)]
