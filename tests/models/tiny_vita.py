"""Tiny random models for the tests of this folder: any language model, 56-pixel tiles of 4 tokens, a 2-layer tower."""

from __future__ import annotations

from typing import Any

import torch

from vita.models.configuration_vita import VitaConfig
from vita.models.modeling_vita import VitaForConditionalGeneration

VOCAB, IMAGE_ID, AUDIO_ID = 100, 100, 101
_SIZES = {
    "vocab_size": VOCAB,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
    "initializer_range": 0.2,
}
LANGUAGE_MODELS: dict[str, dict[str, Any]] = {
    "mixtral": {"num_local_experts": 4, "router_aux_loss_coef": 0.05},
    "qwen2": {"tie_word_embeddings": True},
    "qwen3": {"head_dim": 64},
    "llama": {"head_dim": 64, "tie_word_embeddings": False},
}


def tiny_config(language_model: str = "llama", **options: Any) -> VitaConfig:
    text = {"model_type": language_model, **_SIZES, **LANGUAGE_MODELS[language_model]}
    vision = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    audio = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    given = {
        "text_config": text,
        "vision_config": {**vision, "image_size": 56, "attention_bias": True},
        "audio_config": {**audio, "subsampling_dim": 8, "output_dim": 32, "dropout": 0.0, "positional_dropout": 0.0},
        "image_token_id": IMAGE_ID,
        "audio_token_id": AUDIO_ID,
    }
    return VitaConfig(**{**given, **options})


def tiny_model(language_model: str = "llama", **options: Any) -> VitaForConditionalGeneration:
    torch.manual_seed(0)
    return VitaForConditionalGeneration(tiny_config(language_model, **options)).eval()


def media(num_tiles: int = 1, num_frames: tuple[int, ...] = (41,), seed: int = 1) -> dict[str, torch.Tensor]:
    """Random tiles of 56 pixels and clips of mel features, zero-padded to the longest."""
    generator = torch.Generator().manual_seed(seed)
    given: dict[str, torch.Tensor] = {}
    if num_tiles:
        given["pixel_values"] = torch.randn(num_tiles, 3, 56, 56, generator=generator)
    if num_frames:
        features = torch.randn(len(num_frames), max(num_frames), 80, generator=generator)
        for row, length in enumerate(num_frames):
            features[row, length:] = 0
        given["audio_features"] = features
        given["audio_lengths"] = torch.tensor(num_frames)
    return given


def prompt(*parts: int | str) -> torch.Tensor:
    """Ids of one row: numbers as they are, "image" as the 4 ids of a tile, "audio:N" as N ids of a clip."""
    ids: list[int] = []
    for part in parts:
        if isinstance(part, int):
            ids.append(part)
        elif part == "image":
            ids += [IMAGE_ID] * 4
        else:
            ids += [AUDIO_ID] * int(part.partition(":")[2])
    return torch.tensor([ids])
