"""Floating point operations of a batch, forward and backward, for MFU: the share of the hardware's peak that is used.

A weight of a matrix costs two operations a position forward, two for the gradient that passes through, two for its own
if it learns. Attention is counted from the lengths of the samples. Connectors, convolutions and what gradient
checkpointing computes again are not counted. Called by the objectives and by `progress.py`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from vita.tokens import IGNORE_LABEL

PEAK_TFLOPS = {
    "H200": 989.0, "H100 PCIe": 756.0, "H100": 989.0, "H800": 989.0, "A100": 312.0, "A800": 312.0, "L40S": 362.0,
    "L40": 181.0, "L4": 121.0, "4090": 165.0,
}  # fmt: skip
"""Dense bfloat16, by a piece of the device's name; from the makers' data sheets."""
_NOT_MULTIPLIED = ("embed_tokens", "lm_head")


class Work:
    """Counts for one model as a stage trains it; made before its weights are shared out.

    Args:
        model: has some of the parts of a whole model.
        config: of the whole model.
    """

    def __init__(self, model: nn.Module, config: Any) -> None:
        self._config = config
        self._weights = {name: _weights(part, config.text_config) for name, part in model.named_children()}

    def of(self, inputs: dict[str, Tensor]) -> float:
        """Operations of a batch on its way through the model and back."""
        found = 0.0
        if "input_ids" in inputs:
            found += self._language(inputs)
        if "pixel_values" in inputs:
            edge = inputs["pixel_values"].shape[-1] // self._config.patch_size
            found += inputs["pixel_values"].shape[0] * edge**2 * self._tower("vision_tower")
        if "audio_lengths" in inputs:
            found += float(inputs["audio_lengths"].sum()) / 4 * self._tower("audio_tower")
        return found

    def _language(self, inputs: dict[str, Tensor]) -> float:
        all_weights, learning = self._weights["language_model"]
        text, ids = self._config.text_config, inputs["input_ids"]
        before = inputs["position_ids"].sum() if "position_ids" in inputs else ids.shape[0] * ids.shape[1] ** 2 / 2
        attention = 3 * 4 * text.hidden_size * text.num_hidden_layers * float(before)
        predicted = int((inputs["labels"] != IGNORE_LABEL).sum()) if "labels" in inputs else 0
        head = 6 * text.hidden_size * text.vocab_size * predicted
        return ids.numel() * (4 * all_weights + 2 * learning) + attention + head

    def _tower(self, name: str) -> float:
        """Operations of one position: a frozen tower only goes forward."""
        all_weights, learning = self._weights.get(name, (0.0, 0.0))
        return 6 * all_weights if learning else 2 * all_weights


def peak_flops(device: torch.device, given_tflops: float = 0.0) -> float:
    """Operations a second that a device can do at most; 0 where that is not known."""
    if given_tflops:
        return given_tflops * 1e12
    if device.type != "cuda":
        return 0.0
    name = torch.cuda.get_device_name(device)
    return next((tflops * 1e12 for piece, tflops in PEAK_TFLOPS.items() if piece in name), 0.0)


def _weights(part: nn.Module, text_config: Any) -> tuple[float, float]:
    """(weights that a position is multiplied with, those of them that learn); of experts, the share that is asked."""
    experts = getattr(text_config, "num_local_experts", None) or getattr(text_config, "num_experts", None) or 1
    asked = getattr(text_config, "num_experts_per_tok", None) or 1
    all_weights = learning = 0.0
    for name, value in part.named_parameters():
        if value.ndim < 2 or any(piece in name for piece in _NOT_MULTIPLIED):
            continue
        count = value.numel() * (asked / experts if ".experts." in name else 1.0)
        all_weights += count
        learning += count if value.requires_grad else 0.0
    return all_weights, learning
