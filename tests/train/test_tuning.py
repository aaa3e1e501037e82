"""Training a checkpoint by recipe: what learns, what stays, and that nothing but the recipe decides the numbers."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.conftest import make_model
from tests.train.tuning_case import ALL, changed, in_processes, log_of, recipe_of, train, write_records
from vita.checkpoints.loading import load
from vita.errors import CheckpointError, ConfigError
from vita.train import feeding, snapshot, stage_run
from vita.train.tuning_recipe import TuningRecipe
from vita.train.tuning_stage import LoraSettings, TuningStage

NO_DROPOUT = tuple(part for part in ALL if part != "audio_tower")


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_records(tmp_path_factory.mktemp("records"))


@pytest.fixture(scope="module")
def recipe(tiny_folder: Path, records: Path) -> TuningRecipe:
    return recipe_of(tiny_folder, records)


@pytest.fixture(scope="module")
def whole(recipe: TuningRecipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an uninterrupted run."""
    folder = tmp_path_factory.mktemp("whole")
    train(recipe, folder)
    return folder


def tensors(model: Path) -> dict[str, torch.Tensor]:
    return load_file(model / "model.safetensors")


def figures(folder: Path) -> list[tuple[float, float]]:
    return [(row["loss"], row["gradient_norm"]) for row in log_of(folder)]


def test_a_run_writes_a_model_that_loads_and_its_checkpoints(whole: Path) -> None:
    assert [row["step"] for row in log_of(whole)] == [1, 2, 3, 4, 5, 6]
    assert [path.name for path in snapshot.checkpoints(whole / "s")] == ["checkpoint-000004", "checkpoint-000006"]
    model, processor = load(whole / "s" / "model", device="cpu")
    trained = load_file(whole / "s" / "checkpoint-000006" / "trained" / "model.safetensors")
    own = dict(model.named_parameters())
    assert trained.keys() == own.keys()
    assert all(torch.equal(own[name], value) for name, value in trained.items())
    assert processor.template.to_dict()


