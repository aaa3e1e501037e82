"""Training of a checkpoint by a recipe: stage after stage, each resumable to the last bit on a CPU.

A stage loads the model that the stage before it wrote, freezes what it does not train, goes through its steps, proves
that what was frozen is as it was, and writes a model folder. Called by `vita.train.run`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vita.checkpoints.loading import find_model
from vita.data.loader import Batch
from vita.errors import CheckpointError, ConfigError
from vita.models.modeling_vita import VitaForConditionalGeneration
from vita.models.processing_vita import VitaProcessor
from vita.train.export import build_skeleton, export_model, load_for_stage
from vita.train.feeding import num_learned, num_steps, num_tokens, open_loader, open_mixture, with_stand_ins
from vita.train.frozen import assert_frozen, frozen_digests
from vita.train.optimiser import StageSettings, parameter_groups, update
from vita.train.parts import part_sizes, table, train_mode
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
from vita.train.tuning_recipe import TuningRecipe, TuningStage

MODEL = "model"
DECIDING = ("model", "seed", "precision", "data", "packing", "max_tokens", "batch_size", "gradient_accumulation")
"""What of a recipe must not change between the beginning and the end of a stage."""


class TuningRun:
    """One run of a recipe in its folder; it can be interrupted at any moment and called again.

    Args:
        recipe: what to train.
        folder: of the run.
        report: is told each line of the log, in the first process.
    """

    def __init__(self, recipe: TuningRecipe, folder: Path, report: Callable[[str], None]) -> None:
        self.recipe, self.folder = recipe, folder
        self.processes = Processes(recipe)
        self.report = report if self.processes.is_main else _nothing
        self.mixture = open_mixture(recipe)

    def run(self, only: str | None = None) -> Path:
        """All stages, or one; the folder of the last one's model."""
        source, finished = self.recipe.model, find_model(self.recipe.model)
        for stage in self.recipe.stages:
            model = self.folder / stage.name / MODEL
            if only in (None, stage.name):
                if model.is_dir():
                    self.report(f"{stage.name}: finished before, {model}")
                else:
                    self._stage(stage, source)
                finished = model
            source = str(model)
        self.processes.wait()
        return finished

    def _stage(self, stage: TuningStage, source: str) -> None:
        if source != self.recipe.model and not Path(source).is_dir():
            before = Path(source).parent.name
            raise CheckpointError(
                f"stage {stage.name} begins with what {before} wrote", fix=f"run --stage {before} first"
            )
        folder = self.folder / stage.name
        folder.mkdir(parents=True, exist_ok=True)
        if source == self.recipe.model:
            source = str(find_model(source))
        StageRun(self, stage, Path(source), folder).run()
        self.processes.wait()
        if self.processes.is_main:
            last = checkpoints(folder)[-1]
            export_model(Path(source), stage, last, folder / MODEL)
            self.report(f"{stage.name}: written {folder / MODEL}")
        self.processes.wait()


