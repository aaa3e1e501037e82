"""The folders of Full-Duplex-Bench v1 and v1.5, as they are downloaded: one folder a sample, with input.wav in it.

    v1    candor_pause_handling/ID/{input.wav, pause.json}          [{"timestamp": [start, end]}, ...] in seconds
          synthetic_pause_handling/ID/{input.wav, pause.json}
          candor_turn_taking/ID/{input.wav, turn_taking.json}       [{"timestamp": [end of the user's turn, ...]}]
          icc_backchannel/ID/input.wav                              beside them: icc_gt_distribution.json
          synthetic_user_interruption/ID/{input.wav, interrupt.json}
                                                    [{"context": , "interrupt": , "timestamp": [start, end]}]
    v1.5  user_interruption/ID/{input.wav, clean_input.wav, metadata.json}
          user_backchannel/..., talking_to_other/..., background_speech/...
                                 {"context_text": , "current_turn_text": , "timestamps": [start, end]} of the overlap

A system's answer to input.wav is output.wav, as long as it and on the same clock; output.json holds its words with
their times, if they are known: {"text": , "chunks": [{"text": , "timestamp": [start, end]}]}. The folders may lie below
v1.0/ and v1.5/, and their names may end in _example. Read by `duplex_bench.py`, written by `duplex_data.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from vita.errors import DataError
from vita.evaluate.interaction.speech_segments import Segment

Task = Literal["pause handling", "turn taking", "backchannel", "user interruption", "overlap"]
FOLDERS: dict[str, tuple[str, Task, str | None]] = {
    "candor_pause_handling": ("v1", "pause handling", "pause.json"),
    "synthetic_pause_handling": ("v1", "pause handling", "pause.json"),
    "candor_turn_taking": ("v1", "turn taking", "turn_taking.json"),
    "icc_backchannel": ("v1", "backchannel", None),
    "synthetic_user_interruption": ("v1", "user interruption", "interrupt.json"),
    "user_interruption": ("v1.5", "overlap", "metadata.json"),
    "user_backchannel": ("v1.5", "overlap", "metadata.json"),
    "talking_to_other": ("v1.5", "overlap", "metadata.json"),
    "background_speech": ("v1.5", "overlap", "metadata.json"),
}
"""Folder: its version, what is measured on it, and the file with its labels."""


@dataclass(frozen=True)
class Word:
    """A word that was said, and when, in seconds."""

    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One recording.

    subset: its folder among FOLDERS.
    number: the name of its own folder.
    folder: where its files are.
    labels: of its label file; empty without one.
    """

    subset: str
    number: str
    folder: Path
    labels: Mapping[str, Any]
    spans: tuple[Segment, ...]

    @property
    def name(self) -> str:
        """The same in every run."""
        return f"{self.subset}/{self.number}"

    @property
    def task(self) -> Task:
        """What is measured on it."""
        return FOLDERS[self.subset][1]

    @property
    def lang(self) -> str:
        """The benchmark is in English; other sets may say what they are."""
        return self.labels.get("lang", "en")


def samples(root: Path, limit: int | None = None) -> list[Sample]:
    """All samples below a folder, at most `limit` of each subset. Raises DataError where there are none."""
    found: list[Sample] = []
    for subset in FOLDERS:
        folders = sorted(_subset_folders(root, subset), key=_natural)
        found += [read_sample(subset, folder) for folder in folders[:limit]]
    if not found:
        raise DataError(
            f"{root} holds no samples of Full-Duplex-Bench", expected=f"folders such as {next(iter(FOLDERS))}"
        )
    return found


def read_sample(subset: str, folder: Path) -> Sample:
    """One sample and its labels. Raises DataError for labels that are not as they should be."""
    _, task, name = FOLDERS[subset]
    if name is None:
        return Sample(subset=subset, number=folder.name, folder=folder, labels={}, spans=())
    path = folder / name
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        entries = [content] if task == "overlap" else list(content)
        times = [entry["timestamps" if task == "overlap" else "timestamp"] for entry in entries]
        spans = tuple((float(start), float(end)) for start, end in times)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(f"{path} is not as the benchmark has it", got=f"{type(error).__name__}: {error}") from error
    if not spans or any(end < start for start, end in spans):
        raise DataError(f"{path} has no times, or an end before its start", got=times)
    return Sample(subset=subset, number=folder.name, folder=folder, labels=entries[0], spans=spans)


def read_words(path: Path) -> list[Word] | None:
    """The words of an output.json; None where there is no such file. A word without an end ends where it starts."""
    if not path.exists():
        return None
    try:
        chunks = json.loads(path.read_text(encoding="utf-8"))["chunks"]
        times = [(chunk["text"], *chunk["timestamp"]) for chunk in chunks]
        return [Word(text, float(start), float(start if end is None else end)) for text, start, end in times]
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"{path} holds no words with times", got=f"{type(error).__name__}: {error}") from error


def write_words(path: Path, words: list[Word]) -> None:
    """As `read_words` reads them."""
    chunks = [{"text": word.text, "timestamp": [round(word.start_s, 3), round(word.end_s, 3)]} for word in words]
    whole = {"text": " ".join(word.text for word in words), "chunks": chunks}
    path.write_text(json.dumps(whole, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _subset_folders(root: Path, subset: str) -> Iterator[Path]:
    version = {"v1": "v1.0", "v1.5": "v1.5"}[FOLDERS[subset][0]]
    for parent in (
        root / subset,
        root / version / subset,
        root / f"{subset}_example",
        root / version / f"{subset}_example",
    ):
        if parent.is_dir():
            yield from (path for path in parent.iterdir() if (path / "input.wav").is_file())


def _natural(path: Path) -> tuple[int, int, str]:
    return (0, int(path.name), "") if path.name.isdigit() else (1, 0, path.name)
