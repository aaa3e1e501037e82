"""The model and its two baselines on a scripted stage: who answers what, who stops when."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.duplex.stage import QUESTION, RATE_HZ, SIDE_TALK, STORY, WordsVoice, hears, kind_of, script
from vita.chat.messages import Audio, Message
from vita.clock import VirtualClock
from vita.duplex.voice_activity import ScriptedVoiceActivity
from vita.engine.scripted import Line, ScriptedEngine
from vita.evaluate.interaction.duplex_bench import words_of
from vita.evaluate.interaction.live import AnsweringEngine, Conversation, Speaking, converse
from vita.tokens import State


def hold(system: Speaking, *speech: tuple[float, float, float], seconds: float = 14.0) -> Conversation:
    sound = np.zeros(int(seconds * RATE_HZ), np.float32)
    for start_s, end_s, amplitude in speech:
        sound[int(start_s * RATE_HZ) : int(end_s * RATE_HZ)] = amplitude

    def answering(messages: tuple[Message, ...]) -> Line:
        """What the script takes for noise is answered by a model that is not asked whether it is."""
        last = messages[-1].parts[-1]
        if system == "vad-only" and isinstance(last, Audio) and kind_of(last.samples) < QUESTION:
            return Line(State.SPOKEN_QUERY, ("what? ",))
        return script(messages)

    engine = ScriptedEngine(answering, hears)
    return converse(
        engine, sound, WordsVoice(), system=system, activity=ScriptedVoiceActivity(), make_clock=VirtualClock
    )


def times(conversation: Conversation, event: str) -> list[float]:
    return [entry["t"] for entry in conversation.events if entry["event"] == event]


def loud(conversation: Conversation, at_s: float) -> bool:
    return bool(np.abs(conversation.sound[int(at_s * RATE_HZ) : int((at_s + 0.1) * RATE_HZ)]).max() > 0.05)


SYSTEMS: list[Speaking] = ["model", "vad-only", "no-barge-in"]


@pytest.mark.parametrize("system", SYSTEMS)
def test_all_answer_a_question_on_the_clock_of_the_input(system: Speaking) -> None:
    found = hold(system, (1.0, 2.0, QUESTION), seconds=8.0)
    assert len(found.sound) == 8 * RATE_HZ
    (first_s,) = times(found, "first_audio")
    assert 2.2 <= first_s <= 2.7
    assert not loud(found, first_s - 0.2)
    assert loud(found, first_s + 0.1)
    assert [word.text for word in words_of(found.events)] == ["".join(STORY).split()[n] for n in range(5)]


@pytest.mark.parametrize(
    ("system", "states"), [("model", ["noise"]), ("vad-only", ["spoken_query"]), ("no-barge-in", ["noise"])]
)
def test_only_the_voice_detector_answers_side_talk(system: Speaking, states: list[str]) -> None:
    found = hold(system, (1.0, 2.0, SIDE_TALK), seconds=4.0)
    assert [e["state"] for e in found.events if e["event"] == "state"] == states
    assert bool(times(found, "first_audio")) is (system == "vad-only")


def test_side_talk_over_an_answer_stops_the_voice_detector_alone() -> None:
    speech = (1.0, 2.0, QUESTION), (5.0, 6.5, SIDE_TALK)
    by: dict[str, Conversation] = {system: hold(system, *speech) for system in SYSTEMS}
    assert [bool(times(found, "interrupted")) for found in by.values()] == [False, True, False]
    held: dict[str, Any] = {
        name: [e["t"] for e in found.events if e["event"] == "sound" and e["sound"] == "held"]
        for name, found in by.items()
    }
    assert held["model"] == held["no-barge-in"] == []
    assert 5.0 < held["vad-only"][0] < 5.4


def test_a_question_over_an_answer_is_heard_by_all_but_the_deaf() -> None:
    speech = (1.0, 2.0, QUESTION), (5.0, 6.5, QUESTION)
    by = {system: hold(system, *speech) for system in SYSTEMS}
    assert {system: len(times(found, "interrupted")) for system, found in by.items()} == {
        "model": 1, "vad-only": 1, "no-barge-in": 0,
    }  # fmt: skip
    assert len(times(by["no-barge-in"], "speech_start")) == 1


def test_a_fork_of_the_voice_detectors_model_judges_no_more_than_it() -> None:
    engine = AnsweringEngine(ScriptedEngine(script, hears))
    for context in (engine.open(), engine.open().fork()):
        heard = context.listen()
        heard.push(np.full(RATE_HZ, SIDE_TALK, np.float32))
        assert heard.probe() == {State.SPOKEN_QUERY: 1.0}
        assert heard.words(("stop",)) is None
        assert heard.seconds == 1.0
