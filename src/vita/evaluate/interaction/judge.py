"""Ratings of answers by any OpenAI-compatible server. Called by `duplex_bench.py` where `--judge` is given."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from vita.evaluate.measuring import Settings
from vita.evaluate.openai_chat import ask

_INSTRUCTION = """A user talks with a spoken assistant. While the assistant answers the first request, the user \
interrupts it with a second one. Judge only what the assistant says after the interruption: how well does it fit the \
second request? 5: it answers it fully. 4: nearly. 3: it is about it. 2: it touches it. 1: it does not. 0: it has \
nothing to do with anything that was said. End with a line of its own: "Rating: N"."""


def rate_interruption(settings: Settings, labels: Mapping[str, Any], answer: str) -> float | None:
    """0 to 5, None if the judge gives no number. Raises DependencyError if the server does not answer."""
    text = f"First request: {labels.get('context')}\nInterruption: {labels.get('interrupt')}\nAnswer: {answer}"
    assert settings.judge is not None
    said = ask(settings.judge, settings.judge_model, [("system", _INSTRUCTION), ("user", text)], settings.api_key)
    found = re.findall(r"[Rr]ating:\s*([0-5])\b", said)
    return float(found[-1]) if found else None
