"""The pocket tokenizer, and a configuration of the pocket model's kind that trains in seconds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from transformers import InternVLVisionConfig, PreTrainedTokenizerFast, Qwen3Config, ResNetConfig

from vita.models.configuration_audio import VitaAudioConfig
from vita.models.configuration_vita import VitaConfig
from vita.synth.scenes import FRAME_SLOTS, GROUP_SIZES, NUM_SLOTS
from vita.train.pocket import pocket_config
from vita.train.samples import TurnWriter
from vita.train.tokenizer import build_tokenizer

VISION: dict[str, Any] = {
    "resnet": ResNetConfig(embedding_size=8, hidden_sizes=[8, 16, 24], depths=[1, 1, 1], layer_type="basic"),
    "internvit": InternVLVisionConfig(
        hidden_size=24, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, image_size=64, patch_size=16,
        attention_bias=True,
    ),
}  # fmt: skip


def tiny_config(tokenizer: PreTrainedTokenizerFast, vision: str = "resnet") -> VitaConfig:
    """The pocket model in small: the same parts, slots and tokenizer, some 200,000 parameters."""
    ids = tokenizer.get_vocab()
    special: dict[str, Any] = {"pad_token_id": ids["<pad>"], "eos_token_id": ids["<|end|>"]}
    text = Qwen3Config(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, head_dim=16, max_position_embeddings=1024, tie_word_embeddings=True, **special,
    )  # fmt: skip
    audio = VitaAudioConfig(
        subsampling_dim=8, hidden_size=16, num_attention_heads=2, intermediate_size=24, num_hidden_layers=1,
        hidden_act="gelu", position="rotary", chunk_size=16, dynamic_chunks=True, dropout=0.0, positional_dropout=0.0,
        connector_type="ctc", ctc_vocab_size=len(tokenizer), output_dim=32,
    )  # fmt: skip
    connector = {"num_layers": 1, "num_heads": 2, "group_sizes": list(GROUP_SIZES)}
    return VitaConfig(
        text_config=text,
        vision_config=VISION[vision],
        audio_config=audio,
        vision_connector={"type": "slots", "num_slots": NUM_SLOTS, "frame_slots": FRAME_SLOTS, **connector},
        image_token_id=ids["<image>"],
        audio_token_id=ids["<audio>"],
        template="tokenizer",
        tile_size=64,
        max_tiles=1,
        crop_frames=False,
        tokenizer_model_max_length=1024,
        tie_word_embeddings=True,
        **special,
    )


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    """The whole pocket tokenizer."""
    return build_tokenizer()


@pytest.fixture(scope="session")
def config(tokenizer: PreTrainedTokenizerFast) -> VitaConfig:
    """The tiny configuration for it."""
    return tiny_config(tokenizer)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Tiny models are fastest on one thread, and then give the same bits wherever they run."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def pocket(tokenizer: PreTrainedTokenizerFast) -> VitaConfig:
    """The real configuration of the pocket model."""
    return pocket_config(tokenizer)


@pytest.fixture(scope="session")
def writer(tokenizer: PreTrainedTokenizerFast, pocket: VitaConfig) -> TurnWriter:
    """Writes sequences for it."""
    return TurnWriter(tokenizer, pocket.states)
