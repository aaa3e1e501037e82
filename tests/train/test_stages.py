"""All stages of a miniature recipe, from nothing to an assistant that answers; interrupted, resumed, started from."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from tests.train.conftest import tiny_config
from vita import api, checkpoints
from vita.errors import CheckpointError, DependencyError
from vita.models.configuration_vita import VitaConfig
from vita.tokens import State
from vita.train import stages
from vita.train.frozen import assert_frozen, fingerprint, frozen_digests
from vita.train.hearing import Hearing
from vita.train.loop import StageSettings
from vita.train.recipe import Recipe
from vita.train.seeing import Seeing
from vita.train.stages import STAGES, PocketRun
from vita.train.tokenizer import save_tokenizer

SHORT = StageSettings(steps=3, learning_rate=1e-3, warmup_steps=1, save_every=2, log_every=1)
RECIPE = Recipe(
    device="cpu", threads=1, speech_shards=2, shard_size=12, instruct_shards=1, hearing_batch=2, seeing_batch=2,
    language_batch=3, picture_shards=1, easy_steps=1, language=SHORT, seeing=SHORT, hearing=SHORT, multimodal=SHORT,
)  # fmt: skip


def run_in(folder: Path, tokenizer: PreTrainedTokenizerFast, recipe: Recipe = RECIPE) -> tuple[PocketRun, list[str]]:
    told: list[str] = []
    if not (folder / "tokenizer").is_dir():
        save_tokenizer(tokenizer, folder / "tokenizer")
    return PocketRun(recipe, folder, told.append, configure=tiny_config), told


def weights(folder: Path, name: str) -> dict[str, torch.Tensor]:
    return torch.load(folder / f"{name}.pt", weights_only=True)["model"]


@pytest.fixture(scope="module")
def finished(tokenizer: PreTrainedTokenizerFast, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The folder of a run of all stages, and what it told."""
    folder = tmp_path_factory.mktemp("run")
    run, told = run_in(folder, tokenizer)
    for name in STAGES:
        getattr(run, name)()
    return folder, told


def test_a_run_leaves_data_checkpoints_logs_and_the_model(finished: tuple[Path, list[str]]) -> None:
    folder, told = finished
    for name in STAGES[1:]:
        rows = [json.loads(line) for line in (folder / f"{name}.log.jsonl").read_text().splitlines()]
        assert [row["step"] for row in rows] == [1, 2, 3]
        assert all(0 < row["loss"] < 100 for row in rows)
        started = json.loads(next(line for line in told if line.startswith(f'{{"stage": "{name}"')))
        assert (started["steps"], started["device"]) == (3, "cpu")
        assert started["trained_parameters"] > 5000
    assert sorted(path.name for path in (folder / "speech").iterdir()) == ["speech-0-0000.npz", "speech-0-0001.npz"]
    features = sorted(path.name for path in (folder / "features").iterdir())
    assert features == ["features-0000.npz", "pictures-0000.npz"]
    assert (folder / "model" / "model.safetensors").is_file()
    assert told[-1] == f"model: {folder / 'model'}"


def test_the_finished_model_answers(finished: tuple[Path, list[str]]) -> None:
    assistant = api.load(str(finished[0] / "model"), device="cpu")
    answer = assistant.ask("what color is the sky?", max_new_tokens=4)
    assert answer.state in set(State)
    assert answer.usage.to_dict()


def test_stage_3_leaves_the_towers_and_trains_the_rest(finished: tuple[Path, list[str]]) -> None:
    folder, _ = finished
    model, _ = checkpoints.load(folder / "model", device="cpu")
    state, statistics = model.state_dict(), dict(model.named_buffers())
    for name, part in (("hearing", "audio"), ("seeing", "vision")):
        for key, value in weights(folder, name).items():
            whole = key.replace("tower.", f"{part}_tower.", 1) if key.startswith("tower.") else None
            if key.startswith("connector.") and ".projection." not in key:
                whole = key.replace("connector.", f"{part}_connector.", 1)
            if whole is not None:
                assert torch.equal(state[whole], value if whole in statistics else value.to(torch.bfloat16).float()), (
                    key
                )
    language, multimodal = weights(folder, "language"), weights(folder, "multimodal")
    moved = {key for key in language if not torch.equal(language[key], multimodal[key])}
    assert {"sight.table", "sight.residual.weight", "hearing.residual.weight"} <= moved
    assert any(key.startswith("language_model.") for key in moved)
    # transcriptions are the head's, so it stays as CTC left it
    hearing = weights(folder, "hearing")
    for key in ("head.weight", "head.bias"):
        assert torch.equal(multimodal[f"hearing.{key}"], hearing[f"connector.projection.{key}"]), key


