"""The lessons of stage 1: what is asked in which step, and how short the sequences are."""

from __future__ import annotations

import random

import pytest
import torch

from vita.synth.scenes import random_clip, slot_labels
from vita.synth.shape_questions import SHAPE_QUESTIONS
from vita.synth.turns import Turn
from vita.tokens import IGNORE_LABEL
from vita.train.curriculum import LESSONS, PRINT_TOO, CurriculumBatches, Lesson, LessonSequences, question_turn
from vita.train.samples import Sequence_, write_symbolic


def test_lessons_fill_the_stage_and_end_with_the_whole_mixture():
    assert sum(lesson.share for lesson in LESSONS) == pytest.approx(1)
    assert LESSONS[-1].whole > 0
    assert LESSONS[-1].brief < 0.5 < LESSONS[0].brief
    assert set(LESSONS[0].kinds) < set(LESSONS[1].kinds) | {"sum"} <= set(LESSONS[2].kinds)


@pytest.mark.parametrize("kind", PRINT_TOO)
def test_a_turn_is_of_the_kind_that_was_asked_for(kind):
    rng = random.Random(0)
    turns = [question_turn(kind, rng) for _ in range(20)]
    if kind in SHAPE_QUESTIONS:
        assert {turn.kind for turn in turns} == {kind}
        assert all(turn.scene is not None and turn.scene.kind == "shapes" for turn in turns)
    else:
        scenes = {"printed_sum": "sum", "print": "text", "chart": "chart", "sum": None, "clip": None}
        assert {turn.scene.kind if turn.scene else None for turn in turns} == {scenes[kind]}
        assert all((turn.clip is not None) == (kind == "clip") for turn in turns)
    assert {turn.lang for turn in turns} == {"en", "zh"}


def test_next_boxes_are_of_three_or_four_letters_or_words():
    rng = random.Random(1)
    turns = [question_turn("next_box", rng) for _ in range(40)]
    assert {turn.kind for turn in turns} == {"next_box"}
    charts = [turn.scene.boxes for turn in turns if turn.scene]
    assert {len(boxes) for boxes in charts} == {3, 4}
    assert 8 < sum(len(boxes[0]) > 1 for boxes in charts) < 32
    assert all(turn.answer in boxes[1:] for turn, boxes in zip(turns, charts, strict=True))


@pytest.mark.parametrize(("kind", "one"), [("count_shape", {"one", "一个"}), ("count_colour", {"one", "一个"})])
def test_counts_are_mostly_more_than_one(kind, one):
    rng = random.Random(2)
    answers = [question_turn(kind, rng).answer for _ in range(200)]
    assert 40 < sum(answer in one for answer in answers) < 100


def test_facts_are_asked_too():
    turns = [question_turn("fact", random.Random(seed)) for seed in range(5)]
    assert {turn.kind for turn in turns} == {"fact"}


def test_brief_sequences_hold_filled_slots_and_one_for_an_empty_frame(writer):
    rng = random.Random(3)
    clip = random_clip(rng, 6)
    while clip.event != "appears":
        clip = random_clip(rng, 6)
    brief, full = Sequence_(), Sequence_()
    turn = Turn(kind="event", lang="en", question="what happens", answer="it appears", clip=clip)
    write_symbolic(writer, brief, turn, True, random.Random(0), brief=True)
    write_symbolic(writer, full, turn, True, random.Random(0))
    assert [len(labels) for _, labels in brief.slots] == [1] * 6
    for (_, labels), frame in zip(brief.slots, clip.frames, strict=True):
        expected = slot_labels(frame)
        assert (labels == (expected[expected[:, 0] > 0] if frame.things else expected[:1])).all()
    assert len(full.ids) - len(brief.ids) == sum(len(labels) - 1 for _, labels in full.slots)
    assert [i for i in brief.labels if i != IGNORE_LABEL] == [i for i in full.labels if i != IGNORE_LABEL]


def test_batches_go_through_the_lessons_by_step(writer):
    lessons = (Lesson(share=0.5, kinds={"sum": 1.0}, batch=3), Lesson(share=0.5, kinds={"clip": 1.0}, batch=1))
    batches = CurriculumBatches(writer, seed=0, steps=20, batch_size=4, lessons=lessons)
    for step in (0, 9):
        assert "slots" not in batches(step)
        assert len(batches(step)["ids"]) == 12
    for step in (10, 19, 25):
        assert "slots" in batches(step)
        assert len(batches(step)["ids"]) == 4


def test_the_same_step_gives_the_same_batch(writer):
    one, two = (CurriculumBatches(writer, seed=1, steps=40, batch_size=2) for _ in range(2))
    two(39)
    for step in (39, 0, 7, 12):
        first, second = one(step), two(step)
        assert first.keys() == second.keys()
        assert all(torch.equal(first[key], second[key]) for key in first)
    other = CurriculumBatches(writer, seed=2, steps=40, batch_size=2)(0)["ids"]
    assert not torch.equal(other, one(0)["ids"])


def test_a_lesson_mixes_in_the_whole_world(writer):
    rng = random.Random(0)
    made = [LessonSequences(writer, Lesson(share=1.0, kinds={"sum": 1.0}, whole=0.5))(rng) for _ in range(60)]
    assert 10 < sum(bool(sequence.sounds) for sequence in made) < 50
    heard = [
        LessonSequences(writer, Lesson(share=1.0, kinds={"where": 1.0}, spoken=0.5))(rng).sounds for _ in range(60)
    ]
    assert 10 < sum(map(bool, heard)) < 50
    only = [LessonSequences(writer, Lesson(share=1.0, kinds={"sum": 1.0}))(rng) for _ in range(20)]
    assert not any(sequence.sounds or sequence.slots for sequence in only)
