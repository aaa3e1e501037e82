"""Training: the pocket model from nothing, and any checkpoint on records. `vita train` is the caller."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Mapping
from pathlib import Path

from vita.errors import ConfigError, DependencyError


def run(
    recipe: str | Path,
    *,
    stage: str | None = None,
    overrides: Mapping[str, object] | None = None,
    resume: bool = False,
    out: str | Path | None = None,
) -> Path:
    """Train by a recipe of either kind; the folder of the finished model.

    Args:
        recipe: YAML file; with the key `stages` it trains a checkpoint, else the pocket model from nothing.
        stage: the name of a stage; all in order when None.
        overrides: recipe keys to replace, dotted for a stage's.
        resume: go on in a folder that already holds stages; without it such a folder is an error.
        out: folder of the run instead of the recipe's.
    """
    from vita.train.recipe import read_values
    from vita.train.tuning_recipe import is_tuning

    train = _tune if is_tuning(read_values(recipe, overrides)) else _train_pocket
    return train(recipe, stage, overrides, resume, out)


def plan(recipe: str | Path, *, overrides: Mapping[str, object] | None = None) -> list[str]:
    """What a recipe would do, in lines; nothing is trained or written."""
    from vita.train.recipe import read_recipe, read_values
    from vita.train.stages import STAGES
    from vita.train.tuning_recipe import is_tuning, read_tuning_recipe

    if is_tuning(read_values(recipe, overrides)):
        from vita.train.planning import describe

        return describe(read_tuning_recipe(recipe, overrides))
    values = vars(read_recipe(recipe, overrides))
    return [f"{name}: {values[name]}" for name in STAGES if name in values]


def plot(
    recipe: str | Path,
    path: str | Path,
    *,
    overrides: Mapping[str, object] | None = None,
    out: str | Path | None = None,
) -> list[str]:
    """Draws the learning curves of a recipe's run, whether finished or not; the names of its stages.

    Args:
        recipe: YAML file of either kind.
        path: of the picture.
        overrides: as in `run`.
        out: folder of the run instead of the recipe's.
    """
    from vita.train.learning_curve import plot_run
    from vita.train.recipe import read_recipe, read_values
    from vita.train.tuning_recipe import is_tuning, read_tuning_recipe

    read = read_tuning_recipe if is_tuning(read_values(recipe, overrides)) else read_recipe
    return plot_run(Path(out or read(recipe, overrides).out), Path(path))


def _train_pocket(
    recipe: str | Path, stage: str | None, overrides: Mapping[str, object] | None, resume: bool, out: str | Path | None
) -> Path:
    import torch

    from vita.train.recipe import read_recipe
    from vita.train.stages import STAGES, PocketRun, check_stage
    from vita.train.tracks import run_tracks

    plan = read_recipe(recipe, overrides)
    folder = Path(out or plan.out)
    _check_fresh(folder, folder.glob("*.pt"), resume)
    torch.set_num_threads(plan.threads)
    pocket = PocketRun(plan, folder, lambda line: print(line, flush=True))
    names = STAGES if stage is None else (check_stage(stage),)
    if stage is None and plan.side_by_side and pocket.device.type == "cpu":
        run_tracks(pocket)
        names = ("multimodal",)
    for name in names:
        getattr(pocket, name)()
    return folder / "model"


def _tune(
    recipe: str | Path, stage: str | None, overrides: Mapping[str, object] | None, resume: bool, out: str | Path | None
) -> Path:
    import torch

    if importlib.util.find_spec("accelerate") is None:
        raise DependencyError("training needs accelerate", fix="pip install 'vita-omni[train]'")
    from vita.train.tuning import TuningRun
    from vita.train.tuning_recipe import read_tuning_recipe

    plan = read_tuning_recipe(recipe, overrides)
    folder = Path(out or plan.out)
    names = [entry.name for entry in plan.stages]
    if stage is not None and stage not in names:
        raise ConfigError("unknown stage of the recipe", got=stage, expected=", ".join(names))
    chosen = names if stage is None else [stage]
    started = [path for name in chosen for path in (folder / name).glob("*") if path.name != "log.jsonl"]
    _check_fresh(folder, started, resume)
    if plan.threads:
        torch.set_num_threads(plan.threads)
    run = TuningRun(plan, folder, lambda line: print(line, flush=True))
    try:
        return run.run(stage)
    finally:
        run.processes.close()


def _check_fresh(folder: Path, started: Iterable[Path], resume: bool) -> None:
    names = sorted(str(path.relative_to(folder)) for path in started)
    if names and not resume:
        raise ConfigError(
            f"{folder} already holds {', '.join(names)}", fix="add --resume to go on, or choose another --out"
        )
