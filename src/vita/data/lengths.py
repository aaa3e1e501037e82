"""How many tokens a record takes, by modality, with no medium decoded. Called by the checks, statistics and packing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vita.data.packing import estimated_length
from vita.data.records import Record
from vita.data.sample import text_sample
from vita.data.sizes import MediumSize
from vita.models.processing_vita import VitaProcessor
from vita.models.tiling import num_tiles
from vita.tokens import AUDIO_PLACEHOLDER, IGNORE_LABEL, IMAGE_PLACEHOLDER, VIDEO_PLACEHOLDER

Sizes = Mapping[str, Sequence[MediumSize]]
"""Placeholder -> the size of each medium of that kind, in order."""
MAX_TILES = 12


@dataclass(frozen=True, kw_only=True)
class TokenCounts:
    """Tokens of a record: of its text (template and marks included) and of its media; `learned` of them are learned."""

    text: int
    image: int
    video: int
    audio: int
    learned: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.text + self.image + self.video + self.audio


def token_counts(record: Record, sizes: Sizes, processor: VitaProcessor) -> TokenCounts:
    """Tokens as the model with this processor is trained on them. Raises DataError, see `text_sample`."""
    runs = {
        IMAGE_PLACEHOLDER: [processor.image_ids(s.width, s.height) for s in sizes.get(IMAGE_PLACEHOLDER, ())],
        VIDEO_PLACEHOLDER: [processor.video_ids(size.num_frames) for size in sizes.get(VIDEO_PLACEHOLDER, ())],
        AUDIO_PLACEHOLDER: [processor.audio_ids(size.num_samples) for size in sizes.get(AUDIO_PLACEHOLDER, ())],
    }
    sample = text_sample(record, processor.template, processor.tokenizer, runs)
    image, video, audio = (sum(map(len, of_kind)) for of_kind in runs.values())
    return TokenCounts(
        text=len(sample.input_ids) - image - video - audio,
        image=image,
        video=video,
        audio=audio,
        learned=sum(label != IGNORE_LABEL for label in sample.labels),
    )


def rough_length(record: Record, sizes: Sizes) -> int:
    """Tokens without a model at hand: a token for four ASCII characters or one other, media by the rule of thumb."""
    text = "".join(turn.text for turn in record.turns)
    num_ascii = sum(character.isascii() for character in text)
    tiles = sum(num_tiles(size.width, size.height, MAX_TILES) for size in sizes.get(IMAGE_PLACEHOLDER, ()))
    frames = sum(size.num_frames for size in sizes.get(VIDEO_PLACEHOLDER, ()))
    seconds = [size.seconds for size in sizes.get(AUDIO_PLACEHOLDER, ())]
    return estimated_length(num_ascii // 4 + len(text) - num_ascii, tiles + frames, seconds)
