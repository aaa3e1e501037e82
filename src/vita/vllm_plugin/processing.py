"""Media for vLLM: numbers and ids by our own processor, so that prompts are those of the local engine.

Sound can also come as tokens of the audio connector ("audio_embeds", float [N, H] a piece), several pieces one after
another for a sound that is still arriving; vLLM takes them where it was started with --enable-mm-embeds.
"""

# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import numpy as np
import PIL.Image
import torch
from transformers import BatchFeature
from vllm.exceptions import VLLMValidationError
from vllm.multimodal.inputs import MultiModalFieldConfig
from vllm.multimodal.parse import MultiModalDataItems, MultiModalDataParser
from vllm.multimodal.processing import (
    BaseDummyInputsBuilder,
    BaseMultiModalProcessor,
    BaseProcessingInfo,
    ProcessorInputs,
    PromptReplacement,
)

from vita.chat.messages import Audio, Image, Video
from vita.errors import VitaError
from vita.media import SAMPLE_RATE_HZ, Clip, resample_audio, to_rgb
from vita.models.configuration_vita import VitaConfig
from vita.models.processing_vita import EncodedMedium, VitaProcessor
from vita.vllm_plugin.marking import markers

LONGEST_SOUND_S = 30
MOST_FRAMES = 16


class VitaDataParser(MultiModalDataParser):
    """Sound of any rate to ours, by our own resampler."""

    def _get_audio_with_sr(self, audio: Any) -> tuple[np.ndarray, None]:
        if not isinstance(audio, tuple):
            return np.asarray(audio, np.float32), None
        samples, rate_hz = audio
        with _as_request_errors("audio"):
            return resample_audio(np.asarray(samples), int(rate_hz)), None


class VitaProcessingInfo(BaseProcessingInfo):
    """What vLLM asks before it processes anything."""

    @cached_property
    def processor(self) -> VitaProcessor:
        """The model's."""
        return VitaProcessor.from_pretrained(self.model_id)

    def get_hf_config(self) -> VitaConfig:
        """The model's configuration."""
        return self.ctx.get_hf_config(VitaConfig)

    def get_hf_processor(self, **kwargs: object) -> VitaProcessor:
        """The model's processor; it has no options."""
        return self.processor

    def get_supported_mm_processor_kwargs(self) -> dict[str, set[str]]:
        """None."""
        return {}

    def get_data_parser(self) -> VitaDataParser:
        """Ours; with the width that embeddings must have."""
        return VitaDataParser(expected_hidden_size=self._get_expected_hidden_size())

    def get_supported_mm_limits(self) -> Mapping[str, int | None]:
        """Any number of each."""
        return {"image": None, "video": None, "audio": None}

    def get_mm_max_tokens_per_item(self, seq_len: int, mm_counts: Mapping[str, int]) -> Mapping[str, int]:
        """The features of the largest picture, clip and sound that memory is set aside for."""
        config = self.get_hf_config()
        tiles = config.max_tiles + (config.max_tiles > 1)
        audio = config.audio_config
        sound = audio.num_audio_tokens(audio.num_frames(LONGEST_SOUND_S * SAMPLE_RATE_HZ))
        found = {"image": tiles * config.num_image_tokens, "video": MOST_FRAMES * config.num_frame_tokens}
        asked = [modality for modality, count in mm_counts.items() if count]
        return {modality: min({**found, "audio": sound}[modality], seq_len) for modality in asked}


class VitaDummyInputs(BaseDummyInputsBuilder[VitaProcessingInfo]):
    """The largest media, for vLLM's trial run."""

    def get_dummy_text(self, mm_counts: Mapping[str, int]) -> str:
        """Placeholders; `VitaMultiModalProcessor.get_dummy_inputs` makes the ids."""
        return "".join(f"<{modality}>" * count for modality, count in mm_counts.items())

    def get_dummy_mm_data(self, seq_len: int, mm_counts: Mapping[str, int], mm_options: Any) -> dict[str, Any]:
        """As many media as asked for; a row of tiles is the picture with the most."""
        config = self.info.get_hf_config()
        size = config.tile_size
        frames = np.zeros((MOST_FRAMES, size, size, 3), np.uint8)
        return {
            "image": [PIL.Image.new("RGB", (size * config.max_tiles, size))] * mm_counts.get("image", 0),
            "video": [frames] * mm_counts.get("video", 0),
            "audio": [np.zeros(LONGEST_SOUND_S * SAMPLE_RATE_HZ, np.float32)] * mm_counts.get("audio", 0),
        }


