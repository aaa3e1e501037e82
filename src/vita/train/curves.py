"""Where the figures of a run go beside its log: TensorBoard, Weights & Biases. Called by `progress.py`."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from vita.errors import DependencyError


class Curves(Protocol):
    """Takes figures by step."""

    def add(self, values: Mapping[str, float], step: int) -> None:
        """Figures of one step."""
        ...

    def close(self) -> None:
        """No more will come."""
        ...


class TensorBoardCurves:
    """Event files in `folder`; those of a run that was interrupted after step `first` are cut off there."""

    def __init__(self, folder: Path, *, first: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(folder, purge_step=first + 1)

    def add(self, values: Mapping[str, float], step: int) -> None:
        """See `Curves`."""
        for name, value in values.items():
            self._writer.add_scalar(name.replace("/", "_per_"), value, step)

    def close(self) -> None:
        """See `Curves`."""
        self._writer.close()


class WandbCurves:
    """A run of Weights & Biases that has the name of recipe and stage; resumed under the same name."""

    def __init__(self, folder: Path, *, project: str, name: str) -> None:
        if importlib.util.find_spec("wandb") is None:
            raise DependencyError("the recipe logs to Weights & Biases", fix="pip install wandb, or --set wandb=''")
        import wandb  # pyright: ignore[reportMissingImports]

        self._run: Any = wandb.init(project=project, name=name, id=name, resume="allow", dir=str(folder))

    def add(self, values: Mapping[str, float], step: int) -> None:
        """See `Curves`."""
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        """See `Curves`."""
        self._run.finish()


def open_curves(folder: Path, *, first: int, tensorboard: bool, wandb: str, name: str) -> list[Curves]:
    """What the recipe asks for; TensorBoard only where it is installed."""
    curves: list[Curves] = []
    if tensorboard and importlib.util.find_spec("tensorboard"):
        curves.append(TensorBoardCurves(folder / "tensorboard", first=first))
    if wandb:
        curves.append(WandbCurves(folder, project=wandb, name=name))
    return curves
