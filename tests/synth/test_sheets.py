"""Sheets of small print: many characters, each where its mark says."""

from __future__ import annotations

import random

import numpy as np

from vita.synth.scenes import CHARACTERS
from vita.synth.sheets import render_sheet


def test_a_sheet_holds_many_characters_inside_the_picture() -> None:
    counts = []
    for seed in range(20):
        _, marks = render_sheet(random.Random(seed))
        counts.append(len(marks))
        assert all(left < right and top < bottom for left, top, right, bottom, _ in marks)
        assert all(min(mark[:4]) >= -0.01 and max(mark[:4]) <= 1.01 for mark in marks)
        assert {mark[4] for mark in marks} <= set(CHARACTERS)
    assert np.mean(counts) > 25


def test_ink_is_where_the_marks_are() -> None:
    """The middle band of a character differs from the gap beside its cell's text more than the background does."""
    told = []
    for seed in range(12):
        image, marks = render_sheet(random.Random(seed))
        grey = np.asarray(image.convert("L"), np.float32)
        ground = np.median(grey)
        for left, top, right, bottom, _ in marks:
            box = grey[int(top * image.height) : int(bottom * image.height) + 1]
            box = box[:, int(left * image.width) : int(right * image.width) + 1]
            told.append(np.abs(box - ground).max() > 40)
    assert np.mean(told) > 0.95


def test_a_sheet_depends_on_its_random_numbers_alone() -> None:
    one, two = render_sheet(random.Random(3)), render_sheet(random.Random(3))
    assert one[1] == two[1]
    assert np.array_equal(np.asarray(one[0]), np.asarray(two[0]))
    assert render_sheet(random.Random(4))[1] != one[1]
