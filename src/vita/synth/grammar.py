"""A very small text grammar: `{a|b|}` picks one branch, `<name>` is filled from a table.

Used by every generator of questions and by the test split.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence

_INNERMOST = re.compile(r"\{([^{}]*)\}")
_SLOT = re.compile(r"<(\w+)>")


def expand(template: str, rng: random.Random, slots: Mapping[str, str | Sequence[str]] | None = None) -> str:
    """One random expansion of `template`.

    Args:
        template: text with `{a|b|c}` alternatives (nestable, empty branches allowed) and `<name>` slots.
        slots: what each slot may be: a string, or a sequence to draw from.

    Raises:
        KeyError: a slot that is not in `slots`.
    """
    while True:
        match = _INNERMOST.search(template)
        if match is None:
            break
        template = template[: match.start()] + rng.choice(match[1].split("|")) + template[match.end() :]

    def fill(match: re.Match[str]) -> str:
        value = (slots or {})[match[1]]
        return value if isinstance(value, str) else rng.choice(value)

    return tidy(_SLOT.sub(fill, template))


def tidy(text: str) -> str:
    """Single spaces, none at the ends and none between Chinese characters."""
    text = re.sub(r"(?<=[\u4e00-\u9fff])\s+(?=[\u4e00-\u9fff])", "", text)
    return re.sub(r"[ \t]+", " ", text).strip()
