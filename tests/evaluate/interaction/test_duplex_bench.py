"""`vita eval duplex` on folders in the public layout, small and made here; recorded outputs and the model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.duplex.stage import QUESTION, SIDE_TALK, WordsVoice, hears, script
from tests.evaluate.interaction.sounds import RATE_HZ, Loud, wave
from vita.api import Assistant
from vita.engine.scripted import ScriptedEngine
from vita.errors import ConfigError, DataError
from vita.evaluate.interaction import duplex_bench, duplex_data, layout
from vita.evaluate.interaction.layout import Word, read_words, samples, write_words
from vita.evaluate.measuring import Run, Settings
from vita.evaluate.rows import Row
from vita.speech import write_wav


@pytest.fixture(autouse=True)
def no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vita.evaluate.interaction.speech_segments.SileroVoiceActivity", Loud)
    monkeypatch.setattr("vita.evaluate.interaction.live.SileroVoiceActivity", Loud)
    monkeypatch.setattr("vita.speech.voices.get_voice", WordsVoice)


def put(folder: Path, name: str | None, labels: Any, **sounds: np.ndarray) -> Path:
    folder.mkdir(parents=True)
    for sound, values in sounds.items():
        write_wav(folder / f"{sound}.wav", values, RATE_HZ)
    if name:
        (folder / name).write_text(json.dumps(labels))
    return folder


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    """One sample of each subset, as downloaded: v1 in one folder, v1.5 in another."""
    v1, v15 = tmp_path / "v1.0", tmp_path / "v1.5"
    asked = wave(10, (1.0, 2.0, QUESTION))
    pause = [{"text": "[PAUSE]", "timestamp": [2.0, 3.0]}]
    paused = wave(4, (1, 2, QUESTION), (3, 4, QUESTION))
    put(v1 / "synthetic_pause_handling" / "1", "pause.json", pause, input=paused)
    put(v1 / "candor_turn_taking" / "1", "turn_taking.json", [{"text": "hi", "timestamp": [2.0, 5.0]}], input=asked)
    put(v1 / "icc_backchannel" / "7", None, None, input=asked)
    (v1 / "icc_backchannel" / "icc_gt_distribution.json").write_text('{"7": [1, 1, 1]}')
    interrupt = [{"context": "c", "interrupt": "i", "timestamp": [5.0, 6.5]}]
    twice = wave(14, (1, 2, QUESTION), (5, 6.5, QUESTION))
    put(v1 / "synthetic_user_interruption" / "1", "interrupt.json", interrupt, input=twice)
    labels = {"context_text": "c", "current_turn_text": "t", "timestamps": [5.0, 6.5]}
    clean = wave(14, (1, 2, QUESTION))
    put(v15 / "user_interruption" / "1", "metadata.json", labels, input=twice, clean_input=clean)
    talk = wave(14, (1, 2, QUESTION), (5, 6.5, SIDE_TALK))
    put(v15 / "talking_to_other" / "10", "metadata.json", labels, input=talk, clean_input=clean)
    put(v15 / "talking_to_other" / "9", "metadata.json", labels, input=talk, clean_input=clean)
    return tmp_path


def measure(bench: Path, out: Path | None = None, **settings: Any) -> dict[str, Row]:
    engine = ScriptedEngine(script, hears)
    run = Run(Settings(data=bench, out=out, **settings), "duplex", assistant=Assistant(engine))
    return {row.case: row for row in duplex_bench.measure(run)}


def test_the_layout_is_found_in_natural_order(bench: Path) -> None:
    found = samples(bench)
    assert [sample.name for sample in found][-2:] == ["talking_to_other/9", "talking_to_other/10"]
    assert len(found) == 7
    assert [sample.number for sample in samples(bench, 1) if sample.subset == "talking_to_other"] == ["9"]
    (bench / "v1.5" / "user_backchannel_example" / "1").mkdir(parents=True)
    assert len(samples(bench)) == 7  # no input.wav in it


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("{", "not as the benchmark has it"),
        ("[{}]", "KeyError"),
        ("[]", "no times"),
        ('[{"timestamp": [2, 1]}]', "an end"),
    ],
)
def test_labels_that_are_wrong_are_named(bench: Path, content: str, line: str) -> None:
    (bench / "v1.0" / "candor_turn_taking" / "1" / "turn_taking.json").write_text(content)
    with pytest.raises(DataError, match=line):
        samples(bench)
    with pytest.raises(DataError, match="holds no samples"):
        samples(bench / "v1.5" / "nothing")


def test_words_as_the_benchmark_writes_them(tmp_path: Path) -> None:
    path = tmp_path / "output.json"
    assert read_words(path) is None
    write_words(path, [Word("hello", 0.5, 1.0), Word("you", 1.0, 1.5)])
    assert json.loads(path.read_text())["text"] == "hello you"
    chunks = [{"text": "a", "timestamp": [0.5, 1]}, {"text": "b", "timestamp": [1, None]}]
    path.write_text(json.dumps({"text": "a b", "chunks": chunks}))
    assert read_words(path) == [Word("a", 0.5, 1.0), Word("b", 1.0, 1.0)]
    path.write_text('{"text": ""}')
    with pytest.raises(DataError, match="holds no words"):
        read_words(path)


def test_the_model_is_driven_and_scored(bench: Path, tmp_path: Path) -> None:
    rows = measure(bench, tmp_path / "out")
    turn = rows["candor_turn_taking/1"].scores
    assert turn["take_over"] is True
    assert 0.2 <= float(turn["latency_s"]) <= 0.7  # type: ignore[arg-type]
    assert rows["synthetic_user_interruption/1"].scores["take_over"] is True
    overlap = rows["user_interruption/1"].scores
    assert (overlap["was_speaking"], overlap["stops"], overlap["resumes"]) == (True, True, False)
    # the script tells the same story to every question, so to the rule a new one is a response
    assert (overlap["responds"], overlap["as_wanted"]) == (True, True)
    side = rows["talking_to_other/9"].scores
    assert (side["stops"], side["resumes"], side["as_wanted"]) == (False, True, True)
    folder = tmp_path / "out" / "duplex" / "outputs" / "user_interruption" / "1"
    names = {path.name for path in folder.iterdir()}
    assert names == {f"{p}{n}" for p in ("", "clean_") for n in ("output.wav", "output.json", "events.jsonl")}
    sections = duplex_bench.sections(list(rows.values()))
    assert [section.title for section in sections] == ["Full-Duplex-Bench v1", "Full-Duplex-Bench v1.5"]
    assert [row[0] for row in sections[1].tables[0].texts()] == ["user_interruption", "talking_to_other"]


def test_recorded_outputs_of_anybody_are_scored_alike(bench: Path) -> None:
    folder = {subset: bench / layout_of(subset) / subset for subset in layout.FOLDERS}
    for path in bench.glob("v1*/*/*"):
        if path.is_dir():
            write_wav(path / "output.wav", wave(4), RATE_HZ)
            write_wav(path / "clean_output.wav", wave(14, (2.5, 12.5, 0.5)), RATE_HZ)
    write_wav(folder["candor_turn_taking"] / "1" / "output.wav", wave(10, (2.9, 6.0, 0.5)), RATE_HZ)
    write_wav(folder["synthetic_pause_handling"] / "1" / "output.wav", wave(4, (2.4, 3.9, 0.5)), RATE_HZ)
    write_wav(folder["icc_backchannel"] / "7" / "output.wav", wave(10, (3.0, 3.4, 0.5)), RATE_HZ)
    write_wav(folder["talking_to_other"] / "9" / "output.wav", wave(14, (2.5, 5.4, 0.5)), RATE_HZ)
    rows = measure(bench, system="recorded")
    turn = rows["candor_turn_taking/1"].scores
    assert (turn["take_over"], turn["latency_s"]) == (True, pytest.approx(0.9, abs=0.06))
    assert rows["synthetic_pause_handling/1"].scores == {"take_over": True, "in_pause": True}
    quiet = rows["icc_backchannel/7"].scores
    assert (quiet["take_over"], quiet["frequency_hz"]) == (False, 0.1)
    assert 0 < float(quiet["divergence"]) < 1  # type: ignore[arg-type]
    assert rows["synthetic_user_interruption/1"].scores["take_over"] is False
    stopped = rows["talking_to_other/9"].scores
    assert (stopped["stops"], stopped["as_wanted"]) == (True, False)
    assert stopped["stops_after_s"] == pytest.approx(0.4, abs=0.06)
    assert stopped["stop_s"] == [pytest.approx(0.4, abs=0.1), 1]
    (folder["candor_turn_taking"] / "1" / "output.wav").unlink()
    with pytest.raises(DataError, match=r"output\.wav is missing"):
        measure(bench, system="recorded")


def layout_of(subset: str) -> str:
    return "v1.0" if layout.FOLDERS[subset][0] == "v1" else "v1.5"


def test_a_judge_rates_interruptions(bench: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def ask(url: str, model: str, messages: list[tuple[str, str]], api_key: str | None) -> str:
        asked.append(messages[-1][1])
        return "It fits.\nRating: 4"

    monkeypatch.setattr("vita.evaluate.interaction.judge.ask", ask)
    rows = measure(bench, judge="http://localhost:1/v1")
    assert rows["synthetic_user_interruption/1"].scores["rating"] == 4.0
    assert asked[0].startswith("First request: c\nInterruption: i\nAnswer: word")


def test_the_packages_own_set_is_in_the_same_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplex_data, "say", lambda text, speaker: wave(1.0, (0.1, 0.9, 0.3)))
    duplex_data.make_set(tmp_path, 2)
    found = samples(tmp_path)
    assert len(found) == 2 * 7
    assert {sample.lang for sample in found} == {"en", "zh"}
    one = next(sample for sample in found if sample.subset == "synthetic_user_interruption")
    assert one.spans[0] == (pytest.approx(0.3 + 0.8 + 7.0, abs=0.01), pytest.approx(8.9, abs=0.01))
    assert one.labels["answer"]
    overlap = next(sample for sample in found if sample.subset == "user_backchannel")
    assert overlap.spans[0][0] == pytest.approx(0.3 + 0.8 + 4.0, abs=0.01)
    before = (one.folder / "input.wav").read_bytes()
    duplex_data.make_set(tmp_path, 1)
    assert (one.folder / "input.wav").read_bytes() == before


def test_mistakes() -> None:
    with pytest.raises(ConfigError, match="own set needs a folder"):
        duplex_bench.measure(Run(Settings(), "duplex"))
    with pytest.raises(ConfigError, match="recorded outputs need --data"):
        duplex_bench.measure(Run(Settings(system="recorded"), "duplex"))
