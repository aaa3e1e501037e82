"""`compose`: a new model from a language model, a vision encoder and an audio encoder; only its connectors are new.

What comes out is a folder like any other of ours: it loads, answers (not sensibly before its connectors are trained)
and is where the alignment stages start. Called by `vita compose`.
"""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from vita.chat import tokenizing
from vita.chat.formats import TOKENIZER_FORMAT, VITA_FORMATS, build_template
from vita.checkpoints.loading import DTYPES, find_model
from vita.checkpoints.parts import (
    AudioPart,
    VisionPart,
    check_language_model,
    read_audio,
    read_language_model,
    read_vision,
)
from vita.errors import CheckpointError, ConfigError, VitaError
from vita.models import register
from vita.models.audio_connector import AudioConnector
from vita.models.configuration_audio import VitaAudioConfig
from vita.models.configuration_vita import VitaConfig
from vita.models.modeling_vita import VitaForConditionalGeneration
from vita.models.processing_vita import VitaProcessor
from vita.models.vision_connector import build_vision_connector
from vita.tokens import VITA_1_5_STATES, StateTokens

MAX_LENGTH = 6200


@dataclass(frozen=True)
class Composition:
    """What `compose` made.

    parameters: of each part, by name.
    template: the prompt format that was chosen.
    """

    parameters: dict[str, int]
    template: str


def compose(
    llm: str | Path,
    vision: str | Path,
    audio: str | Path,
    out: str | Path,
    *,
    template: str = "auto",
    max_tiles: int = 12,
    dtype: str = "auto",
    seed: int = 0,
    states: StateTokens = VITA_1_5_STATES,
) -> Composition:
    """Composes a model.

    Args:
        llm: a causal language model of transformers; a folder, or an id on the hub (all three may be either).
        vision: an InternViT, a SigLIP or a CLIP (their vision towers), or a model of ours.
        audio: a Whisper (its encoder), a VITA audio encoder's folder, or a model of ours.
        out: folder to write; it must be new or empty.
        template: prompt format; "auto" takes the tokenizer's own where it can be trained, else the VITA format whose
            marks the tokenizer has.
        max_tiles: most tiles of a picture.
        dtype: number format; "auto" is that of the language model's checkpoint.
        seed: for the connectors' first values.
        states: the spelling of the states.

    Raises:
        CheckpointError: a part that is not there, is not whole or is of another kind.
        ConfigError: parts that do not fit, or a template that the tokenizer cannot write.
    """
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise CheckpointError(f"{out} is there already", fix="name a new folder")
    if dtype != "auto" and dtype not in DTYPES:
        raise ConfigError("unknown dtype", got=dtype, expected="auto, " + ", ".join(DTYPES))
    register()
    llm_folder = find_model(llm)
    check_language_model(llm_folder)
    tokenizer = tokenizing.load_tokenizer(llm_folder)
    chosen = choose_template(template, tokenizer, states)
    eyes, ears = read_vision(find_model(vision)), read_audio(find_model(audio))
    language = read_language_model(llm_folder)
    config = composed_config(language.config, eyes, ears, template=chosen, max_tiles=max_tiles, states=states)
    number_format = cast(torch.dtype, language.dtype) if dtype == "auto" else DTYPES[dtype]
    model = assemble(config, language, eyes, ears, number_format, seed)
    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        model.save_pretrained(partial, max_shard_size="5GB")
        VitaProcessor(tokenizer, config).save_pretrained(partial)
        if out.exists():
            out.rmdir()
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    parts = dict(model.named_children())
    return Composition({name: sum(p.numel() for p in part.parameters()) for name, part in parts.items()}, chosen)


def composed_config(
    text: Any, eyes: VisionPart, ears: AudioPart, *, template: str, max_tiles: int, states: StateTokens
) -> VitaConfig:
    """The configuration of the new model; its placeholder ids lie behind the vocabulary."""
    size = text.vocab_size
    longest = getattr(text, "max_position_embeddings", None) or MAX_LENGTH
    fields = {**ears.config.to_dict(), "output_dim": text.hidden_size}
    plain = VitaConfig(
        text_config=text,
        vision_config=eyes.config,
        audio_config=VitaAudioConfig(**fields),
        image_token_id=size,
        audio_token_id=size + 1,
        state_tokens=asdict(states),
        template=template,
        downsample_ratio=1.0,
        vision_feature_scale=eyes.feature_scale,
        max_tiles=max_tiles,
        tokenizer_model_max_length=min(longest, MAX_LENGTH),
        **eyes.preprocessing,
    )
    edge = plain.tile_size // plain.patch_size
    block = next(block for block in (2, 3, 1) if edge % block == 0)
    plain.downsample_ratio = 1 / block
    return plain


def assemble(
    config: VitaConfig, language: PreTrainedModel, eyes: VisionPart, ears: AudioPart, dtype: torch.dtype, seed: int
) -> VitaForConditionalGeneration:
    """The model of these parts; the connectors are drawn at random."""
    with torch.device("meta"):
        model = VitaForConditionalGeneration(config)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        vision_connector, audio_connector = build_vision_connector(config), AudioConnector(config.audio_config)
    model.language_model, model.vision_tower, model.audio_tower = language, eyes.tower, ears.tower
    model.vision_connector, model.audio_connector = vision_connector, audio_connector
    statistics = getattr(model.audio_tower, "cmvn", nn.Module()).state_dict()
    model.to(dtype)  # pyright: ignore[reportArgumentType]
    for name, tensor in statistics.items():  # they stay in float32, as when a model is loaded
        setattr(model.audio_tower.cmvn, name, tensor.float())  # pyright: ignore[reportArgumentType]
    config.dtype = config.text_config.dtype = dtype
    text = config.text_config
    model.generation_config = GenerationConfig(
        bos_token_id=text.bos_token_id, eos_token_id=text.eos_token_id, pad_token_id=text.pad_token_id
    )
    return model.eval()


def choose_template(name: str, tokenizer: PreTrainedTokenizerBase, states: StateTokens) -> str:
    """The name of a prompt format that the tokenizer can write; ConfigError if it can write none."""
    if name != "auto":
        build_template(name, tokenizer, states).end_of_reply()
        return name
    if getattr(tokenizer, "chat_template", None):
        try:
            build_template(TOKENIZER_FORMAT, tokenizer, states).end_of_reply()
            return TOKENIZER_FORMAT
        except (VitaError, ValueError):
            pass  # it rewrites earlier turns, or refuses conversations of ours
    vocabulary = tokenizer.get_vocab()
    for known, kind in VITA_FORMATS.items():
        if kind(states=states).end in vocabulary:
            return known
    raise ConfigError(
        "no prompt format fits the tokenizer: it has no chat template that can be trained, and no end of a turn",
        expected="an instruction-tuned model, or </s> or <|im_end|> in the vocabulary",
        fix="add a chat template to the tokenizer",
    )
