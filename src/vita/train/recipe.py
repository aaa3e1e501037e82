"""The recipe of the pocket model: a typed YAML file. Unknown keys are an error that names the nearest known one."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from vita.errors import ConfigError
from vita.train.loop import StageSettings


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What is trained, in which order, for how long.

    name: of the model.
    out: folder of the run: cached data, checkpoints of the stages, logs; the model lands in its folder `model`.
    seed: of all data.
    device: auto, cpu or cuda.
    threads: CPU threads of torch.
    speech_shards: shards of 2,000 spoken turns to synthesise for hearing.
    instruct_shards: how many of them stage 3 hears.
    hearing_batch, seeing_batch, language_batch: samples of one step.
    easy_steps: steps of hearing on short clean clips before augmentation sets in.
    language, seeing, hearing, multimodal: the settings of stages 1, 2a, 2b and 3.
    """

    name: str = "pocket"
    out: str = "runs/pocket"
    seed: int = 0
    device: str = "auto"
    threads: int = 2
    speech_shards: int = 30
    instruct_shards: int = 16
    hearing_batch: int = 32
    seeing_batch: int = 40
    language_batch: int = 48
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


def read_recipe(path: str | Path, overrides: Mapping[str, object] | None = None) -> Recipe:
    """A recipe file with `--set` overrides ("seeing.steps" reaches into a stage).

    Raises ConfigError for a missing file, YAML that is none, unknown keys and values of the wrong type.
    """
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
        target = values
        *parents, last = key.split(".")
        for parent in parents:
            target = target.setdefault(parent, {})
        target[last] = value
    return build(Recipe, values, str(path))


def build(kind: type[Any], values: Mapping[str, Any], where: str) -> Any:
    """A dataclass from a mapping, nested ones too; unknown keys and wrong types are errors."""
    fields = {f.name: f for f in dataclasses.fields(kind)}
    defaults = Recipe() if kind is Recipe else None
    made: dict[str, Any] = {}
    for key, value in values.items():
        if key not in fields:
            near = difflib.get_close_matches(key, fields, 1)
            raise ConfigError(
                f"{where} has an unknown key {key!r}",
                fix=f"did you mean {near[0]!r}?" if near else f"known: {', '.join(fields)}",
            )
        if isinstance(value, Mapping):
            base = dataclasses.asdict(getattr(defaults, key)) if defaults is not None else {}
            made[key] = build(StageSettings, {**base, **value}, f"{where}: {key}")
        else:
            made[key] = _typed(fields[key].type, value, f"{where}: {key}")
    return kind(**made)


def _typed(kind: Any, value: Any, where: str) -> Any:
    wanted = {"int": int, "float": float, "str": str}.get(str(kind))
    if wanted is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if wanted is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if wanted is None or not isinstance(value, wanted) or isinstance(value, bool):
        raise ConfigError(f"{where} has the wrong type", got=repr(value), expected=str(kind))
    return value
