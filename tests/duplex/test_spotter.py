"""Words that are spotted: "stop" past every gate and with no answer, "uh huh" that never interrupts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import pytest

from tests.duplex.stage import FIXED, MURMUR, QUESTION, SIDE_TALK, STOP, STORY, hears, perform, script
from vita.duplex.options import LiveOptions
from vita.duplex.spotter import Spotter
from vita.engine.protocol import Listening, Words
from vita.engine.scripted import ScriptedEngine
from vita.errors import ConfigError

ASKED = (1.0, 2.0, QUESTION)
SEMANTIC = LiveOptions(sample_rate_hz=16_000)
TEXT = "".join(STORY)


@pytest.mark.parametrize("options", [FIXED, SEMANTIC])
@pytest.mark.parametrize("seconds", [0.1, 0.3, 0.6, 1.2])
def test_a_spoken_stop_ends_the_answer_however_short_it_is(seconds: float, options: LiveOptions) -> None:
    """0.1 s is too short for a turn, 0.3 s as short as a backchannel."""
    show = perform(14, ASKED, (5.0, 5.0 + seconds, STOP), options=options)
    (interrupted,) = show.all("interrupted")
    assert "by" not in interrupted
    assert show.times("stop", turn=2) == show.times("interrupted") == [interrupted["t"]]
    latest_s = 5.0 + seconds + (0.2 if options is SEMANTIC else 0.5) + 0.064
    assert interrupted["t"] <= latest_s
    assert show.loudness(interrupted["t"] + 0.010, 14) == 0
    assert show.all("reply_start", turn=2) == []
    assert show.history == [("user", "question"), ("assistant", show.heard(1))]
    assert show.session.is_idle


def test_stop_needs_no_answer_when_nobody_answers() -> None:
    show = perform(6, (1.0, 1.5, STOP))
    assert [(entry["state"], entry["reason"]) for entry in show.all("state")] == [("noise", "stop")]
    assert (show.loudness(0, 6), show.history) == (0, [])


@pytest.mark.parametrize(("pause_s", "stops"), [(0.05, False), (0.3, True)])
def test_stop_within_a_sentence_is_no_stop(pause_s: float, stops: bool) -> None:
    """What follows at once belongs to it ("stop signs are red"); after a pause it was said already."""
    engine = ScriptedEngine(script, hears, lambda samples: "stop" if len(samples) < 0.3 * 16_000 + 16_000 else "more")
    show = perform(14, ASKED, (5.0, 5.6, SIDE_TALK), (5.6 + pause_s, 7.0, SIDE_TALK), engine=engine, options=SEMANTIC)
    assert bool(show.all("stop")) is stops
    assert (show.heard(1) != TEXT) is stops


def test_a_question_that_follows_a_stop_is_answered() -> None:
    show = perform(24, ASKED, (5.0, 5.4, STOP), (7.0, 8.0, QUESTION))
    assert len(show.all("stop")) == 1
    assert [entry["state"] for entry in show.all("state")] == ["spoken_query", "noise", "spoken_query"]
    assert show.heard(3) == TEXT


@pytest.mark.parametrize("seconds", [0.5, 0.9])
def test_a_backchannel_does_not_interrupt_whatever_the_model_says(seconds: float) -> None:
    show = perform(16, ASKED, (5.0, 5.0 + seconds, MURMUR))
    assert [entry.get("reason") for entry in show.all("state")] == [None, "backchannel"]
    assert (show.all("interrupted"), show.heard(1)) == ([], TEXT)
    assert show.history == [("user", "question"), ("assistant", TEXT)]
    assert show.loudness(show.times("state", turn=2)[0] + 0.010, 12) == 0.5


def test_the_same_words_are_a_turn_when_nobody_answers() -> None:
    show = perform(14, (1.0, 2.0, MURMUR))
    assert [(entry["state"], entry["heard"]) for entry in show.all("state")] == [("spoken_query", "uh huh")]


def test_an_ear_without_words_spots_nothing() -> None:
    show = perform(14, ASKED, (5.0, 5.3, STOP), engine=ScriptedEngine(script, hears))
    assert [entry.get("reason") for entry in show.all("state")] == [None, "backchannel"]
    assert all("heard" not in entry for entry in show.all("state"))


@pytest.mark.parametrize(("text", "is_stop"), [(" Stop! ", True), ("停。", True), ("stop signs", False), ("", False)])
def test_typed_stops(text: str, is_stop: bool) -> None:
    assert Spotter().is_stop(text) is is_stop


class Heard:
    """A listening whose words are known; each phrase is as likely as said."""

    def __init__(self, text: str, likelihood: float) -> None:
        self._text, self._likelihood = text, likelihood

    def words(self, phrases: Sequence[str] = ()) -> Words:
        return Words(self._text, dict.fromkeys(phrases, self._likelihood))


@pytest.mark.parametrize(
    ("text", "likelihood", "spotted"),
    [
        ("stop", 0.0, "stop"),
        ("six止", 0.05, "stop"),  # as it is heard in noise
        ("six止", 0.02, None),
        ("okay stop", 0.0, "stop"),
        ("嗯嗯停", 0.0, "stop"),
        ("嗯", 0.0, "backchannel"),
        ("okay", 0.0, "backchannel"),
        ("stop signs", 0.0, None),
        ("", 0.0, None),
    ],
)
def test_what_is_spotted(text: str, likelihood: float, spotted: str | None) -> None:
    assert Spotter().spot(cast("Listening", Heard(text, likelihood))) == (spotted, text)


def test_the_threshold_is_a_likelihood() -> None:
    for wrong in (0.0, 1.5):
        with pytest.raises(ConfigError, match="threshold of stop words"):
            Spotter(threshold=wrong)
