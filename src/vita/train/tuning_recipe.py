"""The recipe that trains a checkpoint on records: which model, which data, which parts move in which stage.

Read by `vita.train.run`, run by `tuning.py`. The pocket recipe (`recipe.py`) is another kind: it has no `stages`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from vita.errors import ConfigError
from vita.train.optimiser import StageSettings
from vita.train.recipe import DEVICES, build, read_values

PARTS = ("language_model", "vision_tower", "vision_connector", "audio_tower", "audio_connector")
LORA = "lora"
PRECISIONS = ("fp32", "bf16")
PARALLEL = ("none", "ddp", "fsdp2")
ONLY_TUNING = ("model", "stages")
Entry = TypeVar("Entry")


@dataclass(frozen=True, kw_only=True)
class DataFile:
    """One file of records and its place in the mixture.

    name: for `--set data.NAME.weight=2`.
    file: .json (the reference's list) or .jsonl.
    folders: table of media folders (YAML); "" takes media relative to the file's own folder.
    weight: share of the samples, against the other weights; 0 takes the number of records.
    spoken_rate: share of the samples whose questions are asked aloud, where there are sounds that say them.
    """

    name: str = ""
    file: str = ""
    folders: str = ""
    weight: float = 0.0
    spoken_rate: float = 0.0


@dataclass(frozen=True, kw_only=True)
class LoraSettings:
    """The adapters of a stage that trains `lora`.

    rank, alpha, dropout: PEFT's r, lora_alpha, lora_dropout.
    targets: endings of the names of the linear layers that get one; empty for all linear layers but the head.
    """

    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.0
    targets: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.rank < 1 or not 0 <= self.dropout < 1 or self.alpha <= 0:
            raise ConfigError("lora settings out of range", got=self, expected="rank >= 1, alpha > 0, dropout 0 .. 1")


@dataclass(frozen=True, kw_only=True)
class TuningStage:
    """One stage; it begins with the model that the stage before it wrote.

    name: folder of the stage in the run's folder.
    train: the parts that learn, of PARTS, or "lora": adapters in the language model. All others are frozen.
    steps: optimiser steps; 0 means that `epochs` decides.
    epochs: how often all records are gone through (by their number; with weights, some come more often).
    learning_rate: the peak; linear warm-up, then cosine to `final_share` of it.
    warmup_share: the warm-up's share of the steps.
    final_share: learning rate at the end as a share of the peak.
    weight_decay: on matrices only.
    gradient_clip: largest norm of the gradient.
    lora: the adapters, if `train` names them.
    """

    name: str = "tune"
    train: tuple[str, ...] = ("vision_connector", "audio_connector")
    steps: int = 0
    epochs: float = 1.0
    learning_rate: float = 2e-5
    warmup_share: float = 0.03
    final_share: float = 0.0
    weight_decay: float = 0.0
    gradient_clip: float = 1.0
    lora: LoraSettings = field(default_factory=LoraSettings)

    def __post_init__(self) -> None:
        unknown = [part for part in self.train if part not in (*PARTS, LORA)]
        if unknown or not self.train or len(set(self.train)) < len(self.train):
            got = unknown[0] if unknown else list(self.train)
            raise ConfigError(f"stage {self.name}: train", got=got, expected=f"some of {', '.join((*PARTS, LORA))}")
        if LORA in self.train and "language_model" in self.train:
            raise ConfigError(f"stage {self.name} trains the language model and adapters in it", fix="name one of them")
        if self.steps < 0 or self.epochs <= 0 or not 0 <= self.warmup_share <= 1:
            got = f"steps {self.steps}, epochs {self.epochs}, warmup_share {self.warmup_share}"
            raise ConfigError(f"stage {self.name}: out of range", got=got, expected="steps >= 0, epochs > 0, 0 .. 1")
        if not self.name or "/" in self.name or self.name.startswith("."):
            raise ConfigError("a stage's name is the name of a folder", got=repr(self.name))
        self.settings(1)

    def settings(self, steps: int) -> StageSettings:
        """The learning rate of every step, weight decay and clipping; ConfigError for what is out of range."""
        return StageSettings(
            steps=steps,
            learning_rate=self.learning_rate,
            warmup_steps=round(self.warmup_share * steps),
            final_share=self.final_share,
            weight_decay=self.weight_decay,
            gradient_clip=self.gradient_clip,
        )


@dataclass(frozen=True, kw_only=True)
class TuningRecipe:
    """What is trained from which checkpoint on which data.

    name: of the run.
    model: "pocket", a folder, or an id on the hub.
    out: folder of the run; stage NAME writes `NAME/checkpoint-*`, `NAME/log.jsonl` and, finished, `NAME/model`.
    seed: of the order of the data and of dropout.
    device: auto, cpu or cuda.
    precision: fp32; or bf16, computed in bfloat16 with float32 weights where they are trained.
    parallel: none; ddp (a copy per process) or fsdp2 (a share per process), started by torchrun or accelerate launch.
    data: the mixture.
    stages: in order.
    packing: rows of up to `max_tokens` tokens hold several samples that do not see each other; else a sample a row.
    max_tokens: tokens of a packed row; 0 takes the longest sequence of the model.
    batch_size: rows of one forward pass on one process.
    gradient_accumulation: forward passes of one process per optimiser step.
    gradient_checkpointing: compute activations again in the backward pass instead of keeping them.
    leave_out: samples that cannot be read or do not fit are left out and named; else they end the run.
    workers: processes that read and encode, for each training process; 0 does it in the training process.
    threads: CPU threads of torch; 0 leaves torch's own choice.
    save_every: steps between checkpoints.
    keep: checkpoints kept of a stage.
    log_every: steps between lines on the terminal; the log file has every step.
    tensorboard: write curves for TensorBoard too, if it is installed.
    """

    name: str = "tuned"
    model: str = "pocket"
    out: str = "runs/tuned"
    seed: int = 0
    device: str = "auto"
    precision: str = "bf16"
    parallel: str = "none"
    data: tuple[DataFile, ...] = ()
    stages: tuple[TuningStage, ...] = ()
    packing: bool = True
    max_tokens: int = 0
    batch_size: int = 1
    gradient_accumulation: int = 1
    gradient_checkpointing: bool = False
    leave_out: bool = False
    workers: int = 0
    threads: int = 0
    save_every: int = 500
    keep: int = 2
    log_every: int = 10
    tensorboard: bool = True

    def __post_init__(self) -> None:
        for name, known in (("device", DEVICES), ("precision", PRECISIONS), ("parallel", PARALLEL)):
            if getattr(self, name) not in known:
                fix = "fsdp2 shares out the same weights" if getattr(self, name) == "zero3" else None
                got = getattr(self, name)
                raise ConfigError(f"unknown {name} in a recipe", got=got, expected=", ".join(known), fix=fix)
        least = {"batch_size": 1, "gradient_accumulation": 1, "save_every": 1, "keep": 1, "log_every": 1}
        for name, lowest in {**least, "max_tokens": 0, "workers": 0, "threads": 0}.items():
            if getattr(self, name) < lowest:
                got = getattr(self, name)
                raise ConfigError(f"{name} of a recipe out of range", got=got, expected=f"at least {lowest}")
        names = [stage.name for stage in self.stages]
        if len(set(names)) < len(names):
            raise ConfigError("two stages have the same name", got=", ".join(names))


def is_tuning(values: Mapping[str, Any]) -> bool:
    """Whether a recipe's keys are those of this kind."""
    return any(key in values for key in ONLY_TUNING)


def read_tuning_recipe(path: str | Path, overrides: Mapping[str, object] | None = None) -> TuningRecipe:
    """A recipe with `--set` overrides ("stages.NAME.steps" reaches into a stage). Raises ConfigError."""
    values = read_values(path, overrides)
    data = _entries(values.pop("data", None), DataFile(), f"{path}: data")
    stages = _entries(values.pop("stages", None), TuningStage(), f"{path}: stages")
    nameless = next((entry for entry in data if not entry.file), None)
    if nameless:
        raise ConfigError(f"{path}: an entry of data has no file", got=nameless.name or None)
    return dataclasses.replace(build(TuningRecipe(), values, str(path)), data=data, stages=stages)


def _entries(values: Any, default: Entry, where: str) -> tuple[Entry, ...]:
    """A list of mappings as dataclasses."""
    if not isinstance(values, Sequence) or isinstance(values, str) or not values:
        raise ConfigError(f"{where} must be a list", got=repr(values), expected="at least one entry")
    entries = []
    for number, entry in enumerate(values, start=1):
        if not isinstance(entry, Mapping):
            raise ConfigError(f"{where}: entry {number} holds no keys", got=repr(entry))
        entries.append(build(default, entry, f"{where}: {entry.get('name', number)}"))
    return tuple(entries)
