"""Numbers, units, dates, times, money and sums as they are said, by the grammars of WeTextProcessing (package wetext).

Called by the embedded voice, on each run of text in one language. What the grammars get wrong is put right before.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from vita.errors import DependencyError

_HAS_NUMBERS = re.compile(r"[\d²³√=^]")
_SIGNS = {
    "en": {"+": "plus", "-": "minus", "−": "minus", "*": "times", "×": "times", "/": "divided by",
           "÷": "divided by", "=": "equals"},
    "zh": {"+": "加", "-": "减", "−": "减", "*": "乘", "×": "乘", "/": "除以", "÷": "除以", "=": "等于"},
}  # fmt: skip
_SIGN = re.compile(r"\s*([+\-−*×/÷=])\s*")
_NUMBER = r"[\d?？][\d.,]*"
_SUM = re.compile(  # 3+4=7, 9 - 2 / 3; but 3-4 days, 1/2 and 2024-05-03 are none
    rf"{_NUMBER}(?:\s*[+\-−*×/÷]\s*{_NUMBER})+\s*=(?:\s*{_NUMBER})?|{_NUMBER}(?:\s[+\-−*×/÷]\s{_NUMBER})+"
)
_BETWEEN = r"(?<=[\w)²³])\s*{}\s*(?=[\w(√])"
_BOTH = ((re.compile(r"(?<=\d),(?=\d{3}(?!\d))"), ""),)
_FIRST: dict[str, tuple[tuple[re.Pattern[str], str], ...]] = {
    "en": (
        *_BOTH,
        (re.compile(r"(?<=\d)\s?m/s\b"), " meters per second"),
        (re.compile(r"(?<=\d)\s?m\b(?!/)"), " meters"),  # not minutes
        (re.compile(r"\b(\d{3}0)s\b"), r"\1's"),  # nor seconds
        (re.compile(r"\bNo\.\s?(?=\d)"), "number "),
        (re.compile(r"√\s*"), "square root of "),
        (re.compile(r"(?<=[\w)])(?:²|\^2(?!\d))"), " squared"),
        (re.compile(r"(?<=[\w)])(?:³|\^3(?!\d))"), " cubed"),
        (re.compile(r"(?<=[\w)])\^(?=\d)"), " to the power of "),
        (re.compile(_BETWEEN.format("=")), " equals "),
        (re.compile(_BETWEEN.format("[×]")), " times "),
    ),
    "zh": (
        *_BOTH,
        (re.compile(r"(?<=\d)\s?m/s\b"), "米每秒"),
        (re.compile(r"√\s*"), "根号"),
        (re.compile(r"(?<=[\w)])(?:²|\^2(?!\d))"), "的平方"),
        (re.compile(r"(?<=[\w)])(?:³|\^3(?!\d))"), "的立方"),
        (re.compile(r"(?<=[\w)])\^(\d+)"), r"的\1次方"),
        (re.compile(_BETWEEN.format("=")), "等于"),
        (re.compile(_BETWEEN.format("[×]")), "乘"),
        (re.compile(_BETWEEN.format(r"\+")), "加"),
    ),
}


def in_words(text: str, language: str) -> str:
    """`text` of one language ("en" or "zh") with its numbers in words; without any, it stays as it is."""
    if not _HAS_NUMBERS.search(text):
        return text
    text = _SUM.sub(lambda found: _signs_in_words(found.group(), language), text)
    for pattern, replacement in _FIRST[language]:
        text = pattern.sub(replacement, text)
    start, end = len(text) - len(text.lstrip()), len(text.rstrip())
    try:
        return text[:start] + _grammars(language).normalize(text[start:end]) + text[end:]
    except (AssertionError, IndexError, RuntimeError, ValueError):
        return text  # a text that they do not know what to do with: the voice reads it its own way


def _signs_in_words(text: str, language: str) -> str:
    return _SIGN.sub(lambda sign: f" {_SIGNS[language][sign.group(1)]} ", text)


@cache
def _grammars(language: str) -> Any:
    try:
        from wetext import Normalizer
    except ImportError as error:
        raise DependencyError("wetext is not installed", fix="pip install wetext") from error
    return Normalizer(lang=language, operator="tn")  # pyright: ignore[reportArgumentType]
