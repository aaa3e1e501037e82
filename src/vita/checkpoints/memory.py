"""How much memory a model takes in each number format, from its configuration alone: nothing is loaded.

Used by `vita doctor --model`. The model is built without storage, so that what is counted is what would be loaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vita.checkpoints.loading import fetch, find_model, is_hub_id
from vita.checkpoints.reference_layout import RELEASES, reference_config
from vita.checkpoints.sources import read_json
from vita.errors import CheckpointError
from vita.models.configuration_vita import VitaConfig
from vita.models.modeling_vita import VitaForConditionalGeneration

BITS = {"float32": 32.0, "bfloat16": 16.0, "int8": 8.0, "int4": 4.5}
"""Bits per weight; int4 keeps a float32 scale for every 64 weights."""
REST_BITS = 16.0
"""Bits of what int8 and int4 do not reach."""


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """What a model consists of.

    parts: parameters of each part.
    num_quantized: parameters that int8 and int4 reach: the matrices of the language model's layers, but not the stacked
        experts of a mixture.
    cache_values: numbers in the KV cache per token.
    max_tokens: the longest sequence that the model is configured for.
    """

    parts: dict[str, int]
    num_quantized: int
    cache_values: int
    max_tokens: int

    @property
    def num_parameters(self) -> int:
        """All of them."""
        return sum(self.parts.values())

    def weight_bytes(self, precision: str) -> int:
        """Bytes of the weights in one of BITS."""
        if precision in ("int8", "int4"):
            rest = self.num_parameters - self.num_quantized
            return round((self.num_quantized * BITS[precision] + rest * REST_BITS) / 8)
        return round(self.num_parameters * BITS[precision] / 8)

    def cache_bytes(self, precision: str, num_tokens: int | None = None) -> int:
        """Bytes of the KV cache of one conversation of so many tokens, by default the longest."""
        size = 4 if precision == "float32" else 2
        return self.cache_values * size * (self.max_tokens if num_tokens is None else num_tokens)

    def precisions(self) -> list[str]:
        """The number formats that make a difference."""
        return [name for name in BITS if self.num_quantized or name not in ("int8", "int4")]


def footprint(config: VitaConfig) -> Footprint:
    """Of the model that `config` describes."""
    with torch.device("meta"):
        model = VitaForConditionalGeneration(config)
    text = config.text_config
    heads = text.num_key_value_heads or text.num_attention_heads
    head_dim = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    linear = [module for module in model.language_model.modules() if isinstance(module, nn.Linear)]
    reached = [module for module in linear if module is not model.get_output_embeddings()]
    is_mixture = _num_experts(text) > 0
    return Footprint(
        parts={name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children()},
        num_quantized=0 if is_mixture else sum(module.weight.numel() for module in reached),
        cache_values=2 * text.num_hidden_layers * heads * head_dim,
        max_tokens=config.tokenizer_model_max_length,
    )


def read_config(name: str | Path) -> VitaConfig:
    """The configuration of a model by its name: pocket, a folder (ours or the reference's), or an id on the hub."""
    if is_hub_id(name):
        folder = fetch(str(name), ["config.json"])
    else:
        folder = find_model(name)
    if not (folder / "config.json").is_file():
        raise CheckpointError(f"{folder} has no config.json", expected="a model folder")
    kind = read_json(folder / "config.json").get("model_type")
    if kind in RELEASES:
        return reference_config(folder)
    if kind != VitaConfig.model_type:
        raise CheckpointError(f"{folder} holds another kind of model", got=f"model_type {kind}", expected="vita")
    return VitaConfig.from_pretrained(folder)


def _num_experts(text: Any) -> int:
    return getattr(text, "num_local_experts", None) or getattr(text, "num_experts", None) or 0
