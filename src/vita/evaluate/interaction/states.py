"""`vita eval states`: what the state token says of six kinds of turns, and what another threshold would say."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from vita.engine.protocol import Sampling
from vita.evaluate.interaction.state_cases import EXPECTED, KINDS, StateCase, all_cases
from vita.evaluate.measuring import Run
from vita.evaluate.rows import Row
from vita.evaluate.statistics import wilson
from vita.evaluate.tables import Cell, Chart, Figure, Measure, Section, Series, Table, by_group, figure
from vita.tokens import State

BATCH = 16
THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99)
COLUMNS = {State.SPOKEN_QUERY: "<1> spoken query", State.NOISE: "<2> noise", State.TYPED_QUERY: "<3> typed query"}


def measure(run: Run) -> list[Row]:
    """The probabilities of the states after every turn."""
    cases = all_cases(run.settings.data, run.settings.limit)
    run.say(f"{len(cases)} cases")
    return run.measure(cases, lambda case: case.name, lambda batch: ask(run, batch), batch=BATCH)


def ask(run: Run, cases: Sequence[StateCase]) -> list[Row]:
    """Cases asked at once, and scored."""
    results = run.assistant.engine.batch([(case.message,) for case in cases], Sampling(max_new_tokens=1))
    rows = []
    for case, result in zip(cases, results, strict=True):
        probabilities = {state: result.probabilities.get(state, 0.0) for state in State}
        scores = {"right": result.state is EXPECTED[case.kind]}
        detail = {"kind": case.kind, "condition": case.condition, "state": result.state.value} | {
            f"p_{state.value}": round(probability, 6) for state, probability in probabilities.items()
        }
        group = case.kind if case.condition == "-" else f"{case.kind}, {case.condition}"
        rows.append(Row(task="states", case=case.name, group=group, lang=case.lang, scores=scores, detail=detail))
    return rows


def sections(rows: Sequence[Row]) -> list[Section]:
    """Confusion, by condition, and over the threshold."""
    table, chart = confusion(rows)
    text = "Share of the turns of each kind that the model takes for each state, all conditions together."
    by_condition = by_group(rows, [Measure("right", "right")], title="kind")
    found = [
        Section(title="State token: confusion", text=text, tables=[table], charts=[chart]),
        Section(title="State token: by condition and language", tables=[by_condition], charts=_by_ratio(rows)),
    ]
    curve = trade_off(rows)
    return [*found, curve] if curve else found


def confusion(rows: Sequence[Row]) -> tuple[Table, Chart]:
    """Kinds by states."""
    lines: list[list[Cell]] = []
    cells = []
    kinds = [kind for kind in KINDS if any(row.detail["kind"] == kind for row in rows)]
    for kind in kinds:
        states = [row.detail["state"] for row in rows if row.detail["kind"] == kind]
        figures = [_share([state == column.value for state in states]) for column in COLUMNS]
        lines.append([kind, *figures, str(len(states))])
        cells.append([one.value for one in figures])
    names = list(COLUMNS.values())
    chart = Chart(name="states", title="State token", kind="matrix", labels=kinds, columns=names, cells=cells)
    return Table(columns=["turn", *names, "cases"], rows=lines), chart


def trade_off(rows: Sequence[Row]) -> Section | None:
    """Questions missed against noise answered, if a turn is answered from a probability of a spoken question on."""
    queries = _probabilities(rows, "spoken query")
    noises = {kind: _probabilities(rows, kind) for kind in KINDS if EXPECTED[kind] is State.NOISE}
    noises = {kind: values for kind, values in noises.items() if len(values)}
    if not len(queries) or not noises:
        return None
    every = np.concatenate(list(noises.values()))
    lines: list[list[Cell]] = [
        [f"{at:g}", _share(queries < at), _share(every >= at), *(_share(values >= at) for values in noises.values())]
        for at in THRESHOLDS
    ]
    series = []
    for name, values in {"all noise": every, **noises}.items():
        steps = np.unique(np.concatenate([queries, values, [0.0, 1.0 + 1e-9]]))
        series.append(
            Series(
                name=name,
                x=[float((values >= at).mean()) for at in steps],
                y=[float((queries < at).mean()) for at in steps],
            )
        )
    rate, threshold = equal_error(queries, every)
    chart = Chart(
        name="threshold", title="Questions missed against noise answered, over the threshold", kind="curve",
        x_title="noise answered", y_title="questions missed", series=series,
    )  # fmt: skip
    text = (
        f"A turn would be answered from this probability of <1> on. Equal error rate {rate:.3f}, at {threshold:.3f}; "
        f"the area under the curve of answered questions over answered noise is {area(queries, every):.4f}."
    )
    columns = ["threshold", "questions missed", "noise answered", *noises]
    return Section(
        title="State token: threshold", text=text, tables=[Table(columns=columns, rows=lines)], charts=[chart]
    )


def equal_error(queries: np.ndarray, noises: np.ndarray) -> tuple[float, float]:
    """Where as large a share of queries is missed as of noise is answered: that share, and the threshold."""
    steps = np.unique(np.concatenate([queries, noises, [0.0, 1.0 + 1e-9]]))
    missed = np.array([(queries < at).mean() for at in steps])
    answered = np.array([(noises >= at).mean() for at in steps])
    at = int(np.argmin(np.abs(missed - answered)))
    return float((missed[at] + answered[at]) / 2), float(steps[at])


def area(queries: np.ndarray, noises: np.ndarray) -> float:
    """The chance that a query is given a higher probability than noise; ties count half."""
    above = (queries[:, None] > noises[None]).mean() + 0.5 * (queries[:, None] == noises[None]).mean()
    return float(above)


def _by_ratio(rows: Sequence[Row]) -> list[Chart]:
    conditions = list(dict.fromkeys(row.detail["condition"] for row in rows if row.detail["condition"] != "-"))
    if len(conditions) < 2:
        return []
    series = []
    for kind in KINDS:
        mine = [row for row in rows if row.detail["kind"] == kind and row.detail["condition"] in conditions]
        if mine:
            figures = [
                figure([row for row in mine if row.detail["condition"] == one], Measure("right", ""))
                for one in conditions
            ]
            intervals = [(one.low, one.high) for one in figures]
            y = [0.0 if math.isnan(one.value) else one.value for one in figures]
            series.append(Series(name=kind, x=range(len(conditions)), y=y, intervals=intervals))
    title = "Right state, by signal-to-noise ratio"
    return [Chart(name="states_ratio", title=title, kind="bars", labels=conditions, series=series)]


def _probabilities(rows: Sequence[Row], kind: str) -> np.ndarray:
    name = f"p_{State.SPOKEN_QUERY.value}"
    return np.array([row.detail[name] for row in rows if row.detail["kind"] == kind], float)


def _share(found: Sequence[bool] | np.ndarray) -> Figure:
    right, count = int(sum(found)), len(found)
    low, high = wilson(right, count)
    return Figure(value=right / count if count else math.nan, low=low, high=high, count=count)
