"""The reference's checkpoint layout: its configuration files as a VitaConfig, and where its tensors lie.

A checkpoint is a folder with config.json (model_type vita-mixtral for VITA-1.0, vita-Qwen2 for VITA-1.5) and
safetensors files; the vision encoder and the audio encoder are folders of their own that config.json names, often by
the path they had on another machine. Their tensors are in the main files or, where those have none, in the folders. A
folder that holds only what was trained (merging.py) needs the folder that it was trained from as a base. A folder of
ours whose tensors are pickles is read here too. Used by `convert` and by `load`, which tells such folders from ours.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml
from transformers import AutoConfig, InternVLVisionConfig, PreTrainedConfig

from vita.checkpoints.audio_names import audio_config_from_reference
from vita.checkpoints.merging import find_changes, merge
from vita.checkpoints.sources import (
    InMemory,
    PickleFile,
    SafetensorsFile,
    Source,
    has_tensors,
    open_folder,
    read_json,
)
from vita.checkpoints.table import AUDIO_PREFIX, VISION_PREFIX
from vita.errors import CheckpointError
from vita.models.cmvn import read_cmvn
from vita.models.configuration_audio import VitaAudioConfig
from vita.models.configuration_vita import VitaConfig
from vita.tokens import VITA_1_0_STATES, VITA_1_5_STATES, StateTokens


@dataclass(frozen=True, kw_only=True)
class Release:
    """What the model_type of a reference checkpoint decides.

    text_model: the language model.
    template: the prompt format.
    states: the spelling of the states.
    """

    text_model: str
    template: str
    states: StateTokens


VITA_1_0 = Release(text_model="mixtral", template="mixtral_two", states=VITA_1_0_STATES)
VITA_1_5 = Release(text_model="qwen2", template="qwen2p5_instruct", states=VITA_1_5_STATES)
RELEASES = {"vita-mixtral": VITA_1_0, "vita-Qwen2": VITA_1_5, "vita-qwen2": VITA_1_5}
_NOT_THE_LANGUAGE_MODEL = (
    "mm_", "model_type", "architectures", "use_mm_proj", "use_s2", "image_", "audio_", "freeze_", "unfreeze_", "tune_",
    "tokenizer_", "transformers_", "continuous_training", "_name_or_path", "max_dynamic_patch", "min_dynamic_patch",
    "downsample_ratio",
)  # fmt: skip
_CMVN = AUDIO_PREFIX + "encoder.global_cmvn."
_VISION_FIELDS = {
    "hidden_size": "hidden_size",
    "num_hidden_layers": "num_hidden_layers",
    "num_attention_heads": "num_attention_heads",
    "intermediate_size": "intermediate_size",
    "image_size": "image_size",
    "patch_size": "patch_size",
    "num_channels": "num_channels",
    "hidden_act": "hidden_act",
    "layer_norm_eps": "layer_norm_eps",
    "norm_type": "norm_type",
    "qkv_bias": "attention_bias",
    "qk_normalization": "use_qk_norm",
    "attention_dropout": "attention_dropout",
    "dropout": "hidden_dropout_prob",
    "initializer_factor": "layer_scale_init_value",
    "initializer_range": "initializer_range",
}


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A checkpoint that is to be converted.

    config: the model as we configure it.
    sources: its tensors.
    parts: the folders of the two encoders, by the names that they have inside or beside the checkpoint.
    merged: for each tensor that is not the base's, where it comes from.
    is_ours: whether they have our names already, or the reference's.
    """

    config: VitaConfig
    sources: tuple[Source, ...]
    parts: dict[str, Path] = field(default_factory=dict)
    merged: dict[str, str] = field(default_factory=dict)
    is_ours: bool = False


def read_checkpoint(folder: Path, base: Path | None = None) -> Checkpoint:
    """Reads the configuration files of a checkpoint and opens its tensor files.

    Args:
        folder: the checkpoint, or what was trained of it.
        base: the checkpoint that `folder` was trained from, where it holds only changes.
    """
    if not (folder / "config.json").is_file():
        raise CheckpointError(f"{folder} has no config.json", expected="a VITA-1.0 or VITA-1.5 checkpoint folder")
    raw = read_json(folder / "config.json")
    if raw.get("model_type") in RELEASES:
        return _read_reference(folder, raw, base)
    if raw.get("model_type") != VitaConfig.model_type:
        raise CheckpointError(
            f"{folder} is not in the reference's layout",
            got=f"model_type {raw.get('model_type')}",
            expected=" or ".join(RELEASES),
        )
    sources = open_folder(folder)
    if any(isinstance(source, SafetensorsFile) for source in sources):
        raise CheckpointError(f"{folder} needs no conversion", fix="load it as it is")
    return Checkpoint(config=VitaConfig.from_pretrained(folder), sources=tuple(sources), is_ours=True)


