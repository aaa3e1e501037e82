"""The state machine's log, command by command, and the cases that its limits separate."""

from __future__ import annotations

import pytest

from vita.duplex import events as ev
from vita.duplex.machine import step
from vita.duplex.state import Live, Policy
from vita.tokens import State

QUERY, NOISE = State.SPOKEN_QUERY, State.NOISE


def play(live: Live, *happened: ev.Event) -> tuple[Live, list[ev.Command]]:
    done: list[ev.Command] = []
    for event in happened:
        live, commands = step(live, event)
        done += commands
    return live, done


def told(live: Live, *happened: ev.Event) -> list[ev.Tell]:
    """The log alone."""
    return [command for command in play(live, *happened)[1] if isinstance(command, ev.Tell)]


ANSWERING = Live(generator="b", answering=1, num_turns=1)
STARTED = ev.SpeechStarted(1.0, 0.7)


def state_of(turn: int, state: State, context: ev.ContextName = "a", **fields: object) -> ev.Tell:
    return ev.Tell("state", turn, "monitor", context, {"state": state, "voice_end_s": 2.0, **fields})


def sound(kind: str, turn: int | None) -> ev.Tell:
    return ev.Tell("sound", turn, fields={"sound": kind})


def test_an_interruption_from_its_first_sound_to_its_answer() -> None:
    decided = ev.Decided(2, QUERY, {QUERY: 0.9}, heard="who")
    live, done = play(ANSWERING, ev.Voice(True), STARTED, ev.SpeechEnded(2.0, 900), decided)
    assert done == [
        ev.SetSound("low"), sound("low", 1),
        ev.Tell("speech_start", 2, "monitor", "a", {"voice_s": 1.0}), ev.Listen(2, "a", 0.7),
        ev.Tell("speech_end", 2, "monitor", "a", {"voice_s": 2.0}), ev.Decide(2),
        state_of(2, QUERY, probabilities={QUERY: 0.9}, heard="who", reason=None),
        ev.Interrupt(1, "b", 2), ev.Answer(2), ev.SetSound("full"), sound("full", 2),
    ]  # fmt: skip
    assert live == Live(generator="a", answering=2, num_turns=2)


def test_a_voice_that_goes_away_before_a_turn_makes_the_sound_full_again() -> None:
    live, _ = play(ANSWERING, ev.Voice(True))
    assert (live.has_voice, live.sound) == (True, "low")
    assert play(live, ev.Voice(False)) == (ANSWERING, [ev.SetSound("full"), sound("full", 1)])
    assert play(Live(), ev.Voice(True))[1] == []


@pytest.mark.parametrize(
    ("voiced_ms", "live", "reason"),
    [(159, Live(), "too short"), (160, Live(), None), (349, ANSWERING, "backchannel"), (350, ANSWERING, None),
     (159, ANSWERING, "too short"), (349, Live(), None)],
)  # fmt: skip
def test_what_is_too_short_is_asked_for_a_word_only(voiced_ms: float, live: Live, reason: str | None) -> None:
    number, monitor = live.num_turns + 1, live.monitor
    live, done = play(live, STARTED, ev.SpeechEnded(2.0, voiced_ms))
    if reason is None:
        assert done[-1] == ev.Decide(number)
        return
    assert done[-1] == ev.Probe(number, "word")
    live, done = play(live, ev.Probed(number, {}))
    assert done[:2] == [state_of(number, NOISE, monitor, reason=reason), ev.Forget(number)]
    assert live.turns == ()


def test_a_short_stop_ends_the_answer() -> None:
    live, _ = play(ANSWERING, STARTED, ev.SpeechEnded(2.0, 200))
    live, done = play(live, ev.Probed(2, {}, word="stop"))
    assert done == [
        ev.Tell("stop", 2), ev.Interrupt(1, "b", None), state_of(2, NOISE, reason="stop"), ev.Forget(2),
        ev.SetSound("full"), sound("full", None),
    ]  # fmt: skip
    assert live == Live(generator="b", num_turns=2)


def test_stop_is_heard_once() -> None:
    live, done = play(ANSWERING, STARTED, ev.Probed(2, {}, word="stop"))
    assert [command for command in done if isinstance(command, ev.Interrupt)] == [ev.Interrupt(1, "b", None)]
    assert (live.turns[0].is_stop, live.answering) == (True, None)
    assert play(live, ev.StopWord(), ev.Probed(2, {}, word="stop"), ev.SpeechPaused()) == (live, [])
    live, done = play(live, ev.SpeechEnded(2.0, 900))
    assert done[1:] == [state_of(2, NOISE, reason="stop"), ev.Forget(2)]


def test_a_typed_stop_leaves_the_spoken_turn_alone() -> None:
    speaking, _ = play(ANSWERING, STARTED)
    live, done = play(speaking, ev.StopWord(is_typed=True))
    assert done[:2] == [ev.Tell("stop"), ev.Interrupt(1, "b", None)]
    assert not live.turns[0].is_stop
    assert told(Live(), ev.StopWord()) == [ev.Tell("stop")]


