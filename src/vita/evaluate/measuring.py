"""One run of `vita eval`: its settings, its model, and the rows of its cases. Handed to every task."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar

from vita.api import Assistant, load
from vita.errors import ConfigError
from vita.evaluate.rows import Row, RowLog

T = TypeVar("T")
System = Literal["model", "vad-only", "no-barge-in", "recorded"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is measured, as the command line says it.

    model, device, dtype: as `vita.load` takes them.
    data: folder of the data, where a task needs or takes one.
    limit: at most so many cases of each group.
    out: folder of the report and of the rows; a NAME.json takes the figures alone; None keeps nothing.
    system: who holds the live conversations: the model; a baseline of the same model that answers whatever the voice
        detector hears; one that hears nothing while it speaks; or whoever has recorded the output files in `data`.
    url: address of an OpenAI-compatible server that is measured instead of `model`.
    judge: address of an OpenAI-compatible server that rates answers.
    judge_model: its model.
    sessions: conversations at once, for measuring under load.
    benchmarks: names of the tasks of an outer harness.
    """

    model: str = "pocket"
    device: str = "auto"
    dtype: str = "auto"
    data: Path | None = None
    limit: int | None = None
    out: Path | None = None
    system: System = "model"
    url: str | None = None
    judge: str | None = None
    judge_model: str = "default"
    sessions: tuple[int, ...] = (1, 4, 8)
    benchmarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise ConfigError("limit out of range", got=self.limit, expected="at least 1")
        if not self.sessions or min(self.sessions) < 1:
            raise ConfigError("sessions out of range", got=self.sessions, expected="at least 1")


class Run:
    """Settings, model and rows of one run.

    Args:
        settings: see Settings.
        task: the task that measures now.
        assistant: the model; loaded with the first use if it is not given.
        log: keeps the rows; one in `settings.out` if it is not given.
    """

    def __init__(
        self, settings: Settings, task: str, *, assistant: Assistant | None = None, log: RowLog | None = None
    ) -> None:
        self.settings, self.task = settings, task
        self._given, self._given_log = assistant, log

    @cached_property
    def assistant(self) -> Assistant:
        """The model."""
        settings = self.settings
        return self._given or load(settings.model, device=settings.device, dtype=settings.dtype)

    @cached_property
    def log(self) -> RowLog:
        """The rows of this task, in a folder of its own; the model is loaded first, as they depend on it."""
        if self._given_log is not None:
            return self._given_log
        out = self.settings.out
        folder = None if out is None or out.suffix == ".json" else out / self.task
        return RowLog(folder, self.made_by if folder else {})

    @property
    def made_by(self) -> dict[str, Any]:
        """What the rows depend on; the number of cases and where the model runs are not part of it."""
        settings = self.settings
        has_model = settings.url is None and settings.system != "recorded"
        return {
            "model": settings.model if has_model else None,
            "weights": fingerprint(self.assistant) if has_model else None,
            "data": settings.data and str(settings.data.resolve()),
            "system": settings.system,
            "url": settings.url,
            "judge": settings.judge,
        }

    def measure(
        self,
        cases: Sequence[T],
        name: Callable[[T], str],
        score: Callable[[Sequence[T]], Iterable[Row]],
        *,
        batch: int = 1,
    ) -> list[Row]:
        """The rows of cases in their order: those that are known, and the others, scored in batches and kept at once.

        Args:
            cases: what is asked.
            name: of a case; see Row.case.
            score: the rows of a batch, in its order.
            batch: cases at once.
        """
        found = {name(case): self.log.get(self.task, name(case)) for case in cases}
        missing = [case for case in cases if found[name(case)] is None]
        if len(missing) < len(cases):
            self.say(f"{len(cases) - len(missing)} of {len(cases)} cases were there already")
        for start in range(0, len(missing), batch):
            rows = list(score(missing[start : start + batch]))
            self.log.add(rows)
            found.update({row.case: row for row in rows})
        return [row for case in cases if (row := found[name(case)]) is not None]

    def say(self, line: str) -> None:
        """Tell the terminal how far it is."""
        print(f"{self.task}: {line}", file=sys.stderr, flush=True)


def fingerprint(assistant: Assistant) -> str:
    """Differs for other weights: a digest of the first numbers of every parameter; "-" for an engine without."""
    model = getattr(assistant.engine, "model", None)
    if model is None:
        return "-"
    digest = hashlib.sha256()
    for name, parameter in sorted(model.named_parameters()):
        digest.update(name.encode() + parameter.detach().flatten()[:64].float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
