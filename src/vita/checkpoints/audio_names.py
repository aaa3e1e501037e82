"""The audio side of VITA-1.0 checkpoints: tensor names and settings of the reference for ours.

`audio_key_map` is the table that the converter joins with those of the other parts; `audio_config_from_reference`
reads the settings of the audio encoder's `train.yaml`. Called by `vita.checkpoints.convert` and the parity tests.
"""

from __future__ import annotations

import re
from typing import Any

from vita.errors import CheckpointError
from vita.models.configuration_audio import VitaAudioConfig

POSITIONS = {"abs-enc": "abs", "rel-enc": "rel"}

_TOWER_NAMES = (
    (r"encoder\.global_cmvn\.(mean|istd)", r"audio_tower.cmvn.\1"),
    (r"encoder\.enc\.0\.core\.conv\.0\.", "audio_tower.subsampling.conv1."),
    (r"encoder\.enc\.0\.core\.conv\.2\.", "audio_tower.subsampling.conv2."),
    (r"encoder\.enc\.0\.core\.out\.0\.", "audio_tower.subsampling.projection."),
    (r"encoder\.enc\.1\.embed\.0\.", "audio_tower.input_projection.linear."),
    (r"encoder\.enc\.1\.embed\.1\.", "audio_tower.input_projection.norm."),
    (r"encoder\.enc\.1\.after_norm\.", "audio_tower.final_norm."),
)
_LAYER_NAMES = (
    (r"self_attn\.linear_([qkv])\.", r"attention.\1_proj."),
    (r"self_attn\.linear_out\.", "attention.out_proj."),
    (r"self_attn\.linear_pos\.", "attention.position_proj."),
    (r"self_attn\.pos_bias_u", "attention.content_bias"),
    (r"self_attn\.pos_bias_v", "attention.position_bias"),
    (r"feed_forward\.w_1\.", "feed_forward.up."),
    (r"feed_forward\.w_2\.", "feed_forward.down."),
    (r"norm1\.", "attention_norm."),
    (r"norm2\.", "feed_forward_norm."),
    (r"concat_linear\.", "concat_proj."),
)
_CONNECTOR_NAMES = (
    (r"adpter\.conv1d1\.", "audio_connector.convs.0.conv."),
    (r"adpter\.bn1\.", "audio_connector.convs.0.norm."),
    (r"adpter\.conv1d2\.", "audio_connector.convs.{last}.conv."),
    (r"adpter\.bn2\.", "audio_connector.convs.{last}.norm."),
    (r"adpter\.project\.", "audio_connector.projection."),
    (r"adpter\.adpter\.", "audio_connector.projection."),
)


def audio_key_map(config: VitaAudioConfig) -> list[tuple[str, str]]:
    """Patterns of reference names (without `model.audio_encoder.`) and the names that they become.

    Each pattern is anchored at the start and rewrites the part that it matches; the rest of the name stays. Ours begin
    with `audio_tower.` or `audio_connector.`.
    """
    layer = r"encoder\.enc\.1\.encoders\.(\d+)\."
    layers = []
    for pattern, name in _LAYER_NAMES:
        shifted = name.replace(r"\1", r"\2")  # the layer's number is the first group
        layers.append((layer + pattern, r"audio_tower.layers.\1." + shifted))
    last = "1" if config.connector_type == "cnn" or config.connector_num_convs == 2 else "0"
    connectors = [(pattern, name.replace("{last}", last)) for pattern, name in _CONNECTOR_NAMES]
    return [*_TOWER_NAMES, *layers, *connectors]


def rename_audio_key(name: str, config: VitaAudioConfig) -> str:
    """Our name of the reference's `encoder.*` or `adpter.*` tensor; CheckpointError for one not in the table."""
    for pattern, replacement in audio_key_map(config):
        renamed, matches = re.subn("^" + pattern, replacement, name)
        if matches:
            return renamed
    raise CheckpointError(f"audio tensor {name} is none that we know", fix="is this a VITA-1.0 audio encoder?")


def audio_config_from_reference(
    encoder_conf: dict[str, Any], model_conf: dict[str, Any] | None = None
) -> VitaAudioConfig:
    """VitaAudioConfig from the `encoder_conf` and `model_conf` of the reference's train.yaml.

    A missing `transformer-dynamic-chunks` counts as false: the reference's default draws chunks in evaluation too.
    """
    try:
        return VitaAudioConfig(**_tower_fields(encoder_conf), **_connector_fields(model_conf or {}))
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"audio encoder settings lack or misstate {error}", expected="VITA-1.0's yaml") from error


def _tower_fields(encoder_conf: dict[str, Any]) -> dict[str, Any]:
    overview, parameters = encoder_conf["overview_conf"], encoder_conf["para_conf"]
    subsampling, transformer = parameters["subsampling"], parameters["transformer"]
    if overview["encoder-layer-config"] != "subsampling-transformer":
        raise CheckpointError(
            "audio encoder layout unknown", got=overview["encoder-layer-config"], expected="subsampling-transformer"
        )
    get = transformer.get
    return {
        "input_dim": overview["encoder-input-dim"],
        "subsampling_dim": subsampling["subsampling-output-dim"],
        "hidden_size": transformer["transformer-attention-dim"],
        "num_attention_heads": transformer["transformer-attention-heads"],
        "intermediate_size": transformer["transformer-linear-units"],
        "num_hidden_layers": transformer["transformer-num-blocks"],
        "dropout": float(get("transformer-dropout-rate", 0.1)),
        "attention_dropout": float(get("transformer-attention-dropout-rate", 0.0)),
        "positional_dropout": float(get("transformer-positional-dropout-rate", 0.1)),
        "position": POSITIONS[get("transformer-pos-enc-class", "abs-enc")],
        "normalize_before": get("transformer-normalize-before", True),
        "concat_after": get("transformer-concat-after", False),
        "feed_forward": get("transformer-positionwise-layer-type", "linear"),
        "conv_kernel_size": get("transformer-positionwise-conv-kernel_size", 1),
        "chunk_size": get("transformer-chunk_size", -1),
        "left_chunks": get("transformer-left_chunks", -1),
        "dynamic_chunks": get("transformer-dynamic-chunks", False),
    }


def _connector_fields(model_conf: dict[str, Any]) -> dict[str, Any]:
    if not model_conf:
        return {}
    width, output = model_conf["enc_out_dim"], model_conf["llm_embed_dim"]
    kind = model_conf.get("adpter_type", "cnn")
    return {
        "connector_type": kind,
        "connector_kernel_size": model_conf.get("kernel_size", 5),
        "connector_activation": model_conf.get("activation_func", "relu"),
        "connector_norm": model_conf.get("norm", "batch"),
        "connector_num_convs": 2 if kind == "cnn" or (kind == "subsampling" and 4 * width < output) else 1,
        "output_dim": output,
    }
