"""CTC stages: the audio tower alone learns characters, and the finished model is the old one with a new tower."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file

from tests.conftest import make_model
from tests.train.tuning_case import changed, log_of, recipe_of, train
from vita.checkpoints.loading import load
from vita.data.loading import load_media
from vita.data.records import MediaFolders, Record, read_records
from vita.data.transcripts import TranscriptEncoder, Units, transcript_of
from vita.errors import ConfigError, DataError
from vita.models.configuration_audio import VitaAudioConfig
from vita.train.tuning_recipe import TuningRecipe
from vita.train.tuning_stage import CTC, TuningStage

TONES = {"a": 300.0, "b": 900.0, "c": 2400.0}
STAGE = TuningStage(name="s", objective=CTC, train=("audio_tower",), steps=60, learning_rate=1e-2)


def write_transcripts(folder: Path) -> Path:
    """Eight sounds: letters as tones, 0.3 s each."""
    rng = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    for number in range(8):
        text = "".join(rng.choice(list(TONES), 3))
        times = np.arange(4800) / 16000
        tones = [0.3 * np.sin(2 * np.pi * TONES[letter] * times) for letter in text]
        soundfile.write(folder / f"{number}.wav", np.concatenate(tones) + rng.normal(0, 0.01, 14400), 16000)
        turns = [{"from": "human", "value": "<audio>"}, {"from": "gpt", "value": text.upper()}]
        rows.append({"id": str(number), "audio": f"{number}.wav", "conversations": turns})
    path = folder / "transcripts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> TuningRecipe:
    folder = tmp_path_factory.mktemp("ctc")
    for part in make_model(dropout=0.0, positional_dropout=0.0):
        part.save_pretrained(folder / "model")
    return recipe_of(folder / "model", write_transcripts(folder), STAGE, batch_size=4, save_every=30)


def test_the_tower_learns_and_nothing_else_changes(recipe: TuningRecipe, tmp_path: Path) -> None:
    told: list[str] = []
    model = train(recipe, tmp_path, told)
    losses = [row["loss"] for row in log_of(tmp_path)]
    assert sum(losses[-5:]) < 0.6 * sum(losses[:5])
    before, after = (load_file(Path(folder) / "model.safetensors") for folder in (recipe.model, model))
    moved = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert before.keys() == after.keys()
    assert moved == {"audio_tower"}
    assert any("a head over 3 characters" in line for line in told)
    cmvn = load(model, device="cpu")[0].audio_tower.cmvn
    assert cmvn.istd.min() < 0.9
    assert any("mean and variance of the mel features are those of 7 s of sound" in line for line in told)


def test_a_run_that_was_interrupted_ends_the_same(recipe: TuningRecipe, tmp_path: Path) -> None:
    short = changed(recipe, steps=4, save_every=2)
    train(short, tmp_path / "whole")
    train(short, tmp_path / "again")
    for name in ("model", "checkpoint-000004"):
        for path in sorted((tmp_path / "again" / "s" / name).rglob("*"), reverse=True):
            path.unlink() if path.is_file() else path.rmdir()
        (tmp_path / "again" / "s" / name).rmdir()
    told: list[str] = []
    train(short, tmp_path / "again", told)
    assert "s: going on at step 2 of 4" in told
    assert log_of(tmp_path / "again") == log_of(tmp_path / "whole")


def test_units_are_the_characters_of_all_transcripts(recipe: TuningRecipe, tmp_path: Path) -> None:
    records = list(read_records(recipe.data[0].file))
    units = Units.of(map(transcript_of, records))
    assert sorted(units.characters) == ["a", "b", "c"]
    units.write(tmp_path / "units.json")
    assert Units.read(tmp_path / "units.json").characters == units.characters
    with pytest.raises(DataError, match=r"had no part in the units \(got 'z'\)"):
        units.ids("az")


def test_transcripts_are_tidy_and_their_mistakes_named(recipe: TuningRecipe) -> None:
    record = next(iter(read_records(recipe.data[0].file)))
    turns = (record.turns[0], replace(record.turns[1], text="  Ｈello \n World "))
    assert transcript_of(replace(record, turns=turns)) == "hello world"
    with pytest.raises(DataError, match=r"sample 0 is no transcript \(got 0 sounds, expected one sound\)"):
        transcript_of(replace(record, audios=()))
    with pytest.raises(DataError, match="empty transcript"):
        transcript_of(replace(record, turns=record.turns[:1]))


def test_a_transcript_must_fit_into_its_sound(recipe: TuningRecipe) -> None:
    record = next(iter(read_records(recipe.data[0].file)))
    media = load_media(record, MediaFolders(default=Path(recipe.data[0].file).parent))
    encoder = TranscriptEncoder(VitaAudioConfig(), Units("abc"))
    fits = encoder.sample(_saying(record, "ab" * 10), media)
    batch = encoder.collate([[fits], [encoder.sample(_saying(record, "c"), media)]])
    assert batch["targets"].shape == (2, 20)
    assert batch["targets"][1].tolist() == [2] + [-100] * 19
    with pytest.raises(
        DataError, match=r"too long for its sound \(got 23 frames of text, 21 frames of sound|21 of sound"
    ):
        encoder.sample(_saying(record, "a" * 12), media)


def _saying(record: Record, text: str) -> Record:
    return replace(record, turns=(record.turns[0], replace(record.turns[1], text=text)))


def test_ctc_trains_the_tower_alone() -> None:
    with pytest.raises(ConfigError, match=r"ctc trains the audio tower alone; train: \[audio_tower\]"):
        TuningStage(objective=CTC)
    with pytest.raises(ConfigError, match=r"objective \(got ctk, expected replies or ctc\)"):
        TuningStage(objective="ctk")
