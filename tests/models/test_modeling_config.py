"""VitaConfig: composition, token counts, what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoConfig, Qwen2Config

from tests.models.tiny_vita import LANGUAGE_MODELS, tiny_config
from vita.errors import ConfigError
from vita.models import register
from vita.models.configuration_vita import VitaConfig


@pytest.mark.parametrize("name", LANGUAGE_MODELS)
def test_saved_and_loaded_again(name: str, tmp_path: Path) -> None:
    config = tiny_config(name, state_tokens={"noise": "☟"}, max_tiles=3, image_mean=(0.5, 0.5, 0.5))
    config.save_pretrained(tmp_path)
    register()
    loaded = AutoConfig.from_pretrained(tmp_path)
    assert type(loaded) is VitaConfig
    assert type(loaded.text_config) is type(config.text_config)
    changing = ("transformers_version", "_name_or_path")
    before, after = (
        {key: value for key, value in each.to_dict().items() if key not in changing} for each in (config, loaded)
    )
    assert str(after).replace("(", "[").replace(")", "]") == str(before).replace("(", "[").replace(")", "]")
    assert loaded.states.noise == "☟"
    assert loaded.states.spoken_query == "<1>"


def test_parts_may_be_objects_dicts_or_nothing() -> None:
    text = Qwen2Config(hidden_size=64, num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=True)
    config = VitaConfig(text_config=text, vision_config={"image_size": 112})
    assert config.text_config is text
    assert config.audio_config.output_dim == 64
    assert config.tie_word_embeddings
    assert config.tile_size == 112
    assert VitaConfig().text_config.model_type == "mixtral"


def test_released_sizes() -> None:
    """1024 patches of a 448-pixel tile become 256 tokens."""
    config = VitaConfig()
    assert (config.num_image_tokens, config.num_frame_tokens, config.tile_size) == (256, 256, 448)
    assert (config.max_tiles, config.tokenizer_model_max_length) == (12, 4600)


@pytest.mark.parametrize(
    ("options", "image", "frame"),
    [
        ({}, 4, 4),
        ({"tile_size": 112}, 16, 16),
        ({"downsample_ratio": 1.0}, 16, 16),
        ({"downsample_ratio": 0.25}, 1, 1),
        ({"vision_connector": {"type": "slots", "num_slots": 24, "frame_slots": 9}}, 24, 9),
        ({"vision_connector": {"type": "slots", "num_slots": 24}}, 24, 24),
    ],
)
def test_tokens_of_a_tile(options: dict[str, Any], image: int, frame: int) -> None:
    config = tiny_config(**options)
    assert (config.num_image_tokens, config.num_frame_tokens) == (image, frame)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"image_token_id": 7, "audio_token_id": 7}, "must differ"),
        ({"image_token_id": -200}, "not be negative"),
        ({"state_tokens": {"noise": "<1>"}}, "three different states"),
        ({"state_tokens": {"noise": ""}}, "three different states"),
        ({"state_tokens": {"question": "?"}}, "three different states"),
        ({"tokenizer_model_max_length": 0}, "tokenizer_model_max_length"),
        ({"vision_connector": {"type": "qformer"}}, "unknown vision connector"),
        ({"vision_connector": {"num_slots": 3}}, "unknown vision connector"),
        ({"vision_connector": {"type": "slots"}}, "num_slots"),
        ({"max_tiles": 0}, "tile count"),
        ({"min_tiles": 5, "max_tiles": 4}, "tile count"),
        ({"downsample_ratio": 0.3}, "whole number"),
        ({"downsample_ratio": 0.0}, "whole number"),
        ({"tile_size": 42}, "multiple of 28"),
        ({"vision_config": {"model_type": "vit"}}, "unknown vision encoder"),
        ({"vision_config": {"model_type": "clip_vision_model"}, "tile_size": 448}, "tiles of its own size"),
        ({"vision_config": {"model_type": "resnet"}}, "set tile_size"),
        ({"vision_config": {"model_type": "no-such-encoder"}}, "vision_config names a model.*no-such-encoder"),
        ({"audio_config": {"model_type": "whisper"}}, "audio_config has the wrong model_type"),
        ({"audio_config": {"output_dim": 31}}, "audio_config.output_dim"),
        ({"audio_config": {"encoder": "mamba"}}, "audio encoder unknown"),
        ({"audio_config": {"encoder": "whisper", "window_positions": 120}}, "whole number of seconds"),
        ({"audio_config": {"encoder": "whisper", "chunk_size": 4}}, "no chunks"),
        ({"text_config": {"model_type": "no-such-model"}}, "no-such-model"),
    ],
)
def test_what_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as raised:
        tiny_config(**options)
    assert "\n" not in str(raised.value)
