"""What is wrong with a training sample. `check_files.py` calls it for every sample of a file, in parallel processes.

Every medium is decoded to its end; files are only read. What is looked for: KINDS.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vita.chat.placement import PLACEHOLDERS, split_at
from vita.data.records import MediaFolders, Record
from vita.data.sizes import MediumSize, examine, media_paths
from vita.errors import ConfigError, DataError, MediaError
from vita.tokens import AUDIO_PLACEHOLDER

if TYPE_CHECKING:
    from vita.models.processing_vita import VitaProcessor

KINDS = {
    "malformed": "no JSON, or not the fields of a record",
    "roles": "turns do not alternate, or no reply",
    "empty_reply": "a reply without text (to noise it may be)",
    "placeholders": "placeholders and files differ in number",
    "missing": "a file or its folder is not there",
    "empty_file": "a file of 0 bytes or 0 samples",
    "truncated": "a file that is cut short",
    "unreadable": "any other file that cannot be decoded",
    "aspect_ratio": "a picture much longer than wide",
    "too_long": "more tokens than the limit",
    "text": "the template refuses the text",
    "duplicate": "the same turns and files as an earlier sample",
}


@dataclass(frozen=True, kw_only=True)
class CheckRules:
    """What is still good.

    max_aspect_ratio: longest edge over shortest one. 12 is the longest row of tiles; longer pictures are squeezed.
    max_tokens: longest sample; None does not look at lengths.
    model_folder: count tokens with this model's processor; without it by a rule of thumb.
    """

    max_aspect_ratio: float = 12.0
    max_tokens: int | None = None
    model_folder: Path | None = None

    def __post_init__(self) -> None:
        if not self.max_aspect_ratio >= 1:
            raise ConfigError("the largest aspect ratio is out of range", got=self.max_aspect_ratio, expected=">= 1")
        if self.max_tokens is not None and self.max_tokens < 1:
            raise ConfigError("the most tokens of a sample are out of range", got=self.max_tokens, expected=">= 1")


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a sample: one of KINDS, and a line that says what."""

    kind: str
    what: str


@dataclass
class Verdict:
    """A sample and what is wrong with it.

    where: file and line.
    item: the sample as the file has it; None for a line that is no JSON.
    problems: empty for a good one.
    media: how many of each placeholder were decoded without a fault.
    fingerprint: equal for equal samples.
    tokens: its length, where lengths are looked at.
    """

    where: str
    item: Any
    problems: list[Problem] = field(default_factory=list)
    media: Counter[str] = field(default_factory=Counter)
    fingerprint: str | None = None
    tokens: int | None = None


def check_item(where: str, item: Any, rules: CheckRules, folders: MediaFolders) -> Verdict:
    """One sample by itself: all but duplicates."""
    verdict = Verdict(where, item)
    try:
        record = Record.from_json(item, where=where)
    except DataError as error:
        verdict.problems.append(Problem("malformed", str(error)))
        return verdict
    verdict.fingerprint = fingerprint(record)
    verdict.problems += _turn_problems(record)
    sizes: dict[str, list[MediumSize]] = {}
    try:
        paths = [(*entry, True) for entry in media_paths(record, folders)]
        paths += [(AUDIO_PLACEHOLDER, path, False) for path in folders.spoken_paths(record)]
    except DataError as error:
        verdict.problems.append(Problem("missing", str(error)))
        return verdict
    for placeholder, path, is_shown in paths:
        found = _examined(placeholder, path)
        if isinstance(found, Problem):
            verdict.problems.append(found)
            continue
        if is_shown:
            sizes.setdefault(placeholder, []).append(found)
        verdict.media[placeholder] += 1
        if found.aspect_ratio > rules.max_aspect_ratio:
            got = f"{path} is {found.width} x {found.height}, more than {rules.max_aspect_ratio:g} to 1"
            verdict.problems.append(Problem("aspect_ratio", got))
    if not verdict.problems:
        verdict.problems += _length_problems(record, sizes, rules, verdict)
    return verdict


