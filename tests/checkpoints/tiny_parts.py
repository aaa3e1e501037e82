"""Tiny random language models, vision and audio encoders, saved as they lie on the hub."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import save_file
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    CLIPConfig,
    CLIPModel,
    CLIPVisionConfig,
    CLIPVisionModel,
    InternVLVisionConfig,
    InternVLVisionModel,
    SiglipConfig,
    SiglipModel,
    SiglipVisionConfig,
    SiglipVisionModel,
    WhisperConfig,
    WhisperForConditionalGeneration,
)

from tests.checkpoints.reference_like import _AUDIO, _VISION, make
from tests.conftest import TEXT_CONFIGS, make_model, make_tokenizer
from vita.checkpoints.table import AUDIO_PREFIX, VISION_PREFIX

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
MEANS = {"image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.3, 0.4]}
_VIT = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
_TEXT_HALF = {**_VIT, "vocab_size": 40, "max_position_embeddings": 16}


def language_model(folder: Path, kind: str = "qwen2") -> Path:
    """A language model with a tokenizer of bytes; Qwen's kind have a chat template, the others none."""
    tokenizer = make_tokenizer()
    if kind.startswith("qwen"):
        tokenizer.add_special_tokens({"eos_token": "<|im_end|>", "additional_special_tokens": ["<|im_start|>"]})
        tokenizer.chat_template = CHATML
    sizes = {
        "vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "initializer_range": 0.3, "bos_token_id": 1,
        "eos_token_id": tokenizer.eos_token_id, "pad_token_id": 0, "max_position_embeddings": 2048,
    }  # fmt: skip
    given = {**TEXT_CONFIGS[kind], **sizes}
    torch.manual_seed(1)
    AutoModelForCausalLM.from_config(AutoConfig.for_model(given.pop("model_type"), **given)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def intern_vit(folder: Path) -> Path:
    """InternViT as OpenGVLab's folders have it."""
    folder.mkdir()
    tensors = make().tensors
    own = {n.removeprefix(VISION_PREFIX): t.contiguous() for n, t in tensors.items() if n.startswith(VISION_PREFIX)}
    save_file(own, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(_VISION))
    return _with_means(folder)


def intern_vit_hf(folder: Path) -> Path:
    """InternViT as transformers has it."""
    torch.manual_seed(2)
    InternVLVisionModel(InternVLVisionConfig(**_VIT, image_size=[28, 28], patch_size=[7, 7])).save_pretrained(folder)
    return _with_means(folder)


def siglip(folder: Path, whole: bool = True) -> Path:
    """A SigLIP, or its vision tower alone; 27 patches an edge, as the largest ones have."""
    torch.manual_seed(3)
    vision = {**_VIT, "image_size": 54, "patch_size": 2}
    model = SiglipModel(SiglipConfig(text_config={**_TEXT_HALF}, vision_config=vision)) if whole else SiglipVisionModel(
        SiglipVisionConfig(**vision)
    )  # fmt: skip
    model.save_pretrained(folder)
    return _with_means(folder)


def clip(folder: Path, whole: bool = True) -> Path:
    """A CLIP, or its vision tower alone."""
    torch.manual_seed(4)
    vision = {**_VIT, "image_size": 28, "patch_size": 7}
    model = CLIPModel(CLIPConfig(text_config={**_TEXT_HALF}, vision_config=vision)) if whole else CLIPVisionModel(
        CLIPVisionConfig(**vision)
    )  # fmt: skip
    model.save_pretrained(folder)
    return _with_means(folder)


def whisper(folder: Path) -> Path:
    """A whole Whisper whose window is one second."""
    torch.manual_seed(5)
    config = WhisperConfig(
        d_model=16, encoder_layers=2, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2,
        encoder_ffn_dim=24, decoder_ffn_dim=24, num_mel_bins=80, max_source_positions=50, vocab_size=60,
        pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=3, init_std=0.2,
    )  # fmt: skip
    WhisperForConditionalGeneration(config).save_pretrained(folder)
    return folder


def whale(folder: Path) -> Path:
    """A VITA audio encoder: final.pt, train.yaml, global_cmvn."""
    folder.mkdir()
    tensors = make().tensors
    own = {n.removeprefix(AUDIO_PREFIX): t.clone() for n, t in tensors.items() if n.startswith(AUDIO_PREFIX)}
    torch.save({name: tensor for name, tensor in own.items() if "global_cmvn" not in name}, folder / "final.pt")
    (folder / "train.yaml").write_text(yaml.safe_dump(_AUDIO))
    sums = {"mean_stat": [4.0] * 80, "var_stat": [12.0] * 80, "frame_num": 2}
    (folder / "global_cmvn").write_text(json.dumps(sums))
    return folder


def ours(folder: Path) -> Path:
    """A whole model of ours with a streaming audio tower."""
    model, processor = make_model(chunk_size=4, connector_type="ctc", ctc_vocab_size=9)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


VISION: dict[str, Callable[[Path], Any]] = {
    "intern_vit": intern_vit,
    "intern_vit_hf": intern_vit_hf,
    "siglip": siglip,
    "siglip_vision": lambda folder: siglip(folder, whole=False),
    "clip": clip,
    "clip_vision": lambda folder: clip(folder, whole=False),
    "ours": ours,
}
AUDIO: dict[str, Callable[[Path], Any]] = {"whisper": whisper, "whale": whale, "ours": ours}


def _with_means(folder: Path) -> Path:
    (folder / "preprocessor_config.json").write_text(json.dumps(MEANS))
    return folder
