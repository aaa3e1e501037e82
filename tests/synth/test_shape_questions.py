"""Questions on pictures of shapes: the answer is worked out again, from the words of the question and the scene."""

from __future__ import annotations

import random
import re
from collections import Counter

import pytest

from vita.synth.scenes import Scene, Thing, random_things
from vita.synth.shape_questions import SHAPE_QUESTIONS, shape_question
from vita.synth.turns import Turn, article
from vita.tokens import State

SHAPES = {"circle": "圆形", "square": "正方形", "triangle": "三角形", "star": "星形", "cross": "十字"}
COLOURS = {"red": "红色", "green": "绿色", "blue": "蓝色", "yellow": "黄色", "purple": "紫色", "orange": "橙色"}
PLACES = [
    ("top left", "左上"), ("top", "上面"), ("top right", "右上"),
    ("left", "左边"), ("center", "中间"), ("right", "右边"),
    ("bottom left", "左下"), ("bottom", "下面"), ("bottom right", "右下"),
]  # fmt: skip
COUNTS = [("zero", "零个"), ("one", "一个"), ("two", "两个"), ("three", "三个"), ("four", "四个")]


def place_of(thing: Thing, lang: str) -> str:
    column = 0 if thing.x < 1 / 3 else 1 if thing.x < 2 / 3 else 2
    row = 0 if thing.y < 1 / 3 else 1 if thing.y < 2 / 3 else 2
    return PLACES[3 * row + column][lang == "zh"]


def mentioned(question: str, names: dict[str, str], lang: str) -> list[str]:
    """English names of what the question speaks of."""
    if lang == "zh":
        return [english for english, chinese in names.items() if chinese in question]
    return [english for english in names if re.search(rf"\b{english}(s|es)?\b", question)]


def meant(turn: Turn) -> list[Thing]:
    """The things that fit the shape and the colour of the question."""
    assert turn.scene is not None
    shapes, colours = (mentioned(turn.question, names, turn.lang) for names in (SHAPES, COLOURS))
    assert len(shapes) <= 1
    assert len(colours) <= 1
    assert shapes or colours, turn.question
    return [t for t in turn.scene.things if t.shape in (*shapes, t.shape)[:1] and t.colour in (*colours, t.colour)[:1]]


def only(things: list[Thing]) -> Thing:
    assert len(things) == 1, "the question fits several things"
    return things[0]


def named(names: dict[str, str], english: str, lang: str) -> str:
    return english if lang == "en" else names[english]


def right_answer(turn: Turn) -> str:
    assert turn.scene is not None
    things, lang, zh = turn.scene.things, turn.lang, turn.lang == "zh"
    if turn.kind == "colour_of_shape":
        return named(COLOURS, only(meant(turn)).colour, lang)
    if turn.kind == "shape_of_colour":
        return named(SHAPES, only(meant(turn)).shape, lang)
    if turn.kind == "count_all":
        assert not mentioned(turn.question, SHAPES, lang)
        assert not mentioned(turn.question, COLOURS, lang)
        return COUNTS[len(things)][zh]
    if turn.kind in ("count_shape", "count_colour"):
        return COUNTS[len(meant(turn))][zh]
    if turn.kind == "where":
        return place_of(only(meant(turn)), lang)
    if turn.kind == "exists":
        return {"en": ("no", "yes"), "zh": ("没有", "有")}[lang][bool(meant(turn))]
    if turn.kind == "only":
        thing = only(list(things))
        asks_colour = "颜色" in turn.question or re.search(r"\bcolou?r\b", turn.question)
        return named(COLOURS, thing.colour, lang) if asks_colour else named(SHAPES, thing.shape, lang)
    if turn.kind == "at_place":
        places = [place[zh] for place in PLACES if place[zh] in turn.question]
        return whole_name(only([t for t in things if place_of(t, lang) == max(places, key=len)]), lang)
    assert turn.kind == "describe"
    parts = turn.answer.split("，" if zh else " and ")
    wanted = [
        f"{place_of(t, lang)}有{whole_name(t, lang)}" if zh else f"{whole_name(t, lang)} at the {place_of(t, lang)}"
        for t in things
    ]
    assert sorted(parts) == sorted(wanted)
    return turn.answer


def whole_name(thing: Thing, lang: str) -> str:
    if lang == "zh":
        return f"{COLOURS[thing.colour]}的{SHAPES[thing.shape]}"
    return f"{'an' if thing.colour == 'orange' else 'a'} {thing.colour} {thing.shape}"


@pytest.fixture(scope="module")
def turns() -> list[Turn]:
    rng = random.Random(11)
    scenes = [Scene(kind="shapes", things=random_things(rng)) for _ in range(250)]
    return [
        shape_question(scene, rng, lang, kind) for scene in scenes for lang in ("en", "zh") for kind in SHAPE_QUESTIONS
    ]


@pytest.mark.parametrize("kind", SHAPE_QUESTIONS)
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_answers_are_right(turns: list[Turn], kind: str, lang: str) -> None:
    asked = [turn for turn in turns if (turn.kind, turn.lang) == (kind, lang)]
    assert len(asked) > 20
    assert [(t.question, t.answer) for t in asked] == [(t.question, right_answer(t)) for t in asked]
    assert len({t.question for t in asked}) > 8
    assert len({t.answer for t in asked}) > 1


def test_questions_are_clean_text(turns: list[Turn]) -> None:
    for turn in turns:
        assert re.fullmatch(r"[a-z' ]+" if turn.lang == "en" else r"[\u4e00-\u9fff]+", turn.question), turn.question
        assert turn.question == turn.question.strip()
        assert "  " not in turn.question


def test_a_question_that_the_scene_leaves_in_doubt_is_not_asked() -> None:
    """Two circles, of one colour and in one place: no question may be about "the circle"."""
    twins = tuple(Thing(shape="circle", colour="red", x=x, y=0.1, size=0.1) for x in (0.1, 0.25))
    rng = random.Random(1)
    asked = Counter(shape_question(Scene(kind="shapes", things=twins), rng, "en").kind for _ in range(300))
    assert set(asked) == {"count_all", "count_shape", "count_colour", "exists", "describe"}


def test_a_thing_among_its_like_is_asked_for_by_what_sets_it_apart() -> None:
    things = (
        Thing(shape="circle", colour="red", x=0.1, y=0.1, size=0.1),
        Thing(shape="circle", colour="blue", x=0.9, y=0.9, size=0.1),
        Thing(shape="star", colour="blue", x=0.5, y=0.5, size=0.1),
    )
    rng = random.Random(2)
    for _ in range(200):
        turn = shape_question(Scene(kind="shapes", things=things), rng, "en", "where")
        if turn.kind == "where":
            assert only(meant(turn)) in things
            assert turn.answer == place_of(only(meant(turn)), "en")


def test_state_says_how_it_was_asked() -> None:
    turn = Turn(kind="where", lang="en", question="where", answer="top")
    assert (turn.state(spoken=False), turn.state(spoken=True)) == (State.TYPED_QUERY, State.SPOKEN_QUERY)
    noise = Turn(kind="side_talk", lang="en", question="mum", answer="", noise=True)
    assert noise.state(spoken=True) is State.NOISE


@pytest.mark.parametrize(("name", "told"), [("red circle", "a red circle"), ("orange star", "an orange star")])
def test_article(name: str, told: str) -> None:
    assert (article(name, "en"), article("橙色的星形", "zh")) == (told, "橙色的星形")
