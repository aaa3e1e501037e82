"""VitaConfig: which language model, vision encoder and audio encoder make up a model, and what joins them.

Used by VitaForConditionalGeneration, VitaProcessor, the checkpoint converter and everything that counts tokens.
"""

from __future__ import annotations

from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import (
    AutoConfig,
    CLIPVisionConfig,
    InternVLVisionConfig,
    PreTrainedConfig,
    ResNetConfig,
    SiglipVisionConfig,
)

from vita.errors import ConfigError
from vita.models.configuration_audio import VitaAudioConfig
from vita.models.tiling import IMAGE_MEAN, IMAGE_STD
from vita.tokens import VITA_1_0_STATES, StateTokens

FIXED_SIZE_ENCODERS = (SiglipVisionConfig.model_type, CLIPVisionConfig.model_type)
"""Vision encoders that look at tiles of their own size only."""
VISION_ENCODERS = (InternVLVisionConfig.model_type, ResNetConfig.model_type, *FIXED_SIZE_ENCODERS)
CONNECTORS = ("mlp2x_gelu", "slots")
DEFAULT_CONNECTOR = {"type": "mlp2x_gelu"}


@strict
class VitaConfig(PreTrainedConfig):
    r"""
    text_config (`PreTrainedConfig` or `dict`): any causal language model of transformers (default: Mixtral).
    vision_config (`PreTrainedConfig` or `dict`): the vision encoder: InternViT (default), SigLIP, CLIP or a ResNet.
    audio_config (`VitaAudioConfig` or `dict`): the audio encoder and its connector.
    vision_connector (`dict`): {"type": "mlp2x_gelu"}, or {"type": "slots", "num_slots": .., "frame_slots": .., ..}.
    image_token_id (`int`): id that stands for one picture feature. It may lie outside the vocabulary.
    audio_token_id (`int`): id that stands for one sound feature. It may lie outside the vocabulary.
    state_tokens (`dict`): the spelling of each state (see vita.tokens.StateTokens).
    template (`str`): name of the chat template (see vita.chat).
    downsample_ratio (`float`): pixel shuffle of the mlp connector; 0.5 turns 2 x 2 patches into one token.
    vision_feature_scale (`float`): factor on the vision features before the mlp connector.
    tile_size (`int`, *optional*): pixels of a tile's edge; by default the vision encoder's image size.
    max_tiles (`int`): most tiles of a picture, the thumbnail not counted.
    min_tiles (`int`): fewest tiles of a picture.
    pad_to_square (`bool`): pad pictures to a square before tiling.
    crop_frames (`bool`): of a video frame that is not square, look at the middle square, as the reference does; if
        false, at the whole frame, squeezed to a square.
    image_mean, image_std (`list[float]`): normalisation of the pixels.
    history_tokens (`int`, *optional*): a live conversation forgets its oldest turns beyond so many tokens; for a model
        that was trained on short conversations.
    tokenizer_model_max_length (`int`): most tokens and features of one sequence.
    """

    model_type = "vita"
    sub_configs = {  # noqa: RUF012  # pyright: ignore[reportAssignmentType]
        "text_config": AutoConfig,
        "vision_config": AutoConfig,
        "audio_config": VitaAudioConfig,
    }

    text_config: Any = None
    vision_config: Any = None
    audio_config: Any = None
    vision_connector: Any = None
    image_token_id: int = 51000
    audio_token_id: int = 51001
    state_tokens: Any = None
    template: str = "mixtral_two"
    downsample_ratio: float = 0.5
    vision_feature_scale: float = 0.5
    tile_size: Any = None
    max_tiles: int = 12
    min_tiles: int = 1
    pad_to_square: bool = False
    crop_frames: bool = True
    image_mean: Any = IMAGE_MEAN
    image_std: Any = IMAGE_STD
    history_tokens: Any = None
    tokenizer_model_max_length: int = 4600
    tie_word_embeddings: bool = False

    def __post_init__(self, **kwargs: Any) -> None:
        self.text_config = _sub_config(self.text_config, "text_config", "mixtral")
        self.vision_config = _sub_config(self.vision_config, "vision_config", InternVLVisionConfig.model_type)
        if self.audio_config is None:
            self.audio_config = {"output_dim": self.text_config.hidden_size}
        self.audio_config = _sub_config(self.audio_config, "audio_config", VitaAudioConfig)
        self.vision_connector = dict(self.vision_connector or DEFAULT_CONNECTOR)
        self.image_mean, self.image_std = list(self.image_mean), list(self.image_std)
        self.state_tokens = {**vars(VITA_1_0_STATES), **(self.state_tokens or {})}
        if self.tile_size is None:
            self.tile_size = self._image_size()
        self.tie_word_embeddings = bool(self.text_config.tie_word_embeddings)
        super().__post_init__(**kwargs)
        self._check_ids()
        self._check_vision()
        self._check_audio()

    def _check_ids(self) -> None:
        if self.image_token_id == self.audio_token_id or min(self.image_token_id, self.audio_token_id) < 0:
            raise ConfigError(
                "image_token_id and audio_token_id must differ and not be negative",
                got=f"{self.image_token_id} and {self.audio_token_id}",
            )
        spellings = list(self.state_tokens.values())
        if set(self.state_tokens) != set(vars(VITA_1_0_STATES)) or not all(spellings) or len(set(spellings)) < 3:
            raise ConfigError(
                "state_tokens must spell three different states",
                got=self.state_tokens,
                expected=", ".join(vars(VITA_1_0_STATES)),
            )
        if self.tokenizer_model_max_length < 1:
            raise ConfigError("tokenizer_model_max_length out of range", got=self.tokenizer_model_max_length)

    def _check_vision(self) -> None:
        if self.vision_config.model_type not in VISION_ENCODERS:
            raise ConfigError(
                "unknown vision encoder", got=self.vision_config.model_type, expected=" or ".join(VISION_ENCODERS)
            )
        if self.vision_connector.get("type") not in CONNECTORS:
            raise ConfigError(
                "unknown vision connector", got=self.vision_connector.get("type"), expected=" or ".join(CONNECTORS)
            )
        if self.vision_connector["type"] == "slots" and self.vision_connector.get("num_slots", 0) < 1:
            raise ConfigError("the slots connector needs num_slots", got=self.vision_connector)
        if not 1 <= self.min_tiles <= self.max_tiles:
            raise ConfigError("the limits of the tile count are wrong", got=f"{self.min_tiles} .. {self.max_tiles}")
        block = round(1 / self.downsample_ratio) if 0 < self.downsample_ratio <= 1 else 0
        if not block or abs(block * self.downsample_ratio - 1) > 1e-6:
            raise ConfigError("downsample_ratio must be 1 over a whole number", got=self.downsample_ratio)
        if self.vision_config.model_type in FIXED_SIZE_ENCODERS and self.tile_size != self._image_size():
            raise ConfigError(
                "this vision encoder looks at tiles of its own size", got=self.tile_size, expected=self._image_size()
            )
        if self.tile_size % (self.patch_size * self._patches_per_token_edge):
            raise ConfigError(
                "tile_size does not divide into patches and tokens",
                got=self.tile_size,
                expected=f"a multiple of {self.patch_size * self._patches_per_token_edge}",
            )

    def _check_audio(self) -> None:
        if self.audio_config.output_dim != self.text_config.hidden_size:
            raise ConfigError(
                "the audio connector does not give vectors of the language model's width",
                got=self.audio_config.output_dim,
                expected=self.text_config.hidden_size,
                fix="set audio_config.output_dim",
            )

    def _image_size(self) -> int:
        size = getattr(self.vision_config, "image_size", None)
        if size is None:
            raise ConfigError("this vision encoder has no image size of its own", fix="set tile_size")
        return int(size if isinstance(size, int) else size[0])

    @property
    def patch_size(self) -> int:
        """Pixels of a patch's edge; for a ResNet, of what one position of its last feature map stands for."""
        if self.vision_config.model_type == ResNetConfig.model_type:
            halvings = len(self.vision_config.hidden_sizes) - 1 + self.vision_config.downsample_in_first_stage
            return 4 * 2**halvings
        size = self.vision_config.patch_size
        return int(size if isinstance(size, int) else size[0])

    @property
    def vision_width(self) -> int:
        """Width of the vision encoder's features."""
        sizes = getattr(self.vision_config, "hidden_sizes", None)
        return int(sizes[-1] if sizes else self.vision_config.hidden_size)

    @property
    def _patches_per_token_edge(self) -> int:
        return round(1 / self.downsample_ratio) if self.vision_connector["type"] == "mlp2x_gelu" else 1

    @property
    def num_image_tokens(self) -> int:
        """Features of one tile of a picture."""
        if self.vision_connector["type"] == "slots":
            return self.vision_connector["num_slots"]
        return (self.tile_size // self.patch_size // self._patches_per_token_edge) ** 2

    @property
    def num_frame_tokens(self) -> int:
        """Features of one frame of a video: the first ones of its tile."""
        return self.vision_connector.get("frame_slots", self.num_image_tokens)

    @property
    def states(self) -> StateTokens:
        """The state tokens of this model."""
        return StateTokens(**self.state_tokens)


def _sub_config(given: dict | PreTrainedConfig | None, name: str, default: str | type[PreTrainedConfig]) -> Any:
    """A configuration object from an object, a dict or nothing. `default` is a class or a model type."""
    if isinstance(given, PreTrainedConfig):
        return given
    given = dict(given or {})
    if not isinstance(default, str):
        found = given.get("model_type", default.model_type)
        if found != default.model_type:
            raise ConfigError(f"{name} has the wrong model_type", got=found, expected=default.model_type)
        return default(**given)
    try:
        return AutoConfig.for_model(given.pop("model_type", default), **given)
    except ValueError as error:
        raise ConfigError(f"{name} names a model that transformers does not know: {error}") from error


__all__ = ["VitaConfig"]
