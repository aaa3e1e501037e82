"""The pocket model's configuration: the sizes of its three parts, which every stage shares."""

from __future__ import annotations

from transformers import InternVLVisionConfig, PreTrainedTokenizerFast, Qwen3Config

from vita.models.configuration_audio import VitaAudioConfig
from vita.models.configuration_vita import VitaConfig
from vita.synth.scenes import FRAME_SLOTS, GROUP_SIZES, NUM_SLOTS

WIDTH = 256


def pocket_config(tokenizer: PreTrainedTokenizerFast) -> VitaConfig:
    """About 16 M parameters: Qwen3 of 4 x 256, InternViT of 5 x 192 at 224 pixels (196 patches), audio tower of 6 x 256."""
    ids = tokenizer.get_vocab()
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
        rope_theta=10_000.0,
        pad_token_id=ids["<pad>"],
        bos_token_id=None,
        eos_token_id=ids["<|end|>"],
    )
    vision = InternVLVisionConfig(
        hidden_size=192,
        num_hidden_layers=5,
        num_attention_heads=3,
        intermediate_size=768,
        image_size=224,
        patch_size=16,
        attention_bias=True,
        layer_scale_init_value=0.5,
    )
    return VitaConfig(
        text_config=text,
        vision_config=vision,
        audio_config=pocket_audio_config(len(tokenizer)),
        vision_connector={
            "type": "slots",
            "num_slots": NUM_SLOTS,
            "frame_slots": FRAME_SLOTS,
            "num_layers": 2,
            "num_heads": 4,
            "group_sizes": list(GROUP_SIZES),
        },
        image_token_id=ids["<image>"],
        audio_token_id=ids["<audio>"],
        template="tokenizer",
        max_tiles=1,
        tokenizer_model_max_length=4096,
        tie_word_embeddings=True,
        pad_token_id=ids["<pad>"],
        eos_token_id=ids["<|end|>"],
    )


def pocket_audio_config(vocabulary: int) -> VitaAudioConfig:
    """The tower: 25 frames a second, chunks of 16 frames (0.64 s) when it listens live; the connector: 12.5 tokens a second."""
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
