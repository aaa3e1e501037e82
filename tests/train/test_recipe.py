"""Recipes: what a file may say, what overrides reach, and one line for every mistake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vita import train
from vita.errors import ConfigError
from vita.train.recipe import Recipe, read_recipe
from vita.train.stages import STAGES, check_stage

POCKET = Path(__file__).parents[2] / "recipes" / "pocket.yaml"


def recipe_of(tmp_path: Path, text: str, overrides: dict[str, Any] | None = None) -> Recipe:
    path = tmp_path / "r.yaml"
    path.write_text(text, encoding="utf-8")
    return read_recipe(path, overrides)


@pytest.mark.parametrize("name", ["pocket", "pocket-short"])
def test_the_pocket_recipes_are_some(name: str) -> None:
    recipe = read_recipe(POCKET.with_stem(name))
    assert (recipe.name, recipe.device, recipe.side_by_side) == (name, "auto", True)
    assert all(getattr(recipe, stage).steps >= 100 for stage in STAGES if stage != "synth")


def test_an_empty_recipe_is_the_default(tmp_path: Path) -> None:
    assert recipe_of(tmp_path, "") == Recipe()


def test_a_stage_names_only_what_differs(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, "seed: 7\nseeing:\n  steps: 10\n")
    assert (recipe.seed, recipe.seeing.steps) == (7, 10)
    default = Recipe()
    assert recipe.seeing.learning_rate == default.seeing.learning_rate
    assert recipe.hearing == default.hearing


def test_overrides_win_and_reach_into_stages(tmp_path: Path) -> None:
    recipe = recipe_of(
        tmp_path,
        "seeing:\n  steps: 10\n",
        {"seeing.steps": 20, "language.learning_rate": 1, "device": "cpu", "shard_size": 12.0},
    )
    assert (recipe.seeing.steps, recipe.language.learning_rate) == (20, 1.0)
    assert (recipe.device, recipe.shard_size) == ("cpu", 12)
    assert isinstance(recipe.language.learning_rate, float)
    assert isinstance(recipe.shard_size, int)


@pytest.mark.parametrize("written", ["2e-3", "2.0e-3", "0.002", "+2E-3"])
def test_numbers_as_people_write_them(tmp_path: Path, written: str) -> None:
    """YAML 1.1 takes 2e-3 for a word."""
    assert recipe_of(tmp_path, f"language: {{learning_rate: {written}}}").language.learning_rate == 0.002


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("sead: 1", "unknown key 'sead'; did you mean 'seed'?"),
        ("seeing: {step: 1}", "seeing has an unknown key 'step'; did you mean 'steps'?"),
        ("zzz: 1", "known: name, out, seed"),
        ("1: 2", "unknown key 1"),
        ("seed: x", "seed has the wrong type (got 'x', expected int)"),
        ("seed: 1.5", "seed has the wrong type (got 1.5, expected int)"),
        ("seed: true", "seed has the wrong type (got True, expected int)"),
        ("seed: {a: 1}", "seed has the wrong type"),
        ("name: 3", "name has the wrong type (got 3, expected str)"),
        ("seeing: 5", "seeing has the wrong type (got 5, expected StageSettings)"),
        ("seeing: null", "seeing has the wrong type"),
        ("seeing: {steps: {a: 1}}", "steps has the wrong type"),
        ("seeing: {learning_rate: fast}", "learning_rate has the wrong type (got 'fast', expected float)"),
        ("seeing: {steps: 0}", "steps of a stage out of range (got 0, expected at least 1)"),
        ("device: tpu", "unknown device in a recipe (got tpu, expected auto, cpu, cuda)"),
        ("threads: 0", "threads of a recipe out of range (got 0, expected at least 1)"),
        ("hearing_batch: -1", "hearing_batch of a recipe out of range"),
        ("small_share: 1.5", "small_share of a recipe out of range (got 1.5, expected 0 to 1)"),
        ("easy_steps: -1", "easy_steps of a recipe out of range"),
        ("- a\n- b", "must hold keys and values (got list)"),
        ("a: [", "is not YAML"),
    ],
)
def test_mistakes_are_told_in_one_line(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigError) as error:
        recipe_of(tmp_path, text)
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_an_override_into_what_holds_no_keys(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"seed of the recipe holds no keys \(got seed.x=1\)"):
        recipe_of(tmp_path, "seed: 1", {"seed.x": 1})
    with pytest.raises(ConfigError, match=r"unknown key 'seeng'; did you mean 'seeing'\?"):
        recipe_of(tmp_path, "", {"seeng.steps": 1})


def test_a_missing_file_names_one_that_is_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no such recipe \(got .*none.yaml\); recipes/pocket.yaml is one"):
        read_recipe(tmp_path / "none.yaml")


def test_stages_are_checked_by_name() -> None:
    assert [check_stage(name) for name in STAGES] == list(STAGES)
    with pytest.raises(ConfigError, match=r"unknown stage .*got vision, expected synth, language"):
        check_stage("vision")


def test_a_folder_with_stages_is_not_trained_over(tmp_path: Path) -> None:
    (tmp_path / "language.pt").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"already holds language.pt; add --resume"):
        train.run(POCKET, out=tmp_path)
    with pytest.raises(ConfigError, match="unknown stage"):
        train.run(POCKET, out=tmp_path, resume=True, stage="vision")
