"""The learning curves of a run as a picture, drawn from its logs. Called by `vita train --plot`."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

from vita.errors import ConfigError, DataError, DependencyError

POCKET_ENDING = ".log.jsonl"
POCKET_ORDER = {name: place for place, name in enumerate(("language", "seeing", "hearing", "multimodal"))}
_LOGARITHMIC = 20.0
_SMOOTHING = 0.05


def read_logs(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Stage -> the rows of its log, in the order of the stages. Raises DataError where there are none."""
    paths = sorted([*folder.glob("*/log.jsonl"), *folder.glob(f"*{POCKET_ENDING}")], key=lambda p: p.stat().st_mtime)
    found: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(paths, key=lambda path: POCKET_ORDER.get(_stage_of(path), len(POCKET_ORDER))):
        name = _stage_of(path)
        try:
            rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        except (OSError, ValueError) as error:
            raise DataError(f"{path} is no log of a stage", got=error) from error
        if rows:
            found[name] = rows
    if not found:
        raise DataError(f"no stage in {folder} has a log yet", fix="train first, or give the run's folder by --out")
    return found


def _stage_of(path: Path) -> str:
    return path.name.removesuffix(POCKET_ENDING) if path.name.endswith(POCKET_ENDING) else path.parent.name


def smoothed(values: list[float], share: float = _SMOOTHING) -> list[float]:
    """Running means with weights that fall off over about `share` of all values."""
    decay = 1 - 1 / max(1.0, share * len(values))
    mean, weight, found = 0.0, 0.0, []
    for value in values:
        mean, weight = decay * mean + (1 - decay) * value, decay * weight + (1 - decay)
        found.append(mean / weight)
    return found


def plot_run(folder: Path, path: Path) -> list[str]:
    """Draws the loss of every stage; the suffix of `path` chooses the format. The names of the stages.

    Raises DependencyError without matplotlib, ConfigError for a format that it does not write, DataError without logs.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise DependencyError("the plot needs matplotlib", fix="pip install 'vita-omni[plot]'") from error
    logs = read_logs(folder)
    figure = Figure(figsize=(4 * len(logs), 3.5), layout="constrained")
    if path.suffix.lower().lstrip(".") not in figure.canvas.get_supported_filetypes():
        raise ConfigError("unknown format of the plot", got=path.name, expected=".png, .svg or .pdf")
    axes = figure.subplots(1, len(logs), squeeze=False)[0]
    for axis, (name, rows) in zip(axes, logs.items(), strict=True):
        steps, losses = [row["step"] for row in rows], [row["loss"] for row in rows]
        axis.plot(steps, losses, linewidth=0.6, alpha=0.4, label="loss")
        axis.plot(steps, smoothed(losses), color="C0", label="running mean")
        for before, row in itertools.pairwise(rows):
            if row.get("run") != before.get("run"):  # of a stage that was trained in several runs
                axis.axvline(before["step"], color="grey", linewidth=0.6, linestyle=":")
        if max(losses) > _LOGARITHMIC * min(losses) > 0:
            axis.set_yscale("log")
        held_out = [(row["step"], row["held_out_loss"]) for row in rows if "held_out_loss" in row]
        if held_out:
            axis.plot(*zip(*held_out, strict=True), color="C1", marker="o", markersize=3, label="held out")
        axis.set_title(name)
        axis.set_xlabel("step")
        axis.set_ylabel("loss")
        axis.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    return list(logs)
