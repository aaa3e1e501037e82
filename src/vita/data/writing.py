"""Records to a file: the reference's JSON list or JSON Lines, by the ending of its name. For the data commands."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

from vita.data.records import Record, RecordFile
from vita.errors import ConfigError, DataError


def write_items(items: Iterable[Any], path: Path) -> int:
    """Writes objects one by one, a .jsonl or a .json file that is whole or not there; how many they are.

    Raises ConfigError for another ending, DataError where the file cannot be written.
    """
    if path.suffix not in (".json", ".jsonl"):
        raise ConfigError("the ending of the file says how it is written", got=path.name, expected=".json or .jsonl")
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("w", encoding="utf-8") as file:
            count = _write(items, file, as_list=path.suffix == ".json")
        partial.replace(path)
    except OSError as error:
        raise DataError(f"{path} cannot be written", got=error) from error
    finally:
        partial.unlink(missing_ok=True)
    return count


def convert_file(source: Path, target: Path) -> int:
    """A file of records as a file of the other kind, fields that we do not know included; how many records.

    Raises DataError that names the first record which is none, and nothing is written then.
    """
    if source.resolve() == target.resolve():
        raise ConfigError("the file would be written over itself", got=source, fix="name another one")
    return write_items(_checked(RecordFile(source)), target)


def _checked(file: RecordFile) -> Iterable[Any]:
    for where, item in file.items():
        if isinstance(item, DataError):
            raise item
        Record.from_json(item, where=where)
        yield item


def _write(items: Iterable[Any], file: IO[str], *, as_list: bool) -> int:
    count = 0
    for count, item in enumerate(items, start=1):
        before = "" if not as_list else "[\n" if count == 1 else ",\n"
        file.write(before + json.dumps(item, ensure_ascii=False) + ("" if as_list else "\n"))
    if as_list:
        file.write("\n]\n" if count else "[]\n")
    return count