def _read_reference(folder: Path, raw: dict[str, Any], base: Path | None) -> Checkpoint:
    vision_folder = _find_part(folder, base, raw, "mm_vision_tower")
    audio_folder = _find_part(folder, base, raw, "mm_audio_encoder")
    config = _vita_config(raw, vision_folder, audio_folder)
    changes = None if has_tensors(folder) and base is None else find_changes(folder, base)
    sources = open_folder(folder if base is None else base)
    names = {name for source in sources for name in source.shapes}
    if not any(name.startswith(VISION_PREFIX) for name in names):
        sources += open_folder(vision_folder, VISION_PREFIX)
    if not any(name.startswith(AUDIO_PREFIX + "encoder.enc.") for name in names):
        sources.append(_open_audio(audio_folder))
        names |= set(sources[-1].shapes)
    if _CMVN + "mean" not in names:
        sources.append(_read_cmvn(audio_folder))
    merged: dict[str, str] = {}
    if changes is not None:
        sources, merged = merge(sources, changes)
    parts = {Path(raw["mm_vision_tower"]).name: vision_folder, Path(raw["mm_audio_encoder"]).name: audio_folder}
    return Checkpoint(config=config, sources=tuple(sources), parts=parts, merged=merged)


def vision_config_from_reference(raw: dict[str, Any]) -> InternVLVisionConfig:
    """InternVLVisionConfig from InternViT's own config.json. Stochastic depth is left out: the encoder is frozen."""
    return InternVLVisionConfig(
        use_mean_pooling=True, **{ours: raw[theirs] for theirs, ours in _VISION_FIELDS.items() if theirs in raw}
    )


def _vita_config(raw: dict[str, Any], vision_folder: Path, audio_folder: Path) -> VitaConfig:
    if raw.get("mm_projector_type", "mlp2x_gelu") != "mlp2x_gelu":
        raise CheckpointError("vision connector unknown", got=raw["mm_projector_type"], expected="mlp2x_gelu")
    pixels = vision_folder / "preprocessor_config.json"
    preprocessor = read_json(pixels) if pixels.is_file() else {}
    vision = vision_config_from_reference(read_json(vision_folder / "config.json"))
    text, release = _text_config(raw), RELEASES[raw["model_type"]]
    if raw.get("audio_prompt_finetune"):
        raise CheckpointError(
            "audio prompts (audio_prompt_finetune) are not converted", got=raw.get("audio_prompt_num")
        )
    given = {
        "max_tiles": raw.get("max_dynamic_patch"),
        "min_tiles": raw.get("min_dynamic_patch"),
        "tile_size": _edge(preprocessor.get("crop_size")),
        "image_mean": preprocessor.get("image_mean"),
        "image_std": preprocessor.get("image_std"),
        "tokenizer_model_max_length": raw.get("tokenizer_model_max_length"),
        "downsample_ratio": raw.get("downsample_ratio"),
    }
    return VitaConfig(
        text_config=text,
        vision_config=vision,
        audio_config=_audio_config(audio_folder, text.hidden_size),
        image_token_id=raw.get("image_token_index", text.vocab_size),
        audio_token_id=raw.get("audio_token_index", text.vocab_size + 1),
        pad_to_square=raw.get("image_aspect_ratio") == "pad",
        template=release.template,
        state_tokens=asdict(release.states),
        **{name: value for name, value in given.items() if value is not None},
    )


def _edge(size: int | dict[str, int] | None) -> int | None:
    """Pixels of a square's edge, which newer files write as height and width."""
    return size.get("height") if isinstance(size, dict) else size


def _text_config(raw: dict[str, Any]) -> PreTrainedConfig:
    fields = {name: value for name, value in raw.items() if not name.startswith(_NOT_THE_LANGUAGE_MODEL)}
    return AutoConfig.for_model(RELEASES[raw["model_type"]].text_model, **fields)


def _audio_config(folder: Path, hidden_size: int) -> VitaAudioConfig:
    path = folder / "train.yaml"
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
        config = audio_config_from_reference(settings["encoder_conf"], settings["model_conf"])
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}", expected="the audio encoder's settings") from error
    if config.output_dim != hidden_size:
        raise CheckpointError(f"{path} is for another language model", got=config.output_dim, expected=hidden_size)
    return config


def _find_part(folder: Path, base: Path | None, raw: dict[str, Any], key: str) -> Path:
    """The folder that config.json names, there or beside the checkpoint (or its base) or inside it."""
    named = raw.get(key)
    if not named:
        raise CheckpointError(f"{folder / 'config.json'} has no {key}")
    name = Path(named).name
    places = [folder / named, folder / name, folder.parent / name]
    if base is not None:
        places += [base / name, base.parent / name]
    for place in [*places, Path(named)]:
        if place.is_dir():
            return place
    raise CheckpointError(f"{key} {named} is not there", fix=f"put a copy or a link of that folder at {folder / name}")


def _open_audio(folder: Path) -> Source:
    if (folder / "model.safetensors").is_file():
        return open_folder(folder, AUDIO_PREFIX)[0]
    if not (folder / "final.pt").is_file():
        raise CheckpointError(f"the checkpoint has no audio encoder and {folder} has no final.pt")
    return PickleFile(folder / "final.pt", AUDIO_PREFIX)


def _read_cmvn(folder: Path) -> Source:
    mean, istd = read_cmvn(folder / "global_cmvn")
    return InMemory({_CMVN + "mean": torch.from_numpy(mean).float(), _CMVN + "istd": torch.from_numpy(istd).float()})
