"""VitaProcessor: conversations -> the model's inputs, every placeholder expanded to one id for each feature.

Called by the engines and by generation scripts; the training samples use its parts. Nothing is encoded here: how many
features a picture, clip or sound will have is known from its size. Shape legend: B conversations, L ids, N tiles,
S pixels of a tile's edge, C clips, T mel frames, F mel bins.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from transformers import AutoProcessor, BatchFeature, PreTrainedTokenizerBase
from transformers.processing_utils import ProcessorMixin

from vita.chat import tokenizing
from vita.chat.formats import build_template
from vita.chat.messages import PLACEHOLDER_OF, Audio, Image, Medium, Message, Video
from vita.chat.state import StateReader, spelling_ids
from vita.chat.template import Template, Turn
from vita.errors import CheckpointError, ConfigError, LimitError, PromptError
from vita.models.audio_features import audio_features
from vita.models.batching import EncodedMedium, pad_ids, pad_token_id, stack_media
from vita.models.compiled_tiles import compiled_tile_pixels
from vita.models.configuration_vita import VitaConfig
from vita.models.tiling import crop_frame, normalise, num_tiles, tile_pixels

PROCESSOR_FILE = "processor_config.json"


@dataclass(frozen=True)
class PromptIds:
    """One conversation as ids, nothing encoded yet.

    ids: one for each feature of a medium.
    media: in the order of appearance.
    spans: where the ids of each medium begin and end.
    """

    ids: list[int]
    media: tuple[Medium, ...]
    spans: tuple[tuple[int, int], ...]


class VitaProcessor(ProcessorMixin):
    """Tokenizer, chat template, tiling and filterbank of a model.

    Args:
        tokenizer: the language model's, a fast one.
        config: the model's; it says how many features a medium has, and the longest prompt.
        template: turns messages into text; by default the one that the configuration names, with our system prompts.

    `compiled`, off at first, makes tiles and mel features by compiled loops (numba): the same numbers, sooner, after a
    few seconds for the first one. The training loader turns it on.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, config: VitaConfig, template: Template | None = None
    ) -> None:
        super().__init__(tokenizer)
        self.config, self.compiled = config, False
        self.template = template or build_template(config.template, tokenizer, config.states)

    def __call__(
        self,
        conversations: Sequence[Sequence[Message]],
        *,
        add_generation_prompt: bool = True,
        padding_side: str = "left",
    ) -> BatchFeature:
        """The model's inputs for a batch of conversations.

        Args:
            conversations: each a list of messages, the last one to be answered.
            add_generation_prompt: end with the beginning of a reply; else conversations are taken as they are.
            padding_side: "left" for generation, "right" for training.

        Returns:
            input_ids, attention_mask, position_ids int64 [B, L]; where there are pictures or video, pixel_values
            float32 [N, 3, S, S] and tile_token_counts int64 [N]; where there is sound, audio_features float32
            [C, T, F] zero-padded and audio_lengths int64 [C].

        Raises:
            PromptError: a conversation is none, or asks nothing.
            LimitError: it is longer than the model's context.
        """
        prompts = [self.encode(messages, add_generation_prompt=add_generation_prompt) for messages in conversations]
        if not prompts:
            raise PromptError("no conversation given")
        pad_id = pad_token_id(self.tokenizer)
        batch = pad_ids([prompt.ids for prompt in prompts], pad_id=pad_id, padding_side=padding_side)
        media = [self.encode_medium(medium) for prompt in prompts for medium in prompt.media]
        return BatchFeature(batch | stack_media(media))

    def encode(self, messages: Sequence[Message], *, add_generation_prompt: bool = True) -> PromptIds:
        """One conversation as ids. Raises as `__call__` does."""
        rendered = self.template.render_with_media(messages, add_generation_prompt=add_generation_prompt)
        runs = [self.feature_ids(medium) for medium in rendered.media]
        encoded = tokenizing.encode(self.tokenizer, rendered.text, runs, adds_bos=self.template.adds_bos)
        if len(encoded.ids) > self.config.tokenizer_model_max_length:
            self._refuse(len(encoded.ids), rendered.media, runs)
        return PromptIds(encoded.ids, rendered.media, tuple(encoded.media))

    def feature_ids(self, medium: Medium) -> list[int]:
        """The ids that stand for a medium in the prompt, one per feature; nothing is computed."""
        if isinstance(medium, Image):
            return self.image_ids(*medium.image.size)
        if isinstance(medium, Video):
            return self.video_ids(len(medium.clip.frames))
        return self.audio_ids(len(medium.samples))

    def image_ids(self, width: int, height: int) -> list[int]:
        """The ids that stand for a picture of that many pixels."""
        config = self.config
        if config.pad_to_square:
            width = height = max(width, height)
        tiles = num_tiles(width, height, config.max_tiles, config.min_tiles, config.tile_size)
        return [config.image_token_id] * (tiles * config.num_image_tokens)

    def video_ids(self, num_frames: int) -> list[int]:
        """The ids that stand for a clip of which that many frames are looked at."""
        return [self.config.image_token_id] * (num_frames * self.config.num_frame_tokens)

    def audio_ids(self, num_samples: int) -> list[int]:
        """The ids that stand for a sound of that many samples at 16 kHz."""
        audio = self.config.audio_config
        return [self.config.audio_token_id] * audio.num_audio_tokens(audio.num_frames(num_samples))

    def encode_medium(self, medium: Medium) -> EncodedMedium:
        """A medium as numbers: tiles of an image, frames of a video, mel features of a sound."""
        config = self.config
        if isinstance(medium, Audio):
            features_TF = audio_features(medium.samples, config.audio_config, compiled=self.compiled)
            return EncodedMedium(audio_features=features_TF)
        size, pad, mean, std = config.tile_size, config.pad_to_square, config.image_mean, config.image_std
        if isinstance(medium, Image):
            most, fewest = config.max_tiles, config.min_tiles
            make = compiled_tile_pixels if self.compiled else tile_pixels
            pixels_NCSS = make(medium.image, mean, std, max_tiles=most, min_tiles=fewest, tile=size, pad=pad)
            count = config.num_image_tokens
        else:
            crop = config.crop_frames
            tiles = [crop_frame(frame, tile=size, pad=pad, crop=crop) for frame in medium.clip.frames]
            pixels_NCSS = normalise(tiles, mean, std)
            count = config.num_frame_tokens
        return EncodedMedium(pixel_values=pixels_NCSS, tile_token_counts=(count,) * len(pixels_NCSS))

    @cached_property
    def state_reader(self) -> StateReader:
        """Scores the spellings of the states as the beginning of a reply."""
        before = self.template.render_turns([Turn("user", "?")], open_reply=True)
        return StateReader(spelling_ids(self.tokenizer, before, self.template.states))

    @cached_property
    def stop_ids(self) -> tuple[int, ...]:
        """Ids that end a reply: the template's end of a turn and the tokenizer's end of a sequence."""
        end = self.tokenizer(self.template.end_of_reply(), add_special_tokens=False).input_ids
        eos = self.tokenizer.eos_token_id
        stops = ([end[0]] if len(end) == 1 else []) + ([] if eos is None else [eos])
        if not stops:
            raise ConfigError("nothing ends a reply: neither the template nor the tokenizer has a token for it")
        return tuple(dict.fromkeys(stops))

    def to_dict(self) -> dict[str, Any]:
        """What processor_config.json holds; sizes and names are in the model's config.json."""
        return {"processor_class": type(self).__name__, **self.template.to_dict()}

    def save_pretrained(self, save_directory: str | Path, push_to_hub: bool = False, **kwargs: Any) -> list[str]:
        """Writes the tokenizer, processor_config.json and, if the folder has none yet, the model's config.json."""
        if push_to_hub:
            raise ConfigError("push_to_hub is not supported", fix="save to a folder and upload that")
        written = super().save_pretrained(save_directory, **kwargs)
        if not (Path(save_directory) / "config.json").is_file():
            self.config.save_pretrained(save_directory)
        return written

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **kwargs: Any) -> VitaProcessor:
        """From a checkpoint folder, or a name on the hub.

        Args:
            pretrained_model_name_or_path: folder or hub name.
            kwargs: for the hub: cache_dir, revision, token, local_files_only, force_download.
        """
        folder = Path(pretrained_model_name_or_path)
        if not folder.is_dir():
            folder = _fetch(str(pretrained_model_name_or_path), kwargs)
        if not (folder / "config.json").is_file():
            raise CheckpointError(f"{folder} is no checkpoint folder", expected="a config.json in it")
        config = VitaConfig.from_pretrained(folder)
        tokenizer = tokenizing.load_tokenizer(folder)
        saved = _read_saved(folder / PROCESSOR_FILE)
        return cls(tokenizer, config, build_template(config.template, tokenizer, config.states, saved))

    def _refuse(self, length: int, media: Sequence[Medium], runs: Sequence[Sequence[int]]) -> None:
        """Raises LimitError that says how many tokens each part takes."""
        names = [PLACEHOLDER_OF[type(medium)].strip("<>") for medium in media]
        parts = [f"text {length - sum(map(len, runs))}"]
        parts += [
            f"{name} {names[: index + 1].count(name)}: {len(run)}"
            for index, (name, run) in enumerate(zip(names, runs, strict=True))
        ]
        raise LimitError(
            f"the conversation does not fit into the model's context: {', '.join(parts)}",
            got=f"{length} tokens",
            expected=f"at most {self.config.tokenizer_model_max_length}",
            fix="give fewer or shorter media, or shorten the conversation",
        )


def _fetch(name: str, kwargs: dict[str, Any]) -> Path:
    """The folder of a hub model's small files, downloaded unless cached."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    known = ("cache_dir", "revision", "token", "local_files_only", "force_download")
    options = {key: value for key, value in kwargs.items() if key in known}
    try:
        return Path(snapshot_download(name, allow_patterns=["*.json", "*.jinja", "*.model"], **options))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise CheckpointError(f"no model folder and no model on the hub: {name}", got=error) from error


def _read_saved(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{path} is no JSON", got=error) from error


AutoProcessor.register(VitaConfig, VitaProcessor)

__all__ = ["PromptIds", "VitaProcessor"]
