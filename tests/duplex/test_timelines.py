"""Scripted conversations on virtual time, exact to the millisecond. `perform` fails on leaked tasks and late sound.

Voice activity judges windows of 32 ms, so speech from 1.0 s on is voice from the window that begins at 0.992 s.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.duplex.stage import FIXED, NOISE, QUESTION, SIDE_TALK, STORY, CountingEngine, Show, perform, script
from vita.chat.messages import Message
from vita.duplex.options import LiveOptions
from vita.duplex.session import Session
from vita.duplex.turns import FixedSilence, Semantic
from vita.engine.scripted import ScriptedEngine

ASKED = (1.0, 2.0, QUESTION)
"""A question that ends at 2.0 s; its last window with voice ends at 2.016 s, 500 ms of silence at 2.528 s."""
TEXT = "".join(STORY)


def states(show: Show) -> list[tuple[int, str]]:
    return [(entry["turn"], entry["state"]) for entry in show.all("state")]


def test_a_question_is_answered() -> None:
    show = perform(14, ASKED)
    assert show.times("speech_start") == [1.088]
    assert show.times("speech_end") == [2.528]
    assert states(show) == [(1, "spoken_query")]
    assert show.times("first_audio") == [2.528]
    assert show.times("playback_end") == [12.528]
    assert show.heard(1) == TEXT
    assert show.loudness(0, 2.528) == 0
    assert show.loudness(2.528, 12.528) == 0.5
    assert show.loudness(12.528, 14) == 0
    assert show.history == [("user", "question"), ("assistant", TEXT)]


def test_the_time_that_computing_takes_is_all_that_is_added() -> None:
    costs = {"decide": 0.070, "token": 0.005, "speak": 0.020}
    show = perform(14, ASKED, cost_s=lambda kind: costs.get(kind, 0.0))
    assert show.times("state") == [2.598]
    tokens_of_the_only_clause = 11  # ten words, and that there is no more
    assert show.times("first_audio") == [pytest.approx(2.598 + (tokens_of_the_only_clause + 1) * 0.005 + 0.020)]


def test_an_answer_does_not_wait_for_the_other_context_to_catch_up() -> None:
    """Reading the question a second time takes as long as the answer's first clause."""
    kinds: list[str] = []
    perform(14, ASKED, cost_s=lambda kind: float(kinds.append(kind) or 0.0))
    assert "speak" in kinds[: kinds.index("refresh")]


def test_a_question_that_is_surely_complete_is_not_read_any_further() -> None:
    """What was read to ask the model is all that its answer needs."""
    options = LiveOptions(stop=Semantic(), sample_rate_hz=16_000)
    show = perform(14, ASKED, options=options, cost_s=lambda kind: 0.05 if kind == "probe" else 0.0)
    assert show.times("first_audio") == [2.258]
    (sound,) = show.session.history[0].parts
    assert len(sound.samples) == round((2.208 - 0.692) * 16_000)  # type: ignore[union-attr]


def test_the_semantic_strategy_ends_a_question_sooner() -> None:
    options = LiveOptions(stop=Semantic(), sample_rate_hz=16_000)
    show = perform(14, ASKED, options=options)
    assert show.times("speech_end") == [2.208]  # the first window with 200 ms of quiet after 2.0
    assert show.times("first_audio") == [2.208]
    show = perform(6, (1.0, 2.0, SIDE_TALK), options=options)
    assert show.times("speech_end") == [2.528]  # it was never sure of a question
    assert states(show) == [(1, "noise")]


def test_a_pause_within_a_question_does_not_end_it() -> None:
    show = perform(16, ASKED, (2.4, 3.0, QUESTION))
    assert states(show) == [(1, "spoken_query")]
    assert show.times("speech_end") == [3.52]


def test_a_question_in_noise_is_answered_once() -> None:
    show = perform(14, (0.0, 14.0, NOISE), ASKED)
    assert (show.times("first_audio"), show.heard(1)) == ([2.528], TEXT)


def test_side_talk_is_not_answered_and_not_remembered() -> None:
    show = perform(8, (1.0, 2.0, SIDE_TALK), (4.0, 5.0, SIDE_TALK))
    assert states(show) == [(1, "noise"), (2, "noise")]
    assert show.loudness(0, 8) == 0
    assert show.history == []


def test_side_talk_during_an_answer_lowers_it_for_a_moment_and_changes_nothing() -> None:
    show = perform(14, ASKED, (5.0, 6.5, SIDE_TALK))
    assert states(show) == [(1, "spoken_query"), (2, "noise")]
    assert [(entry["t"], entry["sound"]) for entry in show.all("sound")] == [(5.024, "low"), (5.408, "full")]
    assert show.times("playback_end") == [12.528]
    assert show.loudness(5.04, 5.40) == pytest.approx(0.15)
    assert show.loudness(5.42, 12.5) == 0.5
    assert (show.heard(1), show.history) == (TEXT, [("user", "question"), ("assistant", TEXT)])


