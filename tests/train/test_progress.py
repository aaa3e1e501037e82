"""What a run tells: the log line, its curves, evaluation on held-out records, counted operations, the drawn curve."""

from __future__ import annotations

import dataclasses
import itertools
import json
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tests.conftest import make_model
from tests.models.tiny_vita import prompt, tiny_model
from tests.train.tuning_case import changed, log_of, recipe_of, train, write_records
from vita.cli.main import main
from vita.errors import ConfigError, DataError, DependencyError
from vita.train.curves import open_curves
from vita.train.flops import Work, peak_flops
from vita.train.learning_curve import plot_run, read_logs, smoothed
from vita.train.progress import Progress, StepFigures
from vita.train.tuning_recipe import DataFile, TuningRecipe


def figures(step: int, **options: Any) -> StepFigures:
    given = {"loss": 2.0 / step, "learning_rate": 0.1, "gradient_norm": 1.5, "tokens": 100, "samples": 4}
    return StepFigures(step=step, **{**given, **options})


class Kept:
    """Curves that remember."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, dict[str, float]]] = []
        self.closed = False

    def add(self, values: Any, step: int) -> None:
        self.rows.append((step, dict(values)))

    def close(self) -> None:
        self.closed = True


def test_a_line_has_speed_mfu_and_the_time_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 4.0, 4.0])
    monkeypatch.setattr("vita.train.progress.time.perf_counter", lambda: next(clock))
    told: list[str] = []
    kept = Kept()
    progress = Progress("s", tmp_path, steps=10, first=0, every=2, report=told.append, curves=[kept], peak_flops=1e9)
    progress.add(figures(1, flops=4e8))
    progress.add(figures(2, flops=4e8, held_out_loss=0.75))
    progress.close()
    assert told == [
        "s: step 2/10 loss 1.5000 lr 0.1 norm 1.5 tokens/s 50 samples/s 2 MFU 20.0% held-out loss 0.7500 ETA 0:00:16"
    ]
    assert [step for step, _ in kept.rows] == [1, 2, 2]
    assert kept.rows[1][1]["held_out_loss"] == 0.75
    assert kept.rows[2][1] == {"tokens/s": 50.0, "samples/s": 2.0, "MFU": 0.2}
    assert kept.closed
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert ["held_out_loss" in row for row in rows] == [False, True]


def test_curves_are_written_where_the_recipe_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (curves,) = open_curves(tmp_path, first=0, tensorboard=True, wandb="", name="r-s")
    curves.add({"tokens/s": 3.0}, 1)
    curves.close()
    assert list((tmp_path / "tensorboard").glob("events*"))
    monkeypatch.setitem(sys.modules, "wandb", None)
    monkeypatch.setattr("vita.train.curves.importlib.util.find_spec", lambda name: None)
    with pytest.raises(DependencyError, match=r"logs to Weights & Biases; pip install wandb"):
        open_curves(tmp_path, first=0, tensorboard=True, wandb="project", name="r-s")


def test_weights_and_biases_gets_the_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    run = types.SimpleNamespace(log=lambda row, step: calls.append((step, row)), finish=lambda: calls.append("end"))
    stub = types.SimpleNamespace(init=lambda **options: calls.append(options) or run)
    monkeypatch.setitem(sys.modules, "wandb", stub)
    monkeypatch.setattr("vita.train.curves.importlib.util.find_spec", lambda name: True)
    (curves,) = open_curves(tmp_path, first=5, tensorboard=False, wandb="project", name="r-s")
    curves.add({"loss": 1.0}, 6)
    curves.close()
    assert calls[0] == {"project": "project", "name": "r-s", "id": "r-s", "resume": "allow", "dir": str(tmp_path)}
    assert calls[1:] == [(6, {"loss": 1.0}), "end"]


@pytest.fixture(scope="module")
def recipe(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> TuningRecipe:
    return recipe_of(tiny_folder, write_records(tmp_path_factory.mktemp("records")))


def test_evaluation_changes_nothing_and_is_the_same_when_nothing_moves(recipe: TuningRecipe, tmp_path: Path) -> None:
    train(changed(recipe, steps=4), tmp_path / "without")
    kept = dataclasses.replace(recipe.data[0], name="kept", held_out=True)
    both = changed(recipe, steps=4, data=(*recipe.data, kept), evaluate_every=2, evaluate_batches=3)
    told: list[str] = []
    train(both, tmp_path / "with", told)
    without, rows = log_of(tmp_path / "without"), log_of(tmp_path / "with")
    assert [row["loss"] for row in rows] == [row["loss"] for row in without]
    held_out = [row.get("held_out_loss") for row in rows]
    assert [value is not None for value in held_out] == [False, True, False, True]
    assert held_out[1] != held_out[3]
    assert sum("held-out loss" in line for line in told) == 2
    slow = changed(both, learning_rate=1e-30, train=("audio_connector",))
    train(slow, tmp_path / "still")
    still = [row["held_out_loss"] for row in log_of(tmp_path / "still") if "held_out_loss" in row]
    assert still[0] == pytest.approx(still[1], rel=1e-6)


def test_a_stage_needs_something_to_learn_from(recipe: TuningRecipe) -> None:
    with pytest.raises(ConfigError, match="stage s has nothing to learn from"):
        dataclasses.replace(recipe, data=(DataFile(name="kept", file="x", held_out=True),))
    nowhere = dataclasses.replace(recipe.stages[0], data=("z",))
    with pytest.raises(ConfigError, match=r"stage s: no data of that name \(got z, expected d\)"):
        dataclasses.replace(recipe, stages=(nowhere,))


@pytest.mark.parametrize("text", ["llama", "mixtral"])
def test_counted_operations_are_those_that_torch_counts(text: str) -> None:
    """Of the language model, forward and backward; without connectors, all positions predicted, attention dense."""
    model = tiny_model(text).train()
    model.language_model.set_experts_implementation("eager")  # torch does not count the fused one
    ids = prompt(*range(3, 43))
    inputs = {"input_ids": ids, "labels": ids, "position_ids": torch.arange(40)[None]}
    with FlopCounterMode(display=False) as counter:
        model(**inputs, use_cache=False).loss.backward()
    assert Work(model, model.config).of(inputs) == pytest.approx(counter.get_total_flops(), rel=0.15)


def test_frozen_parts_and_media_cost_what_they_do() -> None:
    model, processor = make_model()
    inputs = {"pixel_values": torch.zeros(2, 3, 28, 28)}
    learning = Work(model, processor.config).of(inputs)
    model.vision_tower.requires_grad_(False)
    assert learning == pytest.approx(3 * Work(model, processor.config).of(inputs))
    assert peak_flops(torch.device("cpu")) == 0.0
    assert peak_flops(torch.device("cpu"), 2.0) == 2e12


def test_the_curve_of_a_run_is_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run" / "align").mkdir(parents=True)
    rows = [{"step": n, "loss": 3.0 / n, **({"held_out_loss": 2.0} if n == 2 else {})} for n in range(1, 4)]
    (tmp_path / "run" / "align" / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "run" / "seeing.log.jsonl").write_text(json.dumps({"step": 50, "loss": 1.0}) + "\n")
    assert list(read_logs(tmp_path / "run")) == ["seeing", "align"]
    picture = tmp_path / "curve.svg"
    recipe = Path(__file__).parents[2] / "recipes" / "pocket.yaml"
    assert main(["train", str(recipe), "--out", str(tmp_path / "run"), "--plot", str(picture)]) == 0
    assert "(seeing, align)" in capsys.readouterr().out
    assert picture.read_text(encoding="utf-8").count("held out") >= 1
    with pytest.raises(ConfigError, match="unknown format of the plot"):
        plot_run(tmp_path / "run", tmp_path / "curve.xyz")
    with pytest.raises(DataError, match="has a log yet"):
        plot_run(tmp_path, picture)


def test_running_means_follow_the_values() -> None:
    assert smoothed([1.0, 1.0, 1.0]) == pytest.approx([1.0] * 3)
    falling = smoothed([float(n) for n in range(100, 0, -1)], share=0.1)
    assert all(one > other for one, other in itertools.pairwise(falling))
    assert 8 < falling[-1] < 12
