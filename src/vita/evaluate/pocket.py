"""`vita eval pocket`: the tables of the pocket model against its bars."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

from vita.api import Answer, Assistant, Question
from vita.chat.messages import Audio, Image, Message, Part, Text, Video
from vita.evaluate.measuring import Run
from vita.evaluate.pocket_cases import GROUPS, PICTURE_KINDS, Case, cases
from vita.evaluate.rows import Row
from vita.evaluate.statistics import wilson
from vita.evaluate.tables import Cell, Chart, Figure, Section, Series, Table
from vita.synth.questions import LONG_KINDS
from vita.synth.world import LANGUAGES
from vita.tokens import State

BATCH = 16
MUST = {
    "typed facts": 0.97,
    "typed sums": 0.93,
    "typed pictures": 0.90,
    "typed print": 0.80,
    "typed clips": 0.92,
    "typed long": 0.95,
    "spoken facts": 0.85,
    "spoken sums": 0.75,
    "spoken pictures": 0.75,
    "spoken clips": 0.80,
    "spoken long": 0.80,
    "spoken query recognised": 0.98,
    "typed query recognised": 1.0,
    "side talk silent": 0.93,
    "sounds silent": 0.98,
    **{f"typed picture: {kind}": 0.80 for kind in PICTURE_KINDS},
}
EXACT_KINDS = frozenset(
    {"sum", "count_all", "count_shape", "count_colour", "where", "exists", "read", "result", "next_box", "code"}
)
"""Kinds of question whose answer must be exact: "top" is no part of "top left", nor 有 of 没有."""


VARIANT = ", "
"""In the name of a group that is only reported: in noise, or by a voice of another engine."""
_ORDER = {name: number for number, name in enumerate(GROUPS)}
_ARTICLE = re.compile(r"^(the|an|a) ")


def matches(case: Case, text: str) -> bool:
    """Whether an answer is right: the key words, or the exact answer for counts, sums, places, yes/no and print."""
    given, wanted = _plain(text), _plain(case.answer)
    if case.kind in LONG_KINDS:
        # spaces do not count: between Chinese characters none is written
        options = [_plain(option).replace(" ", "") for option in case.answer.split(" | ")]
        return any(_prefix_share(given.replace(" ", ""), option) > 0.9 for option in options)
    if case.kind in EXACT_KINDS or not wanted:
        return given == wanted
    if case.lang == "en":
        return f" {_ARTICLE.sub('', wanted)} " in f" {given} "
    return wanted in given


def _plain(text: str) -> str:
    """Lower case, single spaces, without punctuation."""
    return " ".join("".join(c if c.isalnum() or c in "+-=" else " " for c in text.lower()).split())


def _prefix_share(given: str, wanted: str) -> float:
    """How far two texts agree from the start on, as a share of the longer one."""
    same = next(
        (i for i, (a, b) in enumerate(zip(given, wanted, strict=False)) if a != b), min(len(given), len(wanted))
    )
    return same / max(len(given), len(wanted), 1)


def question(case: Case) -> Question:
    """The case as a message."""
    parts: list[Part] = []
    if case.image is not None:
        parts.append(Image(case.image))
    if case.clip is not None:
        parts.append(Video(case.clip))
    if case.audio is not None:
        parts.append(Audio(case.audio))
    if case.question is not None:
        parts.append(Text(case.question))
    return Question((Message("user", tuple(parts)),))


def measure(run: Run) -> list[Row]:
    """Ask every case of the test split."""
    asked = list(cases(run.settings.limit or 60))
    asked.sort(key=lambda case: (case.group, case.lang))  # like ones are asked together
    run.say(f"{len(asked)} cases")
    return run.measure(asked, lambda case: case.name, lambda batch: ask(run.assistant, batch), batch=BATCH)


def ask(assistant: Assistant, asked: Sequence[Case]) -> list[Row]:
    """Cases asked at once, and scored."""
    answers = assistant.ask_many([question(case) for case in asked], batch_size=BATCH, max_new_tokens=160)
    return [score(case, answer) for case, answer in zip(asked, answers, strict=True)]


def score(case: Case, answer: Answer) -> Row:
    """Whether the answer is right, and whether the state is."""
    is_recognised = answer.state is case.state
    detail = {
        "asked": case.question or case.said, "wanted": case.answer, "answer": answer.text, "state": answer.state.value,
    }  # fmt: skip
    scores = {
        "right": is_recognised and (case.state is State.NOISE or matches(case, answer.text)),
        "recognised": is_recognised,
    }
    detail |= {"kind": {State.NOISE: "noise", State.TYPED_QUERY: "typed", State.SPOKEN_QUERY: "spoken"}[case.state]}
    return Row(task="pocket", case=case.name, group=case.group, lang=case.lang, scores=scores, detail=detail)


def marks(rows: Sequence[Row]) -> dict[tuple[str, str], list[bool]]:
    """Right or wrong by line of the table and language: every group, and the lines that join several."""
    found: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: _ORDER.get(row.group, len(_ORDER))):
        right, kind = bool(row.scores["right"]), row.detail["kind"]
        if kind == "noise":
            found[f"{row.group} silent", row.lang].append(right)
            continue
        found[row.group, row.lang].append(right)
        if VARIANT not in row.group:
            found[f"{kind} query recognised", row.lang].append(bool(row.scores["recognised"]))
        for joined, prefix in (("typed pictures", "typed picture: "), ("typed print", "typed print: ")):
            if row.group.startswith(prefix):
                found[joined, row.lang].append(right)
    return found


def sections(rows: Sequence[Row]) -> list[Section]:
    """The table against the bars, and the same as bars with intervals."""
    found = marks(rows)
    names = list(dict.fromkeys(name for name, _ in found))
    lines: list[list[Cell]] = []
    for name in names:
        mine = [found.get((name, lang), []) for lang in LANGUAGES]
        bar = "-" if name not in MUST else f"{MUST[name]:.2f}"
        lines.append([name, *(_figure(one) if one else "-" for one in mine), bar, str(sum(map(len, mine)))])
    columns = ["group", *LANGUAGES, "must", "cases"]
    barred = [name for name in names if name in MUST]
    series = []
    for lang in LANGUAGES:
        figures = [_figure(found.get((name, lang), [])) for name in barred]
        intervals = [(one.low, one.high) for one in figures]
        series.append(Series(name=lang, x=range(len(barred)), y=[one.value for one in figures], intervals=intervals))
    chart = Chart(name="pocket", title="The pocket world's test split", kind="bars", labels=barred, series=series)
    text = "Share right [95 % interval, Wilson], by language; groups with a comma in their name are only reported."
    return [Section(title="Pocket world", text=text, tables=[Table(columns=columns, rows=lines)], charts=[chart])]


def _figure(right: Sequence[bool]) -> Figure:
    low, high = wilson(sum(right), len(right))
    return Figure(value=sum(right) / len(right) if right else 0.0, low=low, high=high, count=len(right))
