"""The text grammar: branches, nesting, slots, spacing."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from vita.synth.grammar import expand, tidy


def test_every_branch_is_drawn_about_equally_often() -> None:
    rng = random.Random(0)
    drawn = Counter(expand("{a|b|}c", rng) for _ in range(3000))
    assert set(drawn) == {"ac", "bc", "c"}
    assert all(850 < count < 1150 for count in drawn.values())


def test_branches_nest() -> None:
    rng = random.Random(0)
    drawn = {expand("{x{1|2}|y} {|z}", rng) for _ in range(300)}
    assert drawn == {"x1", "x2", "y", "x1 z", "x2 z", "y z"}


def test_slots_are_filled_with_a_text_or_one_of_several() -> None:
    rng = random.Random(0)
    drawn = {
        expand("the <colour> {<shape>|one}", rng, {"colour": "red", "shape": ["star", "cross"]}) for _ in range(99)
    }
    assert drawn == {"the red star", "the red cross", "the red one"}


def test_a_slot_in_a_branch_that_is_not_drawn_needs_no_filling() -> None:
    rng = random.Random(0)
    outcomes = set()
    for _ in range(50):
        try:
            outcomes.add(expand("{a|<missing>}", rng))
        except KeyError as error:
            outcomes.add(error.args[0])
    assert outcomes == {"a", "missing"}


def test_the_same_seed_gives_the_same_text() -> None:
    template = "{a|b|c} {d|e} <s>"
    first, again = ([expand(template, random.Random(seed), {"s": ("x", "y")}) for seed in range(50)] for _ in range(2))
    assert first == again
    assert len(set(first)) > 6


@pytest.mark.parametrize(
    ("text", "tidied"),
    [
        ("  a   b ", "a b"),
        ("图 里\t有", "图里有"),
        ("算 3 加 4", "算 3 加 4"),
        ("红色 box 后面", "红色 box 后面"),
        ("line\nline", "line\nline"),
    ],
)
def test_tidy(text: str, tidied: str) -> None:
    assert tidy(text) == tidied