class VitaMultiModalProcessor(BaseMultiModalProcessor[VitaProcessingInfo]):
    """Encodes media and puts their ids in place of the markers."""

    def get_dummy_inputs(self, seq_len: int, mm_counts: Mapping[str, int], mm_options: Any) -> ProcessorInputs:
        """The largest media and a prompt of nothing but their markers."""
        marks = markers(self.info.processor)
        data = self.dummy_inputs.get_dummy_mm_data(seq_len, mm_counts, mm_options)
        prompt = [marks[modality] for modality, count in mm_counts.items() for _ in range(count)]
        return ProcessorInputs(prompt=prompt, mm_data_items=self.info.parse_mm_data(data, validate=False))

    def _apply_hf_processor_main(self, mm_items: MultiModalDataItems, hf_kwargs: Mapping[str, object]) -> BatchFeature:
        """All media as numbers: tiles and frames in the model's dtype, mel features in float32."""
        fields: dict[str, Any] = {}
        for modality, items in mm_items.items():
            fields |= items.get_passthrough_data()
            if items.get_processor_data():
                with _as_request_errors(modality):
                    encoded = [self.info.processor.encode_medium(_MEDIUM[modality](item)) for item in items.get_all()]
                fields |= self._stacked(modality, encoded)
        return BatchFeature(fields)

    def _stacked(self, modality: str, encoded: Sequence[EncodedMedium]) -> dict[str, Any]:
        if modality == "audio":
            return {"audio_features": [torch.from_numpy(one.audio_features) for one in encoded]}
        pixels = [one.pixel_values for one in encoded if one.pixel_values is not None]
        tiles = torch.from_numpy(np.concatenate(pixels)).to(self.info.ctx.model_config.dtype)
        return {f"{modality}_tiles": tiles, f"{modality}_num_tiles": torch.tensor([len(one) for one in pixels])}

    def _get_mm_fields_config(
        self, hf_inputs: BatchFeature, hf_processor_mm_kwargs: Mapping[str, object]
    ) -> Mapping[str, MultiModalFieldConfig]:
        """How what belongs to one medium is cut out of each field."""
        found = {name: MultiModalFieldConfig.batched("audio") for name in ("audio_features", "audio_embeds")}
        for modality in ("image", "video"):
            counts = hf_inputs.get(f"{modality}_num_tiles", torch.zeros(0, dtype=torch.int64))
            found[f"{modality}_tiles"] = MultiModalFieldConfig.flat_from_sizes(modality, counts)
            found[f"{modality}_num_tiles"] = MultiModalFieldConfig.batched(modality, keep_on_cpu=True)
        return found

    def _get_prompt_updates(
        self, mm_items: MultiModalDataItems, hf_processor_mm_kwargs: Mapping[str, object], out_mm_kwargs: Any
    ) -> list[PromptReplacement]:
        """Marker -> ids, for each modality."""
        config, marks = self.info.get_hf_config(), markers(self.info.processor)

        def ids_of(modality: str) -> Callable[[int], list[int]]:
            return lambda index: _ids(config, modality, out_mm_kwargs[modality][index])

        return [
            PromptReplacement(modality=modality, target=[marks[modality]], replacement=ids_of(modality))
            for modality in mm_items
        ]


def _ids(config: VitaConfig, modality: str, item: Any) -> list[int]:
    """The ids of one processed medium."""
    data = item.get_data()
    if modality == "image":
        return [config.image_token_id] * (len(data["image_tiles"]) * config.num_image_tokens)
    if modality == "video":
        return [config.image_token_id] * (len(data["video_tiles"]) * config.num_frame_tokens)
    if "audio_embeds" in data:
        return [config.audio_token_id] * len(data["audio_embeds"])
    return [config.audio_token_id] * config.audio_config.num_audio_tokens(len(data["audio_features"]))


def _image(item: Any) -> Image:
    picture = getattr(item, "media", item)
    return Image(to_rgb(picture if isinstance(picture, PIL.Image.Image) else PIL.Image.fromarray(np.asarray(picture))))


def _video(item: Any) -> Video:
    frames = getattr(item, "media", item)
    pictures = [
        PIL.Image.fromarray(np.asarray(frame)) for frame in (frames[0] if isinstance(frames, tuple) else frames)
    ]
    return Video(Clip(pictures, np.arange(len(pictures), dtype=np.float64), 1.0))


_MEDIUM: dict[str, Callable[[Any], Any]] = {
    "image": _image,
    "video": _video,
    "audio": lambda samples: Audio(np.asarray(samples, np.float32)),
}


@contextmanager
def _as_request_errors(modality: str) -> Iterator[None]:
    """Turns our errors into vLLM's for a bad request."""
    try:
        yield
    except VitaError as error:
        raise VLLMValidationError(str(error), parameter=modality) from error
