"""The recipe of the pocket model: a typed YAML file. Unknown keys are an error that names the nearest known one.

Read by `vita.train.run`, run by `vita.train.stages`. Reading and typing are shared with `tuning_recipe.py`.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml

from vita.errors import ConfigError
from vita.synth.speech_set import SHARD_SIZE
from vita.train.optimiser import StageSettings

Built = TypeVar("Built")
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+")
DEVICES = ("auto", "cpu", "cuda")
COUNTS = (
    "threads", "speech_shards", "shard_size", "instruct_shards", "hearing_batch", "seeing_batch", "language_batch",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What is trained, in which order, for how long.

    name: of the model.
    out: folder of the run: cached data, checkpoints of the stages, logs; the model lands in its folder `model`.
    seed: of all data.
    start_from: a checkpoint ("pocket", a folder) whose weights every stage begins with; "" starts from nothing.
    device: auto, cpu or cuda.
    threads: CPU threads of torch.
    side_by_side: on a CPU, stages 2a and (2b, 1) at the same time, each with half of the threads.
    speech_shards: shards of spoken turns to synthesise for hearing.
    shard_size: spoken turns of a shard.
    instruct_shards: how many shards stage 3 hears.
    picture_shards: shards of pictures that stage 3 sees besides, with no spoken turn, of the same size.
    hearing_batch, seeing_batch, language_batch: samples of one step.
    print_share: words, sums and charts among the pictures of stage 2a; the others are shapes.
    small_share: of the steps of stage 2a, the first, whose pictures are small and take half the time.
    easy_steps: steps of hearing on short clean clips before augmentation sets in.
    language, seeing, hearing, multimodal: the settings of stages 1, 2a, 2b and 3.
    """

    name: str = "pocket"
    out: str = "runs/pocket"
    seed: int = 0
    start_from: str = ""
    device: str = "auto"
    threads: int = 2
    side_by_side: bool = False
    speech_shards: int = 30
    shard_size: int = SHARD_SIZE
    instruct_shards: int = 16
    picture_shards: int = 0
    hearing_batch: int = 32
    seeing_batch: int = 40
    language_batch: int = 48
    print_share: float = 0.6
    small_share: float = 0.0
    easy_steps: int = 350
    language: StageSettings = field(default_factory=lambda: StageSettings(steps=2600, learning_rate=2e-3))
    seeing: StageSettings = field(
        default_factory=lambda: StageSettings(steps=2400, learning_rate=1.5e-3, warmup_steps=300)
    )
    hearing: StageSettings = field(
        default_factory=lambda: StageSettings(steps=7000, learning_rate=1.2e-3, warmup_steps=300, weight_decay=0.02)
    )
    multimodal: StageSettings = field(
        default_factory=lambda: StageSettings(steps=1500, learning_rate=1e-3, warmup_steps=100)
    )

    def __post_init__(self) -> None:
        if self.device not in DEVICES:
            raise ConfigError("unknown device in a recipe", got=self.device, expected=", ".join(DEVICES))
        for name in COUNTS:
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} of a recipe out of range", got=getattr(self, name), expected="at least 1")
        for name in ("print_share", "small_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} of a recipe out of range", got=getattr(self, name), expected="0 to 1")
        for name in ("picture_shards", "easy_steps"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} of a recipe out of range", got=getattr(self, name), expected="0 or more")


def read_recipe(path: str | Path, overrides: Mapping[str, object] | None = None) -> Recipe:
    """A pocket recipe with `--set` overrides ("seeing.steps" reaches into a stage).

    Raises ConfigError for a missing file, YAML that is none, unknown keys and values of the wrong type.
    """
    return build(Recipe(), read_values(path, overrides), str(path))


def read_values(path: str | Path, overrides: Mapping[str, object] | None = None) -> dict[str, Any]:
    """The keys and values of a recipe file of either kind, overrides put in. Raises ConfigError."""
    path = Path(path)
    if not path.is_file():
        raise ConfigError("no such recipe", got=path, fix="recipes/pocket.yaml is one")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not YAML: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} must hold keys and values", got=type(values).__name__)
    for key, value in (overrides or {}).items():
        target: Any = values
        *parents, last = key.split(".")
        for parent in parents:
            target = _below(target, parent, f"{key}={value}")
        if not isinstance(target, dict):
            raise ConfigError(
                f"{parents[-1]} of the recipe holds entries", got=f"{key}={value}", fix="name one of them"
            )
        target[last] = value
    return values


def _below(values: Any, key: str, override: str) -> Any:
    """What a key holds, a new mapping if it is missing; of a list, the entry of that name."""
    if isinstance(values, list):
        named = {entry["name"]: entry for entry in values if isinstance(entry, dict) and "name" in entry}
        if key not in named:
            raise ConfigError(f"the recipe has no entry named {key}", got=override, expected=", ".join(named))
        return named[key]
    below = values.setdefault(key, {})
    if not isinstance(below, (dict, list)):
        raise ConfigError(f"{key} of the recipe holds no keys", got=override)
    return below


def build(default: Built, values: Mapping[str, Any], where: str) -> Built:
    """`default` with the values of a mapping, nested dataclasses too; unknown keys and wrong types are errors."""
    fields = {f.name: f for f in dataclasses.fields(default)}  # pyright: ignore[reportArgumentType]
    made: dict[str, Any] = {}
    for key, value in values.items():
        if key not in fields:
            near = difflib.get_close_matches(str(key), fields, 1)
            raise ConfigError(
                f"{where} has an unknown key {key!r}",
                fix=f"did you mean {near[0]!r}?" if near else f"known: {', '.join(fields)}",
            )
        inner = getattr(default, key)
        if dataclasses.is_dataclass(inner) and isinstance(value, Mapping):
            made[key] = build(inner, value, f"{where}: {key}")
        else:
            made[key] = _typed(fields[key].type, value, f"{where}: {key}")
    return dataclasses.replace(default, **made)  # pyright: ignore[reportArgumentType, reportCallIssue, reportReturnType]


def _typed(kind: Any, value: Any, where: str) -> Any:
    """The value, if it is of the annotated type. YAML 1.1 takes 1e-3 for a word: here it is a number."""
    wanted = {"int": int, "float": float, "str": str}.get(str(kind))
    if str(kind) == "bool" and isinstance(value, bool):
        return value
    if str(kind) == "tuple[str, ...]" and isinstance(value, list) and all(isinstance(entry, str) for entry in value):
        return tuple(value)
    if wanted is float and isinstance(value, str) and _NUMBER.fullmatch(value):
        return float(value)
    if wanted is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if wanted is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if wanted is None or not isinstance(value, wanted) or isinstance(value, bool):
        raise ConfigError(f"{where} has the wrong type", got=repr(value), expected=str(kind))
    return value
