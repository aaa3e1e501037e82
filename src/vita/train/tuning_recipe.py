"""The recipe that trains a checkpoint on records: which model, which data, which parts move in which stage.

Read by `vita.train.run`, run by `tuning.py`. The pocket recipe (`recipe.py`) is another kind: it has no `stages`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from vita.errors import ConfigError
from vita.train.recipe import DEVICES, build, read_values
from vita.train.tuning_stage import TuningStage

PRECISIONS = ("fp32", "bf16")
FSDP2, ZERO3 = "fsdp2", "zero3"
PARALLEL = ("none", "ddp", FSDP2, ZERO3)
ONLY_TUNING = ("model", "stages")
ZERO_OR_MORE = ("max_tokens", "workers", "threads", "peak_tflops")
Entry = TypeVar("Entry")


@dataclass(frozen=True, kw_only=True)
class DataFile:
    """One file of records and its place in the mixture.

    name: for `--set data.NAME.weight=2`.
    file: .json (the reference's list) or .jsonl.
    folders: table of media folders (YAML); "" takes media relative to the file's own folder.
    weight: share of the samples, against the other weights; 0 takes the number of records.
    held_out: nothing is learned from it; stages that name it, or none, are evaluated on it.
    spoken_rate: share of the samples whose questions are asked aloud, where there are sounds that say them.
    """

    name: str = ""
    file: str = ""
    folders: str = ""
    weight: float = 0.0
    held_out: bool = False
    spoken_rate: float = 0.0


@dataclass(frozen=True, kw_only=True)
class TuningRecipe:
    """What is trained from which checkpoint on which data.

    name: of the run.
    model: "pocket", a folder, or an id on the hub.
    out: folder of the run; stage NAME writes `NAME/checkpoint-*`, `NAME/log.jsonl` and, finished, `NAME/model`.
    seed: of the order of the data and of dropout.
    device: auto, cpu or cuda.
    precision: fp32; or bf16, computed in bfloat16 with float32 weights where they are trained.
    parallel: none; ddp (a copy per process), fsdp2 or zero3 (a share per process; zero3 is DeepSpeed's), started by
        torchrun or accelerate launch.
    data: the mixture.
    stages: in order.
    packing: rows of up to `max_tokens` tokens hold several samples that do not see each other; else a sample a row.
    max_tokens: tokens of a packed row; 0 takes the longest sequence of the model.
    batch_size: rows of one forward pass on one process.
    gradient_accumulation: forward passes of one process per optimiser step.
    gradient_checkpointing: compute activations again in the backward pass instead of keeping them.
    router_aux_loss: weight of the balancing loss of a mixture of experts; -1 takes the model's.
    compile: compile the layers of the language model and the towers (torch.compile).
    leave_out: samples that cannot be read or do not fit are left out and named; else they end the run.
    workers: processes that read and encode, for each training process; 0 does it in the training process.
    threads: CPU threads of torch; 0 leaves torch's own choice.
    save_every: steps between checkpoints.
    keep: checkpoints kept of a stage.
    log_every: steps between lines on the terminal; the log file has every step.
    evaluate_every: steps between evaluations on `held_out` data; the last step has one too.
    evaluate_batches: batches of one evaluation on each process.
    tensorboard: write curves for TensorBoard too, if it is installed.
    wandb: project of Weights & Biases; "" for none.
    peak_tflops: 10^12 operations a second of one device, for MFU; 0 takes what is known of it, if anything is.
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
    router_aux_loss: float = -1.0
    compile: bool = False
    leave_out: bool = False
    workers: int = 0
    threads: int = 0
    save_every: int = 500
    keep: int = 2
    log_every: int = 10
    evaluate_every: int = 500
    evaluate_batches: int = 16
    tensorboard: bool = True
    wandb: str = ""
    peak_tflops: float = 0.0

    def __post_init__(self) -> None:
        for name, known in (("device", DEVICES), ("precision", PRECISIONS), ("parallel", PARALLEL)):
            if getattr(self, name) not in known:
                got = getattr(self, name)
                raise ConfigError(f"unknown {name} in a recipe", got=got, expected=", ".join(known))
        if self.parallel == ZERO3 and self.compile:
            raise ConfigError("layers that ZeRO-3 gathers are not compiled", fix="parallel: fsdp2, or compile: false")
        ones = ("batch_size", "gradient_accumulation", "save_every", "keep", "log_every", "evaluate_every")
        least = {**dict.fromkeys((*ones, "evaluate_batches"), 1), **dict.fromkeys(ZERO_OR_MORE, 0)}
        for name, lowest in least.items():
            if getattr(self, name) < lowest:
                got = getattr(self, name)
                raise ConfigError(f"{name} of a recipe out of range", got=got, expected=f"at least {lowest}")
        names = [stage.name for stage in self.stages]
        if len(set(names)) < len(names):
            raise ConfigError("two stages have the same name", got=", ".join(names))
        for stage in self.stages:
            self.data_of(stage)
            if stage.lora.quantise and self.parallel in (FSDP2, ZERO3):
                raise ConfigError(f"stage {stage.name}: quantised weights cannot be shared out", fix="parallel: ddp")

    def for_stage(self, stage: TuningStage) -> TuningRecipe:
        """The recipe with the sizes that a stage has of its own."""
        own = {name: getattr(stage, name) for name in ("max_tokens", "batch_size", "gradient_accumulation")}
        return dataclasses.replace(self, **{name: value for name, value in own.items() if value})

    def data_of(self, stage: TuningStage, *, held_out: bool = False) -> tuple[DataFile, ...]:
        """The files that a stage learns from (or is evaluated on): of those that it names, or of all.

        ConfigError for an unknown name, and where it has nothing to learn from.
        """
        known = [entry.name for entry in self.data]
        unknown = [name for name in stage.data if name not in known]
        if unknown and known:
            raise ConfigError(f"stage {stage.name}: no data of that name", got=unknown[0], expected=", ".join(known))
        found = [entry for entry in self.data if not stage.data or entry.name in stage.data]
        if known and all(entry.held_out for entry in found):
            raise ConfigError(f"stage {stage.name} has nothing to learn from", fix="name data that is not held_out")
        return tuple(entry for entry in found if entry.held_out == held_out)


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
