"""The tasks of `vita eval` by name. A task is a module with two functions; it is imported when it is run.

measure(run: Run) -> list[Row]             asks the model, case by case; what is known already is not asked again
sections(rows: Sequence[Row]) -> list[Section]   makes tables and charts of the rows alone
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Protocol, cast

from vita.errors import ConfigError
from vita.evaluate.measuring import Run
from vita.evaluate.names import MODULES
from vita.evaluate.rows import Row
from vita.evaluate.tables import Section


class Task(Protocol):
    """What the module of a task offers."""

    def measure(self, run: Run) -> list[Row]:
        """Ask and score."""
        ...

    def sections(self, rows: Sequence[Row]) -> list[Section]:
        """The report on rows of this task."""
        ...


def get_task(name: str) -> Task:
    """The task of this name. Raises ConfigError where there is none."""
    if name not in MODULES:
        raise ConfigError("unknown evaluation", got=name, expected=", ".join(MODULES))
    return cast(Task, importlib.import_module(f"vita.evaluate.{MODULES[name]}"))
