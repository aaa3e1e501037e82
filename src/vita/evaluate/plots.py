"""Charts as PNG files, by matplotlib where it is installed. Called by `report.py`."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vita.evaluate.tables import Chart

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DPI = 100


def draw(chart: Chart, path: Path) -> bool:
    """Write a chart; False where matplotlib is not installed."""
    if importlib.util.find_spec("matplotlib") is None:
        return False
    from matplotlib.figure import Figure

    wide = 7 + 0.25 * max(0, len(chart.labels) - 8) if chart.kind == "bars" else 7
    figure = Figure(figsize=(wide, 4.2), layout="constrained")
    axes: Any = figure.subplots()
    {"bars": _bars, "curve": _curve, "matrix": _matrix}[chart.kind](axes, chart)
    axes.set_title(chart.title)
    axes.set_xlabel(chart.x_title)
    axes.set_ylabel(chart.y_title)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=_DPI, metadata={"Software": None})
    return True


def _bars(axes: Axes, chart: Chart) -> None:
    width = 0.8 / max(1, len(chart.series))
    for number, series in enumerate(chart.series):
        at = np.asarray(series.x, float) + width * (number - (len(chart.series) - 1) / 2)
        y = np.asarray(series.y, float)
        errors = None
        if series.intervals:
            low, high = np.asarray(series.intervals, float).T
            errors = np.nan_to_num(np.maximum([y - low, high - y], 0))
        axes.bar(at, y, width, yerr=errors, label=series.name, error_kw={"lw": 0.8})
    slanted = sum(map(len, chart.labels)) > 60
    turn: dict[str, Any] = {"rotation": 40, "ha": "right"} if slanted else {}
    axes.set_xticks(range(len(chart.labels)), chart.labels, **turn)
    if len(chart.series) > 1:
        axes.legend(fontsize="small")


def _curve(axes: Axes, chart: Chart) -> None:
    for series in chart.series:
        axes.plot(series.x, series.y, label=series.name, marker="." if len(series.x) < 30 else None)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")


def _matrix(axes: Axes, chart: Chart) -> None:
    cells = np.asarray(chart.cells, float)
    axes.imshow(cells, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(chart.columns)), chart.columns)
    axes.set_yticks(range(len(chart.labels)), chart.labels)
    for row, column in np.ndindex(cells.shape):
        shade = "white" if cells[row, column] > 0.5 else "black"
        axes.text(column, row, f"{cells[row, column]:.2f}", ha="center", va="center", color=shade)
