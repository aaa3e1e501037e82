"""Scoring and the tables of `vita eval pocket`."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from vita import evaluate
from vita.api import Answer, Question
from vita.chat.messages import Audio, Image, Text, Video
from vita.engine.protocol import Usage
from vita.errors import ConfigError
from vita.evaluate import pocket
from vita.evaluate.pocket import MUST, Row, ask_all, matches, render_table, table
from vita.evaluate.pocket_cases import Case, cases
from vita.tokens import State


def case(kind: str, answer: str, lang: str = "en", group: str = "g", state: State = State.TYPED_QUERY) -> Case:
    return Case(group=group, kind=kind, lang=lang, answer=answer, state=state, question="?")


def answer(text: str = "", state: State = State.TYPED_QUERY) -> Answer:
    usage = Usage(prompt_tokens=1, image_tokens=0, audio_tokens=0, completion_tokens=1)
    return Answer(state=state, text=text, usage=usage, timing_ms={})


@pytest.mark.parametrize(
    ("kind", "lang", "wanted", "given", "right"),
    [
        ("fact", "en", "the blue whale", "The blue whale.", True),
        ("fact", "en", "the blue whale", "it is a blue whale", True),
        ("fact", "en", "the blue whale", "the whale", False),
        ("fact", "en", "gold", "golden", False),
        ("fact", "en", "h2o", "H2O!", True),
        ("fact", "zh", "蓝鲸", "是蓝鲸。", True),
        ("fact", "zh", "蓝鲸", "长颈鹿", False),
        ("fact", "en", "the nile", "", False),
        ("sum", "en", "seven", "seven", True),
        ("sum", "en", "seven", "seventeen", False),
        ("sum", "en", "seven", "it is seven", False),
        ("sum", "zh", "七", "十七", False),
        ("where", "en", "top", "top left", False),
        ("where", "en", "top left", "Top left.", True),
        ("where", "zh", "左上", "左上", True),
        ("exists", "zh", "有", "没有", False),
        ("exists", "zh", "没有", "没有。", True),
        ("exists", "en", "no", "no", True),
        ("count_shape", "zh", "两个", "两个", True),
        ("count_all", "en", "one", "one two", False),
        ("colour_of_shape", "en", "red", "it is red", True),
        ("colour_of_shape", "en", "red", "colored", False),
        ("shape_of_colour", "en", "star", "start", False),
        ("direction", "en", "up", "it moves up", True),
        ("direction", "en", "up", "upwards", False),
        ("event", "zh", "它向左移动", "它向左移动。", True),
        ("event", "en", "it appears", "it disappears", False),
        ("read", "en", "open 24", "OPEN 24", True),
        ("read", "en", "open", "open 24", False),
        ("read", "en", "12", "1 2", False),
        ("next_box", "en", "b", "box b", False),
    ],
)
def test_matches(kind: str, lang: str, wanted: str, given: str, right: bool) -> None:
    assert matches(case(kind, wanted, lang), given) is right


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_long_answers_match_from_the_start_on(lang: str) -> None:
    story = "once upon a time there was a fox and it ran" if lang == "en" else "从前有一只狐狸它跑得很快很快很快"
    asked = case("story", f"{'x' * 40} | {story}", lang)
    assert matches(asked, story)
    assert matches(asked, "x" * 40)
    assert matches(asked, story[:-1])
    assert not matches(asked, story[: len(story) // 2])
    assert not matches(asked, "y" + story)
    assert not matches(asked, "")


def test_the_table_counts_states_answers_and_joined_rows() -> None:
    spoken, noise = State.SPOKEN_QUERY, State.NOISE
    asked = [
        case("fact", "gold", group="typed facts"),
        case("fact", "gold", group="typed facts"),
        case("where", "top", group="typed picture: where"),
        case("read", "go", group="typed print: read"),
        case("fact", "gold", group="spoken facts", state=spoken),
        case("fact", "gold", group="spoken facts", state=spoken),
        case("fact", "gold", group="spoken facts, 10 dB", state=spoken),
        case("side_talk", "", group="side talk", state=noise),
        case("side_talk", "", group="side talk", state=noise),
        case("fact", "金", "zh", group="typed facts"),
    ]
    given = [
        answer("gold"), answer("gold", spoken), answer("top"), answer("stop"), answer("silver", spoken),
        answer("", noise), answer("", noise), answer("", noise), answer("gold", spoken), answer("金子"),
    ]  # fmt: skip
    rows = {(row.name, row.lang): (row.share, row.count) for row in table(asked, given)}
    assert rows == {
        ("typed facts", "en"): (0.5, 2),
        ("typed query recognised", "en"): (0.75, 4),
        ("typed picture: where", "en"): (1.0, 1),
        ("typed pictures", "en"): (1.0, 1),
        ("typed print: read", "en"): (0.0, 1),
        ("typed print", "en"): (0.0, 1),
        ("spoken facts", "en"): (0.0, 2),
        ("spoken query recognised", "en"): (0.5, 2),
        ("spoken facts, 10 dB", "en"): (0.0, 1),
        ("side talk silent", "en"): (0.5, 2),
        ("typed facts", "zh"): (1.0, 1),
        ("typed query recognised", "zh"): (1.0, 1),
    }


def test_the_table_is_printed_against_the_bars() -> None:
    rows = [Row("typed facts", "en", 0.5, 2), Row("typed facts", "zh", 1.0, 3), Row("other", "en", 0.25, 4)]
    assert render_table(rows).splitlines() == [
        "| group | en | zh | must | cases |",
        "|---|---|---|---|---|",
        "| typed facts | 0.500 | 1.000 | 0.97 | 5 |",
        "| other | 0.250 | - | - | 4 |",
    ]


BARS = {
    "typed facts": 0.97, "typed sums": 0.93, "typed pictures": 0.90, "typed print": 0.80, "typed clips": 0.92,
    "spoken facts": 0.85, "spoken sums": 0.75, "spoken pictures": 0.75, "spoken clips": 0.80,
    "spoken query recognised": 0.98, "typed long": 0.95, "spoken long": 0.80, "side talk silent": 0.93,
    "sounds silent": 0.98, "typed query recognised": 1.0,
    **dict.fromkeys([
        f"typed picture: {kind}" for kind in
        ("colour_of_shape", "shape_of_colour", "count_all", "count_shape", "count_colour", "where", "exists")
    ], 0.80),
}  # fmt: skip
REPORTED = {"spoken facts, 10 dB", "spoken sums, 10 dB", "spoken pictures, 10 dB", "spoken clips, 10 dB"}


def content(question: Question) -> str:
    """What sets a question apart."""
    parts = question.messages[0].parts
    return " ".join(
        p.text if isinstance(p, Text) else str(p.samples.sum()) for p in parts if isinstance(p, Text | Audio)
    )


class Scripted:
    """Answers with the question itself, and keeps what it was asked."""

    def __init__(self) -> None:
        self.questions: list[Question] = []

    def ask_many(self, questions: Sequence[Question], **sampling: Any) -> list[Answer]:
        assert 1 <= len(questions) <= pocket.BATCH
        self.questions += questions
        return [answer(content(question)) for question in questions]


@pytest.fixture(scope="module")
def asked() -> list[Case]:
    return list(cases(1))


def test_the_cases_cover_every_row_with_a_bar(asked: list[Case]) -> None:
    """Each row of the pocket world's bars that this machine can measure, in both languages."""
    rows = table(asked, [answer(c.answer.split(" | ")[0], c.state) for c in asked])
    found = {(row.name, row.lang) for row in rows}
    assert MUST == BARS
    assert found >= {(name, lang) for name in (*BARS, *REPORTED) for lang in ("en", "zh")}
    assert [row for row in rows if row.share != 1.0] == []


