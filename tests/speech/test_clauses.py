"""Cutting a streamed reply into clauses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vita.speech.clauses import ClauseSplitter


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("The circle is blue. It is small.", ["The circle is blue.", " It is small."]),
        ("圆是蓝色的，方块是红色的。好", ["圆是蓝色的，", "方块是红色的。", "好"]),
        ("Pi is 3.14159, about 1,000 times less.", ["Pi is 3.14159,", " about 1,000 times less."]),
        ('He said "no!" twice.', ['He said "no!"', " twice."]),
        ("One\nTwo three\nFour", ["One\nTwo three\n", "Four"]),
        ("Hi. No. Well then", ["Hi. No.", " Well then"]),
        ("", []),
    ],
)
def test_clauses(text: str, clauses: list[str]) -> None:
    splitter = ClauseSplitter()
    assert splitter.push(text) + splitter.finish() == clauses


@given(st.text(alphabet='ab1 .,!?。，；\n"”', max_size=60), st.integers(1, 7))
def test_joined_the_clauses_are_the_text(text: str, size: int) -> None:
    pieces = ClauseSplitter()
    got = [clause for at in range(0, len(text), size) for clause in pieces.push(text[at : at + size])] + pieces.finish()
    assert "".join(got).strip() == text.strip()
    assert all(len(clause.strip()) >= 5 for clause in got[:-1])


def test_first_clause_comes_before_the_text_is_complete() -> None:
    splitter = ClauseSplitter()
    assert splitter.push("蓝色的圆，") == ["蓝色的圆，"]
    assert splitter.push("It is seven.") == []
    assert splitter.push(" ") == ["It is seven."]
