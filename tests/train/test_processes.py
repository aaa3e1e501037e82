"""Two processes learn what one learns: DDP, FSDP2 and ZeRO-3 (where DeepSpeed is installed) over gloo."""

from __future__ import annotations

import importlib.util
import os
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.train.tuning_case import ALL, changed, in_processes, log_of, recipe_of, train, write_records
from vita.errors import ConfigError
from vita.train import stage_run
from vita.train.tuning_recipe import TuningRecipe
from vita.train.tuning_stage import LoraSettings

ADAPTERS = {"train": ("lora", "vision_connector", "audio_connector"), "lora": LoraSettings(rank=2)}
NO_DROPOUT = tuple(part for part in ALL if part != "audio_tower")


zero3 = pytest.param(
    "zero3", marks=pytest.mark.skipif(importlib.util.find_spec("deepspeed") is None, reason="no DeepSpeed")
)


@pytest.fixture(scope="module")
def recipe(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> TuningRecipe:
    recipe = recipe_of(tiny_folder, write_records(tmp_path_factory.mktemp("records")), keep=3)
    return changed(recipe, train=NO_DROPOUT, steps=4, learning_rate=1e-3, batch_size=1, gradient_accumulation=4)


@pytest.fixture(scope="module")
def alone(recipe: TuningRecipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("alone")
    train(recipe, folder)
    return folder


@pytest.mark.parametrize("parallel", ["ddp", "fsdp2", zero3])
def test_two_processes_have_the_losses_of_one(recipe: TuningRecipe, alone: Path, tmp_path: Path, parallel: str) -> None:
    """Batches of text alone, of pictures and of sounds fall to either process."""
    shared = changed(recipe, parallel=parallel, gradient_accumulation=2)
    assert in_processes(2, lambda: train(shared, tmp_path)) == [0, 0]
    for one, two in zip(log_of(alone), log_of(tmp_path), strict=True):
        assert one["samples"] == two["samples"] == 4
        assert (one["loss"], one["gradient_norm"]) == pytest.approx((two["loss"], two["gradient_norm"]), rel=1e-4)
    before, after = (load_file(folder / "s" / "model" / "model.safetensors") for folder in (alone, tmp_path))
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, atol=2e-4, rtol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["ddp", "fsdp2", zero3])
def test_a_process_is_killed_and_all_go_on(
    recipe: TuningRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parallel: str
) -> None:
    """Adapters and connectors; the same losses as without the interruption."""
    shared = changed(recipe, parallel=parallel, gradient_accumulation=2, save_every=2, **ADAPTERS)
    assert in_processes(2, lambda: train(shared, tmp_path / "whole")) == [0, 0]
    step = stage_run.StageRun._step

    def lethal(run: stage_run.StageRun, number: int, *arguments: object) -> object:
        if number == 3 and run.processes.rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(run, number, *arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(stage_run.StageRun, "_step", lethal)
        codes = in_processes(2, lambda: train(shared, tmp_path / "killed"))
    assert codes[1] == -signal.SIGKILL
    assert codes[0] != 0
    assert in_processes(2, lambda: train(shared, tmp_path / "killed")) == [0, 0]
    whole, killed = log_of(tmp_path / "whole"), log_of(tmp_path / "killed")
    assert [row["loss"] for row in killed] == pytest.approx([row["loss"] for row in whole], rel=1e-6)
    assert len(killed) == 4


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["fsdp2", zero3])
def test_shared_weights_in_bfloat16(recipe: TuningRecipe, alone: Path, tmp_path: Path, parallel: str) -> None:
    """The first loss, before anything has moved, is that of float32 within bfloat16's accuracy."""
    shared = changed(recipe, parallel=parallel, precision="bf16", gradient_accumulation=2, steps=1, **ADAPTERS)
    assert in_processes(2, lambda: train(shared, tmp_path)) == [0, 0]
    assert log_of(tmp_path)[0]["loss"] == pytest.approx(log_of(alone)[0]["loss"], rel=2e-2)


def test_two_processes_need_to_be_told_how(recipe: TuningRecipe, tmp_path: Path) -> None:
    def refused() -> None:
        with pytest.raises(ConfigError, match=r"2 processes, but the recipe has parallel: none; --set parallel=ddp"):
            train(recipe, tmp_path)

    assert in_processes(2, refused) == [0, 0]
