"""Records as sounds with their transcripts, for CTC: mel features, and a class for each character.

A record of this use has one sound, and its replies say what is heard in it. Called by the CTC stage of training.
Shape legend: C clips, T mel frames, F mel bins, L symbols.
"""

from __future__ import annotations

import itertools
import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from vita.chat.messages import Audio, Medium
from vita.data.records import Record
from vita.errors import DataError
from vita.models.batching import pad_clips
from vita.models.configuration_audio import VitaAudioConfig
from vita.models.filterbank import mel_features
from vita.tokens import AUDIO_PLACEHOLDER, IGNORE_LABEL


@dataclass(frozen=True)
class Transcribed:
    """One clip: mel features [T, F] and the classes of its transcript."""

    features: Tensor
    ids: list[int]


class Units:
    """The characters of all transcripts, each a class; the blank comes after the last."""

    def __init__(self, characters: Sequence[str]) -> None:
        self.characters = list(characters)
        self._ids = {character: number for number, character in enumerate(self.characters)}

    def __len__(self) -> int:
        return len(self.characters)

    @classmethod
    def of(cls, texts: Iterable[str]) -> Units:
        """Of these transcripts, the most frequent first."""
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(text)
        return cls([character for character, _ in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))])

    @classmethod
    def read(cls, path: Path) -> Units:
        """From a file of `write`."""
        return cls(json.loads(path.read_text(encoding="utf-8")))

    def write(self, path: Path) -> None:
        """As JSON; the file is whole or not there."""
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(self.characters, ensure_ascii=False), encoding="utf-8")
        partial.replace(path)

    def ids(self, text: str) -> list[int]:
        """The classes of a transcript. Raises DataError for a character that has none."""
        unknown = [character for character in text if character not in self._ids]
        if unknown:
            raise DataError("a transcript has a character that had no part in the units", got=repr(unknown[0]))
        return [self._ids[character] for character in text]


def transcript_of(record: Record) -> str:
    """What is heard in a record's sound: lower case, compatible forms joined, single spaces. Raises DataError."""
    if len(record.audios) != 1:
        got = f"{len(record.audios)} sounds"
        raise DataError(f"sample {record.name} is no transcript", got=got, expected="one sound")
    said = " ".join(turn.text for turn in record.turns if turn.role == "assistant")
    text = " ".join(unicodedata.normalize("NFKC", said).lower().split())
    if not text:
        raise DataError(f"sample {record.name} has an empty transcript")
    return text


@dataclass(frozen=True)
class TranscriptEncoder:
    """Makes batches of clips with their transcripts; see `vita.data.loader.SampleEncoder`."""

    config: VitaAudioConfig
    units: Units

    def sample(self, record: Record, media: dict[str, list[Medium]]) -> Transcribed:
        """One clip. Raises DataError for a transcript that is too long for its sound."""
        ids = self.units.ids(transcript_of(record))
        sound = media[AUDIO_PLACEHOLDER][0]
        assert isinstance(sound, Audio)
        features = torch.from_numpy(mel_features(sound.samples))
        frames = self.config.num_encoder_frames(len(features))
        needed = len(ids) + sum(one == other for one, other in itertools.pairwise(ids))
        if needed > frames:
            got = f"{needed} frames of text, {frames} of sound"
            raise DataError(f"sample {record.name}: the transcript is too long for its sound", got=got)
        return Transcribed(features, ids)

    def collate(self, rows: Sequence[Sequence[Transcribed]]) -> dict[str, Tensor]:
        """audio_features [C, T, F], audio_lengths [C], targets int64 [C, L] with -100 where a transcript has ended."""
        clips = [clip for row in rows for clip in row]
        targets = [torch.tensor(clip.ids, dtype=torch.int64) for clip in clips]
        padded = pad_sequence(targets, batch_first=True, padding_value=IGNORE_LABEL)
        return {**pad_clips([clip.features for clip in clips]), "targets": padded}
