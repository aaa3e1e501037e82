"""`vita eval pocket`: the tables of the pocket model against its bars."""

from __future__ import annotations

import json
import re
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vita.api import Answer, Assistant, Question, load
from vita.chat.messages import Audio, Image, Message, Part, Text, Video
from vita.evaluate.pocket_cases import PICTURE_KINDS, Case, cases
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
    {"sum", "count_all", "count_shape", "count_colour", "where", "exists", "read", "result", "next_box"}
)
"""Kinds of question whose answer must be exact: "top" is no part of "top left", nor 有 of 没有."""


VARIANT = ", "
"""In the name of a group that is only reported: in noise, or by a voice of another engine."""
_ARTICLE = re.compile(r"^(the|an|a) ")


@dataclass(frozen=True)
class Row:
    """One line of the table: share right and number of cases."""

    name: str
    lang: str
    share: float
    count: int


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


def ask_all(assistant: Assistant, asked: Sequence[Case]) -> list[Answer]:
    """Answers in the order of the cases, asked in batches of like ones."""
    order = sorted(range(len(asked)), key=lambda i: (asked[i].group, asked[i].lang))
    answers: dict[int, Answer] = {}
    for start in range(0, len(order), BATCH):
        chosen = order[start : start + BATCH]
        found = assistant.ask_many([question(asked[i]) for i in chosen], max_new_tokens=160)
        answers.update(zip(chosen, found, strict=True))
    return [answers[i] for i in range(len(asked))]


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


def table(asked: Sequence[Case], answers: Sequence[Answer]) -> list[Row]:
    """Every group by language, and the rows that join several groups."""
    marks: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for case, answer in zip(asked, answers, strict=True):
        right = answer.state is case.state and (case.state is State.NOISE or matches(case, answer.text))
        silent = case.state is State.NOISE
        if not silent:
            marks[case.group, case.lang].append(right)
            if VARIANT not in case.group:
                kind = "typed" if case.state is State.TYPED_QUERY else "spoken"
                marks[f"{kind} query recognised", case.lang].append(answer.state is case.state)
        else:
            marks[f"{case.group} silent", case.lang].append(right)
        for joined, prefix in (("typed pictures", "typed picture: "), ("typed print", "typed print: ")):
            if case.group.startswith(prefix):
                marks[joined, case.lang].append(right)
    return [Row(name, lang, sum(m) / len(m), len(m)) for (name, lang), m in marks.items()]


def render_table(rows: Sequence[Row]) -> str:
    """Markdown: one line a group, English and Chinese apart, against the bar."""
    names = list(dict.fromkeys(row.name for row in rows))
    by = {(row.name, row.lang): row for row in rows}
    lines = ["| group | en | zh | must | cases |", "|---|---|---|---|---|"]
    for name in names:
        found = [by.get((name, lang)) for lang in LANGUAGES]
        cells = [f"{row.share:.3f}" if row else "-" for row in found]
        must = MUST.get(name)
        bar = "-" if must is None else f"{must:.2f}"
        lines.append(f"| {name} | {' | '.join(cells)} | {bar} | {sum(row.count for row in found if row)} |")
    return "\n".join(lines)


def run(*, model: str, device: str, dtype: str, limit: int | None, out: str | None) -> list[Row]:
    """Generate the test split, ask, print the table, write it to `out` as JSON."""
    assistant = load(model, device=device, dtype=dtype)
    started_s = time.perf_counter()
    asked = list(cases(limit or 60))
    print(f"{len(asked)} cases in {time.perf_counter() - started_s:.0f} s", file=sys.stderr)
    answers = ask_all(assistant, asked)
    rows = table(asked, answers)
    print(render_table(rows))
    print(f"{len(asked)} cases, {time.perf_counter() - started_s:.0f} s", file=sys.stderr)
    if out:
        Path(out).write_text(json.dumps([vars(row) for row in rows], indent=1), encoding="utf-8")
    return rows
