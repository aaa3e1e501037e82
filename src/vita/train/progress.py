"""What a stage reports: a line on the terminal now and then, every step in a JSON Lines file, curves for TensorBoard.

Called by `tuning.py`, in the first process alone.
"""

from __future__ import annotations

import importlib.util
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LOG = "log.jsonl"


@dataclass(frozen=True, kw_only=True)
class StepFigures:
    """What one optimiser step was.

    step: steps done, this one included.
    loss: over all learned tokens of the step, of all processes.
    learning_rate, gradient_norm: before clipping.
    tokens, samples: gone through in this step by all processes; see `feeding.num_tokens`.
    """

    step: int
    loss: float
    learning_rate: float
    gradient_norm: float
    tokens: int
    samples: int


class Progress:
    """The log of one stage.

    Args:
        name: of the stage.
        folder: where the files go.
        steps: of the whole stage.
        first: steps that were done before; rows of the log after them are cut off, they will be written again.
        every: steps between lines on the terminal.
        report: is told each line.
        tensorboard: write curves if it is installed.
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
        tensorboard: bool,
    ) -> None:
        self.name, self.steps, self.every, self.report = name, steps, every, report
        self._path = folder / LOG
        _cut(self._path, first)
        self._since, self._tokens, self._samples, self._counted = time.perf_counter(), 0, 0, 0
        self._loss = 0.0
        self._curves: Any = None
        if tensorboard and importlib.util.find_spec("tensorboard"):
            from torch.utils.tensorboard import SummaryWriter

            self._curves = SummaryWriter(folder / "tensorboard", purge_step=first + 1)

    def add(self, figures: StepFigures) -> None:
        """One more step."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(vars(figures)) + "\n")
        self._tokens += figures.tokens
        self._samples += figures.samples
        self._loss += figures.loss
        self._counted += 1
        if self._curves:
            for key in ("loss", "learning_rate", "gradient_norm"):
                self._curves.add_scalar(key, getattr(figures, key), figures.step)
        if figures.step % self.every == 0 or figures.step == self.steps:
            self._tell(figures)

    def close(self) -> None:
        """Ends the curves."""
        if self._curves:
            self._curves.close()

    def _tell(self, figures: StepFigures) -> None:
        elapsed = max(time.perf_counter() - self._since, 1e-9)
        rates = {"tokens/s": self._tokens / elapsed, "samples/s": self._samples / elapsed}
        left = (self.steps - figures.step) * elapsed / self._counted
        self.report(
            f"{self.name}: step {figures.step}/{self.steps} loss {self._loss / self._counted:.4f}"
            f" lr {figures.learning_rate:.3g} norm {figures.gradient_norm:.3g}"
            f" tokens/s {rates['tokens/s']:.0f} samples/s {rates['samples/s']:.3g} ETA {_clock(left)}"
        )
        if self._curves:
            for key, value in rates.items():
                self._curves.add_scalar(key.replace("/", "_per_"), value, figures.step)
        self._since, self._tokens, self._samples, self._counted, self._loss = time.perf_counter(), 0, 0, 0, 0.0


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
