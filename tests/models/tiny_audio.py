"""Tiny random audio towers and connectors of every variant, for the tests of this folder."""

from __future__ import annotations

import torch

from vita.models.configuration_audio import VitaAudioConfig

TINY = {
    "input_dim": 20,
    "subsampling_dim": 12,
    "hidden_size": 32,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "connector_kernel_size": 5,
    "output_dim": 24,
    "ctc_vocab_size": 9,
}
VARIANTS = {
    "abs": {"position": "abs"},
    "rel": {"position": "rel"},
    "rotary": {"position": "rotary"},
    "convolution": {"position": "rotary", "feed_forward": "conv1d-linear", "conv_kernel_size": 3},
    "post_norm": {"position": "rel", "normalize_before": False},
    "concatenated": {"position": "rel", "concat_after": True},
}
CONNECTORS = {
    "cnn": {"connector_type": "cnn"},
    "linear": {"connector_type": "linear"},
    "one_conv": {"connector_type": "subsampling"},
    "two_convs": {"connector_type": "subsampling", "connector_num_convs": 2},
    "ctc": {"connector_type": "ctc"},
}


def build(module: type, seed: int = 0, **options: object) -> torch.nn.Module:
    """A random module in eval mode with norms and CMVN that are not the identity."""
    torch.manual_seed(seed)
    built = module(VitaAudioConfig(**TINY | options)).eval()
    for name, tensor in built.state_dict().items():
        if "norm" in name or "cmvn" in name:
            tensor.copy_(torch.rand(tensor.shape) + 0.5)
    return built
