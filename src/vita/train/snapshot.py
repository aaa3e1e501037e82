"""Checkpoints of a stage: trained weights and the optimiser's state in safetensors, the rest in JSON; whole or absent.

A checkpoint is the folder `checkpoint-STEP` with `trained/`, `optimiser/` and `state.json`. Frozen weights are not in
it: they are those of the model that the stage began with. Called by `tuning.py` and `export.py`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import Tensor, nn
from torch.optim import Optimizer

from vita.checkpoints.sources import open_folder, read_json
from vita.checkpoints.writer import ShardWriter
from vita.errors import CheckpointError
from vita.train.processes import fill, whole
from vita.train.zero3 import Zero3

TRAINED, OPTIMISER, STATE = "trained", "optimiser", "state.json"
_NAME = re.compile(r"checkpoint-(\d+)")


def trained_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Name -> parameter, for those that learn."""
    return {name: value for name, value in model.named_parameters() if value.requires_grad}


def checkpoints(folder: Path) -> list[Path]:
    """The stage's checkpoints, oldest first."""
    found = [path for path in folder.glob("checkpoint-*") if _NAME.fullmatch(path.name)]
    return sorted(found, key=lambda path: int(path.name.partition("-")[2]))


def save_checkpoint(
    folder: Path, model: nn.Module, optimiser: Optimizer | Zero3, state: dict[str, Any], *, keep: int, is_main: bool
) -> None:
    """Writes `folder/checkpoint-STEP` and deletes all but the newest `keep`. Called by all processes, written by one.

    Args:
        folder: the stage's.
        model, optimiser: what they are now.
        state: JSON; its "step" names the checkpoint.
        keep: how many stay.
        is_main: whether this process writes.

    Raises:
        CheckpointError: it cannot be written; the checkpoints before it are as they were.
    """
    final = folder / f"checkpoint-{state['step']:06d}"
    partial = folder / f"{final.name}.partial"
    parameters = trained_parameters(model)
    try:
        if is_main:
            shutil.rmtree(partial, ignore_errors=True)
            for name in (TRAINED, OPTIMISER):
                (partial / name).mkdir(parents=True)
        _write(partial / TRAINED if is_main else None, parameters.items())
        _write(partial / OPTIMISER if is_main else None, _optimiser_tensors(parameters, optimiser))
        if is_main:
            (partial / STATE).write_text(json.dumps(state, indent=1) + "\n", encoding="utf-8")
            publish(partial, final)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        last = next(reversed(checkpoints(folder)), None)
        raise CheckpointError(
            f"the checkpoint of step {state['step']} could not be written to {folder}: {error}",
            fix=f"make room, then go on with --resume from {last.name if last else 'the beginning of the stage'}",
        ) from error
    if is_main:
        for old in checkpoints(folder)[:-keep]:
            shutil.rmtree(old)


def read_state(checkpoint: Path) -> dict[str, Any]:
    """What `save_checkpoint` was given. Raises CheckpointError."""
    return read_json(checkpoint / STATE)


def load_trained(checkpoint: Path, model: nn.Module, *, beside: str = "") -> None:
    """The trained parameters, into a model with the same ones. Raises CheckpointError.

    Args:
        checkpoint: a folder of `save_checkpoint`.
        model: takes them.
        beside: parameters whose names begin like this are left out if the model has none of them.
    """
    parameters = trained_parameters(model)
    found = {name for source in open_folder(checkpoint / TRAINED) for name in source.shapes}
    if beside and not any(name.startswith(beside) for name in parameters):
        found = {name for name in found if not name.startswith(beside)}
    if found != parameters.keys():
        odd = min(found ^ parameters.keys())
        raise CheckpointError(
            f"{checkpoint} trained other parameters than this stage", got=odd, fix="use another --out"
        )
    for name, value in _read(checkpoint / TRAINED):
        if name not in found:
            continue
        if value.shape != parameters[name].shape:
            got, expected = list(value.shape), list(parameters[name].shape)
            raise CheckpointError(f"{name} of {checkpoint} is misshapen", got=got, expected=expected)
        fill(parameters[name], value)


def load_optimiser(checkpoint: Path, model: nn.Module, optimiser: Optimizer | Zero3) -> None:
    """The optimiser's state, for a model whose parameters `optimiser` moves."""
    parameters = trained_parameters(model)
    for key, value in _read(checkpoint / OPTIMISER):
        name, _, kind = key.rpartition("|")
        parameter = parameters[name]
        if isinstance(optimiser, Zero3):
            optimiser.set_state(parameter, kind, value)
            continue
        if value.ndim:
            own = parameter.detach().clone()
            fill(own, value)
            value = own
        elif optimiser.defaults.get("fused"):  # which wants the number of steps where the weights are
            value = value.to(parameter.device)
        optimiser.state[parameter][kind] = value


def publish(partial: Path, final: Path) -> None:
    """Gives a complete folder its name, once what is in it is on the disk."""
    for path in partial.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    os.rename(partial, final)


def _write(folder: Path | None, tensors: Iterable[tuple[str, Tensor]]) -> None:
    writer = None if folder is None else ShardWriter(folder)
    for name, value in tensors:
        content = whole(value)
        if writer:
            writer.add(name, content)
    if writer:
        writer.close()


def _optimiser_tensors(
    parameters: dict[str, nn.Parameter], optimiser: Optimizer | Zero3
) -> Iterator[tuple[str, Tensor]]:
    for name, parameter in parameters.items():
        if isinstance(optimiser, Zero3):
            state = optimiser.state_of(parameter)
        else:
            state = optimiser.state.get(parameter, {}).items()
        for kind, value in state:
            yield f"{name}|{kind}", value


def _read(folder: Path) -> Iterator[tuple[str, Tensor]]:
    for source in open_folder(folder):
        yield from source.read()