def test_questions_carry_what_the_case_shows_and_says(asked: list[Case]) -> None:
    for one in asked:
        kinds = [type(part) for part in pocket.question(one).messages[0].parts]
        wanted = [
            kind
            for kind, value in ((Image, one.image), (Video, one.clip), (Audio, one.audio), (Text, one.question))
            if value is not None
        ]
        assert kinds == wanted
        assert (Text in kinds) != (Audio in kinds)


def test_answers_come_back_in_the_order_of_the_cases(asked: list[Case]) -> None:
    assistant = Scripted()
    many = asked * 2
    given = ask_all(assistant, many)  # type: ignore[arg-type]
    assert [one.text for one in given] == [content(pocket.question(one)) for one in many]
    assert len(assistant.questions) == len(many) > 80
    spoken = [bool(q.messages[0].media and isinstance(q.messages[0].media[-1], Audio)) for q in assistant.questions]
    # like ones are asked together: the kind of question changes only a few times
    assert sum(a != b for a, b in itertools.pairwise(spoken)) <= 4


def test_a_run_prints_the_table_and_writes_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], asked: list[Case]
) -> None:
    counts: list[int] = []

    def few(count: int) -> list[Case]:
        counts.append(count)
        return asked[:4]

    monkeypatch.setattr(pocket, "load", lambda model, **options: Scripted())
    monkeypatch.setattr(pocket, "cases", few)
    evaluate.run("pocket", limit=3, out=str(tmp_path / "t.json"))
    out, err = capsys.readouterr()
    assert out.startswith("| group | en | zh | must | cases |")
    assert "4 cases" in err
    rows = json.loads((tmp_path / "t.json").read_text())
    assert set(rows[0]) == {"name", "lang", "share", "count"}
    evaluate.run("pocket")
    assert counts == [3, 60]


def test_mistakes() -> None:
    with pytest.raises(ConfigError, match=r"unknown evaluation .*got world, expected pocket"):
        evaluate.run("world")
    with pytest.raises(ConfigError, match=r"limit out of range \(got 0, expected at least 1\)"):
        evaluate.run("pocket", limit=0)
