"""Whose turn it is to run the model: one pass at a time, in a fair order. Made by `local`; all that is
computed with the model goes through it.

Conversations live in threads of their own and know nothing of each other. A turn is short (one token of a reply; one
piece of a sound, encoded and read), so that a long reply keeps nobody waiting for longer than the turn that runs.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class Turnstile:
    """Lets urgent passes in before the others, and each kind in the order in which they came.

    Args:
        urgent_in_a_row: after so many urgent passes, one of the others that wait is let in.
    """

    def __init__(self, urgent_in_a_row: int = 8) -> None:
        self._urgent_in_a_row = urgent_in_a_row
        self._changing = threading.Lock()
        self._is_taken = False
        self._owner: int | None = None  # the thread whose turn it is
        self._num_urgent = 0  # let in, one after the other, while others waited
        self._urgent: deque[threading.Lock] = deque()
        self._others: deque[threading.Lock] = deque()

    @property
    def num_waiting(self) -> int:
        """How many passes wait."""
        return len(self._urgent) + len(self._others)

    @contextmanager
    def turn(self, *, is_urgent: bool = False) -> Iterator[None]:
        """Wait for a turn; it lasts as long as the block. A turn within a turn of the same thread is part of it."""
        if self._owner == threading.get_ident():
            yield
            return
        self._enter(self._urgent if is_urgent else self._others)
        self._owner = threading.get_ident()
        try:
            yield
        finally:
            self._owner = None
            self._leave()

    def _enter(self, waiting: deque[threading.Lock]) -> None:
        with self._changing:
            if not self._is_taken:
                self._is_taken = True
                return
            gate = threading.Lock()
            gate.acquire()
            waiting.append(gate)
        try:
            gate.acquire()  # whoever leaves opens it, and the turn is ours
        except BaseException:
            self._give_up(gate, waiting)
            raise

    def _give_up(self, gate: threading.Lock, waiting: deque[threading.Lock]) -> None:
        """Interrupted while it waited (Ctrl-C)."""
        with self._changing:
            still_waits = gate in waiting
            if still_waits:
                waiting.remove(gate)
        if not still_waits:
            self._leave()

    def _leave(self) -> None:
        with self._changing:
            waiting = self._next()
            if waiting:
                waiting.popleft().release()
            else:
                self._is_taken = False

    def _next(self) -> deque[threading.Lock]:
        """The queue whose first is let in."""
        if self._urgent and not (self._others and self._num_urgent >= self._urgent_in_a_row):
            self._num_urgent = self._num_urgent + 1 if self._others else 0
            return self._urgent
        self._num_urgent = 0
        return self._others