@pytest.mark.parametrize("asked_s", [2.53, 2.56, 2.9, 3.3, 4.0, 5.5, 7.2, 9.0, 11.0, 11.9])
def test_an_interruption_at_any_moment(asked_s: float) -> None:
    """With the first sound, in the first word, in mid-clause, in the last word: the new answer follows at once."""
    end_s = asked_s + 1.2
    show = perform(32, ASKED, (asked_s, end_s, QUESTION))
    assert states(show) == [(1, "spoken_query"), (2, "spoken_query")]
    (interrupted,) = show.all("interrupted")
    decided_s = show.times("state", turn=2)[0]
    assert end_s + 0.5 <= decided_s <= end_s + 0.5 + 0.064
    assert (interrupted["t"], interrupted["by"], interrupted["heard"]) == (decided_s, 2, show.heard(1))
    assert TEXT.startswith(show.heard(1))
    assert show.heard(1) != TEXT
    low_s, held_s = show.times("sound", sound="low")[0], show.times("sound", sound="held")[0]
    assert low_s <= asked_s + 0.050
    assert held_s <= asked_s + 0.8
    assert show.loudness(held_s + 0.010, decided_s) == 0
    assert show.times("first_audio", turn=2) == [decided_s]
    assert show.heard(2) == TEXT
    assert show.history == [
        ("user", "question"),
        ("assistant", show.heard(1)),
        ("user", "question"),
        ("assistant", TEXT),
    ]


@pytest.mark.parametrize("asked_s", [2.6, 3.1, 3.5])
def test_an_interruption_before_the_first_sound(asked_s: float) -> None:
    """While the first question is decided (to 3.028 s) and while its answer is first spoken (to 3.528 s)."""
    costs = {"decide": 0.5, "speak": 0.5}
    show = perform(32, ASKED, (asked_s, asked_s + 1.5, QUESTION), cost_s=lambda kind: costs.get(kind, 0.0))
    assert states(show) == [(1, "spoken_query"), (2, "spoken_query")]
    assert [entry["heard"] for entry in show.all("interrupted")] == [""]
    assert show.heard(2) == TEXT
    assert [text for _, text in show.history] == ["question", "", "question", TEXT]


def test_the_roles_are_swapped_and_both_contexts_catch_up() -> None:
    spare: list[tuple[Message, ...]] = []
    looks = tuple((at_s, lambda session: spare.append(session._contexts["b"].messages)) for at_s in (10.0, 29.0))
    show = perform(30, ASKED, (5.0, 6.0, QUESTION), steps=looks)
    generators = [(entry["turn"], entry["context"]) for entry in show.all("reply_start")]
    monitors = [(entry["turn"], entry["context"]) for entry in show.all("speech_start")]
    assert (generators, monitors) == ([(1, "b"), (2, "a")], [(1, "b"), (2, "a")])
    while_answering, afterwards = spare
    assert while_answering == show.session.history[:3]  # rewound to what was heard, and the new question read
    assert afterwards == show.session.history


def test_two_interruptions_in_a_row() -> None:
    show = perform(32, ASKED, (4.0, 5.0, QUESTION), (7.0, 8.0, QUESTION))
    assert states(show) == [(1, "spoken_query"), (2, "spoken_query"), (3, "spoken_query")]
    assert [(entry["turn"], entry["by"]) for entry in show.all("interrupted")] == [(1, 2), (2, 3)]
    assert (show.heard(1), show.heard(3)) == ("word0 ", TEXT)
    assert [role for role, _ in show.history] == ["user", "assistant"] * 3


def test_a_question_that_follows_while_the_last_one_is_decided_waits_for_it() -> None:
    costs = {"decide": 2.0}
    show = perform(30, ASKED, (3.0, 3.6, QUESTION), (9.0, 9.4, NOISE), cost_s=lambda kind: costs.get(kind, 0.0))
    assert states(show) == [(1, "spoken_query"), (2, "spoken_query")]
    assert show.times("state") == [4.528, 6.528]
    assert show.times("interrupted", turn=1) == [6.528]
    assert show.heard(2) == TEXT


def test_noise_that_looks_like_a_question_at_first_costs_no_word() -> None:
    """The monitor is wrong early on, the answer pauses, and goes on with the word that was cut."""
    show = perform(18, ASKED, (5.0, 5.5, QUESTION / 1.01), (5.5, 6.5, SIDE_TALK), engine=_changes_its_mind())
    assert states(show) == [(1, "spoken_query"), (2, "noise")]
    held_s, full_s = show.times("sound", sound="held")[0], show.times("sound", sound="full")[0]
    assert show.loudness(held_s + 0.010, full_s) == 0
    assert show.loudness(full_s, full_s + 0.5) == 0.5
    assert (show.heard(1), show.all("interrupted")) == (TEXT, [])
    assert show.history == [("user", "question"), ("assistant", TEXT)]


