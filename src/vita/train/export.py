"""The model before a stage, and the model after it: a checkpoint folder like any other. Called by `tuning.py`."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from vita.checkpoints.loading import load_model
from vita.checkpoints.sources import SafetensorsFile, open_folder
from vita.errors import CheckpointError
from vita.models import register
from vita.models.configuration_vita import VitaConfig
from vita.models.modeling_vita import VitaForConditionalGeneration
from vita.train.lora import merge_adapters
from vita.train.parts import prepare_parts
from vita.train.snapshot import load_trained, publish
from vita.train.tuning_stage import LORA, PARTS, TuningStage

CTC_HEAD = "ctc_head."
"""What a checkpoint of a CTC stage holds beside parameters of the model."""
WEIGHT_FILES = ("*.safetensors", "*.safetensors.index.json", "*.bin", "*.pt")


def stored_dtype(folder: Path) -> torch.dtype:
    """The number format of a checkpoint's weights."""
    dtype = VitaConfig.from_pretrained(folder).dtype
    return dtype if isinstance(dtype, torch.dtype) else torch.float32


def build_skeleton(folder: Path, stage: TuningStage) -> VitaForConditionalGeneration:
    """The model of a checkpoint as the stage trains it, without storage: for its names and sizes."""
    register()
    config = VitaConfig.from_pretrained(folder)
    with torch.device("meta"):
        model = VitaForConditionalGeneration(config)
        prepare_parts(model, stage)
    return model


def load_for_stage(
    folder: Path, stage: TuningStage, precision: str, *, whole_parts: bool
) -> VitaForConditionalGeneration:
    """The model of a checkpoint as the stage trains it, on the CPU.

    Args:
        folder: the checkpoint.
        stage: says what is trained; that is in float32.
        precision: with "bf16", frozen weights that the checkpoint has in bfloat16 stay so.
        whole_parts: all weights of a part have one number format.
    """
    register()
    stored = stored_dtype(folder)
    keeps = stored == torch.bfloat16 and precision == "bf16"
    model = load_model(folder, stored if keeps else torch.float32)
    prepare_parts(model, stage)
    for name in PARTS:
        part = getattr(model, name)
        if name in stage.train or (whole_parts and name == "language_model" and LORA in stage.train):
            part.float()
    return model


def read_tensors(folder: Path, prefix: str) -> dict[str, Tensor]:
    """The tensors of a checkpoint whose names begin like this; no others are read."""
    found: dict[str, Tensor] = {}
    for source in open_folder(folder):
        if not isinstance(source, SafetensorsFile):
            raise CheckpointError(f"{folder} holds pickles", fix=f"vita convert {folder} NEW_FOLDER")
        with safe_open(source.path, framework="pt") as file:
            found |= {name: file.get_tensor(name) for name in source.shapes if name.startswith(prefix)}
    return found


def export_model(source: Path, stage: TuningStage, checkpoint: Path, folder: Path) -> None:
    """Writes the model of a stage's checkpoint: `source` with what was trained, adapters merged, in its number format.

    Raises:
        CheckpointError: it cannot be written; nothing is left of the attempt.
    """
    register()
    dtype = stored_dtype(source)
    model = load_model(source, dtype)
    prepare_parts(model, stage)
    load_trained(checkpoint, model, beside=CTC_HEAD)
    if LORA in stage.train:
        merge_adapters(model)
    write_model(source, model, folder)


def write_model(
    source: Path, model: VitaForConditionalGeneration, folder: Path, finish: Callable[[Path], None] | None = None
) -> None:
    """Writes a model to `folder` beside the other files of the checkpoint `source`.

    Args:
        source: whose tokenizer, templates and so on are copied.
        model: what replaces its weights and config.json.
        folder: is there as a whole or not at all.
        finish: is given the folder before it gets its name, to change files in it.

    Raises CheckpointError where it cannot be written; nothing is left of the attempt.
    """
    partial = folder.parent / f"{folder.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        shutil.copytree(source, partial, ignore=shutil.ignore_patterns(*WEIGHT_FILES, ".*"))
        model.save_pretrained(partial)
        if finish:
            finish(partial)
        for path in partial.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)  # safetensors makes files that only their owner can read
        publish(partial, folder)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise CheckpointError(
            f"the model could not be written to {folder}: {error}", fix="make room, then --resume"
        ) from error
