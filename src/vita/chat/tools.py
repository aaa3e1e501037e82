"""Tools that a model may call: what they are, what a call is, and how calls are read out of a reply.

Only for models whose tokenizer's own chat template has tools, in the form of Hermes and Qwen: a call is written as
`<tool_call>{"name": ..., "arguments": {...}}</tool_call>`. Used by the templates and by the server.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

OPEN, CLOSE = "<tool_call>", "</tool_call>"


@dataclass(frozen=True)
class Tool:
    """A function that the model may ask for.

    definition: its name, description and parameters (a JSON schema), as a JSON object.
    """

    definition: str

    def to_dict(self) -> dict[str, Any]:
        """As chat templates take it."""
        return {"type": "function", "function": json.loads(self.definition)}


@dataclass(frozen=True)
class ToolCall:
    """That the model asks for a function.

    name: of the function.
    arguments: a JSON object.
    """

    name: str
    arguments: str

    def to_dict(self) -> dict[str, Any]:
        """As chat templates take it."""
        return {"type": "function", "function": {"name": self.name, "arguments": json.loads(self.arguments)}}


class CallReader:
    """Takes the calls out of a reply's text, which comes in pieces.

    What may be the beginning of a call is held back, and so are blanks before one. What looks like a call and is none
    stays text.

    calls: those that have been read.
    """

    def __init__(self) -> None:
        self.calls: list[ToolCall] = []
        self._held = ""

    def push(self, piece: str) -> str:
        """Add a piece; the text that is certain by now."""
        self._held += piece
        certain = ""
        while OPEN in self._held and CLOSE in self._held.partition(OPEN)[2]:
            before, _, rest = self._held.partition(OPEN)
            inside, _, self._held = rest.partition(CLOSE)
            certain += self._taken(before, inside, OPEN + inside + CLOSE)
        keep = self._held.find(OPEN) if OPEN in self._held else len(self._held) - _num_doubtful(self._held)
        keep = len(self._held[:keep].rstrip())
        certain += self._held[:keep]
        self._held = self._held[keep:]
        return certain

    def finish(self) -> str:
        """The reply has ended, maybe before the end of a call was marked; the rest of its text."""
        before, tag, inside = self._held.partition(OPEN)
        self._held = ""
        text = self._taken(before, inside, tag + inside) if tag else before
        return "" if self.calls and not text.strip() else text

    def _taken(self, before: str, inside: str, written: str) -> str:
        """The text of what stood before a call and of the call, if it is none."""
        call = _read(inside)
        if call is None:
            return before + written
        self.calls.append(call)
        return before.rstrip()


def json_object(text: str) -> dict[str, Any] | None:
    """The object that a text is in JSON; None for what is none, or has characters that UTF-8 cannot hold."""
    try:
        found = json.loads(text)
        json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _read(inside: str) -> ToolCall | None:
    """The call that is written there; None for what is none."""
    found = json_object(inside) or {}
    name, arguments = found.get("name"), found.get("arguments", {})
    if not isinstance(name, str) or not isinstance(arguments, dict):
        return None
    return ToolCall(name, json.dumps(arguments, ensure_ascii=False))


def _num_doubtful(text: str) -> int:
    """How many of the last characters may begin the mark of a call."""
    sizes = range(min(len(OPEN) - 1, len(text)), 0, -1)
    return next((n for n in sizes if OPEN.startswith(text[-n:])), 0)