@pytest.mark.parametrize("part", ["audio_connector", "language_model"])
def test_only_the_named_part_moves(recipe: TuningRecipe, tiny_folder: Path, tmp_path: Path, part: str) -> None:
    told: list[str] = []
    model = train(changed(recipe, train=(part,), steps=2), tmp_path, told)
    before, after = tensors(tiny_folder), tensors(model)
    moved = {name.partition(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert moved == {part}
    assert next(line for line in told if line.startswith(part)).endswith("trained")
    assert sum(line.endswith("frozen") for line in told) == 4
    assert any("bit for bit" in line for line in told)


def test_a_frozen_part_that_moves_is_noticed(
    recipe: TuningRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = stage_run.StageRun._step

    def sabotage(run: stage_run.StageRun, *arguments: object) -> object:
        with torch.no_grad():
            next(run.model.vision_tower.parameters()).view(-1)[0] += 1e-3
        return step(run, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(stage_run.StageRun, "_step", sabotage)
    with pytest.raises(RuntimeError, match=r"1 frozen tensors have changed in training, such as vision_tower\."):
        train(changed(recipe, train=("audio_connector",), steps=1), tmp_path)


def test_the_loss_falls(recipe: TuningRecipe, tmp_path: Path) -> None:
    train(changed(recipe, train=ALL[:1], steps=16, save_every=16, batch_size=4, learning_rate=1e-2), tmp_path)
    losses = [row["loss"] for row in log_of(tmp_path)]
    assert sum(losses[-4:]) < 0.7 * sum(losses[:4])


def test_accumulated_batches_are_one_batch(recipe: TuningRecipe, tmp_path: Path) -> None:
    """Replies have different lengths: a mean of means would differ. The audio tower has dropout: it is frozen."""
    recipe = changed(recipe, train=NO_DROPOUT, steps=3)
    train(changed(recipe, batch_size=4), tmp_path / "one")
    train(changed(recipe, batch_size=1, gradient_accumulation=4), tmp_path / "four")
    for one, four in zip(figures(tmp_path / "one"), figures(tmp_path / "four"), strict=True):
        assert one == pytest.approx(four, rel=1e-4)


def test_packed_samples_do_not_see_each_other(
    recipe: TuningRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss of eight samples in one row is that of the samples alone; activations kept or computed again."""
    alone = changed(recipe, train=NO_DROPOUT, steps=1, batch_size=8)
    train(alone, tmp_path / "alone")
    packed = changed(alone, packing=True, max_tokens=6000, batch_size=1, gradient_checkpointing=True)
    monkeypatch.setattr(feeding, "LEAST_WINDOW", 8)
    train(packed, tmp_path / "packed")
    (one,), (other,) = log_of(tmp_path / "alone"), log_of(tmp_path / "packed")
    assert one["samples"] == other["samples"] == 8
    assert (one["loss"], one["gradient_norm"]) == pytest.approx((other["loss"], other["gradient_norm"]), rel=1e-4)


def killed_after(recipe: TuningRecipe, folder: Path, steps: int) -> None:
    """Trains until a step is done, then ends as by `kill -9`."""
    step = stage_run.StageRun._step

    def lethal(run: stage_run.StageRun, number: int, *arguments: object) -> object:
        if number == steps:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(run, number, *arguments)  # type: ignore[arg-type]

    stage_run.StageRun._step = lethal  # type: ignore[method-assign]  # this process is about to end
    train(recipe, folder)


@pytest.mark.parametrize("packing", [False, True])
def test_a_killed_run_goes_on_as_if_nothing_had_been(
    recipe: TuningRecipe, whole: Path, tmp_path: Path, packing: bool
) -> None:
    """The same samples, the same losses to the last bit, the same weights."""
    if packing:
        recipe = changed(recipe, packing=True, max_tokens=1500, batch_size=1)
        train(recipe, tmp_path / "whole")
        whole = tmp_path / "whole"
    codes = in_processes(1, lambda: killed_after(recipe, tmp_path / "killed", 3))
    assert codes == [-signal.SIGKILL]
    assert [row["step"] for row in log_of(tmp_path / "killed")] == [1, 2, 3]
    assert not (tmp_path / "killed" / "s" / "model").exists()
    told: list[str] = []
    train(recipe, tmp_path / "killed", told)
    assert "s: going on at step 2 of 6" in told
    assert log_of(tmp_path / "killed") == log_of(whole)
    one, other = tensors(whole / "s" / "model"), tensors(tmp_path / "killed" / "s" / "model")
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_finished_stage_is_left_alone(recipe: TuningRecipe, whole: Path) -> None:
    told: list[str] = []
    assert train(recipe, whole, told) == whole / "s" / "model"
    assert told == [f"s: finished before, {whole / 's' / 'model'}"]


def test_a_changed_recipe_does_not_go_on(recipe: TuningRecipe, tmp_path: Path) -> None:
    in_processes(1, lambda: killed_after(recipe, tmp_path, 2))
    with pytest.raises(ConfigError, match=r"batch_size of the recipe is not what .* \(got 4, expected 2\)"):
        train(changed(recipe, batch_size=4), tmp_path)


def test_stages_follow_each_other(recipe: TuningRecipe, tmp_path: Path) -> None:
    first = TuningStage(name="a", train=("vision_connector",), steps=1)
    second = TuningStage(name="b", train=("audio_connector",), epochs=0.5)
    both = recipe_of(Path(recipe.model), Path(recipe.data[0].file), stages=(first, second))
    told: list[str] = []
    train(both, tmp_path, told)
    assert f"b: begins with {tmp_path / 'a' / 'model'}" in told
    one, other = tensors(tmp_path / "a" / "model"), tensors(tmp_path / "b" / "model")
    assert {n.partition(".")[0] for n in one if not torch.equal(one[n], other[n])} == {"audio_connector"}
    assert len(log_of(tmp_path, "b")) == 2  # half of 8 records, 2 a step


def test_adapters_are_merged_into_the_model(recipe: TuningRecipe, tiny_folder: Path, tmp_path: Path) -> None:
    lora = changed(recipe, train=("lora",), lora=LoraSettings(rank=2, alpha=8.0), steps=2)
    told: list[str] = []
    model = train(lora, tmp_path, told)
    before, after = tensors(tiny_folder), tensors(model)
    assert before.keys() == after.keys()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved
    assert all("_proj.weight" in name and name.startswith("language_model.") for name in moved)
    name = next(iter(sorted(moved)))
    trained = load_file(tmp_path / "s" / "checkpoint-000002" / "trained" / "model.safetensors")
    path = name.removeprefix("language_model.").removesuffix(".weight")
    (a,) = (value for key, value in trained.items() if f"{path}.lora_A" in key)
    (b,) = (value for key, value in trained.items() if f"{path}.lora_B" in key)
    torch.testing.assert_close(after[name] - before[name], 4.0 * b @ a, atol=1e-6, rtol=1e-3)
    assert any(line.startswith("language_model (lora)") and line.endswith("trained") for line in told)


@pytest.mark.parametrize("part", ["audio_connector", "lora"])
def test_a_checkpoint_in_bfloat16_stays_one(records: Path, tmp_path: Path, part: str) -> None:
    """Trained weights are float32 while they are trained; what is frozen is never converted."""
    model, processor = make_model()
    for parameter in model.parameters():  # statistics of the sound stay float32
        parameter.data = parameter.data.to(torch.bfloat16)
    model.save_pretrained(tmp_path / "model")
    processor.save_pretrained(tmp_path / "model")
    recipe = changed(recipe_of(tmp_path / "model", records, precision="bf16"), train=(part,), steps=2)
    written = train(recipe, tmp_path)
    before, after = tensors(tmp_path / "model"), tensors(written)
    assert {name: value.dtype for name, value in before.items()} == {name: value.dtype for name, value in after.items()}
    moved = {name.partition(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"language_model" if part == "lora" else part}
    trained = load_file(tmp_path / "s" / "checkpoint-000002" / "trained" / "model.safetensors")
    assert {value.dtype for value in trained.values()} == {torch.float32}


def test_a_full_disk_leaves_the_last_checkpoint(
    recipe: TuningRecipe, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    close, calls = snapshot.ShardWriter.close, []

    def full(writer: snapshot.ShardWriter) -> None:
        calls.append(writer)
        if len(calls) == 4:  # the optimiser's state of the second checkpoint
            raise OSError(28, "No space left on device")
        close(writer)

    with monkeypatch.context() as patch:
        patch.setattr(snapshot.ShardWriter, "close", full)
        with pytest.raises(CheckpointError, match=r"step 4 .*No space left.*--resume from checkpoint-000002"):
            train(recipe, tmp_path)
    assert [path.name for path in sorted((tmp_path / "s").glob("checkpoint*"))] == ["checkpoint-000002"]
    train(recipe, tmp_path)
    assert log_of(tmp_path) == log_of(whole)


def test_mixtures_of_experts_balance_their_router(records: Path, tmp_path: Path) -> None:
    model, processor = make_model("mixtral")
    model.save_pretrained(tmp_path / "model")
    processor.save_pretrained(tmp_path / "model")
    recipe = recipe_of(tmp_path / "model", records, batch_size=4)
    train(changed(recipe, steps=1, train=ALL[:1]), tmp_path / "one")
    train(changed(recipe, steps=1, train=ALL[:1], batch_size=2, gradient_accumulation=2), tmp_path / "two")
    one, two = log_of(tmp_path / "one")[0], log_of(tmp_path / "two")[0]
    assert one["loss"] == pytest.approx(two["loss"], rel=2e-3)  # the balance is a mean over batches: nearly the same