class StageRun:
    """One stage, from its beginning or its last checkpoint to its last step."""

    def __init__(self, run: TuningRun, stage: TuningStage, source: Path, folder: Path) -> None:
        self.recipe, self.processes, self.mixture, self.report = run.recipe, run.processes, run.mixture, run.report
        self.stage, self.folder = stage, folder
        self.processor = VitaProcessor.from_pretrained(source)
        self.model = self._load(source)
        self.optimiser: torch.optim.Optimizer
        self._needs = {
            kind: self.processes.parallel == "fsdp2" or any(part.startswith(kind) for part in stage.train)
            for kind in ("vision", "audio")
        }

    def _load(self, source: Path) -> VitaForConditionalGeneration:
        model = load_for_stage(
            source, self.stage, self.recipe.precision, whole_parts=self.processes.parallel == "fsdp2"
        )
        for line in (f"{self.stage.name}: begins with {source}", *table(part_sizes(model))):
            self.report(line)
        if self.recipe.gradient_checkpointing:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        train_mode(model, self.stage)
        self.processes.place(model)
        return model

    def run(self) -> None:
        """All steps; the last checkpoint is that of the last step."""
        last = next(reversed(checkpoints(self.folder)), None)
        state = read_state(last) if last else None
        self._same_recipe(state)
        steps = state["steps"] if state else self._num_steps()
        first = state["step"] if state else 0
        self.optimiser = self._optimiser()
        if last:
            load_trained(last, self.model)
            load_optimiser(last, self.model, self.optimiser)
            self.report(f"{self.stage.name}: going on at step {first} of {steps}")
        digests = frozen_digests(self.model)
        self._go(first, steps, state["data"] if state else None)
        assert_frozen(self.model, digests)
        self.report(f"{self.stage.name}: {len(digests)} frozen tensors are as they were, bit for bit")

    def _go(self, first: int, steps: int, states: list[dict[str, Any]] | None) -> None:
        processes, settings = self.processes, self.stage.settings(steps)
        rank, size = processes.rank, processes.world_size
        loader = open_loader(self.recipe, self.mixture, self.processor, rank=rank, world_size=size, states=states)
        progress = (
            Progress(
                self.stage.name,
                self.folder,
                steps=steps,
                first=first,
                every=self.recipe.log_every,
                report=self.report,
                tensorboard=self.recipe.tensorboard,
            )
            if processes.is_main
            else None
        )
        batches = self._usable(iter(loader)) if first < steps else iter(())
        for step in range(first, steps):
            figures = self._step(step, [next(batches) for _ in range(self.recipe.gradient_accumulation)], settings)
            if progress:
                progress.add(figures)
            if (step + 1) % self.recipe.save_every == 0 or step + 1 == steps:
                self._save(step + 1, steps, processes.collect(loader.state_dict()))
        if progress:
            progress.close()

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
        learned = processes.total(sum(num_learned(batch.inputs) for batch in batches))
        loss = 0.0
        for index, batch in enumerate(batches):
            place = index * processes.world_size + processes.rank
            torch.manual_seed((self.recipe.seed * 1_000_003 + step) * 4099 + place)
            with processes.gradients_stay(index + 1 < len(batches)):
                part = self._loss(batch, learned, 1 / (len(batches) * processes.world_size))
                (part * processes.world_size).backward()
            loss += float(part.detach())
        norm = processes.clip(list(trained_parameters(self.model).values()), settings.gradient_clip)
        if not update(self.optimiser, rate, norm):
            self.report(f"{self.stage.name}: step {step} has a gradient that is not finite; its update is left out")
        return StepFigures(
            step=step + 1,
            loss=processes.total(loss),
            learning_rate=rate,
            gradient_norm=norm,
            tokens=int(processes.total(sum(num_tokens(batch.inputs) for batch in batches))),
            samples=int(processes.total(sum(len(batch.samples) for batch in batches))),
        )

    def _loss(self, batch: Batch, learned: float, share: float) -> Tensor:
        """The share of a batch in the loss of the step; the router's loss of experts is a mean over the batches."""
        config = self.processor.config
        inputs: dict[str, Any] = with_stand_ins(
            batch.inputs, config, pictures=self._needs["vision"], sounds=self._needs["audio"]
        )
        balance = getattr(config.text_config, "router_aux_loss_coef", 0.0)
        if balance:
            inputs["output_router_logits"] = True
        outputs = self.processes.forward(**inputs, use_cache=False, num_items_in_batch=max(learned, 1.0))
        if not balance:
            return outputs.loss
        return outputs.loss + balance * (share - 1) * outputs.aux_loss.to(outputs.loss.device)

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
        return num_steps(self.recipe, self.stage, self.mixture, self.processor, self.processes.world_size)

    def _optimiser(self) -> torch.optim.Optimizer:
        groups = parameter_groups(self.model.parameters(), self.stage.weight_decay)
        return torch.optim.AdamW(groups, lr=self.stage.learning_rate, fused=self.processes.device.type == "cuda")

    def _deciding(self) -> dict[str, Any]:
        """What a checkpoint is only good for, as JSON has it."""
        values = dataclasses.asdict(self.recipe)
        plain = {name: values[name] for name in DECIDING}
        plain["data"] = [dict(entry) for entry in values["data"]]
        stage = dataclasses.asdict(self.stage)
        return {**plain, "stage": {**stage, "train": list(stage["train"]), "lora": _listed(stage["lora"])}}

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


def describe(recipe: TuningRecipe) -> list[str]:
    """What a recipe would do, in lines: data, and for each stage its parts and steps. No weights are read."""
    processor = VitaProcessor.from_pretrained(find_model(recipe.model))
    mixture = open_mixture(recipe)
    lines = [
        f"model {recipe.model}, {recipe.precision}, parallel {recipe.parallel}, data {mixture.num_records} records"
    ]
    for entry, source in zip(recipe.data, mixture.sources, strict=True):
        lines.append(f"  {entry.file}: {len(source.file)} records, weight {entry.weight or 'by records'}")
    for stage in recipe.stages:
        steps = num_steps(recipe, stage, mixture, processor, 1)
        told = f"{steps} steps" if stage.steps else f"about {steps} steps on one process ({stage.epochs:g} epochs)"
        lines += ["", f"stage {stage.name}: {told}, learning rate {stage.learning_rate:g}"]
        lines += table(part_sizes(build_skeleton(recipe.model, stage)))
    return lines


def _listed(values: dict[str, Any]) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}


def _nothing(line: str) -> None:
    """Processes other than the first report nothing."""
