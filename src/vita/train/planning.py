"""`vita train --dry-run` for a recipe that trains a checkpoint: data, stages, what moves; no weights are read.

What is not there yet, a model or a file, is named; the rest of the plan is printed all the same. Called by
`vita.train.plan`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from vita.checkpoints.loading import find_model
from vita.data.records import RecordFile
from vita.errors import CheckpointError, DataError
from vita.models.processing_vita import VitaProcessor
from vita.train.export import build_skeleton
from vita.train.feeding import num_passes, open_mixture
from vita.train.parts import part_sizes, table
from vita.train.tuning_recipe import TuningRecipe
from vita.train.tuning_stage import CTC, PARTS, TuningStage


def describe(recipe: TuningRecipe) -> list[str]:
    """What a recipe would do, in lines."""
    lines = [f"model {recipe.model}, {recipe.precision}, parallel {recipe.parallel}"]
    try:
        folder = find_model(recipe.model)
    except CheckpointError as error:
        lines, folder = [*lines, f"  missing: {error}"], None
    missing = set()
    for entry in recipe.data:
        try:
            told = f"{len(RecordFile(entry.file))} records, weight {entry.weight or 'by records'}"
        except DataError as error:
            told, _ = f"missing: {error}", missing.add(entry.name)
        lines.append(f"  data {entry.name}: {entry.file}: {told}")
    for stage in recipe.stages:
        has_data = not any(entry.name in missing for entry in recipe.data_of(stage))
        lines += ["", *_stage(recipe, stage, folder, has_data)]
    return lines


def _stage(recipe: TuningRecipe, stage: TuningStage, folder: Path | None, has_data: bool) -> Iterator[str]:
    if stage.steps:
        told = f"{stage.steps} steps"
    elif folder and has_data:
        steps = _num_steps(recipe, stage, folder)
        told = f"about {steps} steps on one process ({stage.epochs:g} epochs)"
    else:
        told = f"{stage.epochs:g} epochs"
    names = ", ".join(entry.name for entry in recipe.data_of(stage))
    yield f"stage {stage.name} ({stage.objective}): {told}, learning rate {stage.learning_rate:g}, data {names}"
    if stage.vocabulary.corpus:
        yield f"up to {stage.vocabulary.pieces} new pieces from {', '.join(stage.vocabulary.corpus)}"
    if folder:
        yield from table(part_sizes(build_skeleton(folder, stage)))
    else:
        for part in (*PARTS, *(name for name in stage.train if name not in PARTS)):
            yield f"{part:<24}{'':>16}  {'trained' if part in stage.train else 'frozen'}"


def _num_steps(recipe: TuningRecipe, stage: TuningStage, folder: Path) -> int:
    recipe = recipe.for_stage(stage)
    mixture = open_mixture(recipe, stage)
    if stage.objective == CTC:
        passes = stage.epochs * mixture.num_records / recipe.batch_size
    else:
        passes = num_passes(recipe, mixture, VitaProcessor.from_pretrained(folder), stage.epochs)
    return max(1, math.ceil(passes / recipe.gradient_accumulation))