def _changes_its_mind():
    from tests.duplex.stage import hears, kind_of
    from vita.tokens import State

    def early(samples):
        return {State.SPOKEN_QUERY: 0.95} if 0.3 < kind_of(samples) < QUESTION else hears(samples)

    return ScriptedEngine(script, early)


def test_backchannels_do_not_interrupt() -> None:
    show = perform(14, ASKED, (5.0, 5.3, QUESTION))
    assert [entry.get("reason") for entry in show.all("state")] == [None, "backchannel"]
    assert (show.all("interrupted"), show.heard(1)) == ([], TEXT)


def test_a_click_is_no_turn() -> None:
    show = perform(14, ASKED, (5.0, 5.05, QUESTION))
    assert len(show.all("speech_start")) == 1
    assert [entry["sound"] for entry in show.all("sound")] == ["low", "full"]


@pytest.mark.parametrize("word", ["stop", " Stop! ", "停。"])
def test_stop_ends_the_answer_and_needs_none(word: str) -> None:
    show = perform(14, ASKED, steps=((5.0, lambda session: session.type(word)),))
    assert show.times("interrupted") == [5.0]
    assert show.loudness(5.010, 14) == 0
    assert show.history == [("user", "question"), ("assistant", "word0 word1 ")]


def test_typed_text_while_somebody_speaks_is_answered_and_then_interrupted_by_them() -> None:
    show = perform(24, (1.0, 4.0, QUESTION), steps=((2.0, lambda session: session.type("How many?")),))
    assert states(show) == [(2, "typed_query"), (1, "spoken_query")]
    assert [(entry["t"], entry["sound"]) for entry in show.all("sound")][:2] == [(2.0, "low"), (2.048, "held")]
    assert show.heard(1) == TEXT
    assert show.history == [("user", "How many?"), ("assistant", ""), ("user", "question"), ("assistant", TEXT)]


def test_typed_text_interrupts_an_answer() -> None:
    show = perform(24, ASKED, steps=((5.0, lambda session: session.type("And?")),))
    assert show.times("first_audio", turn=2) == [5.0]
    assert show.history[1:] == [("assistant", "word0 word1 "), ("user", "And?"), ("assistant", TEXT)]


def test_two_people_at_once_are_one_turn() -> None:
    show = perform(16, (1.0, 3.0, SIDE_TALK), (2.0, 4.0, QUESTION))
    assert states(show) == [(1, "spoken_query")]
    assert show.times("speech_end") == [4.512]


def test_a_turn_that_does_not_end_is_cut() -> None:
    options = LiveOptions(stop=FixedSilence(max_turn_s=5.0), sample_rate_hz=16_000)
    show = perform(20, (1.0, 12.0, SIDE_TALK), options=options)
    assert [turn for turn, _ in states(show)] == [1, 2, 3]
    assert show.loudness(0, 20) == 0


def test_an_hour_of_silence() -> None:
    show = perform(3600, (3590.0, 3591.0, QUESTION), chunk_s=1.024)
    assert show.times("speech_start") == [3590.144]  # the end of the chunk of a second that it was in
    assert len(show.all("state")) == 1


@pytest.mark.parametrize("leave_s", [0.5, 1.05, 1.5, 2.3, 2.55, 2.62, 2.8, 5.0, 5.5, 6.3, 6.55, 6.7, 12.0])
def test_leaving_in_any_state(leave_s: float) -> None:
    """While nothing happens, while somebody speaks, while a turn is decided, written, spoken, played, interrupted."""
    costs = {"decide": 0.070, "token": 0.020, "speak": 0.100, "read": 0.010, "probe": 0.015, "listen": 0.030}
    show = perform(14, ASKED, (5.0, 6.0, QUESTION), leave_s=leave_s, cost_s=lambda kind: costs.get(kind, 0.0))
    assert [entry["event"] for entry in show.events][-1] == "disconnected"
    left_s = show.times("disconnected")[0]
    assert show.loudness(left_s + 0.010, 60) == 0


def test_leaving_while_a_typed_question_is_answered() -> None:
    def ask(session: Session) -> None:
        session.type("How many?")

    show = perform(3, steps=((1.0, ask),), cost_s=lambda kind: 5.0 if kind == "decide" else 0.0)
    assert show.all("first_audio") == []


@pytest.mark.parametrize(("wanted", "of_model"), [(30, None), (3000, 30), (None, 30)])
def test_a_long_conversation_forgets_its_oldest_turns_and_says_so(wanted: int | None, of_model: int | None) -> None:
    asked = tuple((5.0 * n, lambda session, n=n: session.type(f"Question {n}?")) for n in range(1, 6))
    options = replace(FIXED, history_tokens=wanted)
    show = perform(40, steps=asked, options=options, engine=CountingEngine(script, of_model))
    assert [(entry["turn"], entry["question"]) for entry in show.all("forgotten")] == [
        (3, "Question 1?"),
        (4, "Question 2?"),
        (5, "Question 3?"),
    ]
    assert [text for role, text in show.history if role == "user"] == ["Question 4?", "Question 5?"]
