"""What a stage reports: a line on the terminal now and then, every step in a JSON Lines file, and curves.

Called by `stage_run.py`, in the first process alone.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vita.train.curves import Curves

LOG = "log.jsonl"


@dataclass(frozen=True, kw_only=True)
class StepFigures:
    """What one optimiser step was.

    step: steps done, this one included.
    loss: over all learned tokens of the step, of all processes.
    learning_rate, gradient_norm: before clipping.
    tokens, samples: gone through in this step by all processes; see `Objective.num_tokens`.
    flops: floating point operations of the step, of all processes; see `flops.Work`.
    held_out_loss: on the records kept for evaluation, where this step ended with one.
    """

    step: int
    loss: float
    learning_rate: float
    gradient_norm: float
    tokens: int
    samples: int
    flops: float = 0.0
    held_out_loss: float | None = None


class Progress:
    """The log of one stage.

    Args:
        name: of the stage.
        folder: where the files go.
        steps: of the whole stage.
        first: steps that were done before; rows of the log after them are cut off, they will be written again.
        every: steps between lines on the terminal.
        report: is told each line.
        curves: take the figures too.
        peak_flops: operations a second that all processes together can do; 0 where that is not known.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        *,
        steps: int,
        first: int,
        every: int,
        report: Callable[[str], None],
        curves: Sequence[Curves] = (),
        peak_flops: float = 0.0,
    ) -> None:
        self.name, self.steps, self.every, self.report = name, steps, every, report
        self._path, self._curves, self._peak_flops = folder / LOG, curves, peak_flops
        _cut(self._path, first)
        self._waiting: list[StepFigures] = []
        self._since = time.perf_counter()

    def add(self, figures: StepFigures) -> None:
        """One more step."""
        row = {key: value for key, value in vars(figures).items() if value is not None}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        shown = ("loss", "learning_rate", "gradient_norm", "held_out_loss")
        self._draw({key: row[key] for key in shown if key in row}, figures.step)
        self._waiting.append(figures)
        if figures.step % self.every == 0 or figures.step == self.steps:
            self._tell()

    def close(self) -> None:
        """Ends the curves."""
        for curves in self._curves:
            curves.close()

    def _tell(self) -> None:
        """A line about the steps since the last one."""
        rows, elapsed = self._waiting, max(time.perf_counter() - self._since, 1e-9)
        last = rows[-1]
        rates = {f"{key}/s": sum(getattr(row, key) for row in rows) / elapsed for key in ("tokens", "samples")}
        line = (
            f"{self.name}: step {last.step}/{self.steps} loss {sum(row.loss for row in rows) / len(rows):.4f}"
            f" lr {last.learning_rate:.3g} norm {last.gradient_norm:.3g}"
            f" tokens/s {rates['tokens/s']:.0f} samples/s {rates['samples/s']:.3g}"
        )
        if self._peak_flops:
            rates["MFU"] = sum(row.flops for row in rows) / elapsed / self._peak_flops
            line += f" MFU {rates['MFU']:.1%}"
        if last.held_out_loss is not None:
            line += f" held-out loss {last.held_out_loss:.4f}"
        self.report(f"{line} ETA {_clock((self.steps - last.step) * elapsed / len(rows))}")
        self._draw(rates, last.step)
        self._waiting, self._since = [], time.perf_counter()

    def _draw(self, values: dict[str, float], step: int) -> None:
        for curves in self._curves:
            curves.add(values, step)


def _cut(path: Path, steps: int) -> None:
    """Keeps the rows of the first steps; a row that was cut short by a crash is not one."""
    if not path.is_file():
        return
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[:steps]), encoding="utf-8")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
