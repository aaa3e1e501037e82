"""One stage of a recipe, from its beginning or its last checkpoint to its last step. Called by `tuning.py`."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from vita.data.loader import Batch
from vita.errors import ConfigError
from vita.models.configuration_vita import VitaConfig
from vita.train.curves import open_curves
from vita.train.feeding import open_mixture
from vita.train.flops import Work, peak_flops
from vita.train.frozen import assert_frozen, frozen_digests
from vita.train.objective import open_objective
from vita.train.optimiser import StageSettings, parameter_groups
from vita.train.parts import part_sizes, table
from vita.train.processes import Processes
from vita.train.progress import Progress, StepFigures
from vita.train.snapshot import (
    checkpoints,
    load_optimiser,
    load_trained,
    read_state,
    save_checkpoint,
    trained_parameters,
)
from vita.train.tuning_recipe import TuningRecipe
from vita.train.tuning_stage import TuningStage
from vita.train.zero3 import Zero3

DECIDING = (
    "model", "seed", "precision", "data", "packing", "max_tokens", "batch_size", "gradient_accumulation",
    "router_aux_loss",
)  # fmt: skip
"""What of a recipe must not change between the beginning and the end of a stage."""


class StageRun:
    """One stage in its folder.

    Args:
        recipe, stage: what to do.
        source: the checkpoint that it begins with.
        folder: of the stage.
        processes: that do it together.
        report: is told each line of the log.
    """

    def __init__(
        self,
        recipe: TuningRecipe,
        stage: TuningStage,
        source: Path,
        folder: Path,
        processes: Processes,
        report: Callable[[str], None],
    ) -> None:
        self.recipe = recipe = recipe.for_stage(stage)
        self.stage, self.folder, self.processes, self.report = stage, folder, processes, report
        self.mixture = open_mixture(recipe, stage)
        self._held_out = open_mixture(recipe, stage, held_out=True) if recipe.data_of(stage, held_out=True) else None
        self.objective = open_objective(recipe, stage, self.mixture, source, folder, processes)
        self.model = self.objective.model
        for line in (f"{stage.name}: begins with {source}", *table(part_sizes(self.model)), *self.objective.notes):
            report(line)
        self._work = Work(self.model, VitaConfig.from_pretrained(source))
        self.objective.train_mode()
        processes.place(self.model)
        self.optimiser: torch.optim.Optimizer | Zero3

    def run(self) -> None:
        """All steps; the last checkpoint is that of the last step."""
        last = next(reversed(checkpoints(self.folder)), None)
        state = read_state(last) if last else None
        self._same_recipe(state)
        steps = state["steps"] if state else self._num_steps()
        first = state["step"] if state else 0
        if last:
            load_trained(last, self.model)
        self.optimiser = self._optimiser()
        if last:
            load_optimiser(last, self.model, self.optimiser)
            self.report(f"{self.stage.name}: going on at step {first} of {steps}")
        digests = frozen_digests(self.model)
        self._go(first, steps, state["data"] if state else None)
        assert_frozen(self.model, digests)
        self.report(f"{self.stage.name}: {len(digests)} frozen tensors are as they were, bit for bit")

    def _go(self, first: int, steps: int, states: list[dict[str, Any]] | None) -> None:
        processes, settings = self.processes, self.stage.settings(steps)
        rank, size = processes.rank, processes.world_size
        loader = self.objective.loader(self.mixture, rank=rank, world_size=size)
        if states is not None:
            if len(states) != size:
                got = f"{size} processes"
                raise ConfigError("the run was begun with another number of processes", got=got, expected=len(states))
            loader.load_state_dict(states[rank])
        progress = self._progress(first, steps)
        batches = self._usable(iter(loader)) if first < steps else iter(())
        for step in range(first, steps):
            figures = self._step(step, [next(batches) for _ in range(self.recipe.gradient_accumulation)], settings)
            if self._held_out and ((step + 1) % self.recipe.evaluate_every == 0 or step + 1 == steps):
                figures = dataclasses.replace(figures, held_out_loss=self._evaluate())
            if progress:
                progress.add(figures)
            if (step + 1) % self.recipe.save_every == 0 or step + 1 == steps:
                self._save(step + 1, steps, processes.collect(loader.state_dict()))
        if progress:
            progress.close()

    def _progress(self, first: int, steps: int) -> Progress | None:
        """The log, in the first process."""
        recipe, processes, name = self.recipe, self.processes, self.stage.name
        if not processes.is_main:
            return None
        curves = open_curves(
            self.folder, first=first, tensorboard=recipe.tensorboard, wandb=recipe.wandb, name=f"{recipe.name}-{name}"
        )
        return Progress(
            name,
            self.folder,
            steps=steps,
            first=first,
            every=recipe.log_every,
            report=self.report,
            curves=curves,
            peak_flops=processes.world_size * peak_flops(processes.device, recipe.peak_tflops),
        )

    @torch.no_grad()
    def _evaluate(self) -> float:
        """The mean loss on records that nothing is learned from, always the same ones."""
        assert self._held_out
        processes, objective = self.processes, self.objective
        self.model.eval()
        loader = objective.loader(self._held_out, rank=processes.rank, world_size=processes.world_size)
        loss = learned = 0.0
        for batch in itertools.islice(self._usable(iter(loader)), self.recipe.evaluate_batches):
            count = objective.num_learned(batch.inputs)
            loss += float(objective.loss(batch.inputs, count, None)) * count
            learned += count
        objective.train_mode()
        return processes.total(loss) / max(processes.total(learned), 1.0)

    def _usable(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The batches that hold something; what was left out is named."""
        for batch in batches:
            for reason in batch.left_out:
                print(f"{self.stage.name}: left out: {reason}", flush=True)
            if batch.inputs:
                yield batch

    def _step(self, step: int, batches: list[Batch], settings: StageSettings) -> StepFigures:
        """One optimiser step: the loss is the mean over all learned tokens of all batches of all processes."""
        processes, rate = self.processes, settings.rate_at(step)
        learned = processes.total(sum(self.objective.num_learned(batch.inputs) for batch in batches))
        loss = 0.0
        for index, batch in enumerate(batches):
            place = index * processes.world_size + processes.rank
            torch.manual_seed((self.recipe.seed * 1_000_003 + step) * 4099 + place)
            is_last = index + 1 == len(batches)
            with processes.gradients_stay(not is_last):
                share = 1 / (len(batches) * processes.world_size)
                part = self.objective.loss(batch.inputs, learned, share)
                processes.backward(part * processes.world_size, is_last=is_last)
            loss += float(part.detach())
        parameters = list(trained_parameters(self.model).values())
        norm = processes.update(self.optimiser, parameters, rate, settings.gradient_clip)
        if not math.isfinite(norm):
            self.report(f"{self.stage.name}: step {step} has a gradient that is not finite; its update is left out")
        return StepFigures(
            step=step + 1,
            loss=processes.total(loss),
            learning_rate=rate,
            gradient_norm=norm,
            tokens=int(processes.total(sum(self.objective.num_tokens(batch.inputs) for batch in batches))),
            samples=int(processes.total(sum(len(batch.samples) for batch in batches))),
            flops=processes.total(sum(self._work.of(batch.inputs) for batch in batches)),
        )

    def _save(self, step: int, steps: int, data: list[dict[str, Any]]) -> None:
        state = {"step": step, "steps": steps, "data": data, "recipe": self._deciding()}
        save_checkpoint(
            self.folder,
            self.model,
            self.optimiser,
            state,
            keep=self.recipe.keep,
            is_main=self.processes.is_main,
        )

    def _num_steps(self) -> int:
        if self.stage.steps:
            return self.stage.steps
        passes = self.objective.num_steps(self.mixture, self.stage.epochs)
        return max(1, math.ceil(passes / (self.recipe.gradient_accumulation * self.processes.world_size)))

    def _optimiser(self) -> torch.optim.Optimizer | Zero3:
        groups = parameter_groups(self.model.parameters(), self.stage.weight_decay)
        adam = torch.optim.AdamW(groups, lr=self.stage.learning_rate, fused=self.processes.device.type == "cuda")
        return self.processes.shared_optimiser(self.model, adam, self.stage.gradient_clip)

    def _deciding(self) -> dict[str, Any]:
        """What a checkpoint is only good for, as JSON has it."""
        values = dataclasses.asdict(self.recipe)
        plain = {name: values[name] for name in DECIDING}
        plain["data"] = [dict(entry) for entry in values["data"]]
        stage = dataclasses.asdict(self.stage)
        return {**plain, "stage": _listed(stage)}

    def _same_recipe(self, state: dict[str, Any] | None) -> None:
        if state is None:
            return
        was, now = state["recipe"], self._deciding()
        changed = [name for name in now if was.get(name) != now[name]]
        if changed:
            raise ConfigError(
                f"{changed[0]} of the recipe is not what {self.folder} was begun with",
                got=now[changed[0]],
                expected=was.get(changed[0]),
                fix="undo the change, or choose another --out",
            )


def _listed(value: Any) -> Any:
    """Tuples as the lists that JSON makes of them."""
    if isinstance(value, dict):
        return {key: _listed(inner) for key, inner in value.items()}
    return list(value) if isinstance(value, tuple) else value
