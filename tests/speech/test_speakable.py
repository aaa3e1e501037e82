"""Written replies to spoken text: Markdown, state tokens, languages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vita.speech.speakable import speakable, split_by_language


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("<1>Blue.", "Blue."),
        ("☜ 蓝鲸", "蓝鲸"),
        ("a <1> b", "a <1> b"),
        ("**bold** and *italic* and `code`", "bold and italic and code"),
        ("snake_case_name 2 * 3 * 4", "snake_case_name 2 * 3 * 4"),
        ("# Title\n\n- one\n- two\n1. three", "Title\n\none\ntwo\nthree"),
        ("see [the page](http://example.com) ![a cat](cat.png)", "see the page a cat"),
        ("```python\nprint(1)\n```", "print(1)"),
        ("> quoted ~~gone~~", "quoted gone"),
        ("| a | b |\n|---|---|", "a, b"),
        ("", ""),
        ("  \n", ""),
    ],
)
def test_speakable(written: str, spoken: str) -> None:
    assert speakable(written) == spoken


@pytest.mark.parametrize(
    ("text", "lang", "runs"),
    [
        ("hello 7.", None, [("en", "hello 7.")]),
        ("它是7。", None, [("zh", "它是7。")]),
        ("7 是 seven 吗？", None, [("zh", "7 是 "), ("en", "seven "), ("zh", "吗？")]),
        ("3 4", None, [("en", "3 4")]),
        ("3 4", "zh", [("zh", "3 4")]),
        ("café ok", None, [("en", "café ok")]),
        ("  ", None, []),
    ],
)
def test_split_by_language(text: str, lang: str | None, runs: list[tuple[str, str]]) -> None:
    assert split_by_language(text, lang) == runs


@given(st.text())
def test_split_loses_nothing(text: str) -> None:
    assert "".join(run for _, run in split_by_language(text)) == (text if text.strip() else "")
