"""What a set of training samples holds: counts, durations, tokens by modality. `vita data stats` is the caller.

Media are measured by their headers (clips are opened), in parallel processes.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from vita.data.lengths import TokenCounts, token_counts
from vita.data.parallel import OrderedMap
from vita.data.records import MediaFolders, Record, RecordFile
from vita.data.sizes import MediumSize, measure, media_paths
from vita.errors import DataError, VitaError
from vita.models.processing_vita import VitaProcessor
from vita.tokens import AUDIO_PLACEHOLDER, IMAGE_PLACEHOLDER, VIDEO_PLACEHOLDER

MODALITIES = ("text", "image", "video", "audio")
QUANTILES = (0.5, 0.9, 0.99, 1.0)
_NUM_ERRORS = 5
Task = tuple[str, Any, MediaFolders, Path]


@dataclass(frozen=True)
class Measured:
    """One sample: turns, noise turns, pictures' pixels, seconds of clips and sounds, tokens; or why it has none."""

    turns: int = 0
    noise_turns: int = 0
    megapixels: tuple[float, ...] = ()
    video_s: tuple[float, ...] = ()
    audio_s: tuple[float, ...] = ()
    tokens: TokenCounts | None = None
    error: str | None = None


@dataclass
class DataStats:
    """All samples of some files.

    model: whose tokens are counted.
    samples: the measured ones.
    num_errors, errors: samples that could not be measured, and the first few reasons.
    """

    model: str
    samples: list[Measured] = field(default_factory=list)
    num_errors: int = 0
    errors: list[str] = field(default_factory=list)

    @property
    def lengths(self) -> list[int]:
        """Tokens of each sample."""
        return [sample.tokens.total for sample in self.samples if sample.tokens]

    def tokens_by_modality(self) -> dict[str, int]:
        """Tokens of all samples: text, image, video, audio."""
        return {name: sum(getattr(s.tokens, name) for s in self.samples if s.tokens) for name in MODALITIES}

    def to_json(self) -> dict[str, Any]:
        """The figures, without the single samples."""
        lengths = sorted(self.lengths)
        seconds = {name: [s for m in self.samples for s in getattr(m, name)] for name in ("video_s", "audio_s")}
        return {
            "model": self.model,
            "samples": len(self.samples),
            "not_measured": self.num_errors,
            "turns": sum(sample.turns for sample in self.samples),
            "noise_turns": sum(sample.noise_turns for sample in self.samples),
            "images": sum(len(sample.megapixels) for sample in self.samples),
            "megapixels": sum(sum(sample.megapixels) for sample in self.samples),
            "videos": len(seconds["video_s"]),
            "video_hours": sum(seconds["video_s"]) / 3600,
            "sounds": len(seconds["audio_s"]),
            "audio_hours": sum(seconds["audio_s"]) / 3600,
            "longest_sound_s": max(seconds["audio_s"], default=0.0),
            "tokens": {**self.tokens_by_modality(), "all": sum(lengths), "learned": self._num_learned()},
            "length": {f"p{quantile * 100:g}": _quantile(lengths, quantile) for quantile in QUANTILES},
        }

    def table(self) -> str:
        """The figures for a terminal."""
        found = self.to_json()
        tokens, total, longest = found["tokens"], max(1, found["tokens"]["all"]), found["longest_sound_s"]
        lines = [
            f"samples   {found['samples']:>12,}   turns {found['turns']:,}, replies to noise {found['noise_turns']:,}",
            f"images    {found['images']:>12,}   {found['megapixels']:,.1f} megapixels",
            f"videos    {found['videos']:>12,}   {found['video_hours']:,.2f} h",
            f"sounds    {found['sounds']:>12,}   {found['audio_hours']:,.2f} h, longest {longest:.1f} s",
            f"tokens    {tokens['all']:>12,}   as {self.model} is trained on them",
        ]
        lines += [f"  {name:<8}{tokens[name]:>12,}   {tokens[name] / total:6.1%}" for name in (*MODALITIES, "learned")]
        lines.append("length    " + ", ".join(f"{name} {value:,}" for name, value in found["length"].items()))
        if self.num_errors:
            lines.append(f"not measured: {self.num_errors} samples (vita data check names them all), for example")
            lines += [f"  {error}" for error in self.errors]
        return "\n".join(lines)

    def add(self, sample: Measured) -> None:
        """Count one sample."""
        if sample.error is None:
            self.samples.append(sample)
            return
        self.num_errors += 1
        if len(self.errors) < _NUM_ERRORS:
            self.errors.append(sample.error)

    def _num_learned(self) -> int:
        return sum(sample.tokens.learned for sample in self.samples if sample.tokens)


def collect_stats(
    sources: Sequence[tuple[RecordFile, MediaFolders]],
    model_folder: Path,
    *,
    model: str,
    workers: int = 1,
    progress: bool = False,
) -> DataStats:
    """Measure every sample of the files; those that cannot be measured are counted and named.

    Args:
        sources: files and where their media lie.
        model_folder: whose processor counts tokens.
        model: how the table calls it.
        workers: processes.
        progress: a bar on stderr.
    """
    tasks = ((*entry, folders, model_folder) for file, folders in sources for entry in file.items())
    stats = DataStats(model)
    results = OrderedMap(_measure_task, tasks, workers=workers, on_crash=_crashed)
    for sample in tqdm(results, total=sum(len(file) for file, _ in sources), unit="sample", disable=not progress):
        stats.add(sample)
    return stats


def measure_sizes(record: Record, folders: MediaFolders) -> dict[str, list[MediumSize]]:
    """Placeholder -> the size of each medium of a record. Raises DataError, MediaError."""
    sizes: dict[str, list[MediumSize]] = {}
    for placeholder, path in media_paths(record, folders):
        sizes.setdefault(placeholder, []).append(measure(placeholder, path))
    return sizes


def _measure_task(task: Task) -> Measured:
    where, item, folders, model_folder = task
    try:
        if isinstance(item, DataError):
            raise item
        record = Record.from_json(item, where=where)
        sizes = measure_sizes(record, folders)
        tokens = token_counts(record, sizes, _processor(model_folder))
    except VitaError as error:
        return Measured(error=f"{where}: {error}")
    return Measured(
        turns=len(record.turns),
        noise_turns=len(record.noise_turns),
        megapixels=tuple(size.width * size.height / 1e6 for size in sizes.get(IMAGE_PLACEHOLDER, ())),
        video_s=tuple(size.seconds for size in sizes.get(VIDEO_PLACEHOLDER, ())),
        audio_s=tuple(size.seconds for size in sizes.get(AUDIO_PLACEHOLDER, ())),
        tokens=tokens,
    )


def _crashed(task: Task) -> Measured:
    return Measured(error=f"{task[0]}: the decoder crashed on one of its files")


@functools.lru_cache(maxsize=1)
def _processor(folder: Path) -> VitaProcessor:
    return VitaProcessor.from_pretrained(folder)


def _quantile(ordered: Sequence[int], share: float) -> int:
    """The smallest value that at least `share` of the values do not exceed; 0 for none."""
    if not ordered:
        return 0
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
