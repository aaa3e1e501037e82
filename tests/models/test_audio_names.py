"""The reference's names and settings of the audio side, for ours."""

from __future__ import annotations

import copy

import pytest

from vita.checkpoints.audio_names import audio_config_from_reference, rename_audio_key
from vita.errors import CheckpointError, ConfigError
from vita.models.configuration_audio import VitaAudioConfig

ENCODER = {
    "overview_conf": {
        "encoder-layer-config": "subsampling-transformer",
        "encoder-input-dim": 80,
        "encoder-output-dim": 64,
    },
    "para_conf": {
        "subsampling": {"subsampling-output-dim": 32},
        "transformer": {
            "transformer-attention-dim": 64,
            "transformer-attention-heads": 4,
            "transformer-linear-units": 128,
            "transformer-num-blocks": 2,
            "transformer-pos-enc-class": "rel-enc",
            "transformer-chunk_size": 4,
            "transformer-left_chunks": 2,
        },
    },
}
MODEL = {"enc_out_dim": 64, "llm_embed_dim": 96, "kernel_size": 5, "adpter_type": "subsampling", "norm": "layer"}


def test_settings() -> None:
    config = audio_config_from_reference(ENCODER, MODEL)
    assert (config.subsampling_dim, config.hidden_size, config.position) == (32, 64, "rel")
    assert (config.chunk_size, config.left_chunks, config.dynamic_chunks) == (4, 2, False)
    assert (config.connector_type, config.connector_num_convs, config.connector_norm) == ("subsampling", 1, "layer")


@pytest.mark.parametrize(("output_dim", "convolutions"), [(96, 1), (256, 1), (257, 2)])
def test_wide_language_models_get_two_convolutions(output_dim: int, convolutions: int) -> None:
    config = audio_config_from_reference(ENCODER, MODEL | {"llm_embed_dim": output_dim})
    assert config.connector_num_convs == convolutions


def test_settings_that_lack_or_misstate_something() -> None:
    without = copy.deepcopy(ENCODER)
    del without["para_conf"]["transformer"]["transformer-linear-units"]
    with pytest.raises(CheckpointError, match="transformer-linear-units"):
        audio_config_from_reference(without)
    other = copy.deepcopy(ENCODER)
    other["overview_conf"]["encoder-layer-config"] = "conformer"
    with pytest.raises(CheckpointError, match="layout unknown"):
        audio_config_from_reference(other)
    with pytest.raises(ConfigError, match="connector_type unknown"):
        audio_config_from_reference(ENCODER, MODEL | {"adpter_type": "mlp"})


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("encoder.global_cmvn.istd", "audio_tower.cmvn.istd"),
        ("encoder.enc.0.core.conv.2.weight", "audio_tower.subsampling.conv2.weight"),
        ("encoder.enc.1.encoders.11.self_attn.linear_q.bias", "audio_tower.layers.11.attention.q_proj.bias"),
        ("encoder.enc.1.encoders.3.feed_forward.w_1.0.weight", "audio_tower.layers.3.feed_forward.up.0.weight"),
        ("encoder.enc.1.encoders.0.self_attn.pos_bias_v", "audio_tower.layers.0.attention.position_bias"),
        ("adpter.bn2.running_mean", "audio_connector.convs.0.norm.running_mean"),
        ("adpter.project.weight", "audio_connector.projection.weight"),
    ],
)
def test_names(name: str, ours: str) -> None:
    assert rename_audio_key(name, VitaAudioConfig()) == ours


@pytest.mark.parametrize("options", [{"connector_type": "cnn"}, {"connector_num_convs": 2}])
def test_names_of_connectors_with_two_convolutions(options: dict) -> None:
    config = VitaAudioConfig(**options)
    assert rename_audio_key("adpter.conv1d1.weight", config) == "audio_connector.convs.0.conv.weight"
    assert rename_audio_key("adpter.conv1d2.weight", config) == "audio_connector.convs.1.conv.weight"


@pytest.mark.parametrize("name", ["encoder.enc.2.weight", "adpter.unknown", "model.encoder.global_cmvn.mean"])
def test_unknown_names_are_errors(name: str) -> None:
    with pytest.raises(CheckpointError, match="none that we know"):
        rename_audio_key(name, VitaAudioConfig())
