"""One sample for the eye: its tokens, learned or not, and its media as files. `vita data show` is the caller."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import soundfile

from vita.chat.messages import Audio, Image, Medium
from vita.data.collate import Sample
from vita.media.audio import SAMPLE_RATE_HZ
from vita.models.processing_vita import VitaProcessor
from vita.tokens import IGNORE_LABEL

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

LEARNED, MEDIUM, RESET = "\033[1;32m", "\033[36m", "\033[0m"
OPEN, CLOSE = "[[", "]]"


@dataclass(frozen=True)
class Run:
    """Neighbouring tokens of one kind: ids[start:end] are "text", "image" or "audio", all learned or none."""

    kind: str
    is_learned: bool
    start: int
    end: int


def token_runs(sample: Sample, image_id: int, audio_id: int) -> Iterator[Run]:
    """The sample cut wherever the kind of token changes."""
    kinds = {image_id: "image", audio_id: "audio"}
    keys = [
        (kinds.get(token, "text"), label != IGNORE_LABEL)
        for token, label in zip(sample.input_ids, sample.labels, strict=True)
    ]
    start = 0
    for (kind, is_learned), group in itertools.groupby(keys):
        end = start + sum(1 for _ in group)
        yield Run(kind, is_learned, start, end)
        start = end


def coloured_text(sample: Sample, processor: VitaProcessor, *, colour: bool) -> str:
    """The whole prompt as text, media as "<image x 256>"; what is learned is green, or between [[ and ]]."""
    config, tokenizer = processor.config, processor.tokenizer
    before, after = (LEARNED, RESET) if colour else (OPEN, CLOSE)
    parts = []
    for run in token_runs(sample, config.image_token_id, config.audio_token_id):
        if run.kind != "text":
            text = f"<{run.kind} x {run.end - run.start}>"
            parts.append(f"{MEDIUM}{text}{RESET}" if colour else text)
            continue
        text = _decode(tokenizer, sample.input_ids[run.start : run.end])
        parts.append(f"{before}{text}{after}" if run.is_learned else text)
    return "".join(parts)


def token_table(sample: Sample, processor: VitaProcessor, *, colour: bool) -> str:
    """One line a token: its number, "+" if it is learned, its id and text; a run of media tokens is one line."""
    config, lines = processor.config, []
    for run in token_runs(sample, config.image_token_id, config.audio_token_id):
        if run.kind != "text":
            lines.append(f"{run.start:>6}    {sample.input_ids[run.start]:>7}  <{run.kind} x {run.end - run.start}>")
            continue
        for index in range(run.start, run.end):
            token = sample.input_ids[index]
            line = f"{index:>6}  {'+' if run.is_learned else ' '} {token:>7}  {_decode(processor.tokenizer, [token])!r}"
            lines.append(f"{LEARNED}{line}{RESET}" if colour and run.is_learned else line)
    return "\n".join(lines)


def summary(name: str, sample: Sample) -> str:
    """One line: the sample's name, its tokens, how many are learned, its tiles and clips."""
    num_learned = sum(label != IGNORE_LABEL for label in sample.labels)
    tiles = 0 if sample.pixel_values is None else len(sample.pixel_values)
    seconds = [f"{len(clip) / 100:.1f} s" for clip in sample.audio_features]
    sounds = f", sounds of {', '.join(seconds)}" if seconds else ""
    return f"{name}: {len(sample.input_ids)} tokens, {num_learned} learned; {tiles} tiles or frames{sounds}"


def write_media(media: Mapping[str, Sequence[Medium]], folder: Path) -> list[Path]:
    """The pictures, frames and sounds as the model gets them, before tiling: PNG and WAV (16 kHz); their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for placeholder, of_kind in media.items():
        for number, medium in enumerate(of_kind, start=1):
            stem = f"{placeholder.strip('<>')}-{number}"
            if isinstance(medium, Audio):
                written.append(folder / f"{stem}.wav")
                soundfile.write(written[-1], medium.samples, SAMPLE_RATE_HZ)
            elif isinstance(medium, Image):
                written.append(folder / f"{stem}.png")
                medium.image.save(written[-1])
            else:
                for index, frame in enumerate(medium.clip.frames, start=1):
                    written.append(folder / f"{stem}-frame-{index:02}.png")
                    frame.save(written[-1])
    return written


def _decode(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> str:
    text = tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)
    return text if isinstance(text, str) else "".join(text)
