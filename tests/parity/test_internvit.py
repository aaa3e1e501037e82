"""The vision encoder and its connector against the reference's numbers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from vita.checkpoints.reference_layout import vision_config_from_reference
from vita.checkpoints.table import VISION_PREFIX, Table
from vita.models.configuration_vita import VitaConfig
from vita.models.vision_connector import MlpConnector, pixel_shuffle
from vita.models.vision_tower import VisionTower

TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def described(reference_file: Callable[[str], Path]) -> dict[str, Any]:
    return json.loads(reference_file("internvit/internvit.json").read_text(encoding="utf-8"))


def build(entry: dict[str, Any], weights: dict[str, torch.Tensor]) -> tuple[VisionTower, MlpConnector]:
    """Tower and connector with the weights of an entry, by way of the conversion table."""
    width = entry["llm_hidden_size"]
    config = VitaConfig(
        text_config={"model_type": "llama", "hidden_size": width, "num_attention_heads": 1, "vocab_size": 8},
        vision_config=vision_config_from_reference(entry["config"]),
        audio_config={"output_dim": width},
        downsample_ratio=entry["scale_pix_shuffle"],
    )
    assert config.vision_config.hidden_size * round(1 / entry["scale_pix_shuffle"]) ** 2 == entry["mm_hidden_size"]
    modules = torch.nn.ModuleDict(
        {"vision_tower": VisionTower(config.vision_config), "vision_connector": MlpConnector(config)}
    )
    names = {name: VISION_PREFIX + name.removeprefix("vision_tower.") for name in weights}
    names |= {name: f"model.{name}" for name in weights if name.startswith("mm_projector.")}
    steps = Table(config).steps(list(names.values()))
    state: dict[str, torch.Tensor] = {}
    for name, tensor in weights.items():
        state |= steps[names[name]].join([tensor])
    modules.load_state_dict(state, strict=True)
    modules.eval()
    return modules["vision_tower"], modules["vision_connector"]  # type: ignore[return-value]


@torch.no_grad()
def test_every_encoder_and_case(
    described: dict[str, Any], reference_file: Callable[[str], Path], record_difference: Callable[..., None]
) -> None:
    entries = {name: entry for name, entry in described.items() if isinstance(entry, dict) and "config" in entry}
    assert entries
    for name, entry in entries.items():
        assert entry["select_layer"] == -1
        stored = load_file(reference_file(f"internvit/{name}.io.safetensors"))
        tower, connector = build(entry, load_file(reference_file(f"internvit/{name}.weights.safetensors")))
        assert entry["cases"]
        for case in entry["cases"]:
            pixels = stored[f"{case}.pixel_values"]
            patches = tower(pixels)
            encoded = tower.encoder(pixels)
            found = {
                "embeddings": tower.encoder.embeddings(pixels),
                "hidden_states_last": encoded.last_hidden_state,
                "feature_select": patches,
                "tower_out": connector.shuffle(patches),
                "projected": connector(patches),
            }
            for what, tensor in found.items():
                expected = stored[f"{case}.{what}"]
                assert tensor.shape == expected.shape, f"{name}.{case}.{what}"
                record_difference(f"{name}.{case}.{what}", (tensor - expected).abs().max(), TOLERANCE)


def test_pixel_shuffle_permutation(described: dict[str, Any]) -> None:
    example = described["pixel_shuffle_example"]
    shape, out_shape = example["input_shape"], example["output_shape"]
    patches = torch.arange(torch.Size(shape).numel()).reshape(shape[0], -1, shape[-1])
    joined = pixel_shuffle(patches, shape[1] // out_shape[1])
    assert joined.shape == (out_shape[0], out_shape[1] * out_shape[2], out_shape[3])
    assert joined.flatten().tolist() == example["output"]
