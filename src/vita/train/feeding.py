"""From a recipe's data to batches: the mixture, the plan of this process, how many batches an epoch is, and stand-ins.

Called by `objective.py`, `stage_run.py` and `planning.py`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import torch
from torch import Tensor

from vita.data.loader import SampleLength
from vita.data.mixture import Mixture, Source
from vita.data.plan import PackedPlan, PaddedPlan
from vita.data.records import MediaFolders
from vita.models.configuration_audio import MIN_FRAMES
from vita.models.configuration_vita import VitaConfig
from vita.models.processing_vita import VitaProcessor
from vita.tokens import IGNORE_LABEL
from vita.train.tuning_recipe import DataFile, TuningRecipe
from vita.train.tuning_stage import TuningStage

LEAST_WINDOW, MOST_WINDOW = 32, 512


def open_mixture(recipe: TuningRecipe, stage: TuningStage, *, held_out: bool = False) -> Mixture:
    """The files that a stage learns from, or is evaluated on. Raises DataError for one that cannot be read."""
    return Mixture([_source(entry) for entry in recipe.data_of(stage, held_out=held_out)], seed=recipe.seed)


def plan_of(
    recipe: TuningRecipe, mixture: Mixture, processor: VitaProcessor, rank: int = 0, world_size: int = 1
) -> PackedPlan | PaddedPlan:
    """Which samples stand in which batch of a process."""
    if not recipe.packing:
        return PaddedPlan(mixture=mixture, batch_size=recipe.batch_size, rank=rank, world_size=world_size)
    longest = processor.config.tokenizer_model_max_length
    return PackedPlan(
        mixture=mixture,
        length_of=SampleLength(mixture, processor),
        budget=recipe.max_tokens or longest,
        rows=recipe.batch_size,
        window=min(MOST_WINDOW, max(LEAST_WINDOW, mixture.num_records)),
        rank=rank,
        world_size=world_size,
        leave_out=recipe.leave_out,
    )


def num_passes(recipe: TuningRecipe, mixture: Mixture, processor: VitaProcessor, epochs: float) -> float:
    """Batches of one process alone that so many epochs are. Of packed rows: judged by how the first samples pack."""
    rows = epochs * mixture.num_records
    plan = plan_of(dataclasses.replace(recipe, batch_size=1), mixture, processor)
    if isinstance(plan, PackedPlan):
        rows *= _rows_of_a_window(plan) / plan.window
    return rows / recipe.batch_size


def num_learned(inputs: Mapping[str, Tensor]) -> int:
    """How many tokens of a batch are predicted."""
    return int((inputs["labels"][:, 1:] != IGNORE_LABEL).sum())


def num_tokens(inputs: Mapping[str, Tensor]) -> int:
    """Tokens of a batch; of packed rows, the padding at their ends (a few percent) counts too."""
    mask = inputs.get("attention_mask")
    return inputs["input_ids"].numel() if mask is None else int(mask.sum())


def with_stand_ins(inputs: dict[str, Tensor], config: VitaConfig, *, pictures: bool, sounds: bool) -> dict[str, Tensor]:
    """The batch with a grey tile and a moment of silence where it has no picture or sound; no token is made of them.

    So every batch passes through the towers: all processes then exchange the same gradients, and a trained part moves
    in the same way however the samples are spread.
    """
    added = dict(inputs)
    if pictures and "pixel_values" not in inputs:
        added["pixel_values"] = torch.zeros(1, 3, config.tile_size, config.tile_size)
        added["tile_token_counts"] = torch.zeros(1, dtype=torch.int64)
    if sounds and "audio_features" not in inputs:
        added["audio_features"] = torch.zeros(1, MIN_FRAMES, config.audio_config.input_dim)
        added["audio_lengths"] = torch.full((1,), MIN_FRAMES)
        added["audio_token_counts"] = torch.zeros(1, dtype=torch.int64)
    return added


def _source(entry: DataFile) -> Source:
    folders = MediaFolders.read(entry.folders) if entry.folders else None
    return Source.open(entry.file, folders=folders, weight=entry.weight or None, spoken_rate=entry.spoken_rate)


def _rows_of_a_window(plan: PackedPlan) -> int:
    """How many rows the first samples make, for a plan of one row a step."""
    for count, step in enumerate(plan.steps(), start=1):
        if step.after["row"] == 0:
            return count
    raise AssertionError("a plan has no end")
