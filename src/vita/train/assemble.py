"""Puts the trained parts together and writes the checkpoint folder. Called by `vita.train.stages`."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn
from transformers import PreTrainedTokenizerFast

from vita.checkpoints.loading import load_model
from vita.errors import CheckpointError
from vita.models.configuration_vita import VitaConfig
from vita.models.modeling_vita import VitaForConditionalGeneration
from vita.models.processing_vita import VitaProcessor
from vita.train.hearing import Hearing
from vita.train.instruct import Instructed
from vita.train.seeing import Seeing


def join_projections(instructed: Instructed, hearing: Hearing, seeing: Seeing) -> None:
    """Give the instructed parts the heads that the towers' stages trained; the tables are stage 1's own.

    The head of hearing stays as CTC left it: what it says is the transcription (`Listening.words`, `vita eval asr`).
    """
    instructed.hearing.head.load_state_dict(hearing.projection.head.state_dict())
    instructed.hearing.head.requires_grad_(False)
    instructed.sight.head.load_state_dict(seeing.connector.projection.head.state_dict())


def assemble(
    config: VitaConfig, instructed: Instructed, hearing: Hearing, seeing: Seeing
) -> VitaForConditionalGeneration:
    """The whole model from the parts of the stages."""
    model = VitaForConditionalGeneration(config)
    # the connectors bring projections of their own; those that stage 3 trained come after them
    for stage in (hearing, seeing, instructed):
        for whole, part in shared_parts(model, stage):
            whole.load_state_dict(part.state_dict())
    return model.eval()


def start_from(folder: Path, stage: nn.Module) -> None:
    """Give a stage's parts the weights of a finished checkpoint; heads that only training has stay as they are."""
    for whole, part in shared_parts(load_model(folder), stage):
        part.load_state_dict(whole.state_dict())


def shared_parts(model: VitaForConditionalGeneration, stage: nn.Module) -> list[tuple[nn.Module, nn.Module]]:
    """(module of the model, module of the stage) wherever a stage trains a part of the model."""
    if isinstance(stage, Hearing):
        return [(model.audio_tower, stage.tower), (model.audio_connector, stage.connector)]
    if isinstance(stage, Seeing):
        return [(model.vision_tower, stage.tower), (model.vision_connector, stage.connector)]
    assert isinstance(stage, Instructed)
    return [
        (model.language_model, stage.language_model),
        (_module(model.vision_connector, "projection"), stage.sight),
        (_module(model.audio_connector, "projection"), stage.hearing),
    ]


def _module(parent: nn.Module, name: str) -> nn.Module:
    child = getattr(parent, name)
    if not isinstance(child, nn.Module):
        raise CheckpointError(f"{type(parent).__name__}.{name} is no module")
    return child


def save(model: VitaForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """config.json, model.safetensors (weights bfloat16, statistics float32), the tokenizer and the processor."""
    folder.mkdir(parents=True, exist_ok=True)
    for parameter in model.parameters():
        parameter.data = parameter.data.to(torch.bfloat16)
    config = model.config
    assert isinstance(config, VitaConfig)
    config.dtype = torch.bfloat16
    model.save_pretrained(folder)
    VitaProcessor(tokenizer, config).save_pretrained(folder)
    for path in folder.iterdir():
        path.chmod(0o644)
