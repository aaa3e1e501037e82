"""Cuts a reply into clauses while it is being written, so that the first can be spoken before the last is known.

Called by everything that speaks a reply as it streams. English and Chinese punctuation.
"""

from __future__ import annotations

_WIDE_ENDS = "。！？；，、：…"
_NARROW_ENDS = ".!?;,:"
_CLOSERS = "\"'”’）)】》」』"


class ClauseSplitter:
    """Collects deltas of text and gives back whole clauses; joined, the clauses are the text.

    Args:
        min_characters: a clause is at least this long (blanks at its ends not counted).
    """

    def __init__(self, min_characters: int = 5) -> None:
        self._min_characters = min_characters
        self._pending = ""

    def push(self, delta: str) -> list[str]:
        """Add text; the clauses that it completes."""
        self._pending += delta
        clauses: list[str] = []
        start = scan = 0
        while scan < len(self._pending):
            end = self._end_of_clause(scan)
            if end is None:
                scan += 1
                continue
            if len(self._pending[start:end].strip()) >= self._min_characters:
                clauses.append(self._pending[start:end])
                start = end
            scan = end
        self._pending = self._pending[start:]
        return clauses

    def finish(self) -> list[str]:
        """The rest, at the end of the reply: one clause or none."""
        rest, self._pending = self._pending, ""
        return [rest] if rest.strip() else []

    def _end_of_clause(self, at: int) -> int | None:
        """Where the clause ends whose closing mark stands at `at`; None if none does or the text stops there."""
        mark = self._pending[at]
        if mark == "\n":
            return at + 1
        if mark not in _WIDE_ENDS + _NARROW_ENDS:
            return None
        end = at + 1
        while end < len(self._pending) and self._pending[end] in _WIDE_ENDS + _NARROW_ENDS + _CLOSERS:
            end += 1
        if end == len(self._pending):
            return None if mark in _NARROW_ENDS else end
        if mark in _NARROW_ENDS and not self._pending[end].isspace():
            return None  # inside a number, an abbreviation or an address
        return end
