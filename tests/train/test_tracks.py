"""Stages side by side in processes of their own: the same weights as one after another; a failure ends them all."""

from __future__ import annotations

import multiprocessing
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from tests.train.test_stages import RECIPE, run_in
from vita import train
from vita.errors import CheckpointError, VitaError
from vita.train import tracks
from vita.train.stages import STAGES, PocketRun


def test_side_by_side_gives_the_weights_of_one_after_another(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    alone, _ = run_in(tmp_path / "alone", tokenizer)
    for name in ("synth", "seeing", "hearing", "language"):
        getattr(alone, name)()
    together, _ = run_in(tmp_path / "together", tokenizer)
    tracks.run_tracks(together)
    for name in ("seeing", "hearing", "language"):
        one, other = (torch.load(tmp_path / run / f"{name}.pt", weights_only=True) for run in ("alone", "together"))
        assert one["step"] == other["step"] == 3
        for key, value in one["model"].items():
            assert torch.equal(value, other["model"][key]), (name, key)


def test_what_a_stage_cannot_do_is_told_and_ends_the_others(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracks, "TRACKS", (("multimodal",), ("language",)))
    endless = replace(RECIPE, language=replace(RECIPE.language, steps=10**6))
    run, _ = run_in(tmp_path, tokenizer, endless)
    with pytest.raises(CheckpointError, match=r"stage hearing has 0 of 3 steps.*--stage hearing first"):
        tracks.run_tracks(run)
    assert not multiprocessing.active_children()


def killed(tokenizer: PreTrainedTokenizerFast) -> None:
    """Ends its process at once, as the kernel does when memory is short."""
    raise SystemExit(9)


def test_a_process_that_dies_is_told(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    run, _ = run_in(tmp_path, tokenizer)
    run = PocketRun(RECIPE, tmp_path, print, configure=killed)
    with pytest.raises(VitaError, match=r"process of .* ended with code 9; .*--resume goes on"):
        tracks.run_tracks(run)


@pytest.mark.parametrize(("device", "stage"), [("cpu", None), ("cpu", "seeing"), ("cuda", None)])
def test_a_recipe_asks_for_it(device: str, stage: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    for name in STAGES:
        monkeypatch.setattr(PocketRun, name, lambda _, name=name: ran.append(name))
    monkeypatch.setattr(tracks, "run_tracks", lambda run: ran.append("tracks"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: device == "cuda")
    recipe = tmp_path / "r.yaml"
    recipe.write_text("side_by_side: true\nthreads: 1\n", encoding="utf-8")
    assert train.run(recipe, stage=stage, out=tmp_path / "run") == tmp_path / "run" / "model"
    one_after_another = [stage] if stage else list(STAGES)
    assert ran == (["tracks", "multimodal"] if (device, stage) == ("cpu", None) else one_after_another)
