"""`vita data check`: all samples of some files, in parallel, into good.jsonl, bad.jsonl and report.json.

The samples in good.jsonl are the originals; those in bad.jsonl have a further field `problems` (readers of records
leave it unread), so that the file can be mended and checked again.
"""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from tqdm import tqdm

from vita.data.check import KINDS, CheckRules, Problem, Verdict, check_item, mark_duplicates
from vita.data.parallel import OrderedMap
from vita.data.records import MediaFolders, RecordFile
from vita.errors import ConfigError, DataError

GOOD, BAD, REPORT = "good.jsonl", "bad.jsonl", "report.json"
_NUM_EXAMPLES = 5
Task = tuple[str, Any, CheckRules, MediaFolders]


@dataclass
class CheckReport:
    """What was found.

    files: what was read.
    samples, good: how many.
    problems: kind -> samples that have it.
    examples: kind -> the first few lines that say what is wrong, with file and line.
    media: placeholder -> files that were decoded without a fault.
    longest: tokens of the longest good sample; None where lengths were not looked at.
    """

    files: list[str]
    samples: int = 0
    good: int = 0
    problems: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    media: Counter[str] = field(default_factory=Counter)
    longest: int | None = None

    @property
    def bad(self) -> int:
        """Samples with a problem."""
        return self.samples - self.good

    def add(self, verdict: Verdict) -> None:
        """Count one sample."""
        self.samples += 1
        self.good += not verdict.problems
        self.media.update(verdict.media)
        if verdict.tokens is not None and not verdict.problems:
            self.longest = max(self.longest or 0, verdict.tokens)
        self.problems.update({problem.kind for problem in verdict.problems})
        for problem in verdict.problems:
            examples = self.examples.setdefault(problem.kind, [])
            if len(examples) < _NUM_EXAMPLES:
                examples.append(f"{verdict.where}: {problem.what}")

    def to_json(self) -> dict[str, Any]:
        """What report.json holds."""
        return {**self.__dict__, "bad": self.bad}

    def table(self) -> str:
        """The report for a terminal."""
        media = ", ".join(f"{count} {name.strip('<>')}" for name, count in sorted(self.media.items())) or "none"
        lines = [f"{self.samples} samples, {self.good} good, {self.bad} bad; media decoded: {media}"]
        for kind in sorted(self.problems, key=lambda kind: (-self.problems[kind], kind)):
            lines.append(f"{self.problems[kind]:>8}  {kind:<14}{KINDS[kind]}")
            lines += [f"{'':10}{example}" for example in self.examples[kind][:2]]
        if self.longest is not None:
            lines.append(f"longest good sample: {self.longest} tokens")
        return "\n".join(lines)


def check_files(
    files: Sequence[str | Path],
    rules: CheckRules,
    *,
    root: Path | None = None,
    table: Path | None = None,
    out: Path | None = None,
    workers: int = 1,
    progress: bool = False,
) -> CheckReport:
    """Check every sample.

    Args:
        files: .json and .jsonl.
        rules: what is good.
        root, table: where the media lie, see `MediaFolders.of_file`.
        out: folder for good.jsonl, bad.jsonl and report.json; None writes nothing.
        workers: processes.
        progress: a bar on stderr.

    Raises:
        DataError: a file cannot be read at all.
        ConfigError: what is written would replace what is read.
    """
    sources = [RecordFile(path) for path in files]
    report = CheckReport([str(path) for path in files])
    with _outputs(out, [source.path for source in sources]) as (good, bad):
        tasks = (
            (*entry, rules, folders)
            for file in sources
            for folders in [MediaFolders.of_file(file.path, root=root, table=table)]
            for entry in file.items()
        )
        verdicts = mark_duplicates(iter(OrderedMap(_check_task, tasks, workers=workers, on_crash=_crashed)))
        total = sum(map(len, sources))
        for verdict in tqdm(verdicts, total=total, unit="sample", disable=not progress):
            report.add(verdict)
            if good is not None and bad is not None:
                _write(verdict, good, bad)
    if out is not None:
        text = json.dumps(report.to_json(), ensure_ascii=False, indent=1)
        (out / REPORT).write_text(text + "\n", encoding="utf-8")
    return report


def _check_task(task: Task) -> Verdict:
    where, item, rules, folders = task
    if isinstance(item, DataError):
        return Verdict(where, None, [Problem("malformed", str(item))])
    return check_item(where, item, rules, folders)


def _crashed(task: Task) -> Verdict:
    return Verdict(task[0], task[1], [Problem("unreadable", "the decoder crashed on one of its files")])


@contextlib.contextmanager
def _outputs(out: Path | None, inputs: Sequence[Path]) -> Iterator[tuple[IO[str] | None, IO[str] | None]]:
    """good.jsonl and bad.jsonl, open for writing; (None, None) without a folder."""
    if out is None:
        yield None, None
        return
    taken = {path.resolve() for path in inputs} & {(out / name).resolve() for name in (GOOD, BAD, REPORT)}
    if taken:
        raise ConfigError(f"--out would replace the input {taken.pop()}", fix="choose another folder")
    out.mkdir(parents=True, exist_ok=True)
    with (out / GOOD).open("w", encoding="utf-8") as good, (out / BAD).open("w", encoding="utf-8") as bad:
        yield good, bad


def _write(verdict: Verdict, good: IO[str], bad: IO[str]) -> None:
    item = verdict.item
    if verdict.problems:
        problems = [f"{problem.kind}: {problem.what}" for problem in verdict.problems]
        item = {**item, "problems": problems} if isinstance(item, dict) else {"item": item, "problems": problems}
    elif isinstance(item, dict):
        item = {key: value for key, value in item.items() if key != "problems"}
    (bad if verdict.problems else good).write(json.dumps(item, ensure_ascii=False) + "\n")
