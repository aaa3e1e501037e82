"""The state token's cases, confusion and threshold, by hand-made probabilities."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from vita.api import Assistant
from vita.chat.messages import Audio, Message
from vita.engine.scripted import Line, ScriptedEngine
from vita.errors import DataError
from vita.evaluate.interaction import state_cases, states
from vita.evaluate.interaction.state_cases import StateCase, far_away
from vita.evaluate.measuring import Run, Settings
from vita.evaluate.rows import Row
from vita.speech import write_wav
from vita.synth.sounds import SAMPLE_RATE_HZ
from vita.tokens import State


def row(kind: str, p: float, condition: str = "clean", number: int = 0) -> Row:
    state = State.SPOKEN_QUERY if p >= 0.5 else State.NOISE
    detail = {"kind": kind, "condition": condition, "state": state.value, "p_spoken_query": p}
    scores = {"right": state is state_cases.EXPECTED[kind]}
    return Row(task="states", case=f"{kind}{number}{p}", group=kind, lang="en", scores=scores, detail=detail)


def test_confusion_and_threshold_by_hand() -> None:
    rows = [row("spoken query", p) for p in (0.9, 0.8, 0.6, 0.2)] + [row("side talk", p) for p in (0.7, 0.1, 0.1, 0.0)]
    table, chart = states.confusion(rows)
    assert [line[0] for line in table.texts()] == ["spoken query", "side talk"]
    assert chart.cells == [[0.75, 0.25, 0.0], [0.25, 0.75, 0.0]]
    section = states.trade_off(rows)
    assert section is not None
    by_threshold = {line[0]: [cell[:5] for cell in line[1:]] for line in section.tables[0].texts()}
    assert by_threshold["0.5"][:2] == ["0.250", "0.250"]
    assert by_threshold["0.7"][:2] == ["0.500", "0.250"]
    assert by_threshold["0.05"][:2] == ["0.000", "0.750"]
    assert "Equal error rate 0.250" in section.text
    # of the 16 pairs the query is above in all but (0.6, 0.7) and (0.2, 0.7)
    assert states.area(np.array([0.9, 0.8, 0.6, 0.2]), np.array([0.7, 0.1, 0.1, 0.0])) == 14 / 16
    assert states.area(np.array([0.5]), np.array([0.5])) == 0.5
    assert states.trade_off(rows[:4]) is None


def test_the_model_is_asked_and_a_second_run_is_not(tmp_path: Path) -> None:
    asked: list[int] = []

    def script(messages: Sequence[Message]) -> Line:
        asked.append(1)
        return Line(State.SPOKEN_QUERY if isinstance(messages[-1].parts[0], Audio) else State.TYPED_QUERY, ("a",))

    def run() -> Run:
        return Run(Settings(limit=1, out=tmp_path), "states", assistant=Assistant(ScriptedEngine(script)))

    rows = states.measure(run())
    assert len(asked) == len(rows) == 3 * 2 * 5 + 2 * 2 + 2
    assert Counter(bool(row.scores["right"]) for row in rows) == {True: 12, False: 24}
    assert len(states.sections(rows)) == 3
    assert states.measure(run()) == rows
    assert len(asked) == 36


@pytest.fixture(scope="module")
def made() -> list[StateCase]:
    return list(state_cases.made_cases(1))


def test_every_ratio_has_the_same_words(made: list[StateCase]) -> None:
    sound = {case.name: case.message.parts[0].samples for case in made if isinstance(case.message.parts[0], Audio)}
    clean, noisy = sound["spoken query/en/clean/0"], sound["spoken query/en/0 dB/0"]
    assert len(clean) == len(noisy)
    assert np.corrcoef(clean, noisy)[0, 1] == pytest.approx(np.sqrt(0.5), abs=0.1)  # as loud as the noise
    assert np.corrcoef(clean, sound["spoken query/en/20 dB/0"])[0, 1] > 0.98
    assert {case.lang for case in made} == {"en", "zh", "-"}


def test_far_away_is_quiet_and_dull() -> None:
    t = np.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    low, high = np.sin(2 * np.pi * 200 * t), np.sin(2 * np.pi * 4000 * t)
    assert np.abs(far_away(low, -20.0)).max() == pytest.approx(0.1, abs=1e-3)
    spectrum = np.abs(np.fft.rfft(far_away(low + high, -20.0)))
    assert spectrum[4000] / spectrum[200] == pytest.approx((1 + 0.2**2) / (1 + 4.0**2), rel=0.01)


def test_recorded_turns_are_read_from_folders(tmp_path: Path) -> None:
    for name in ("spoken_query/en/a", "side_talk/de/b", "side_talk/de/c", "other/en/d"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        write_wav(tmp_path / f"{name}.wav", np.zeros(1600, np.float32), 16_000)
    found = state_cases.all_cases(tmp_path, 1)
    assert [(case.kind, case.lang, case.name) for case in found] == [
        ("spoken query", "en", "spoken_query/en/a.wav"),
        ("side talk", "de", "side_talk/de/b.wav"),
    ]
    with pytest.raises(DataError, match="holds no turns"):
        state_cases.all_cases(tmp_path / "other", None)
