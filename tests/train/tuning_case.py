"""A tiny run for the tests of training by recipe: eight records with pictures and sounds, and a recipe on them."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import soundfile
import torch

from vita.train.progress import LOG
from vita.train.tuning import TuningRun
from vita.train.tuning_recipe import DataFile, TuningRecipe
from vita.train.tuning_stage import TuningStage

ALL = ("language_model", "vision_tower", "vision_connector", "audio_tower", "audio_connector")


def write_records(folder: Path) -> Path:
    """Eight records of four kinds, replies of different lengths."""
    generator = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    for number in range(8):
        row: dict[str, Any] = {"id": f"s{number}"}
        question = "?"
        if number % 4 in (1, 3):
            pixels = generator.integers(0, 255, (28, 28, 3), dtype=np.uint8)
            PIL.Image.fromarray(pixels).save(folder / f"{number}.png")
            row["image"], question = f"{number}.png", "<image>\n?"
        if number % 4 in (2, 3):
            soundfile.write(folder / f"{number}.wav", generator.normal(0, 0.1, 4000 + 800 * number), 16000)
            row["audio"], question = f"{number}.wav", question.replace("?", "<audio>")
        reply = "ab" * (1 + number)
        row["conversations"] = [{"from": "human", "value": question}, {"from": "gpt", "value": reply}]
        rows.append(row)
    path = folder / "records.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def recipe_of(model: Path, records: Path, stage: TuningStage | None = None, **options: Any) -> TuningRecipe:
    """Six steps of everything, in float32 on the CPU, a sample a row, unless told otherwise."""
    given: dict[str, Any] = {
        "model": str(model), "data": (DataFile(name="d", file=str(records)),), "device": "cpu", "precision": "fp32",
        "stages": (stage or TuningStage(name="s", train=ALL, steps=6, learning_rate=3e-3),), "packing": False,
        "batch_size": 2, "save_every": 2, "log_every": 1, "tensorboard": False,
    }  # fmt: skip
    return TuningRecipe(**{**given, **options})


def train(recipe: TuningRecipe, folder: Path, told: list[str] | None = None) -> Path:
    """Run it; the folder of the model."""
    lines: list[str] = [] if told is None else told
    run = TuningRun(recipe, folder, lines.append)
    try:
        return run.run()
    finally:
        run.processes.close()


def log_of(folder: Path, stage: str = "s") -> list[dict[str, Any]]:
    """The rows of a stage's log."""
    return [json.loads(line) for line in (folder / stage / LOG).read_text(encoding="utf-8").splitlines()]


def changed(recipe: TuningRecipe, **options: Any) -> TuningRecipe:
    """The recipe with other values; those of the stage by their names."""
    names = {field.name for field in dataclasses.fields(TuningStage)}
    names -= {field.name for field in dataclasses.fields(TuningRecipe)}
    stage = dataclasses.replace(recipe.stages[0], **{key: options.pop(key) for key in names & options.keys()})
    return dataclasses.replace(recipe, stages=(stage,), **options)


def in_processes(count: int, work: Callable[[], object], *, limit_s: float = 900) -> list[int]:
    """Does `work` in as many processes as torchrun would start; their exit codes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_work, args=(rank, count, port, work)) for rank in range(count)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(limit_s)
        if worker.exitcode is None:
            worker.kill()
            worker.join()
    return [worker.exitcode or 0 for worker in workers]


def _work(rank: int, count: int, port: int, work: Callable[[], object]) -> None:
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)
    torch.set_num_threads(1)
    if count > 1:
        os.environ |= {
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": str(count),
            "LOCAL_WORLD_SIZE": str(count),
        }
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    work()
