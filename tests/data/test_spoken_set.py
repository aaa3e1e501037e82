"""`vita data synth`: spoken questions and noise clips of a user's own text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import vita.data.spoken_set as spoken_set
from vita.cli.main import main
from vita.data.records import read_records
from vita.data.spoken_set import (
    Clip,
    SpeechRules,
    answer_sentences,
    make_set,
    parse_voice,
    plan_set,
    read_rows,
    speech_of,
)
from vita.errors import ConfigError, DataError
from vita.synth.voices import RESERVED_ESPEAK, Speaker

ROWS = [
    {"id": f"q{n}", "question": f"What is number {n}?", "answer": f"It is {n}. Ask again! 3.", "image": "a.png"}
    for n in range(20)
]


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Speaker]]:
    """What was spoken; a tone stands for speech."""
    calls: list[tuple[str, Speaker]] = []

    def say(text: str, speaker: Speaker) -> np.ndarray:
        calls.append((text, speaker))
        return (0.1 * np.sin(np.arange(3200) / 10)).astype(np.float32)

    monkeypatch.setattr(spoken_set, "say", say)
    return calls


def test_a_set_is_a_manifest_with_its_sounds(said: list[Any], tmp_path: Path) -> None:
    rules = SpeechRules(noise_share=0.25, noise_replies=("I was not asked.",))
    assert make_set(ROWS, rules, tmp_path)[:2] == (20, 5)
    records = list(read_records(tmp_path / "data.jsonl"))
    questions, noise = records[:20], records[20:]
    assert questions[3].turns[0].text == "<image>\nWhat is number 3?"
    assert questions[3].images == ("a.png",)
    assert [text for text, _ in said[:20]] == [row["question"] for row in ROWS]
    sentences = {sentence for row in ROWS for sentence in answer_sentences(row["answer"])}
    assert {text for text, _ in said[20:]} <= sentences
    for record in noise:
        assert record.turns[0].text == "<audio>"
        assert record.turns[1].text == "I was not asked."
        assert record.noise_turns == (1,)
    for name in [name for record in records for name in (*record.audios, *record.spoken)]:
        assert soundfile.info(tmp_path / name).samplerate == 16000
    assert not any(speaker.voice.split("+")[-1] in RESERVED_ESPEAK for _, speaker in said)


def test_the_same_again_and_nothing_spoken_twice(said: list[Any], tmp_path: Path) -> None:
    make_set(ROWS, SpeechRules(), tmp_path)
    manifest, count = (tmp_path / "data.jsonl").read_bytes(), len(said)
    next((tmp_path / "audio").iterdir()).unlink()
    make_set(ROWS, SpeechRules(), tmp_path)
    assert (tmp_path / "data.jsonl").read_bytes() == manifest
    assert len(said) == count + 1
    assert list(plan_set(ROWS, SpeechRules(seed=1))) != list(plan_set(ROWS, SpeechRules()))


def test_recordings_are_mixed_in_at_the_given_ratio(said: list[Any], tmp_path: Path) -> None:
    recording = tmp_path / "noise.wav"
    soundfile.write(recording, np.random.default_rng(0).normal(0, 0.02, 16000), 16000)
    speaker = parse_voice("en-us")
    clean = speech_of(Clip("a", speaker))
    for snr_db in (0.0, 10.0):
        mixed = speech_of(Clip("a", speaker, recording, snr_db, 0.3))
        noise = mixed - clean * (np.dot(mixed, clean) / np.dot(clean, clean))
        found_db = 10 * np.log10(np.mean(clean**2) / np.mean(noise**2))
        assert found_db == pytest.approx(snr_db, abs=0.7)
    rules = SpeechRules(recordings=(recording,), snrs_db=(5.0,), mixed_share=0.5, noise_share=0)
    clips = [clip for _, clip in plan_set([{**ROWS[0], "id": f"q{n}"} for n in range(300)], rules)]
    assert {clip.snr_db for clip in clips if clip.recording} == {5.0}
    assert np.mean([clip.recording is not None for clip in clips]) == pytest.approx(0.5, abs=0.1)


def test_given_voices_speak_their_language() -> None:
    rows = [{"id": "a", "question": "几条腿？", "answer": "八"}, {"id": "b", "question": "How many?", "answer": "8"}]
    rules = SpeechRules(voices=(parse_voice("en-gb+f2"), parse_voice("cmn"), parse_voice("flite:awb")), noise_share=0)
    voices = [
        clip.speaker.voice
        for seed in range(9)
        for _, clip in plan_set(rows, SpeechRules(**{**vars(rules), "seed": seed}))
    ]
    assert set(voices[0::2]) == {"cmn"}
    assert set(voices[1::2]) == {"en-gb+f2", "awb"}
    with pytest.raises(ConfigError, match="none of the given voices speaks zh"):
        list(plan_set(rows, SpeechRules(voices=(parse_voice("en-us"),))))
    with pytest.raises(ConfigError, match="unknown speech engine"):
        parse_voice("festoon:ked")


def test_sentences_of_an_answer() -> None:
    assert answer_sentences("It has eight legs. Yes! OK. 它有八条腿。\n- ...") == [
        "It has eight legs.",
        "Yes!",
        "它有八条腿。",
    ]


@pytest.mark.parametrize(
    ("line", "told"),
    [("{", "line 2 is no JSON"), ('{"question": "a"}', "line 2 is incomplete"), ("[]", "line 2 is incomplete")],
)
def test_lines_that_are_none(tmp_path: Path, line: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "text.jsonl"
    path.write_text('{"question": "a", "answer": "b"}\n' + line)
    with pytest.raises(DataError, match=told):
        read_rows(path)
    assert main(["data", "synth", str(path), "--out", str(tmp_path / "out")]) == 2
    assert told in capsys.readouterr().err


def test_the_command_speaks_with_the_embedded_voice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = tmp_path / "text.jsonl"
    text.write_text(json.dumps({"question": "How many legs?", "answer": "It has eight legs."}))
    arguments = ["--voice", "en-us", "--noise-share", "1", "--workers", "1", "--out", str(tmp_path / "out")]
    assert main(["data", "synth", str(text), *arguments]) == 0
    assert "1 spoken questions, 1 noise clips" in capsys.readouterr().out
    sounds = [soundfile.read(path)[0] for path in (tmp_path / "out" / "audio").iterdir()]
    assert len(sounds) == 2
    assert all(len(samples) > 8000 and np.abs(samples).max() > 0.1 for samples in sounds)


@pytest.mark.parametrize("options", [{"noise_share": -1}, {"mixed_share": 2}, {"snrs_db": ()}, {"noise_replies": ()}])
def test_rules_out_of_range(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        SpeechRules(**options)
