"""The state machine by itself: what follows what, and what must hold after any sequence of events."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vita.duplex import events as ev
from vita.duplex.machine import step
from vita.duplex.state import Live, Policy
from vita.errors import ConfigError
from vita.tokens import State

QUESTION = {State.SPOKEN_QUERY: 0.95, State.NOISE: 0.05}
SIDE_TALK = {State.SPOKEN_QUERY: 0.05, State.NOISE: 0.95}
UNSURE = {State.SPOKEN_QUERY: 0.5, State.NOISE: 0.5}


def play(*happened: ev.Event, live: Live | None = None) -> tuple[Live, list[ev.Command]]:
    """All events one after the other; the commands without the log."""
    live, done = live or Live(), []
    for event in happened:
        live, commands = step(live, event)
        done += [command for command in commands if not isinstance(command, ev.Tell)]
    return live, done


def spoken(turn: int, state: State = State.SPOKEN_QUERY, voiced_ms: float = 900.0) -> tuple[ev.Event, ...]:
    """A turn from its beginning to its state."""
    return (
        ev.Voice(True), ev.SpeechStarted(1.0, 0.7), ev.SpeechEnded(2.0, voiced_ms), ev.Decided(turn, state, {}),
    )  # fmt: skip


ANSWERING = play(*spoken(1))[0]


def test_the_monitor_listens_and_becomes_the_generator() -> None:
    live, done = play(*spoken(1))
    assert done == [ev.Listen(1, "b", 0.7), ev.Decide(1), ev.Answer(1)]
    assert (live.generator, live.monitor, live.answering) == ("b", "a", 1)


def test_noise_changes_nothing() -> None:
    live, done = play(*spoken(1, State.NOISE))
    assert done == [ev.Listen(1, "b", 0.7), ev.Decide(1), ev.Forget(1)]
    assert live == Live(num_turns=1)


def test_an_interruption_swaps_the_roles_back() -> None:
    live, done = play(*spoken(2), live=ANSWERING)
    assert done == [
        ev.SetSound("low"), ev.Listen(2, "a", 0.7), ev.Decide(2), ev.Interrupt(1, "b", 2), ev.Answer(2),
        ev.SetSound("full"),
    ]  # fmt: skip
    assert (live.generator, live.answering) == ("a", 2)


@pytest.mark.parametrize(("probabilities", "sound"), [(QUESTION, "held"), (UNSURE, "low"), (SIDE_TALK, "full")])
def test_the_monitor_is_asked_early_and_the_sound_follows(probabilities: dict[State, float], sound: str) -> None:
    speaking, _ = play(ev.Voice(True), ev.SpeechStarted(1.0, 0.7), live=ANSWERING)
    assert play(ev.Listened(2, 0.3), live=speaking)[1] == []
    live, done = play(ev.Listened(2, 0.7), ev.Probed(2, probabilities), live=speaking)
    assert done[0] == ev.Probe(2, "early")
    assert live.sound == sound
    live, done = play(ev.SpeechEnded(2.0, 900), ev.Decided(2, State.NOISE, {}), live=live)
    assert (live.sound, live.answering) == ("full", 1)


def test_a_threshold_above_one_never_stops_early() -> None:
    live = Live(policy=Policy(early_threshold=1.1), generator="b", answering=1, num_turns=1)
    live, _ = play(ev.SpeechStarted(1.0, 0.7), ev.Probed(2, {State.SPOKEN_QUERY: 1.0}), live=live)
    assert live.sound == "low"
    with pytest.raises(ConfigError, match="early_threshold"):
        Policy(early_threshold=0.5)


def test_without_an_answer_nobody_is_asked_early() -> None:
    assert play(ev.SpeechStarted(1.0, 0.7), ev.Listened(1, 3.0))[1] == [ev.Listen(1, "b", 0.7)]


def test_a_pause_asks_only_about_the_turn_that_goes_on() -> None:
    assert play(ev.SpeechPaused())[1] == []
    assert play(ev.SpeechStarted(1.0, 0.7), ev.SpeechPaused())[1][-1] == ev.Probe(1, "end")


def test_turns_wait_for_the_one_that_is_decided() -> None:
    deciding, _ = play(*spoken(1)[:3])
    waiting, done = play(ev.SpeechStarted(3.0, 2.7), ev.SpeechEnded(4.0, 900), live=deciding)
    assert done == []
    live, done = play(ev.Decided(1, State.SPOKEN_QUERY, {}), live=waiting)
    assert done[:3] == [ev.Answer(1), ev.Listen(2, "a", 2.7), ev.Decide(2)]
    live, done = play(ev.Decided(2, State.SPOKEN_QUERY, {}), live=live)
    assert done[:2] == [ev.Interrupt(1, "b", 2), ev.Answer(2)]


def test_a_spoken_stop_word_needs_no_answer() -> None:
    live, done = play(
        ev.SpeechStarted(3.0, 2.7), ev.StopWord(), ev.SpeechEnded(3.4, 200), live=ANSWERING
    )  # fmt: skip
    assert [command for command in done if not isinstance(command, ev.SetSound)] == [
        ev.Listen(2, "a", 2.7), ev.Interrupt(1, "b", None), ev.Forget(2),
    ]  # fmt: skip
    assert live.is_idle


def test_what_fails_is_told_and_forgotten() -> None:
    live, done = play(ev.SpeechStarted(1.0, 0.7), ev.Failed(1, "too long"), ev.SpeechEnded(2.0, 900))
    assert (done, live.turns) == ([ev.Listen(1, "b", 0.7), ev.Forget(1)], ())
    live, done = play(ev.Failed(1, "no voice"), live=ANSWERING)
    assert (done, live.answering) == ([ev.Interrupt(1, "b", None)], None)


def test_what_comes_late_is_fenced_off() -> None:
    live, _ = play(*spoken(2), live=ANSWERING)
    late = (ev.Decided(1, State.SPOKEN_QUERY, {}), ev.Probed(2, QUESTION), ev.Listened(2, 9.0), ev.AnswerEnded(1))
    assert play(*late, live=live) == (live, [])
    live, done = play(ev.Disconnected(), live=live)
    assert done == [ev.Shut()]
    assert play(*spoken(3), ev.Typed("hi"), live=live) == (live, [])


EVENTS = st.sampled_from(
    [
        ev.Voice(True), ev.Voice(False), "start", "end", ev.SpeechPaused(), "listened", "question", "side talk",
        "decided", "noise", "failed", ev.Typed("hm"), ev.StopWord(), ev.StopWord(is_typed=True), "answered",
    ]
)  # fmt: skip


@given(st.lists(EVENTS, max_size=40))
def test_any_sequence_keeps_the_books(happened: list[object]) -> None:
    """Every turn is listened to once, in order, and either forgotten or answered; one answer at a time."""
    live, listening, answering = Live(), None, None
    for entry in happened:
        live, commands = step(live, _event(live, entry))
        for command in commands:
            if isinstance(command, ev.Listen):
                assert listening is None
                assert command.context == live.monitor
                listening = command.turn
            elif isinstance(command, (ev.Decide, ev.Probe)):
                assert command.turn == listening
            elif isinstance(command, (ev.Forget, ev.Answer)):
                assert command.turn == listening
                listening = None
            if isinstance(command, ev.Interrupt):
                assert command.turn == answering
                answering = None
            elif isinstance(command, (ev.Answer, ev.AnswerTyped)):
                assert answering is None
                answering = command.turn
        answering = None if entry == "answered" else answering
        assert live.answering == answering
        assert listening == (live.turns[0].number if live.turns else None)
        assert live.sound == "full" or live.answering is not None


def _event(live: Live, entry: object) -> ev.Event:
    """An event that can happen now, about the turn that it would be about."""
    if not isinstance(entry, str):
        return entry  # type: ignore[return-value]
    head = live.turns[0].number if live.turns else 0
    if entry in ("start", "end"):
        is_speaking = bool(live.turns) and live.turns[-1].ended is None
        if is_speaking == (entry == "end"):
            return ev.SpeechEnded(2.0, 900) if is_speaking else ev.SpeechStarted(1.0, 0.7)
        return ev.SpeechPaused()
    return {
        "listened": ev.Listened(head, 1.0),
        "question": ev.Probed(head, QUESTION),
        "side talk": ev.Probed(head, SIDE_TALK),
        "decided": ev.Decided(head, State.SPOKEN_QUERY, {}),
        "noise": ev.Decided(head, State.NOISE, {}),
        "failed": ev.Failed(head, "broken"),
        "answered": ev.AnswerEnded(live.answering or 0),
    }[entry]
