"""The shipped recipes with all stages, in miniature: each moves what it says, nothing else, and its loss falls."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.conftest import make_model
from tests.train.test_ctc import write_transcripts
from tests.train.tuning_case import log_of, train, write_records
from vita.cli.main import main
from vita.train.tuning_recipe import DataFile, TuningRecipe, read_tuning_recipe
from vita.train.tuning_stage import VocabularySettings

REPOSITORY = Path(__file__).parents[2]
STAGES = ("language", "see", "hear", "listen", "instruct")
MOVED = {
    "language": {"language_model"},
    "see": {"vision_connector"},
    "hear": {"audio_tower"},
    "listen": {"audio_connector"},
    "instruct": {"language_model", "vision_connector", "audio_connector"},
}


def miniature(recipe: TuningRecipe, model: Path, folder: Path) -> TuningRecipe:
    """The recipe with one step a stage, a tiny model, and tiny files under the names of its own."""
    records, transcripts = write_records(folder), write_transcripts(folder)
    files = {
        entry.name: dataclasses.replace(
            entry, file=str(transcripts if entry.name == "transcripts" else records), folders=""
        )
        for entry in recipe.data
    }
    vocabulary = VocabularySettings(corpus=(str(REPOSITORY / "README.md"),), pieces=30)
    stages = tuple(
        dataclasses.replace(
            stage, steps=1, batch_size=2, vocabulary=vocabulary if stage.vocabulary.corpus else stage.vocabulary
        )
        for stage in recipe.stages
    )
    assert all(isinstance(entry, DataFile) for entry in files.values())
    changes = {"model": str(model), "data": tuple(files.values()), "stages": stages, "device": "cpu"}
    return dataclasses.replace(
        recipe, **changes, parallel="none", precision="fp32", workers=0, max_tokens=1500, tensorboard=False
    )


@pytest.mark.parametrize(("name", "text"), [("vita-qwen", "qwen2"), ("vita-1.0-mixtral", "mixtral")])
def test_each_stage_moves_what_it_says(name: str, text: str, tmp_path: Path) -> None:
    recipe = read_tuning_recipe(REPOSITORY / "recipes" / f"{name}.yaml")
    assert tuple(stage.name for stage in recipe.stages) == STAGES
    for part in make_model(text):
        part.save_pretrained(tmp_path / "model")
    told: list[str] = []
    train(miniature(recipe, tmp_path / "model", tmp_path), tmp_path / "run", told)
    assert sum("bit for bit" in line for line in told) == len(STAGES)
    prepared = [tmp_path / "run" / stage / "prepared" for stage in STAGES]
    before = tmp_path / "model"
    for stage, begin in zip(STAGES, prepared, strict=True):
        after = tmp_path / "run" / stage / "model"
        one, other = (load_file(f / "model.safetensors") for f in (begin if begin.is_dir() else before, after))
        assert {n.split(".")[0] for n in one if not torch.equal(one[n], other[n])} == MOVED[stage]
        before = after
    assert [path.is_dir() for path in prepared] == [name != "vita-qwen", False, True, False, False]


def test_the_miniature_learns_in_every_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the embedded model, with 12 of the 20 steps of `make train`; halves are compared: steps differ in samples."""
    monkeypatch.chdir(REPOSITORY)
    recipe = read_tuning_recipe("recipes/mini.yaml", {f"stages.{stage}.steps": 12 for stage in STAGES})
    train(recipe, tmp_path)
    for stage in STAGES:
        losses = [row["loss"] for row in log_of(tmp_path, stage)]
        assert len(losses) == 12
        assert sum(losses[6:]) < 0.97 * sum(losses[:6]), stage


@pytest.mark.parametrize("name", ["vita-qwen", "vita-1.0-mixtral", "finetune-released", "mini", "lora"])
def test_a_dry_run_says_what_is_missing(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert main(["train", f"recipes/{name}.yaml", "--dry-run"]) == 0
    told = capsys.readouterr().out
    recipe = read_tuning_recipe(f"recipes/{name}.yaml")
    assert ("missing: unknown model models/" in told) == (name not in ("mini", "lora"))
    for stage in recipe.stages:
        assert f"stage {stage.name} ({stage.objective}): " in told
    if name == "vita-qwen":
        lines = told.splitlines()
        see = next(number for number, line in enumerate(lines) if line.startswith("stage see"))
        assert "learning rate 0.0005, data captions" in lines[see]
        moving = [line.split()[0] for line in lines[see + 1 : see + 6] if line.endswith("trained")]
        assert moving == ["vision_connector"]
