"""Parts for a new model: a language model, a vision encoder and an audio encoder, each from a folder or the hub.

Read by `compose`. Every weight that a part needs must be there; what it has no use for (a text tower, a decoder, an old
connector) is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    CLIPVisionModel,
    InternVLVisionModel,
    PreTrainedConfig,
    PreTrainedModel,
    SiglipVisionModel,
    WhisperModel,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from vita.checkpoints.audio_names import audio_config_from_reference, rename_audio_key
from vita.checkpoints.loading import load_model, quiet
from vita.checkpoints.reference_layout import vision_config_from_reference
from vita.checkpoints.sources import PickleFile, SafetensorsFile, open_folder, read_json
from vita.checkpoints.table import VISION_PREFIX, Table
from vita.errors import CheckpointError
from vita.models.audio_tower import AudioTower, build_audio_tower
from vita.models.cmvn import read_cmvn
from vita.models.configuration_audio import VitaAudioConfig
from vita.models.configuration_vita import VitaConfig
from vita.models.vision_tower import VisionTower
from vita.models.whisper_tower import WhisperTower

INTERN_VIT = "intern_vit_6b"
WHISPER_TOKEN_FRAMES = 4
"""Encoder frames of Whisper per token: 12.5 tokens a second, as in VITA."""


@dataclass(frozen=True)
class VisionPart:
    """A vision encoder with its weights.

    config: the encoder's.
    tower: the encoder.
    preprocessing: what VitaConfig should know of the pixels: image_mean and image_std, as the encoder was trained.
    feature_scale: factor on its features before the connector.
    """

    config: PreTrainedConfig
    tower: VisionTower
    preprocessing: dict[str, Any]
    feature_scale: float


@dataclass(frozen=True)
class AudioPart:
    """An audio encoder with its weights; `config` has the connector that a new model gets."""

    config: VitaAudioConfig
    tower: AudioTower | WhisperTower


def check_language_model(folder: Path) -> None:
    """CheckpointError unless config.json names a causal language model of transformers."""
    kind = _kind(folder)
    if kind not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise CheckpointError(
            f"{folder} holds no language model",
            got=f"model_type {kind}",
            expected="a causal one that transformers knows",
        )


def read_language_model(folder: Path) -> PreTrainedModel:
    """A causal language model of transformers, in the number format of its checkpoint."""
    check_language_model(folder)
    return _read(AutoModelForCausalLM, folder)


def read_vision(folder: Path) -> VisionPart:
    """A vision encoder: InternViT (either layout), SigLIP, CLIP, or that of a model of ours."""
    kind = _kind(folder)
    preprocessing = _preprocessing(folder)
    if kind == VitaConfig.model_type:
        model = load_model(folder)
        same = {name: getattr(model.config, name) for name in ("image_mean", "image_std", "tile_size", "crop_frames")}
        return VisionPart(model.config.vision_config, model.vision_tower, same, model.config.vision_feature_scale)
    if kind == INTERN_VIT:
        config: Any = vision_config_from_reference(read_json(folder / "config.json"))
        return VisionPart(config, _filled(VisionTower(config), _intern_vit(folder)), preprocessing, 0.5)
    if kind == "internvl_vision":
        encoder = _read(InternVLVisionModel, folder, without=("layernorm.",))
        config = deepcopy(encoder.config)
        config.use_mean_pooling = True  # nothing follows the last layer
        return VisionPart(config, _filled(VisionTower(config), _prefixed(encoder)), preprocessing, 0.5)
    if kind in ("siglip", "siglip_vision_model"):
        encoder = _read(SiglipVisionModel, folder)
        config = deepcopy(encoder.config)
        config.vision_use_head = False
        return VisionPart(config, _filled(VisionTower(config), _prefixed(encoder)), preprocessing, 1.0)
    if kind in ("clip", "clip_vision_model"):
        encoder = _read(CLIPVisionModel, folder)
        config = deepcopy(encoder.config)
        config.num_hidden_layers -= 1  # the last layer was trained for the class token alone
        return VisionPart(config, _filled(VisionTower(config), _prefixed(encoder)), preprocessing, 1.0)
    raise CheckpointError(
        f"{folder} holds no vision encoder that can be used",
        got=f"model_type {kind}",
        expected="InternViT, SigLIP, CLIP, or a model of ours",
    )


def read_audio(folder: Path) -> AudioPart:
    """An audio encoder: VITA's own (train.yaml and its weights), that of a model of ours, or a Whisper's."""
    if (folder / "train.yaml").is_file():
        return _read_whale(folder)
    kind = _kind(folder)
    if kind == VitaConfig.model_type:
        model = load_model(folder)
        return AudioPart(_with_new_connector(model.config.audio_config), model.audio_tower)
    if kind != "whisper":
        raise CheckpointError(
            f"{folder} holds no audio encoder that can be used",
            got=f"model_type {kind}",
            expected="a Whisper, a model of ours, or a folder with train.yaml",
        )
    encoder = _read(WhisperModel, folder).encoder
    theirs = encoder.config
    config = VitaAudioConfig(
        encoder="whisper",
        input_dim=theirs.num_mel_bins,
        hidden_size=theirs.d_model,
        num_attention_heads=theirs.encoder_attention_heads,
        intermediate_size=theirs.encoder_ffn_dim,
        num_hidden_layers=theirs.encoder_layers,
        hidden_act=theirs.activation_function,
        window_positions=theirs.max_source_positions,
        connector_stride=WHISPER_TOKEN_FRAMES,
    )
    return AudioPart(config, _filled(build_audio_tower(config), _prefixed(encoder)))


def _read_whale(folder: Path) -> AudioPart:
    path = folder / "train.yaml"
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
        theirs = audio_config_from_reference(settings["encoder_conf"], settings.get("model_conf"))
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}", expected="the audio encoder's settings") from error
    file = folder / "model.safetensors"
    source = SafetensorsFile(file) if file.is_file() else PickleFile(folder / "final.pt")
    named = {rename_audio_key(name, theirs): tensor for name, tensor in source.read()}
    prefix = "audio_tower."
    state = {name.removeprefix(prefix): tensor for name, tensor in named.items() if name.startswith(prefix)}
    if "cmvn.mean" not in state:
        mean, istd = read_cmvn(folder / "global_cmvn")
        state |= {"cmvn.mean": torch.from_numpy(mean).float(), "cmvn.istd": torch.from_numpy(istd).float()}
    return AudioPart(_with_new_connector(theirs), _filled(AudioTower(theirs), state))


def _with_new_connector(config: VitaAudioConfig) -> VitaAudioConfig:
    """The tower's settings with VITA's connector: one convolution of stride 2, a norm, a linear map."""
    fields = {
        **config.to_dict(),
        "connector_type": "subsampling",
        "connector_num_convs": 1,
        "connector_norm": "layer",
        "connector_activation": "gelu",
        "ctc_vocab_size": 0,
    }
    return VitaAudioConfig(**fields)


def _intern_vit(folder: Path) -> dict[str, Tensor]:
    """The tensors of an InternViT in its own layout, under the names of the tower."""
    table, state = Table(VitaConfig()), {}
    for source in open_folder(folder, VISION_PREFIX):
        steps = table.steps(list(source.shapes))
        for name, tensor in source.read():
            state |= steps[name].join([tensor])
    return {name.removeprefix("vision_tower."): tensor for name, tensor in state.items()}


def _kind(folder: Path) -> str:
    if not (folder / "config.json").is_file():
        raise CheckpointError(f"{folder} has no config.json", expected="a model folder")
    return str(read_json(folder / "config.json").get("model_type"))


def _preprocessing(folder: Path) -> dict[str, Any]:
    """Mean and deviation of the pixels; empty where the folder does not say."""
    path = folder / "preprocessor_config.json"
    settings = read_json(path) if path.is_file() else {}
    return {name: settings[name] for name in ("image_mean", "image_std") if settings.get(name)}


def _read(kind: Any, folder: Path, without: tuple[str, ...] = ()) -> Any:
    """A model of transformers with all of its weights from the folder; those of `without` may be missing."""
    try:
        with quiet():
            model, info = kind.from_pretrained(
                folder, dtype="auto", use_safetensors=True, local_files_only=True, output_loading_info=True
            )
    except (OSError, ValueError, SafetensorError) as error:
        raise CheckpointError(f"{folder} cannot be read: {error}", fix="fetch it again, as safetensors") from error
    missing = [name for name in info["missing_keys"] if not name.startswith(without or ("\0",))]
    if missing or info["mismatched_keys"]:
        raise CheckpointError(f"{folder} lacks weights of the part that is wanted", got=(missing or ["shapes"])[0])
    return model.eval()


def _prefixed(encoder: nn.Module) -> dict[str, Tensor]:
    return {f"encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}


def _filled(tower: Any, state: Mapping[str, Tensor]) -> Any:
    """The tower with these weights, of which it takes those that it has a place for; all of its own must be there."""
    own = tower.state_dict()
    missing = [name for name in own if name not in state]
    if missing:
        raise CheckpointError(f"an encoder's checkpoint lacks {len(missing)} tensors", got=missing[0])
    tower.load_state_dict({name: state[name] for name in own})
    return tower.to(next(iter(state.values())).dtype).eval()
