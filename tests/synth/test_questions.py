"""Facts, sums, small talk, print, charts and clips: the answers are worked out again, by other means."""

from __future__ import annotations

import ast
import keyword
import random
import re
from collections.abc import Callable

import pytest

from tests.synth import phrasings
from tests.synth.test_scenes import seen_event
from vita.synth import picture_phrases
from vita.synth.grammar import tidy
from vita.synth.questions import (
    LONG_KINDS,
    SMALL_TALK,
    TASKS,
    chart_code,
    chart_question,
    clip_question,
    decorate,
    fact,
    long_answer,
    picture_turn,
    print_question,
    small_talk,
    sum_,
    sum_value,
)
from vita.synth.scenes import Scene, random_clip, random_scene
from vita.synth.turns import Turn
from vita.synth.world import texts, world

WORDS = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
]  # fmt: skip
DIGITS_ZH = "零一二三四五六七八九"
COLOURS = {"red": "红色", "green": "绿色", "blue": "蓝色", "yellow": "黄色", "purple": "紫色", "orange": "橙色"}
SHAPES = {"circle": "圆形", "square": "正方形", "triangle": "三角形", "star": "星形", "cross": "十字"}
EVENTS = {
    "appears": ("it appears", "它出现了"),
    "disappears": ("it disappears", "它消失了"),
    "changes": ("it changes color", "它变色了"),
}
DIRECTIONS = {"left": "向左", "right": "向右", "up": "向上", "down": "向下"}


def draw(make: Callable[[random.Random, str], Turn], lang: str, count: int = 400, seed: int = 5) -> list[Turn]:
    rng = random.Random(seed)
    return [make(rng, lang) for _ in range(count)]


def numbers_in(question: str, lang: str) -> list[int]:
    """The numbers that a question speaks of, in order."""
    if lang == "en":
        found = re.findall(rf"\d+|\b(?:{'|'.join(WORDS)})\b", question)
        return [int(text) if text.isdigit() else WORDS.index(text) for text in found]
    for other in ("一共", "一起", "一下", "算一算"):
        question = question.replace(other, "#")
    return [value_zh(text) for text in re.findall(rf"\d+|[{DIGITS_ZH}十]+", question)]


def value_zh(text: str) -> int:
    if text.isdigit() and text.isascii():
        return int(text)
    tens, ten, ones = text.rpartition("十")
    if not ten:
        return DIGITS_ZH.index(text)
    return 10 * (DIGITS_ZH.index(tens) if tens else 1) + (DIGITS_ZH.index(ones) if ones else 0)


def word(value: int, lang: str) -> str:
    if lang == "en":
        return WORDS[value]
    tens, ones = divmod(value, 10)
    return (["", "十", "二十"][tens] + (DIGITS_ZH[ones] if ones or not tens else "")) or "零"


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_sums(lang: str) -> None:
    turns, operations = draw(sum_, lang, 1500), set()
    for turn in turns:
        a, b = numbers_in(turn.question, lang)
        minus = bool(re.search(r"minus|take away|subtract|减|-", turn.question))
        if minus and turn.question.startswith("subtract"):
            a, b = b, a
        assert turn.answer == word(a - b if minus else a + b, lang), turn.question
        assert "=等于" not in turn.question
        operations.add(minus)
    assert operations == {True, False}
    assert {turn.answer for turn in turns} == {word(value, lang) for value in range(21)}


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_facts(lang: str) -> None:
    known = phrasings.facts_in_training(lang)
    answers = {entry["id"]: entry[lang]["answer"] for entry in world()["facts"]}
    turns = draw(fact, lang, 1500)
    for turn in turns:
        assert {answers[name] for name in known[turn.question]} == {turn.answer}, turn.question
    assert {turn.answer for turn in turns} == set(answers.values())


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_no_phrasing_asks_for_two_facts(lang: str) -> None:
    answers = {entry["id"]: entry[lang]["answer"] for entry in world()["facts"]}
    doubtful = {
        question: names
        for question, names in phrasings.facts_in_training(lang).items()
        if len({answers[name] for name in names}) > 1
    }
    assert doubtful == {}
    assert len(answers) == len(texts("facts")) == 60


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_small_talk_and_long_answers(lang: str) -> None:
    table = texts("small_talk")[lang]
    for turn in draw(small_talk, lang):
        assert turn.question in table[turn.kind]["ask"]
        assert turn.answer == table[turn.kind]["answer"][0]
    stories = {ask: title["text"] for title in table["story"]["titles"] for ask in title["ask"]}
    stories |= dict.fromkeys(table["story"]["ask"], table["story"]["titles"][0]["text"])
    turns = draw(long_answer, lang)
    for turn in turns:
        wanted = stories[turn.question] if turn.kind == "story" else table[turn.kind]["answer"][0]
        assert turn.answer == wanted
    assert {turn.kind for turn in turns} == set(LONG_KINDS)
    assert {turn.kind for turn in draw(small_talk, lang)} == {*SMALL_TALK, "stop"}
    assert {turn.answer for turn in turns if turn.kind == "story"} == {t["text"] for t in table["story"]["titles"]}


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_no_small_talk_means_two_things(lang: str) -> None:
    table = texts("small_talk")[lang]
    asked = [q for kind in (*SMALL_TALK, "stop", *LONG_KINDS) for q in set(table[kind]["ask"])]
    asked += [q for title in table["story"]["titles"] for q in set(title["ask"])]
    assert len(asked) == len(set(asked))


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_print_is_read_as_it_stands_and_sums_are_worked_out(lang: str) -> None:
    rng, seen = random.Random(3), set()
    for _ in range(400):
        scene = random_scene(rng, rng.choice(("text", "sum")))
        turn = print_question(scene, rng, lang)
        seen.add((scene.kind, turn.kind))
        assert turn.question in phrasings.all_of(picture_phrases.PICTURE[turn.kind][lang])
        if turn.kind == "read":
            assert (turn.answer, turn.spell) == (scene.text, True)
        else:
            a, sign, b = re.fullmatch(r"(\d+) ?([+-]) ?(\d+)(?: ?=(?: ?\?)?)?", scene.text).groups()  # type: ignore[union-attr]
            value = int(a) + int(b) if sign == "+" else int(a) - int(b)
            assert (turn.answer, turn.spell) == (word(value, lang), False)
            assert 0 <= value <= 20
    assert seen == {("text", "read"), ("sum", "read"), ("sum", "result")}


