"""Tiny checkpoints in the reference's layouts, VITA-1.0's and 1.5's, from random models by the table's inverse."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import save_file

from tests.models.tiny_vita import tiny_config
from vita.checkpoints.table import AUDIO_PREFIX, VISION_PREFIX, Table
from vita.models.modeling_vita import VitaForConditionalGeneration

Tensors = dict[str, torch.Tensor]
VISION_FOLDER, AUDIO_FOLDER = "vision-part", "audio-part"
_VISION_LAYER = ("attn.qkv.weight", "attn.qkv.bias", "attn.proj.weight", "attn.proj.bias", "ls1", "ls2")
_PAIRS = ("weight", "bias")


def reference_names(text: str = "mixtral", num_layers: int = 2, num_experts: int = 4) -> list[str]:
    """All tensors of a tiny checkpoint: pre-norm layers, subsampling connector of one convolution."""
    names = ["model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"]
    names += [f"model.mm_projector.{index}.{kind}" for index in (0, 2) for kind in _PAIRS]
    embeddings = ("class_embedding", "position_embedding", "patch_embedding.weight", "patch_embedding.bias")
    names += [f"{VISION_PREFIX}embeddings.{name}" for name in embeddings]
    encoder = f"{AUDIO_PREFIX}encoder."
    names += [f"{encoder}global_cmvn.{name}" for name in ("mean", "istd")]
    parts = ("enc.0.core.conv.0", "enc.0.core.conv.2", "enc.0.core.out.0")
    parts += ("enc.1.embed.0", "enc.1.embed.1", "enc.1.after_norm")
    names += [f"{encoder}{part}.{kind}" for part in parts for kind in _PAIRS]
    names += [f"{AUDIO_PREFIX}adpter.{part}.{kind}" for part in ("conv1d2", "bn2", "project") for kind in _PAIRS]
    for layer in range(num_layers):
        language, vision = f"model.layers.{layer}.", f"{VISION_PREFIX}encoder.layers.{layer}."
        names += [f"{language}self_attn.{letter}_proj.weight" for letter in "qkvo"]
        names += [f"{language}{norm}_layernorm.weight" for norm in ("input", "post_attention")]
        if text == "mixtral":
            names += [f"{language}block_sparse_moe.gate.weight"]
            experts = [f"{language}block_sparse_moe.experts.{expert}" for expert in range(num_experts)]
            names += [f"{expert}.{matrix}.weight" for expert in experts for matrix in ("w1", "w2", "w3")]
        else:
            names += [f"{language}self_attn.{letter}_proj.bias" for letter in "qkv"]
            names += [f"{language}mlp.{kind}_proj.weight" for kind in ("gate", "up", "down")]
        names += [f"{vision}{name}" for name in _VISION_LAYER]
        names += [f"{vision}{part}.{kind}" for part in ("mlp.fc1", "mlp.fc2", "norm1", "norm2") for kind in _PAIRS]
        audio = f"{encoder}enc.1.encoders.{layer}."
        names += [f"{audio}self_attn.linear_{name}.{kind}" for name in ("q", "k", "v", "out") for kind in _PAIRS]
        names += [f"{audio}self_attn.{name}" for name in ("linear_pos.weight", "pos_bias_u", "pos_bias_v")]
        parts = ("feed_forward.w_1", "feed_forward.w_2", "norm1", "norm2")
        names += [f"{audio}{part}.{kind}" for part in parts for kind in _PAIRS]
    return names


@dataclass
class ReferenceLike:
    """The model that a checkpoint was made from, and its tensors under the reference's names."""

    model: VitaForConditionalGeneration
    tensors: Tensors

    def write(self, folder: Path, *, num_shards: int = 1, leave_out: tuple[str, ...] = (), **config: Any) -> Path:
        """The checkpoint folder; tensors whose name starts with one of `leave_out` stay out of it."""
        tensors = {name: tensor for name, tensor in self.tensors.items() if not name.startswith(leave_out or ("-",))}
        for part in (VISION_FOLDER, AUDIO_FOLDER):
            (folder / part).mkdir(parents=True, exist_ok=True)
        text = _TEXT if self.model.config.text_config.model_type == "mixtral" else _TEXT_1_5
        _write_json(folder / "config.json", {**text, **config})
        _write_json(folder / VISION_FOLDER / "config.json", _VISION)
        pixels = {"crop_size": 56, "image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.3, 0.4]}
        _write_json(folder / VISION_FOLDER / "preprocessor_config.json", pixels)
        (folder / AUDIO_FOLDER / "train.yaml").write_text(yaml.safe_dump(_AUDIO))
        write_shards(folder, tensors, num_shards)
        return folder


def write_shards(folder: Path, tensors: Tensors, num_shards: int = 1) -> None:
    """Tensors as safetensors, dealt out over `num_shards` files."""
    tensors = {name: tensor.contiguous().clone() for name, tensor in tensors.items()}
    if num_shards == 1:
        save_file(tensors, folder / "model.safetensors")
        return
    weight_map = {}
    for shard in range(num_shards):
        file = f"model-{shard + 1:05d}-of-{num_shards:05d}.safetensors"
        own = dict(list(tensors.items())[shard::num_shards])
        save_file(own, folder / file)
        weight_map |= dict.fromkeys(own, file)
    _write_json(folder / "model.safetensors.index.json", {"metadata": {}, "weight_map": weight_map})


def make(text: str = "mixtral", **options: Any) -> ReferenceLike:
    """A random model around VITA-1.0's language model or 1.5's, "qwen2"; its tensors under the reference's names."""
    torch.manual_seed(0)
    if text == "qwen2":
        options = {"text_config": {**_QWEN_SIZES, "vocab_size": 300}, **options}
    model = VitaForConditionalGeneration(tiny_config(text, audio_config=_AUDIO_SIZES, **options)).eval()
    with torch.no_grad():
        for tensor in model.state_dict().values():
            tensor.copy_(torch.randn_like(tensor) * 0.2)
    state, table = model.state_dict(), Table(model.config)
    tensors = {name: step.pick(state) for name, step in table.steps(reference_names(text)).items()}
    return ReferenceLike(model, tensors)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


_TEXT = {
    "model_type": "vita-mixtral",
    "architectures": ["VITAMixtralForCausalLM"],
    "vocab_size": 100,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "num_local_experts": 4,
    "num_experts_per_tok": 2,
    "router_aux_loss_coef": 0.05,
    "rope_theta": 1000000.0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "torch_dtype": "bfloat16",
    "mm_vision_tower": f"/somewhere/else/{VISION_FOLDER}",
    "mm_audio_encoder": AUDIO_FOLDER,
    "mm_projector_type": "mlp2x_gelu",
    "use_mm_proj": True,
    "tokenizer_model_max_length": 300,
    "image_aspect_ratio": "square",
}
_QWEN_SIZES = {
    "model_type": "qwen2",
    "vocab_size": 300,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "rope_theta": 1000000.0,
    "rms_norm_eps": 1e-06,
    "tie_word_embeddings": False,
}
_TEXT_1_5 = {
    **_QWEN_SIZES,
    "model_type": "vita-Qwen2",
    "architectures": ["VITAQwen2ForCausalLM"],
    "attention_dropout": 0.0,
    "audio_prompt_finetune": False,
    "audio_prompt_num": None,
    "audio_state_predictor_tuning": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "freeze_audio_encoder": True,
    "freeze_audio_encoder_adapter": False,
    "freeze_mm_mlp_adapter": False,
    "hidden_act": "silu",
    "image_aspect_ratio": "square",
    "initializer_range": 0.02,
    "max_position_embeddings": 2048,
    "max_window_layers": 2,
    "mm_audio_encoder": f"HUB-OWNER/{AUDIO_FOLDER}",
    "mm_hidden_size": 64,
    "mm_projector_lr": None,
    "mm_projector_type": "mlp2x_gelu",
    "mm_vision_tower": f"/somewhere/else/{VISION_FOLDER}",
    "sliding_window": None,
    "tokenizer_model_max_length": 300,
    "tokenizer_padding_side": "right",
    "torch_dtype": "float16",
    "transformers_version": "4.44.2",
    "tune_audio_mlp_adapter": False,
    "tune_mm_mlp_adapter": False,
    "unfreeze_vision_tower": False,
    "use_cache": False,
    "use_mm_proj": True,
    "use_s2": False,
    "use_sliding_window": False,
}
_VISION = {
    "model_type": "intern_vit_6b",
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "image_size": 56,
    "patch_size": 14,
    "qkv_bias": True,
    "qk_normalization": False,
    "norm_type": "layer_norm",
}
_AUDIO_SIZES = {
    "subsampling_dim": 8,
    "hidden_size": 16,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "output_dim": 32,
}
_AUDIO = {
    "is_json_cmvn": True,
    "encoder_conf": {
        "overview_conf": {"encoder-layer-config": "subsampling-transformer", "encoder-input-dim": 80},
        "para_conf": {
            "subsampling": {"subsampling-output-dim": 8},
            "transformer": {
                "transformer-attention-dim": 16,
                "transformer-attention-heads": 2,
                "transformer-linear-units": 24,
                "transformer-num-blocks": 2,
                "transformer-pos-enc-class": "rel-enc",
            },
        },
    },
    "model_conf": {
        "enc_out_dim": 16,
        "llm_embed_dim": 32,
        "kernel_size": 5,
        "adpter_type": "subsampling",
        "activation_func": "gelu",
        "norm": "layer",
    },
}
