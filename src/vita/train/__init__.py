"""The three training stages and the recipe that runs them. `vita train` is the caller."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def run(
    recipe: str | Path,
    *,
    stage: str | None = None,
    overrides: Mapping[str, object] | None = None,
    resume: bool = False,
    out: str | Path | None = None,
) -> Path:
    """Train by a recipe; the folder of the finished model.

    Args:
        recipe: YAML file.
        stage: one of vita.train.stages.STAGES; all in order when None.
        overrides: recipe keys to replace, dotted for a stage's.
        resume: go on in a folder that already holds stages; without it such a folder is an error.
        out: folder of the run instead of the recipe's.
    """
    import torch

    from vita.errors import ConfigError
    from vita.train.recipe import read_recipe
    from vita.train.stages import STAGES, PocketRun, check_stage

    plan = read_recipe(recipe, overrides)
    folder = Path(out or plan.out)
    started = sorted(path.name for path in folder.glob("*.pt"))
    if started and not resume:
        raise ConfigError(
            f"{folder} already holds {', '.join(started)}", fix="add --resume to go on, or choose another --out"
        )
    torch.set_num_threads(plan.threads)
    pocket = PocketRun(plan, folder, lambda line: print(line, flush=True))
    for name in STAGES if stage is None else (check_stage(stage),):
        getattr(pocket, name)()
    return folder / "model"