@pytest.mark.parametrize(
    ("text", "value"), [("3+4", 7), ("12-5", 7), ("0+0=", 0), ("3 + 4", 7), ("20-20", 0), ("7+8=?", 15)]
)
def test_sum_value(text: str, value: int) -> None:
    assert sum_value(text) == value


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_charts(lang: str) -> None:
    rng, kinds = random.Random(4), set()
    after = phrasings.all_of(picture_phrases.PICTURE["next_box"][lang])
    for _ in range(400):
        scene = random_scene(rng, "chart")
        turn = chart_question(scene, rng, lang)
        kinds.add(turn.kind)
        assert turn.spell
        if turn.kind == "next_box":
            asked = [box for box in scene.boxes if any(turn.question == tidy(a.replace("<label>", box)) for a in after)]
            assert len(asked) == 1, turn.question
            assert turn.answer == scene.boxes[scene.boxes.index(asked[0]) + 1]
        elif turn.kind == "describe":
            assert turn.answer.split(" then " if lang == "en" else "，然后") == list(scene.boxes)
        elif turn.kind == "code":
            assert turn.answer == chart_code(scene.boxes)
        else:
            assert turn.answer == scene.boxes[{"first_box": 0, "last_box": -1}[turn.kind]]
    assert kinds == {"next_box", "first_box", "last_box", "describe", "code"}


def test_the_code_of_a_chart_is_python_that_calls_the_boxes_in_order() -> None:
    rng = random.Random(5)
    for boxes in [("in", "try"), *(random_scene(rng, "chart").boxes for _ in range(200))]:
        (function,) = ast.parse(chart_code(boxes)).body
        assert isinstance(function, ast.FunctionDef)
        called = [ast.unparse(line) for line in function.body]
        assert called == [f"{'step' if box.isdigit() or keyword.iskeyword(box) else ''}{box}()" for box in boxes]
        assert 3 <= len(chart_code(boxes).split("\n")) <= 5


def right_clip_answer(turn: Turn) -> str:
    clip, lang = turn.clip, turn.lang
    assert clip is not None
    shown = [frame.things[0] for frame in clip.frames if frame.things]
    event = seen_event(clip)
    if turn.kind == "direction":
        return event if lang == "en" else DIRECTIONS[event]
    if turn.kind == "event":
        if event in DIRECTIONS:
            return f"it moves {event}" if lang == "en" else f"它{DIRECTIONS[event]}移动"
        return EVENTS[event][lang == "zh"]
    if turn.kind == "clip_shape":
        return shown[0].shape if lang == "en" else SHAPES[shown[0].shape]
    colour = shown[{"final_colour": -1, "clip_colour": 0}[turn.kind]].colour
    return colour if lang == "en" else COLOURS[colour]


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_clips(lang: str) -> None:
    rng = random.Random(6)
    turns = [clip_question(random_clip(rng), rng, lang) for _ in range(600)]
    assert [(t.question, t.answer) for t in turns] == [(t.question, right_clip_answer(t)) for t in turns]
    assert {t.kind for t in turns} == {"direction", "event", "clip_shape", "final_colour", "clip_colour"}
    for turn in turns:
        assert turn.clip is not None
        patterns = {name: rf"\b{name}\b" if lang == "en" else chinese for name, chinese in SHAPES.items()}
        shapes = [name for name, pattern in patterns.items() if re.search(pattern, turn.question)]
        assert shapes in ([], [turn.clip.shape])


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_decoration_leaves_the_question_whole(lang: str) -> None:
    rng, ways = random.Random(7), texts("lead_ins")[lang]
    question, space = ("where is it", " ") if lang == "en" else ("它在哪里", "")
    drawn = [decorate(question, lang, rng) for _ in range(3000)]
    before, after = ([text.split(question)[side] for text in drawn] for side in (0, 1))
    assert set(before) <= {"", *(tidy(b) + space for b in ways["before"])}
    assert set(after) <= {"", *(space + tidy(a) for a in ways["after"])}
    shares = [sum(map(bool, side)) / len(drawn) for side in (before, after)]
    assert shares == pytest.approx([0.18, 0.06], abs=0.03)


def test_a_picture_turn_asks_about_the_picture_given() -> None:
    scene = Scene(kind="text", text="stop")
    turn = picture_turn(random.Random(0), "en", scene)
    assert (turn.scene, turn.answer, turn.kind) == (scene, "stop", "read")


@pytest.mark.parametrize("task", TASKS)
def test_the_same_seed_gives_the_same_turns(task: str) -> None:
    first, again = (draw(TASKS[task], "zh", 30) for _ in range(2))
    assert first == again
    assert len({turn.question for turn in first}) > 10
    assert all(turn.lang == "zh" and turn.answer and not turn.noise for turn in first)
