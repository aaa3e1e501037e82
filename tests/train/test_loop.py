"""The training loop: a run that was killed ends with the very bits of one that was not."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from vita.errors import ConfigError
from vita.train import loop
from vita.train.loop import StageSettings, load_progress, optimiser_for, run_stage, save_progress

CPU = torch.device("cpu")
SETTINGS = StageSettings(steps=12, learning_rate=0.05, warmup_steps=3, save_every=4, log_every=5)


class Killed(BaseException):
    """As a signal would end the process: no handler in between."""


def make(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Dropout(0.2), nn.Linear(5, 1))


def batch_of(step: int) -> tuple[Tensor, Tensor]:
    x = torch.randn(16, 3, generator=torch.Generator().manual_seed(step))
    return x, x.sum(1, keepdim=True)


def loss_for(model: nn.Module) -> Callable[[tuple[Tensor, Tensor]], tuple[Tensor, dict[str, float]]]:
    def loss_of(batch: tuple[Tensor, Tensor]) -> tuple[Tensor, dict[str, float]]:
        loss = (model(batch[0]).float() - batch[1]).square().mean()
        return loss, {"twice": 2 * float(loss.detach())}

    return loss_of


def train(
    folder: Path,
    model: nn.Module,
    batches: Callable[[int], tuple[Tensor, Tensor]] = batch_of,
    settings: StageSettings = SETTINGS,
) -> list[str]:
    told: list[str] = []
    run_stage("s", model, batches, loss_for(model), settings, folder, device=CPU, report=told.append)
    return told


def killed_at(at: int) -> Callable[[int], tuple[Tensor, Tensor]]:
    def batches(step: int) -> tuple[Tensor, Tensor]:
        if step == at:
            raise Killed
        return batch_of(step)

    return batches


@pytest.mark.parametrize("at", [1, 4, 7, 11])
def test_a_resumed_run_ends_as_an_uninterrupted_one(tmp_path: Path, at: int) -> None:
    whole = make()
    train(tmp_path / "whole", whole)
    with pytest.raises(Killed):
        train(tmp_path / "killed", make(), killed_at(at))
    resumed = make(seed=99 if at > 3 else 0)  # what it was at the start does not matter once there is a checkpoint
    told = train(tmp_path / "killed", resumed)
    assert (told[0] == f"s: going on at step {at // 4 * 4} of 12") == (at > 3)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    states = [torch.load(tmp_path / run / "s.pt", weights_only=True) for run in ("whole", "killed")]
    assert states[0]["step"] == states[1]["step"] == 12
    for moments in zip(*(s["optimiser"]["state"].values() for s in states), strict=True):
        assert all(torch.equal(moments[0][key], moments[1][key]) for key in ("exp_avg", "exp_avg_sq", "step"))


def test_it_learns_and_a_finished_stage_is_left_alone(tmp_path: Path) -> None:
    model = make()
    train(tmp_path, model, settings=StageSettings(steps=60, learning_rate=0.05, warmup_steps=3, log_every=10))
    rows = [json.loads(line) for line in (tmp_path / "s.log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [10, 20, 30, 40, 50, 60]
    assert rows[-1]["loss"] < 0.5 * rows[0]["loss"]
    assert all(row["twice"] == pytest.approx(2 * row["loss"], rel=1e-4) for row in rows)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    train(tmp_path, model, killed_at(60), StageSettings(steps=60))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_gradient_that_is_not_finite_is_reported_and_left_out(tmp_path: Path) -> None:
    seen: list[dict[str, Tensor]] = []
    model = make()

    def batches(step: int) -> tuple[Tensor, Tensor]:
        seen.append({name: value.clone() for name, value in model.named_parameters()})
        x, y = batch_of(step)
        return x, y * (float("inf") if step == 5 else 1)

    told = train(tmp_path, model, batches)
    assert [line for line in told if "not finite" in line] == [
        "s: step 5 has a gradient that is not finite; its update is left out"
    ]
    changed = [any(not torch.equal(a[n], b[n]) for n in a) for a, b in itertools.pairwise(seen)]
    assert changed == [True] * 5 + [False] + [True] * 5
    assert all(torch.isfinite(value).all() for value in model.state_dict().values())


def test_frozen_parameters_stay(tmp_path: Path) -> None:
    model = make()
    model[0].requires_grad_(False)
    before = model[0].weight.clone(), model[4].weight.clone()
    train(tmp_path, model)
    assert torch.equal(model[0].weight, before[0])
    assert not torch.equal(model[4].weight, before[1])


@pytest.mark.parametrize("broken", ["torch.save", "os.replace"])
def test_a_crash_while_saving_leaves_the_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    model = make()
    optimiser = optimiser_for(model, SETTINGS)
    path = tmp_path / "s.pt"
    save_progress(path, model, optimiser, 4)
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        model[0].weight.add_(1)

    def die(*args: object) -> None:
        if broken == "torch.save":
            Path(str(args[1])).write_bytes(b"half a file")
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(*{"torch.save": (torch, "save"), "os.replace": (os, "replace")}[broken], die)
        with pytest.raises(Killed):
            save_progress(path, model, optimiser, 8)
    again = make(seed=5)
    assert load_progress(path, again, None, CPU) == 4
    assert all(torch.equal(value, kept[name]) for name, value in again.state_dict().items())


def test_no_checkpoint_means_step_0(tmp_path: Path) -> None:
    assert load_progress(tmp_path / "none.pt", make(), None, CPU) == 0


def test_the_learning_rate_warms_up_and_falls_to_its_final_share() -> None:
    settings = StageSettings(steps=100, learning_rate=2.0, warmup_steps=10, final_share=0.1)
    rates = [settings.rate_at(step) for step in range(100)]
    assert rates[:3] == pytest.approx([0.2, 0.4, 0.6])
    assert rates[9] == max(rates) == pytest.approx(2.0)
    assert all(a >= b for a, b in itertools.pairwise(rates[10:]))
    assert rates[55] == pytest.approx(2.0 * (0.1 + 0.9 * 0.5), rel=0.01)
    assert settings.rate_at(100) == pytest.approx(0.2)


def test_the_rate_of_the_step_is_used(tmp_path: Path) -> None:
    train(tmp_path, make())
    (first, second, last) = [json.loads(line) for line in (tmp_path / "s.log.jsonl").read_text().splitlines()]
    assert [row["lr"] for row in (first, second, last)] == [SETTINGS.rate_at(step) for step in (4, 9, 11)]


def test_weight_decay_is_on_matrices_alone() -> None:
    model = make()
    decayed, others = optimiser_for(model, SETTINGS).param_groups
    assert {id(p) for p in decayed["params"]} == {id(model[0].weight), id(model[4].weight)}
    assert (decayed["weight_decay"], others["weight_decay"]) == (0.05, 0.0)
    assert len(others["params"]) == 4


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0}, {"learning_rate": 0.0}, {"learning_rate": float("nan")}, {"save_every": 0}, {"log_every": -1},
        {"warmup_steps": -1}, {"weight_decay": -0.1}, {"gradient_clip": 0.0}, {"final_share": -1.0},
    ],
)  # fmt: skip
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    (name,) = wrong
    with pytest.raises(ConfigError, match=name):
        StageSettings(**{"steps": 10, **wrong})  # type: ignore[arg-type]


def test_loop_prints_by_default(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = make()
    loop.run_stage("s", model, batch_of, loss_for(model), SETTINGS, tmp_path, device=CPU)
    assert capsys.readouterr().out.startswith("s: step 5 lr ")
