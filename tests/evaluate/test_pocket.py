"""Scoring and the tables of `vita eval pocket`."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from vita import evaluate
from vita.api import Answer, Question
from vita.chat.messages import Audio, Image, Text, Video
from vita.engine.protocol import Usage
from vita.evaluate import pocket
from vita.evaluate.measuring import Settings
from vita.evaluate.pocket import MUST, marks, matches, score, sections
from vita.evaluate.pocket_cases import Case, cases
from vita.evaluate.report import markdown_table
from vita.evaluate.rows import read_rows
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
    found = marks([score(one, reply) for one, reply in zip(asked, given, strict=True)])
    assert {key: (sum(right), len(right)) for key, right in found.items()} == {
        ("typed facts", "en"): (1, 2),
        ("typed query recognised", "en"): (3, 4),
        ("typed picture: where", "en"): (1, 1),
        ("typed pictures", "en"): (1, 1),
        ("typed print: read", "en"): (0, 1),
        ("typed print", "en"): (0, 1),
        ("spoken facts", "en"): (0, 2),
        ("spoken query recognised", "en"): (1, 2),
        ("spoken facts, 10 dB", "en"): (0, 1),
        ("side talk silent", "en"): (1, 2),
        ("typed facts", "zh"): (1, 1),
        ("typed query recognised", "zh"): (1, 1),
    }


def test_the_table_is_printed_against_the_bars() -> None:
    rows = [score(case("fact", "gold", group="typed facts"), answer(text)) for text in ("gold", "lead")]
    rows += [score(case("fact", "金", "zh", group="typed facts"), answer("金"))] * 3
    (section,) = sections(rows)
    assert markdown_table(section.tables[0]).splitlines() == [
        "| group | en | zh | must | cases |",
        "|---|---|---|---|---|",
        "| typed facts | 0.500 [0.095, 0.905] | 1.000 [0.439, 1.000] | 0.97 | 5 |",
        "| typed query recognised | 1.000 [0.342, 1.000] | 1.000 [0.439, 1.000] | 1.00 | 5 |",
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
REPORTED = {
    "at place, typed", "description, typed", "chart as code, typed", "backchannels, spoken silent",
    "spoken facts, 10 dB", "spoken sums, 10 dB", "spoken pictures, 10 dB", "spoken clips, 10 dB",
}  # fmt: skip


def content(question: Question) -> str:
    """What sets a question apart."""
    parts = question.messages[0].parts
    return " ".join(
        p.text if isinstance(p, Text) else str(p.samples.sum()) for p in parts if isinstance(p, Text | Audio)
    )


class Scripted:
    """Answers with the question itself, and keeps what it was asked."""

    engine = None

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
    found = marks([score(one, answer(one.answer.split(" | ")[0], one.state)) for one in asked])
    assert MUST == BARS
    assert set(found) >= {(name, lang) for name in (*BARS, *REPORTED) for lang in ("en", "zh")}
    assert [key for key, right in found.items() if not all(right)] == []
    wrong = marks([score(one, answer("", State.NOISE)) for one in asked if one.state is not State.NOISE])
    assert not any(any(right) for right in wrong.values())


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


def test_a_run_prints_the_table_keeps_its_rows_and_writes_the_report(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], asked: list[Case]
) -> None:
    counts: list[int] = []
    assistant = Scripted()

    def known(count: int) -> list[Case]:
        counts.append(count)
        return asked

    monkeypatch.setattr("vita.evaluate.measuring.load", lambda model, **options: assistant)
    monkeypatch.setattr(pocket, "cases", known)
    evaluate.run(["pocket"], Settings(limit=3, out=tmp_path))
    out, err = capsys.readouterr()
    assert "| group | en | zh | must | cases |" in out
    assert f"{len(asked)} cases" in err
    rows = read_rows(tmp_path / "pocket" / "rows.jsonl")
    assert {row.case: row.detail["answer"] for row in rows} == {
        one.name: content(pocket.question(one)) for one in asked
    }
    # like ones are asked together: the kind of question changes only a few times
    spoken = [bool(q.messages[0].media and isinstance(q.messages[0].media[-1], Audio)) for q in assistant.questions]
    assert sum(a != b for a, b in itertools.pairwise(spoken)) <= 12
    assert (tmp_path / "report.html").exists()
    evaluate.run(["pocket"], Settings(out=tmp_path))
    assert counts == [3, 60]
    assert len(assistant.questions) == len(asked)  # nothing was asked again