def test_stage_3_is_told_when_a_tower_moves(
    finished: tuple[Path, list[str]], tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Statistics of a batch norm count as well as weights."""
    run, _ = run_in(finished[0], tokenizer)
    towers = run._towers()
    monkeypatch.setattr(run, "_towers", lambda: towers)

    def move(*args: object) -> None:
        next(b for b in towers[1].tower.buffers() if b.is_floating_point()).add_(0.01)

    monkeypatch.setattr(run, "_run", move)
    with pytest.raises(RuntimeError, match=r"1 frozen tensors have changed in training, such as tower\."):
        run.multimodal()


def test_a_stage_that_was_interrupted_goes_on_and_ends_the_same(
    finished: tuple[Path, list[str]],
    tokenizer: PreTrainedTokenizerFast,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Language and hearing: killed after the checkpoint of step 2, run again in another process's stead."""
    (tmp_path / "speech").symlink_to(finished[0] / "speech")
    for name in ("language", "hearing"):
        run, _ = run_in(tmp_path, tokenizer)
        save = stages.run_stage.__globals__["save_progress"]

        def killed(*args: object, save=save) -> None:
            save(*args)
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setitem(stages.run_stage.__globals__, "save_progress", killed)
            with pytest.raises(KeyboardInterrupt):
                getattr(run, name)()
        again, told = run_in(tmp_path, tokenizer)
        getattr(again, name)()
        assert f"{name}: going on at step 2 of 3" in told
        ours, theirs = weights(tmp_path, name), weights(finished[0], name)
        assert all(torch.equal(ours[key], theirs[key]) for key in theirs), name


def test_a_stage_needs_those_before_it(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    run, _ = run_in(tmp_path, tokenizer)
    with pytest.raises(CheckpointError, match="stage hearing has 0 of 3 steps; run --stage hearing first"):
        run.multimodal()


def test_a_run_asks_for_a_device_that_is_there(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DependencyError, match="asks for CUDA"):
        PocketRun(replace(RECIPE, device="cuda"), tmp_path, print)
    assert PocketRun(replace(RECIPE, device="auto"), tmp_path, print).device.type == "cpu"


def test_a_run_can_start_from_a_finished_model(
    finished: tuple[Path, list[str]], tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    """Stages that are left out take their weights from it."""
    folder, _ = finished
    recipe = replace(RECIPE, start_from=str(folder / "model"))
    (tmp_path / "speech").symlink_to(folder / "speech")
    run = PocketRun(recipe, tmp_path, lambda line: None, configure=tiny_config)
    hearing, seeing = run._towers()
    for key, value in weights(folder, "seeing").items():
        if key.startswith("tower.") and value.is_floating_point():
            torch.testing.assert_close(seeing.state_dict()[key], value, atol=0.01, rtol=0.01)
    run.multimodal()
    assert (tmp_path / "model" / "model.safetensors").is_file()
    assert fingerprint(hearing) != ""


def test_a_fingerprint_changes_with_any_weight_or_statistic(config: VitaConfig) -> None:
    """Also where a plain sum would not: two weights exchanged."""
    torch.manual_seed(0)
    towers = Hearing(config.audio_config, 5), Seeing(config).requires_grad_(False)
    before, digests = fingerprint(*towers), frozen_digests(towers[1])
    assert fingerprint(*towers) == before
    assert_frozen(towers[1], digests)
    for value in (towers[0].phonemes.bias, towers[1].connector.queries, towers[0].tower.cmvn.mean):
        with torch.no_grad():
            flat = value.view(-1)
            flat[0] += 1e-3
            flat[:2] = flat[:2].flip(0)
        assert fingerprint(*towers) != before
        before = fingerprint(*towers)
    with pytest.raises(RuntimeError, match=r"1 frozen tensors have changed in training, such as connector\.queries"):
        assert_frozen(towers[1], digests)
