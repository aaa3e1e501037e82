"""Stop sequences in a text that comes in pieces. Used by `chat.py`."""

from __future__ import annotations

from collections.abc import Sequence


class StopCutter:
    """Lets a text through up to the first stop sequence; what may be the beginning of one is held back.

    Args:
        stops: the sequences; empty ones are ignored.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [stop for stop in stops if stop]
        self._held = ""
        self.hit = False

    def push(self, piece: str) -> str:
        """Add a piece; the text that is certain by now."""
        if self.hit:
            return ""
        self._held += piece
        found = [at for at in (self._held.find(stop) for stop in self._stops) if at >= 0]
        if found:
            self.hit = True
            return self._release(min(found), drop_rest=True)
        return self._release(len(self._held) - self._num_doubtful())

    def finish(self) -> str:
        """The text has ended: what was held back was no stop sequence."""
        return self._release(len(self._held))

    def _num_doubtful(self) -> int:
        """How many of the last characters may begin a stop sequence."""
        longest = max((len(stop) for stop in self._stops), default=0)
        sizes = range(min(longest - 1, len(self._held)), 0, -1)
        return next((n for n in sizes if any(stop.startswith(self._held[-n:]) for stop in self._stops)), 0)

    def _release(self, num_characters: int, *, drop_rest: bool = False) -> str:
        text = self._held[:num_characters]
        self._held = "" if drop_rest else self._held[num_characters:]
        return text
