"""The measures of Full-Duplex-Bench against hand-computed examples."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vita.evaluate.interaction import duplex_scores as scores
from vita.evaluate.interaction.layout import Word


def words(text: str, start_s: float = 0.0, each_s: float = 0.25) -> list[Word]:
    return [Word(w, start_s + n * each_s, start_s + (n + 1) * each_s) for n, w in enumerate(text.split())]


@pytest.mark.parametrize(
    ("said", "is_turn"),
    [
        ([], False),
        (words("mm hm yes"), False),  # three words, 0.75 s
        (words("well i do so", each_s=0.2), True),  # four words
        (words("yes indeed", each_s=0.5), True),  # a second
        (words("yes indeed", each_s=0.49), False),
    ],
)
def test_a_turn_is_a_second_or_four_words(said: list[Word], is_turn: bool) -> None:
    assert scores.takes_over(said) is is_turn
    assert (scores.response_latency_s(said, 0.0) is None) is not is_turn


def test_latency_counts_from_the_end_of_the_turn_and_is_never_negative() -> None:
    assert scores.response_latency_s(words("a b c d e", 3.5), 3.0) == pytest.approx(0.5)
    assert scores.response_latency_s(words("a b c d e", 2.5), 3.0) == 0.0


def test_stop_and_response_intervals() -> None:
    user = [(0.0, 2.0), (6.0, 8.0)]
    model = [(2.4, 6.5), (8.9, 12.0)]
    assert scores.stop_intervals(user, model) == [(6.0, 6.5)]
    assert scores.response_intervals(user, model) == [(2.0, 2.4), (8.0, 8.9)]
    # the model speaks on through the second turn: the overlap is the whole turn, and the next start answers both
    assert scores.stop_intervals(user, [(2.4, 9.0)]) == [(6.0, 8.0)]
    assert scores.response_intervals([(0.0, 2.0), (3.0, 4.0)], [(5.0, 6.0)]) == [(4.0, 5.0)]
    # two overlaps with one end: the shorter
    assert scores.stop_intervals([(0.0, 5.0)], [(1.0, 5.0), (3.0, 5.0)]) == [(3.0, 5.0)]
    assert scores.stop_intervals([], model) == []


@pytest.mark.parametrize(
    ("model", "after_s"),
    [
        ([(1.0, 5.4)], 0.4),
        ([(1.0, 7.9)], 2.9),  # within a second after the end
        ([(1.0, 8.1)], None),
        ([(5.5, 6.0)], None),  # silent when it began
        ([], None),
    ],
)
def test_stops_after(model: list[tuple[float, float]], after_s: float | None) -> None:
    found = scores.stops_after_s((5.0, 7.0), model)
    assert found == (None if after_s is None else pytest.approx(after_s))


STORY = "once there was a fox who lived in the old wood beside a lake and every day it ran"


@pytest.mark.parametrize(
    ("after", "did"),
    [
        ("in the old wood beside a lake", "resumes"),
        ("lived in the old Wood, beside", "resumes"),  # the word that was cut is said again
        ("one two three four five six", "responds"),
        ("once there was a fox", "responds"),  # from the beginning again: no resumption
        ("", "silent"),
    ],
)
def test_behaviour(after: str, did: str) -> None:
    before = words("once there was a fox who lived", 0.0, 0.5)
    event = (3.5, 5.0)
    assert scores.behaviour(event, [*before, *words(after, 5.5)], words(STORY, 0.0, 0.5)) == did


def test_the_old_answer_ends_with_its_last_word() -> None:
    said = [*words("once there was", 0.0, 0.5), *words("one two", 1.6)]
    assert scores.left_at_s(said, words(STORY)) == 1.5
    assert scores.left_at_s(words("one two"), words(STORY)) is None


def test_backchannels() -> None:
    said = [*words("mm", 1.0, 0.4), *words("oh yes", 4.0, 0.3)]
    assert scores.backchannels([(1.0, 1.4), (4.0, 4.6)], said) == (False, [(1.0, 1.4), (4.0, 4.6)])
    assert scores.backchannels([(1.0, 1.4), (4.0, 7.1)], said)[0]  # longer than three seconds
    assert scores.backchannels([(1.0, 2.1)], said)[0]  # a second
    assert scores.backchannels([(1.0, 1.9)], words("a b c", 1.0, 0.3))[0]  # three words


def test_divergence() -> None:
    assert scores.divergence([], 10.0, [1, 1]) == 1.0
    # 0.2 s steps of 1 s: six; all in one of them, people in another: the largest distance there is
    assert scores.divergence([(0.0, 0.1)], 1.0, [0, 0, 0, 0, 0, 1]) == pytest.approx(math.sqrt(math.log(2)), abs=1e-3)
    assert scores.divergence([(0.0, 1.0)], 1.0, [0.2] * 6) == pytest.approx(0.0, abs=1e-6)
    # p = (1, 0), q = (1/2, 1/2): (ln(4/3) + (ln(2/3) + ln 2) / 2) / 2
    wanted = math.sqrt((math.log(4 / 3) + (math.log(2 / 3) + math.log(2)) / 2) / 2)
    assert scores.divergence([(0.0, 0.1)], 0.2, [1, 1]) == pytest.approx(wanted, abs=1e-4)


def test_words_by_the_second_where_none_are_known() -> None:
    assert len(scores.as_words([(0.0, 1.0), (2.0, 2.1)])) == 4
    assert scores.takes_over(scores.as_words([(1.0, 2.0)]))
    assert not scores.takes_over(scores.as_words([(1.0, 1.5)]))


def test_divergence_is_that_of_scipy() -> None:
    distance = pytest.importorskip("scipy.spatial.distance")
    rng = np.random.default_rng(0)
    for _ in range(20):
        start = rng.uniform(0, 8, 2)
        found, people = [(float(s), float(s) + 0.5) for s in start], rng.random(40)
        counts = np.full(51, 1e-10)
        for one, end in found:
            counts[int(one / 0.2) : int(end / 0.2) + 1] += 1
        resized = np.interp(np.linspace(0, 1, 51), np.linspace(0, 1, 40), people)
        wanted = distance.jensenshannon(counts, resized)
        assert scores.divergence(found, 10.0, people.tolist()) == pytest.approx(wanted, abs=1e-9)
