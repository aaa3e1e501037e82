"""The pocket model's configuration: the sizes of its three parts, which every stage shares."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from transformers import PreTrainedTokenizerFast, Qwen3Config, ResNetConfig

from vita.models.configuration_audio import VitaAudioConfig
from vita.models.configuration_vita import VitaConfig
from vita.synth.scenes import FRAME_SLOTS, GROUP_SIZES, NUM_SLOTS
from vita.synth.turns import fillings
from vita.synth.world import SHAPES

WIDTH = 256


def pocket_config(tokenizer: PreTrainedTokenizerFast) -> VitaConfig:
    """About 14 M parameters: Qwen3 of 4 x 256, a small ResNet at 320 pixels (20 x 20 x 192), audio tower of 6 x 256."""
    ids = tokenizer.get_vocab()
    special: dict[str, Any] = {"pad_token_id": ids["<pad>"], "eos_token_id": ids["<|end|>"]}
    text = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=768,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=64,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
        bos_token_id=None,
        **special,
    )
    vision = ResNetConfig(embedding_size=32, hidden_sizes=[32, 96, 192], depths=[2, 2, 2], layer_type="basic")
    return VitaConfig(
        text_config=text,
        vision_config=vision,
        audio_config=pocket_audio_config(len(tokenizer)),
        vision_connector={
            "type": "slots",
            "num_slots": NUM_SLOTS,
            "frame_slots": FRAME_SLOTS,
            "num_patch_layers": 2,
            "num_layers": 2,
            "num_heads": 4,
            "group_sizes": list(GROUP_SIZES),
        },
        image_token_id=ids["<image>"],
        audio_token_id=ids["<audio>"],
        template="tokenizer",
        tile_size=320,
        max_tiles=1,
        crop_frames=False,
        history_tokens=150,
        tokenizer_model_max_length=4096,
        tie_word_embeddings=True,
        **special,
    )


def plurals_like_singulars(words_VH: Tensor, tokenizer: PreTrainedTokenizerFast) -> None:
    """Give the plural of each shape its singular's embedding to begin with, in place.

    English plurals are asked for in counts alone: too seldom for a small model to find out what they name.
    """
    for shape in SHAPES:
        plural = fillings("en", shapes=shape)["shapes"]
        of_plural, of_singular = (tokenizer(word, add_special_tokens=False).input_ids for word in (plural, shape))
        if len(of_plural) == len(of_singular) == 1:
            words_VH[of_plural[0]] = words_VH[of_singular[0]]


def pocket_audio_config(vocabulary: int) -> VitaAudioConfig:
    """The tower: 25 frames a second, in live chunks of 16 (0.64 s). The connector: 12.5 tokens a second."""
    return VitaAudioConfig(
        subsampling_dim=96,
        hidden_size=256,
        num_attention_heads=4,
        intermediate_size=768,
        num_hidden_layers=6,
        hidden_act="gelu",
        position="rotary",
        chunk_size=16,
        left_chunks=-1,
        dynamic_chunks=True,
        dropout=0.0,
        positional_dropout=0.0,
        connector_type="ctc",
        ctc_vocab_size=vocabulary,
        output_dim=WIDTH,
    )
