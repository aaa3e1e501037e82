"""Recipes that train a checkpoint: what a file may say, what overrides reach, and one line for every mistake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vita import train
from vita.cli.main import main
from vita.errors import ConfigError
from vita.train.recipe import read_recipe, read_values
from vita.train.tuning_recipe import TuningRecipe, is_tuning, read_tuning_recipe

REPOSITORY = Path(__file__).parents[2]
GOOD = """
model: pocket
data: [{name: a, file: examples/train.jsonl, weight: 2}]
stages:
  - {name: one, train: [vision_connector], steps: 3, learning_rate: 1e-3}
  - {name: two, train: [lora, audio_connector], lora: {rank: 4, targets: [q_proj]}}
"""


def recipe_of(tmp_path: Path, text: str, overrides: dict[str, Any] | None = None) -> TuningRecipe:
    path = tmp_path / "r.yaml"
    path.write_text(text, encoding="utf-8")
    return read_tuning_recipe(path, overrides)


@pytest.mark.parametrize("path", sorted((REPOSITORY / "recipes").glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_recipes_are_read(path: Path) -> None:
    if is_tuning(read_values(path)):
        assert read_tuning_recipe(path).stages
    else:
        assert read_recipe(path).name == path.stem


def test_a_recipe_says_what_differs(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, GOOD)
    one, two = recipe.stages
    assert (one.train, one.steps, one.learning_rate) == (("vision_connector",), 3, 0.001)
    assert (two.lora.rank, two.lora.alpha, two.lora.targets, two.epochs) == (4, 32.0, ("q_proj",), 1.0)
    assert (recipe.data[0].weight, recipe.packing, recipe.keep) == (2.0, True, 2)


def test_overrides_reach_stages_and_data_by_name(tmp_path: Path) -> None:
    overrides = {"stages.two.lora.rank": 8, "stages.one.steps": 5, "data.a.weight": 1, "packing": False}
    recipe = recipe_of(tmp_path, GOOD, overrides)
    assert (recipe.stages[1].lora.rank, recipe.stages[0].steps) == (8, 5)
    assert (recipe.data[0].weight, recipe.packing) == (1.0, False)
    with pytest.raises(ConfigError, match=r"unknown key 'stepz'; did you mean 'steps'\?"):
        recipe_of(tmp_path, GOOD, {"stages.one.stepz": 5})
    with pytest.raises(ConfigError, match=r"no entry named three \(got stages.three.steps=1, expected one, two\)"):
        recipe_of(tmp_path, GOOD, {"stages.three.steps": 1})


def test_settings_follow_the_steps() -> None:
    stage = read_tuning_recipe(REPOSITORY / "recipes" / "finetune-released.yaml").stages[0]
    settings = stage.settings(1000)
    assert (settings.warmup_steps, settings.rate_at(29), settings.rate_at(1000)) == (30, 2e-5, 0.0)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("model:", "modell:", "unknown key 'modell'; did you mean 'model'?"),
        ("vision_connector]", "vision]", "stage one: train (got vision, expected some of language_model, vision_tower"),
        ("[vision_connector]", "[]", "stage one: train (got [], expected some of"),
        ("[lora, audio", "[lora, language_model, audio", "stage two trains the language model and adapters in it"),
        ("steps: 3", "steps: -3", "stage one: out of range"),
        ("steps: 3", "steps: three", "steps has the wrong type (got 'three', expected int)"),
        ("1e-3", "-1", "learning_rate of a stage out of range"),
        ("rank: 4", "rank: 0", "lora settings out of range"),
        ("[q_proj]", "q_proj", "targets has the wrong type"),
        ("name: two", "name: one", "two stages have the same name (got one, one)"),
        ("name: two", "name: a/b", "a stage's name is the name of a folder (got 'a/b')"),
        ("file: examples/train.jsonl,", "", "an entry of data has no file (got a)"),
        (
            "model: pocket",
            "parallel: zero2",
            "unknown parallel in a recipe (got zero2, expected none, ddp, fsdp2, zero3)",
        ),
        ("model: pocket", "precision: fp16", "unknown precision in a recipe (got fp16, expected fp32, bf16)"),
        ("model: pocket", "keep: 0", "keep of a recipe out of range (got 0, expected at least 1)"),
        ("model: pocket", "packing: 1", "packing has the wrong type (got 1, expected bool)"),
        ("data: [{", "dato: [{", "data must be a list (got None, expected at least one entry)"),
    ],
)
def test_mistakes_are_told_in_one_line(tmp_path: Path, old: str, new: str, told: str) -> None:
    assert old in GOOD
    with pytest.raises(ConfigError) as error:
        recipe_of(tmp_path, GOOD.replace(old, new))
    assert told in str(error.value)


def test_a_dry_run_prints_the_plan_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(REPOSITORY)
    overrides = [f"--set=out={tmp_path / 'run'}"]
    assert main(["train", "recipes/lora.yaml", "--dry-run", *overrides]) == 0
    out = capsys.readouterr().out
    assert "data examples: examples/train.jsonl: 12 records" in out
    assert "stage adapt (replies): 20 steps, learning rate 0.0002" in out
    rows = {line.split("  ")[0]: line for line in out.splitlines()}
    assert rows["vision_tower"].endswith("frozen")
    assert rows["language_model"].endswith("frozen")
    assert rows["language_model (lora)"].endswith("trained")
    assert not (tmp_path / "run").exists()
    assert main(["train", "recipes/pocket.yaml", "--dry-run"]) == 0
    assert "hearing: StageSettings(steps=" in capsys.readouterr().out


def test_a_folder_with_a_run_is_not_trained_over(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(GOOD, encoding="utf-8")
    (tmp_path / "one" / "checkpoint-000001").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"already holds one/checkpoint-000001; add --resume"):
        train.run(path, out=tmp_path)
    with pytest.raises(ConfigError, match=r"unknown stage of the recipe \(got three, expected one, two\)"):
        train.run(path, out=tmp_path, stage="three")
