"""False and missed interruptions by hand-made labels and logs."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from tests.duplex.stage import QUESTION, SIDE_TALK, WordsVoice, hears, script
from tests.evaluate.interaction.sounds import Loud, wave
from vita.api import Assistant
from vita.engine.scripted import ScriptedEngine
from vita.errors import DataError
from vita.evaluate.interaction import duplex_data, long, long_data
from vita.evaluate.interaction.long import Acts, Label, acts_of_sound, judge, read_labels
from vita.evaluate.measuring import Run, Settings
from vita.speech import write_wav

LABELS = [Label(1, 2, "question"), Label(5, 6, "side talk"), Label(9, 10, "question/zh"), Label(20, 21, "sound")]


def names(found: list[dict[str, bool | None]]) -> list[set[str]]:
    """What is true of each label."""
    return [{name for name, value in one.items() if value} for one in found]


def test_nothing_is_wrong_with_a_good_conversation() -> None:
    good = Acts(starts=[2.4, 10.4], stops=[9.5], speaking=[(2.4, 9.5), (10.4, 15.0)])
    assert names(judge(LABELS, good)) == [set(), set(), set(), set()]
    assert judge(LABELS, good)[1] == {"false_stop": False, "false_answer": False, "missed_stop": None, "missed": None}


FALSE = [set(), {"false_stop", "false_answer"}, set(), set()]
LATE = [set(), set(), {"missed_stop"}, set()]


def acts(starts: list[float], stops: list[float], *speaking: tuple[float, float]) -> Acts:
    return Acts(starts=starts, stops=stops, speaking=speaking)


@pytest.mark.parametrize(
    ("acts", "wrong"),
    [
        (acts([2.4, 6.3, 10.4], [5.3, 9.2], (2.4, 5.3), (6.3, 9.2), (10.4, 15.0)), FALSE),
        (acts([2.4], [], (2.4, 15.0)), [set(), set(), {"missed_stop", "missed"}, set()]),
        (acts([], []), [{"missed"}, set(), {"missed"}, set()]),
        (acts([2.4, 10.4, 22.0], [9.5], (2.4, 9.5), (10.4, 15.0)), [set(), set(), set(), {"false_answer"}]),
        (acts([2.4, 10.4], [12.1], (2.4, 12.1)), LATE),
    ],
)
def test_mistakes_are_found(acts: Acts, wrong: list[set[str]]) -> None:
    assert names(judge(LABELS, acts)) == wrong


def test_from_sound_alone() -> None:
    acts = acts_of_sound([(2.4, 5.5), (10.4, 15.0)])
    assert names(judge(LABELS, acts)) == [set(), {"false_stop"}, set(), set()]


def test_labels_as_audacity_writes_them(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("5.000000\t6.5\tside talk/en\n\\\t100.0\t200.0\n1.0\t2.0\tquestion\n\n")
    assert read_labels(path) == [Label(1.0, 2.0, "question"), Label(5.0, 6.5, "side talk/en")]
    path.write_text("1.0 2.0 question\n")
    with pytest.raises(DataError, match="line 1, is no label"):
        read_labels(path)
    with pytest.raises(DataError, match="is missing"):
        read_labels(tmp_path / "b.txt")


@pytest.fixture
def recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("vita.evaluate.interaction.speech_segments.SileroVoiceActivity", Loud)
    monkeypatch.setattr("vita.evaluate.interaction.live.SileroVoiceActivity", Loud)
    monkeypatch.setattr("vita.speech.voices.get_voice", WordsVoice)
    (tmp_path / "in").mkdir()
    heard = wave(14, (1, 2, QUESTION), (5, 6, SIDE_TALK), (8, 9, QUESTION))
    write_wav(tmp_path / "in" / "one.wav", heard, 16_000)
    (tmp_path / "in" / "one.txt").write_text("1\t2\tquestion/en\n5\t6\tside talk/en\n8\t9\tquestion/en\n")
    return tmp_path / "in"


def test_a_recording_is_held_and_counted(recording: Path, tmp_path: Path) -> None:
    run = Run(
        Settings(data=recording, out=tmp_path / "out"), "long", assistant=Assistant(ScriptedEngine(script, hears))
    )
    rows = long.measure(run)
    assert [(row.case, row.group, row.lang) for row in rows] == [
        ("one/0", "question", "en"), ("one/1", "side talk", "en"), ("one/2", "question", "en"),
    ]  # fmt: skip
    assert [name for row in rows for name, value in row.scores.items() if value] == []
    (section,) = long.sections(rows)
    assert section.text.startswith("0.2 minutes with 3 labels")
    assert section.tables[0].texts()[0][:2] == ["false interruptions", "0"]
    assert (tmp_path / "out" / "long" / "one.output.wav").exists()


def test_recorded_output_is_counted_by_the_hour(recording: Path) -> None:
    write_wav(recording / "one.output.wav", wave(14, (2.5, 5.5, 0.5), (9.4, 13.0, 0.5)), 16_000)
    rows = long.measure(Run(Settings(data=recording, system="recorded"), "long"))
    assert names([dict(row.scores) for row in rows]) == [set(), {"false_stop"}, set()]  # type: ignore[arg-type]
    line = long.sections(rows)[0].tables[0].texts()[0]
    assert line[1] == "1"
    assert line[2].startswith(f"{3600 / 14:.1f} [")


def test_made_recordings_are_labelled_where_something_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplex_data, "say", lambda text, speaker: wave(1.0, (0.1, 0.9, 0.3)))
    samples, lines = long_data.make_recording(random.Random(0), 60)
    marked = np.zeros(len(samples), bool)
    for line in lines:
        start, end, _ = line.split("\t")
        marked[round(float(start) * 16_000) - 8 : round(float(end) * 16_000) + 8] = True  # in milliseconds
    assert np.abs(samples[~marked]).max() == 0
    kinds = {line.split("\t")[2].strip().partition("/")[0] for line in lines}
    assert "question" in kinds
    assert len(kinds) > 1
