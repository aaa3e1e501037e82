"""What was measured, one row a case, as JSON Lines that survive an interruption: a second run goes on where it ended.

Written by tasks through `measuring.Run`, read by reports and comparisons.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vita.errors import ConfigError, DataError

Score = bool | float | list[float] | None
"""Right or wrong; a quantity; (errors, words) of a rate; None where there is nothing to score."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One case of a task, scored.

    task, case: which; the same in every run.
    group, lang: the rows of the table that it belongs to; "-" for no language.
    scores: by the name of the measure.
    detail: what a reader wants to see of it: the answer, times.
    """

    task: str
    case: str
    group: str
    lang: str = "-"
    scores: Mapping[str, Score]
    detail: Mapping[str, Any] = field(default_factory=dict)


class RowLog:
    """The rows of one run, in a file of a folder, or in memory alone.

    Args:
        folder: holds rows.jsonl and run.json; None keeps nothing.
        made_by: what the rows depend on (model, data, options); a folder that was made by something else is refused.
    """

    def __init__(self, folder: Path | None, made_by: Mapping[str, Any]) -> None:
        self._rows: dict[tuple[str, str], Row] = {}
        self._path = None if folder is None else folder / "rows.jsonl"
        if folder is None or self._path is None:
            return
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"{folder} cannot be made", got=error.strerror, fix="choose another --out") from error
        settings = folder / "run.json"
        if settings.exists():
            _check(settings, made_by)
        settings.write_text(json.dumps(made_by, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        if self._path.exists():
            self._rows = {(row.task, row.case): row for row in read_rows(self._path)}
            self._write(self._rows.values(), "w")  # without a line that was cut short

    def get(self, task: str, case: str) -> Row | None:
        """A case that was scored before."""
        return self._rows.get((task, case))

    def add(self, rows: Iterable[Row]) -> None:
        """Cases that were scored now."""
        rows = list(rows)
        self._rows.update({(row.task, row.case): row for row in rows})
        self._write(rows, "a")

    def _write(self, rows: Iterable[Row], mode: str) -> None:
        if self._path is not None:
            with self._path.open(mode, encoding="utf-8") as file:
                file.writelines(json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in rows)


def read_rows(path: Path) -> list[Row]:
    """All rows of a file; a last line that was cut short is left out. Raises DataError for anything else in it."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DataError(f"{path} cannot be read", got=error.strerror, fix="give the --out folder of a run") from error
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            rows.append(Row(**json.loads(line)))
        except (ValueError, TypeError) as error:
            if number < len(lines):
                raise DataError(f"{path}, line {number}, is no row of a run", got=line[:60]) from error
    return rows


def _check(settings: Path, made_by: Mapping[str, Any]) -> None:
    try:
        before = json.loads(settings.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{settings} is damaged", fix="choose another --out") from error
    for name in sorted({*before, *made_by}):
        if before.get(name) != made_by.get(name):
            raise ConfigError(
                f"{settings.parent} holds a run with another {name}",
                got=made_by.get(name), expected=before.get(name), fix="choose another --out, or delete that folder",
            )  # fmt: skip
