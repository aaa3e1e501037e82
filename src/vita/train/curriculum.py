"""The order in which stage 1 learns: few kinds of question first, on short sequences, then everything.

From the whole mixture at once the small language model stays near chance on pictures for tens of thousands of turns: it
does not find that a word of the question points at the slot that holds its class. With three kinds of question it finds
it within some hundred steps, and every later kind builds on it. Called by `vita.train.stages`.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from vita.synth.questions import chart_question, clip_turn, decorate, fact, picture_turn, sum_
from vita.synth.scenes import Scene, random_scene, random_things
from vita.synth.shape_questions import SHAPE_QUESTIONS, shape_question
from vita.synth.speech_set import spoken_form
from vita.synth.turns import Turn, counted
from vita.synth.world import LANGUAGES
from vita.train.instruct import SequenceBatches
from vita.train.samples import Sequence_, TurnWriter, symbolic_sequence, typed_form, write_symbolic

FIRST = {"where": 3.0, "colour_of_shape": 2.0, "shape_of_colour": 2.0, "sum": 3.0}
SHAPES_AND_CLIPS = {
    **{"where": 2.0, "colour_of_shape": 1.0, "shape_of_colour": 1.0, "at_place": 1.0, "exists": 1.0, "only": 0.3},
    **{"count_all": 1.0, "count_shape": 1.0, "count_colour": 1.0, "describe": 0.7, "clip": 3.0, "sum": 3.0},
}
PRINT_TOO = {**SHAPES_AND_CLIPS, "printed_sum": 2.5, "print": 1.5, "chart": 2.5}
EVERYTHING = {
    **{"where": 2.0, "colour_of_shape": 1.0, "shape_of_colour": 1.0, "at_place": 1.0, "exists": 1.5, "only": 0.3},
    **{"count_all": 3.0, "count_shape": 6.0, "count_colour": 3.0, "describe": 1.5, "clip": 3.0, "sum": 3.0},
    **{"printed_sum": 3.0, "print": 1.5, "chart": 6.0, "next_box": 4.0},
}
CHARTS_MOST = {**EVERYTHING, "chart": 20.0, "next_box": 40.0}
_COUNTS = ("count_shape", "count_colour")
_SCENES = {"printed_sum": "sum", "print": "text", "chart": "chart"}


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """A part of stage 1.

    share: of the stage's steps.
    kinds: kind of question -> weight.
    spoken: share of these questions that are heard (simulated), not typed.
    brief: share of them whose pictures are without their empty slots.
    whole: share of sequences from the whole mixture (`symbolic_sequence`) instead.
    batch: how many times the stage's batch size; short sequences leave room.
    """

    share: float
    kinds: Mapping[str, float]
    spoken: float = 0.0
    brief: float = 1.0
    whole: float = 0.0
    batch: int = 2


LESSONS = (
    Lesson(share=0.1, kinds=FIRST),
    Lesson(share=0.1, kinds=SHAPES_AND_CLIPS),
    Lesson(share=0.15, kinds=PRINT_TOO),
    # what comes after a box is the hardest to find: a place that is named by the slot before it
    Lesson(share=0.15, kinds=CHARTS_MOST, spoken=0.1, brief=0.8, whole=0.08),
    Lesson(share=0.5, kinds=EVERYTHING, spoken=0.5, brief=0.3, whole=0.4, batch=1),
)


class CurriculumBatches:
    """Batches of stage 1 by step, lesson after lesson."""

    def __init__(
        self, writer: TurnWriter, *, seed: int, steps: int, batch_size: int, lessons: Sequence[Lesson] = LESSONS
    ) -> None:
        self.ends: list[int] = []
        self.batches: list[SequenceBatches] = []
        done = 0.0
        for number, lesson in enumerate(lessons):
            done += lesson.share
            self.ends.append(round(done * steps))
            self.batches.append(
                SequenceBatches(
                    LessonSequences(writer, lesson),
                    seed=seed,
                    name=f"lesson {number}",
                    batch_size=batch_size * lesson.batch,
                )
            )

    def __call__(self, step: int) -> dict[str, Tensor]:
        """The batch of a step; steps after the last lesson's end belong to it."""
        number = next((n for n, end in enumerate(self.ends) if step < end), len(self.ends) - 1)
        return self.batches[number](step)


class LessonSequences:
    """Draws the sequences of one lesson."""

    def __init__(self, writer: TurnWriter, lesson: Lesson) -> None:
        self.writer, self.lesson = writer, lesson

    def __call__(self, rng: random.Random) -> Sequence_:
        """One sequence."""
        if rng.random() < self.lesson.whole:
            return symbolic_sequence(self.writer, rng)
        kind = rng.choices(list(self.lesson.kinds), list(self.lesson.kinds.values()))[0]
        turn, sequence = question_turn(kind, rng), Sequence_()
        typed = rng.random() >= self.lesson.spoken
        form = typed_form(turn.question, turn.lang, rng) if typed else spoken_form(turn.question, turn.lang)
        brief = rng.random() < self.lesson.brief
        write_symbolic(self.writer, sequence, replace(turn, question=form), typed, rng, brief=brief)
        return sequence


def question_turn(kind: str, rng: random.Random) -> Turn:
    """A question of a kind of `SHAPE_QUESTIONS`, or fact, sum, clip, printed_sum, print, chart or next_box."""
    lang = rng.choice(LANGUAGES)
    if kind in SHAPE_QUESTIONS:
        turn = _shape_turn(kind, rng, lang)
    elif kind == "next_box":
        turn = _next_box_turn(rng, lang)
    elif kind in _SCENES:
        turn = picture_turn(rng, lang, random_scene(rng, _SCENES[kind]))
    else:
        turn = {"sum": sum_, "clip": clip_turn, "fact": fact}[kind](rng, lang)
    return replace(turn, question=decorate(turn.question, lang, rng))


def _shape_turn(kind: str, rng: random.Random, lang: str) -> Turn:
    """Of this kind, on a scene that can answer it; half as many counts end at one as by chance."""
    while True:
        turn = shape_question(Scene(kind="shapes", things=random_things(rng)), rng, lang, kind)
        too_easy = kind in _COUNTS and turn.answer == counted(1, lang) and rng.random() < 0.5
        if turn.kind == kind and not too_easy:
            return turn


def _next_box_turn(rng: random.Random, lang: str) -> Turn:
    """What comes after a box, of three or four; half of the charts are of words, whose spelling is learned from it."""
    of_words = rng.random() < 0.5
    while True:
        scene = random_scene(rng, "chart")
        if len(scene.boxes) > 2 and (len(scene.boxes[0]) > 1) == of_words:
            turn = chart_question(scene, rng, lang)
            if turn.kind == "next_box":
                return turn
