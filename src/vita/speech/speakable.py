"""From a written reply to what is said: Markdown and state tokens out, a run of text per language.

Called by the voices, on whole replies or on one clause at a time. English and Chinese.
"""

from __future__ import annotations

import re

from vita.tokens import VITA_1_0_STATES, VITA_1_5_STATES

_STATES = [spelling for states in (VITA_1_0_STATES, VITA_1_5_STATES) for _, spelling in states.items()]
_STATE_FIRST = re.compile(r"\s*(?:" + "|".join(map(re.escape, _STATES)) + ")")
_MARKDOWN = [
    (re.compile(r"^[ \t]*(```|~~~).*$", re.MULTILINE), ""),  # code fences; the code itself is read
    (re.compile(r"!\[([^\]]*)\]\([^)]*\)"), r"\1"),  # images: their description
    (re.compile(r"\[([^\]]+)\]\([^)]*\)"), r"\1"),  # links: their text
    (re.compile(r"^[ \t]{0,3}#{1,6}[ \t]+", re.MULTILINE), ""),  # headings
    (re.compile(r"^[ \t]*>[ \t]?", re.MULTILINE), ""),  # quotes
    (re.compile(r"^[ \t]*([-*+]|\d+[.)])[ \t]+(?=\S)", re.MULTILINE), ""),  # list items
    (re.compile(r"^[ \t]*\|?[ \t:|-]*-{3,}[ \t:|-]*$", re.MULTILINE), ""),  # rules of tables and pages
    (re.compile(r"[ \t]*\|[ \t]*"), ", "),  # table cells
    (re.compile(r"(\*\*|__|~~)(?=\S)(.+?)(?<=\S)\1"), r"\2"),  # bold, struck out
    (re.compile(r"(?<![\w*])([*_])(?=\S)([^*_\n]+?)(?<=\S)\1(?![\w*])"), r"\2"),  # italics
    (re.compile(r"`+([^`]*)`+"), r"\1"),  # code
]
_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u3007\U00020000-\U0003134f"
_RUN = re.compile(f"[{_HAN}]|[^\\W\\d_{_HAN}]")


def speakable(text: str) -> str:
    """`text` without state token and Markdown."""
    text = _STATE_FIRST.sub("", text, count=1) if _STATE_FIRST.match(text) else text
    for pattern, replacement in _MARKDOWN:
        text = pattern.sub(replacement, text)
    return text.strip(" ,\n\t") if text.strip() else ""


def split_by_language(text: str, lang: str | None = None) -> list[tuple[str, str]]:
    """Runs of one language, (language, text) each, in order: Han is "zh", every other letter "en".

    Digits and punctuation belong to the run before them, at the start to the run after; a text without letters is in
    `lang` (None: "en").
    """
    runs: list[list[str]] = []
    start = 0
    for match in _RUN.finditer(text):
        language = "zh" if re.match(f"[{_HAN}]", match.group()) else "en"
        if not runs:
            runs.append([language, ""])
        elif runs[-1][0] != language:
            runs[-1][1] = text[start : match.start()]
            start = match.start()
            runs.append([language, ""])
    if not runs:
        return [(lang or "en", text)] if text.strip() else []
    runs[-1][1] = text[start:]
    return [(language, run) for language, run in runs]