def fingerprint(record: Record) -> str:
    """The same for records with the same turns and the same files."""
    turns = [(turn.role, turn.text) for turn in record.turns]
    content = (turns, record.images, record.videos, record.audios, record.spoken, record.sets, record.noise_turns)
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]


def mark_duplicates(verdicts: Iterator[Verdict]) -> Iterator[Verdict]:
    """The same verdicts; a sample that was there before has the problem "duplicate"."""
    first: dict[str, str] = {}
    for verdict in verdicts:
        if verdict.fingerprint in first:
            verdict.problems.append(Problem("duplicate", f"the same as {first[verdict.fingerprint]}"))
        elif verdict.fingerprint is not None:
            first[verdict.fingerprint] = verdict.where
        yield verdict


def _turn_problems(record: Record) -> Iterator[Problem]:
    roles = [turn.role for turn in record.turns]
    answered = roles[1:] if roles[0] == "assistant" else roles
    expected = ["user", "assistant"] * (len(answered) // 2)
    if not answered or answered != expected:
        yield Problem("roles", f"the turns are {', '.join(roles)}; expected user, assistant, user, assistant ...")
    for index, turn in enumerate(record.turns):
        if turn.role == "assistant" and not turn.text.strip() and index not in record.noise_turns:
            yield Problem("empty_reply", f"turn {index} is empty")
    found = [name for turn in record.turns for name in split_at(turn.text)[1]]
    inside = [name for turn in record.turns if turn.role == "assistant" for name in split_at(turn.text)[1]]
    if inside:
        yield Problem("placeholders", f"a reply contains {inside[0]}")
    for placeholder, files in zip(PLACEHOLDERS, (record.images, record.videos, record.audios), strict=True):
        if found.count(placeholder) != len(files):
            yield Problem("placeholders", f"{found.count(placeholder)} times {placeholder}, {len(files)} file(s)")


def _examined(placeholder: str, path: Path) -> MediumSize | Problem:
    """The size of a file that is whole, or what is wrong with it."""
    try:
        status = path.stat()
        return _examined_once(placeholder, path, status.st_mtime_ns, status.st_size)
    except (OSError, ValueError):
        return _examined_once(placeholder, path, 0, 0)


@functools.lru_cache(maxsize=8192)
def _examined_once(placeholder: str, path: Path, mtime_ns: int, size: int) -> MediumSize | Problem:
    """The same; a file of several samples is decoded once, unless it has changed."""
    try:
        return examine(placeholder, path)
    except MediaError as error:
        return Problem(_kind_of(path, str(error)), str(error))


def _kind_of(path: Path, error: str) -> str:
    if not path.is_file():
        return "missing"
    if path.stat().st_size == 0 or "0 samples" in error:
        return "empty_file"
    return "truncated" if "truncated" in error or "cut short" in error else "unreadable"


def _length_problems(
    record: Record, sizes: dict[str, list[MediumSize]], rules: CheckRules, verdict: Verdict
) -> Iterator[Problem]:
    if rules.model_folder is None and rules.max_tokens is None:
        return
    from vita.data.lengths import rough_length, token_counts

    limit = rules.max_tokens
    if rules.model_folder is None:
        verdict.tokens = rough_length(record, sizes)
    else:
        processor = _processor(rules.model_folder)
        limit = limit or processor.config.tokenizer_model_max_length
        try:
            verdict.tokens = token_counts(record, sizes, processor).total
        except DataError as error:
            yield Problem("text", str(error))
            return
    if limit is not None and verdict.tokens > limit:
        yield Problem("too_long", f"{verdict.tokens} tokens, at most {limit}")


@functools.lru_cache(maxsize=1)
def _processor(folder: Path) -> VitaProcessor:
    from vita.models.processing_vita import VitaProcessor

    return VitaProcessor.from_pretrained(folder)
