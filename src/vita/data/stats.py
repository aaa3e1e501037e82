"""What a set of training samples holds: counts, durations, tokens by modality. `vita data stats` is the caller.

Media are measured by their headers (clips are opened), in parallel processes.
"""

from __future__ import annotations

import functools
import math
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
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
    """Figures of all samples of some files, added up one by one.

    model: whose tokens are counted.
    samples, turns, noise_turns: how many; noise turns are the replies to noise.
    images, videos, sounds: how many, with their megapixels, seconds, seconds and the longest sound.
    tokens: by modality, and "learned".
    lengths: tokens of each sample.
    num_errors, errors: samples that could not be measured, and the first few reasons.
    """

    model: str
    samples: int = 0
    turns: int = 0
    noise_turns: int = 0
    images: int = 0
    megapixels: float = 0.0
    videos: int = 0
    video_s: float = 0.0
    sounds: int = 0
    audio_s: float = 0.0
    longest_sound_s: float = 0.0
    tokens: Counter[str] = field(default_factory=Counter)
    lengths: array[int] = field(default_factory=lambda: array("q"))
    num_errors: int = 0
    errors: list[str] = field(default_factory=list)

    def add(self, sample: Measured) -> None:
        """Count one sample."""
        if sample.tokens is None:
            self.num_errors += 1
            if len(self.errors) < _NUM_ERRORS:
                self.errors.append(str(sample.error))
            return
        self.samples += 1
        self.turns += sample.turns
        self.noise_turns += sample.noise_turns
        self.images += len(sample.megapixels)
        self.megapixels += sum(sample.megapixels)
        self.videos += len(sample.video_s)
        self.video_s += sum(sample.video_s)
        self.sounds += len(sample.audio_s)
        self.audio_s += sum(sample.audio_s)
        self.longest_sound_s = max(self.longest_sound_s, *sample.audio_s, 0.0)
        self.tokens.update({name: getattr(sample.tokens, name) for name in (*MODALITIES, "learned")})
        self.lengths.append(sample.tokens.total)

    def to_json(self) -> dict[str, Any]:
        """The figures, without the single samples."""
        lengths = sorted(self.lengths)
        named = {item.name: getattr(self, item.name) for item in fields(self)}
        return {
            **named,
            "tokens": {**self.tokens, "all": sum(lengths)},
            "lengths": {f"p{quantile * 100:g}": _quantile(lengths, quantile) for quantile in QUANTILES},
        }

    def table(self) -> str:
        """The figures for a terminal."""
        total = sum(self.lengths)
        lines = [
            f"samples   {self.samples:>12,}   turns {self.turns:,}, replies to noise {self.noise_turns:,}",
            f"images    {self.images:>12,}   {self.megapixels:,.1f} megapixels",
            f"videos    {self.videos:>12,}   {self.video_s / 3600:,.2f} h",
            f"sounds    {self.sounds:>12,}   {self.audio_s / 3600:,.2f} h, longest {self.longest_sound_s:.1f} s",
            f"tokens    {total:>12,}   as {self.model} is trained on them",
        ]
        for name in (*MODALITIES, "learned"):
            lines.append(f"  {name:<8}{self.tokens[name]:>12,}   {self.tokens[name] / max(1, total):6.1%}")
        lines.append("length    " + ", ".join(f"{name} {n:,}" for name, n in self.to_json()["lengths"].items()))
        if self.num_errors:
            lines.append(f"not measured: {self.num_errors} samples (vita data check names them all), for example")
            lines += [f"  {error}" for error in self.errors]
        return "\n".join(lines)


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
