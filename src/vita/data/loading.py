"""A record and its media files -> one sample of tensors, expanded and labelled as the model is trained on it.

Called by the training data loader.
"""

from __future__ import annotations

import numpy as np
import torch

from vita.chat.messages import Audio, Image, Medium, Video
from vita.data.collate import Sample
from vita.data.records import MediaFolders, Record
from vita.data.sample import text_sample
from vita.errors import DataError, MediaError
from vita.media.audio import load_audio
from vita.media.image import load_image
from vita.media.limits import DEFAULT_LIMITS, MediaLimits
from vita.media.video import load_video
from vita.models.processing_vita import VitaProcessor
from vita.tokens import AUDIO_PLACEHOLDER, IMAGE_PLACEHOLDER, VIDEO_PLACEHOLDER


def load_media(
    record: Record, folders: MediaFolders, *, limits: MediaLimits = DEFAULT_LIMITS
) -> dict[str, list[Medium]]:
    """Placeholder -> the record's media of that kind, in order. Raises DataError that names the sample."""
    try:
        return {
            IMAGE_PLACEHOLDER: [Image(load_image(path, limits=limits)) for path in folders.image_paths(record)],
            VIDEO_PLACEHOLDER: [Video(load_video(path, limits=limits)) for path in folders.video_paths(record)],
            AUDIO_PLACEHOLDER: [Audio(load_audio(path, limits=limits)) for path in folders.audio_paths(record)],
        }
    except MediaError as error:
        raise DataError(f"sample {record.name}: {error}") from error


def build_sample(record: Record, media: dict[str, list[Medium]], processor: VitaProcessor) -> Sample:
    """Ids, labels, tiles and mel features of a record.

    Args:
        record: the conversation.
        media: see `load_media`.
        processor: the model's.

    Raises:
        DataError: naming the sample, see `text_sample`; also when it is longer than the model's context.
    """
    runs = {kind: [processor.feature_ids(medium) for medium in of_kind] for kind, of_kind in media.items()}
    text = text_sample(record, processor.template, processor.tokenizer, runs)
    limit = processor.config.tokenizer_model_max_length
    if len(text.input_ids) > limit:
        raise DataError(f"sample {record.name} is too long", got=f"{len(text.input_ids)} tokens", expected=limit)
    queues = {kind: iter(of_kind) for kind, of_kind in media.items()}
    encoded = [processor.encode_medium(next(queues[kind])) for kind in text.placeholders]
    pixels = [medium.pixel_values for medium in encoded if medium.pixel_values is not None]
    return Sample(
        input_ids=text.input_ids,
        labels=text.labels,
        pixel_values=torch.from_numpy(pixels[0] if len(pixels) == 1 else np.concatenate(pixels)) if pixels else None,
        tile_token_counts=[count for m in encoded for count in m.tile_token_counts] if pixels else None,
        audio_features=[torch.from_numpy(m.audio_features) for m in encoded if m.audio_features is not None],
    )
