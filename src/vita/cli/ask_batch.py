"""`vita ask --batch`: a file of questions to a file of answers, in batches, resumable.

A line that cannot be asked (bad JSON, missing file) becomes a line {"id", "error"}; the others go on, and the exit code
is 2. Called by `vita.cli.ask`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from tqdm import tqdm

from vita.cli.model_options import loading_options
from vita.errors import DataError, VitaError

if TYPE_CHECKING:
    from vita.api import Answer, Assistant, Question

_KEYS = ("id", "question", "image", "video", "audio")
_REMOTE = ("http://", "https://", "data:")


@dataclass(frozen=True)
class Line:
    """One line of the input: its id (its number where it has none), its row, and what is wrong with it if anything."""

    id: Any
    row: dict[str, Any]
    error: str | None = None


def run_batch(arguments: argparse.Namespace) -> int:
    """Ask every line that the output does not have yet; 2 if any line of the input cannot be asked."""
    lines = read_lines(Path(arguments.batch))
    output = Path(arguments.output) if arguments.output else None
    done = finished_ids(output) if output else set()
    todo = [line for line in lines if _key(line.id) not in done]
    _tell_unread_keys(lines)
    num_errors = 0
    with _open(output) as file, tqdm(total=len(lines), initial=len(lines) - len(todo), unit="question") as bar:
        for row in _answered(todo, arguments):
            num_errors += "error" in row
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            file.flush()
            bar.update()
    if num_errors:
        message = f"{num_errors} of {len(todo)} lines could not be asked; each has its error in the output"
        print(f"vita: error: {message}", file=sys.stderr)
    return 2 if num_errors else 0


def _answered(todo: list[Line], arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The rows of all lines, batch after batch; the model is loaded only if there is a line to answer."""
    if not todo:
        return
    from vita.api import load

    assistant = load(arguments.model, **loading_options(arguments))
    for start in range(0, len(todo), assistant.batch_size):
        yield from answer_lines(assistant, todo[start : start + assistant.batch_size], arguments)


def answer_lines(assistant: Assistant, lines: list[Line], arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The rows of a batch of lines, in order; what is wrong with one line leaves the others alone."""
    questions: dict[int, Question] = {}
    errors: dict[int, str] = {index: line.error for index, line in enumerate(lines) if line.error}
    folder = Path(arguments.batch).parent
    for index, line in enumerate(lines):
        try:
            if index not in errors:
                questions[index] = _question(assistant, line.row, folder, arguments.system)
        except VitaError as error:
            errors[index] = str(error)
    answers: dict[int, Answer] = {}
    try:
        answers = _ask(assistant, questions, arguments)
    except VitaError:
        for index, question in questions.items():
            try:
                answers |= _ask(assistant, {index: question}, arguments)
            except VitaError as error:
                errors[index] = str(error)
    for index, line in enumerate(lines):
        if index in errors:
            yield {"id": line.id, "error": errors[index]}
        else:
            yield {**line.row, "id": line.id, "state": answers[index].state.value, "text": answers[index].text}


def _ask(assistant: Assistant, questions: dict[int, Question], arguments: argparse.Namespace) -> dict[int, Answer]:
    found = assistant.ask_many(
        list(questions.values()),
        max_new_tokens=arguments.max_new_tokens,
        temperature=arguments.temperature,
        seed=arguments.seed,
        state=arguments.state,
    )
    return dict(zip(questions, found, strict=True))


def read_lines(path: Path) -> list[Line]:
    """The input. Raises DataError if the file cannot be read or an id is there twice."""
    try:
        texts = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}", got=getattr(error, "strerror", None) or error) from error
    lines = [_line(number, text) for number, text in enumerate(texts, start=1) if text.strip()]
    first: dict[str, Line] = {}
    for line in lines:
        if _key(line.id) in first:
            raise DataError(f"the id {line.id!r} is in {path} more than once", fix="make every id its own")
        first[_key(line.id)] = line
    if not lines:
        raise DataError(f"{path} holds no questions", expected="one JSON object a line")
    return lines


def finished_ids(path: Path) -> set[str]:
    """The ids that the output has answers for. Removed from it, to be computed again: a last line that an interruption
    cut short, and lines that hold an error.
    """
    if not path.exists():
        return set()
    *whole, cut_short = path.read_text(encoding="utf-8", errors="replace").split("\n")
    ids: set[str] = set()
    kept: list[str] = []
    for number, text in enumerate(whole, start=1):
        try:
            row = json.loads(text)
            if "error" not in row:
                ids.add(_key(row["id"]))
                kept.append(text)
        except (ValueError, KeyError, TypeError) as error:
            fix = "give another --output, or remove the line"
            raise DataError(f"line {number} of {path} is no line of an earlier run", got=text[:60], fix=fix) from error
    if cut_short or len(kept) < len(whole):
        scratch = path.with_name(path.name + ".part")
        scratch.write_text("".join(text + "\n" for text in kept), encoding="utf-8")
        scratch.replace(path)
    return ids


def _tell_unread_keys(lines: list[Line]) -> None:
    unread = sorted({name for line in lines for name in line.row} - set(_KEYS))
    if unread:
        print(f"vita: keys copied to the output without being read: {', '.join(unread)}", file=sys.stderr)


def _line(number: int, text: str) -> Line:
    """One line; what is wrong with it is kept for its place in the output."""
    try:
        row = json.loads(text)
    except ValueError as error:
        return Line(number, {}, f"line {number} is not JSON: {error}")
    if not isinstance(row, dict):
        return Line(number, {}, f"line {number} is not a JSON object (got {type(row).__name__})")
    return Line(row.get("id", number), row, _wrong_type(number, row))


def _wrong_type(number: int, row: dict[str, Any]) -> str | None:
    for name in _KEYS[1:]:
        value = row.get(name)
        good = isinstance(value, str | None) or (name == "image" and _all_text(value))
        if not good:
            return f"line {number}: {name} is not a text (got {json.dumps(value)[:40]})"
    return None


def _all_text(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _question(assistant: Assistant, row: dict[str, Any], folder: Path, system: str | None) -> Question:
    """The question of a row, its media read; paths are relative to the file."""
    images = row.get("image") or []
    images = [images] if isinstance(images, str) else images
    return assistant.question(
        row.get("question"),
        image=[_place(source, folder) for source in images],
        video=_place(row["video"], folder) if row.get("video") else None,
        audio=_place(row["audio"], folder) if row.get("audio") else None,
        system=system,
    )


def _place(source: str, folder: Path) -> str:
    return source if source.startswith(_REMOTE) else str(folder / source)


def _key(identifier: object) -> str:
    """Ids are compared as JSON, so that 1 and "1" are two."""
    return json.dumps(identifier, sort_keys=True)


def _open(output: Path | None) -> IO[str]:
    """The output to append to; stdout without one (never closed)."""
    if output is None:
        return open(sys.stdout.fileno(), "w", encoding="utf-8", closefd=False)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        return output.open("a", encoding="utf-8")
    except OSError as error:
        raise DataError(f"cannot write {output}", got=error.strerror) from error