@pytest.mark.parametrize(("word", "answering", "reason"), [
    ("stop", False, "stop"), ("stop", True, "stop"), ("backchannel", True, "backchannel"), ("backchannel", False, None),
])  # fmt: skip
def test_words_that_decide(word: ev.SpottedWord, answering: bool, reason: str | None) -> None:
    live, _ = play(ANSWERING if answering else Live(num_turns=1), STARTED, ev.SpeechEnded(2.0, 900))
    monitor = live.monitor
    live, done = play(live, ev.Decided(2, QUERY, {}, word=word))
    state = QUERY if reason is None else NOISE
    assert done[0] == state_of(2, state, monitor, probabilities={}, heard=None, reason=reason)
    assert (ev.Answer(2) in done) == (reason is None)
    assert (live.answering == 1) == (word == "backchannel" and answering)


def test_the_sound_follows_the_turn_that_leans_most_to_a_question() -> None:
    live, _ = play(ANSWERING, STARTED, ev.Probed(2, {NOISE: 0.9}), ev.SpeechEnded(2.0, 900), ev.SpeechStarted(3.0, 2.7))
    assert live.turns[0].leaning is NOISE
    assert live.sound == "low"
    live, _ = play(live, ev.Dropped())
    assert (live.sound, [turn.number for turn in live.turns], live.has_voice) == ("full", [2], False)
    assert play(live, ev.Dropped())[1][0] == ev.Forget(2)


def test_early_judgement_begins_at_its_threshold_and_stays() -> None:
    live, _ = play(ANSWERING, STARTED)
    assert play(live, ev.Listened(2, 0.59))[1] == []
    assert play(live, ev.Listened(2, 0.6))[1] == [ev.Probe(2, "early")]
    assert play(live, ev.Listened(3, 0.6))[1] == []
    assert play(live, ev.Probed(2, {QUERY: 0.89, NOISE: 0.11}))[0].turns[0].leaning is None
    sure, done = play(live, ev.Probed(2, {QUERY: 0.9, NOISE: 0.1}))
    assert done == [ev.SetSound("held"), sound("held", 1)]
    assert play(sure, ev.Probed(2, {NOISE: 0.99})) == (sure, [])
    assert play(live, ev.Probed(3, {QUERY: 1.0})) == (live, [])


def test_a_typed_question_interrupts_and_takes_the_next_number() -> None:
    live, done = play(ANSWERING, ev.Typed("hi"))
    assert done == [ev.Interrupt(1, "b", 2), ev.AnswerTyped(2, "b", "hi", None)]
    assert live == Live(generator="b", answering=2, num_turns=2)


def test_what_fails_is_told() -> None:
    live, done = play(ANSWERING, ev.Failed(7, "gone"))
    assert (live, done) == (ANSWERING, [ev.Tell("error", 7, fields={"error": "gone"})])
    live, done = play(ANSWERING, ev.Failed(1, "no voice"))
    assert done == [ev.Tell("error", 1, fields={"error": "no voice"}), ev.Interrupt(1, "b", None)]
    live, done = play(Live(), STARTED, ev.Failed(1, "broken"))
    assert done[2:] == [ev.Tell("error", 1, fields={"error": "broken"}), ev.Forget(1)]
    assert play(live, ev.SpeechEnded(2.0, 900)) == (Live(num_turns=1), [])


def test_answers_end_and_the_conversation_does() -> None:
    assert play(ANSWERING, ev.AnswerEnded(1))[0].answering is None
    assert play(ANSWERING, ev.AnswerEnded(2)) == (ANSWERING, [])
    speaking, _ = play(ANSWERING, ev.Voice(True), STARTED)
    live, done = play(speaking, ev.Disconnected())
    assert done == [ev.Tell("disconnected"), ev.Shut()]
    assert live == Live(generator="b", num_turns=2, is_over=True, sound="low")


def test_decisions_belong_to_the_turn_that_is_decided() -> None:
    live, _ = play(ANSWERING, STARTED)
    assert play(live, ev.Decided(2, QUERY, {})) == (live, [])
    live, _ = play(live, ev.SpeechEnded(2.0, 900))
    assert play(live, ev.Decided(1, QUERY, {})) == (live, [])
    assert play(live, ev.SpeechPaused(), ev.Listened(2, 9.0), ev.Probed(2, {QUERY: 1.0}, "stop")) == (live, [])


def test_limits_are_the_policys() -> None:
    policy = Policy(min_turn_ms=500, early_after_s=2.0)
    assert play(Live(policy=policy), STARTED, ev.SpeechEnded(2.0, 499))[1][-1] == ev.Probe(1, "word")
    live = Live(policy=policy, generator="b", answering=1, num_turns=1)
    assert play(live, STARTED, ev.Listened(2, 1.9))[1][-1] != ev.Probe(2, "early")
