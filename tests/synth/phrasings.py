"""Everything that a grammar of the pocket world can say, spelled out: what the tests of questions compare with."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Any

from vita.synth import phrases, picture_phrases
from vita.synth.grammar import tidy
from vita.synth.world import texts

_INNERMOST = re.compile(r"\{([^{}]*)\}")


@cache
def expansions(template: str) -> frozenset[str]:
    """Every text of a template, its <slots> left open."""
    match = _INNERMOST.search(template)
    if match is None:
        return frozenset({tidy(template)})
    start, end = match.span()
    branches = (template[:start] + branch + template[end:] for branch in match[1].split("|"))
    return frozenset(text for branch in branches for text in expansions(branch))


def all_of(templates: Iterable[str]) -> set[str]:
    """Every text of several templates."""
    return {text for template in templates for text in expansions(template)}


def asked_in_training(lang: str) -> set[str]:
    """Every phrasing of sums, pictures and clips."""
    tables = [*picture_phrases.PICTURE.values(), *phrases.CLIP.values(), phrases.SUM, phrases.MINUS]
    return {text for table in tables for text in all_of(table[lang])}


def facts_in_training(lang: str) -> dict[str, set[str]]:
    """Every phrasing of every fact, and the ids of the facts that it asks for."""
    found: dict[str, set[str]] = {}
    for name, ways in texts("facts").items():
        wrapped = [wrap.replace("{x}", x) for wrap in texts("lead_ins")[lang]["wrap_np"] for x in ways[lang]["about"]]
        for text in (*ways[lang]["ask"], *wrapped):
            found.setdefault(text, set()).add(name)
    return found


def small_talk_in_training(lang: str) -> set[str]:
    """Every greeting, request for a story and the like."""
    return set(_asked(texts("small_talk")[lang]))


def _asked(node: Any) -> Iterable[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield from value if key == "ask" else _asked(value)
    elif isinstance(node, list):
        for value in node:
            yield from _asked(value)
