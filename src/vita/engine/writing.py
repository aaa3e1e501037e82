"""A reply while it is written, as far as it is the same on every engine: its text, its abort, its times, its result."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any

from vita.engine.decoding import TextStream
from vita.engine.protocol import Ending, Result, Timing, Usage
from vita.tokens import State


class Writing:
    """What `LocalReply` and `VllmReply` have in common; they say how tokens come (`_decode`).

    Args:
        state, probabilities: of the turn, and of every state that was allowed.
        state_ids: how the state was spelled.
        tokenizer: the model's.
        usage: the tokens of the reply, by how many were written.
        started_s: when it was asked for (perf_counter).
        prefill_ms: what reading the turn took.
        when_done: called once, when the reply has ended.
    """

    def __init__(
        self,
        *,
        state: State,
        probabilities: dict[State, float],
        state_ids: Sequence[int],
        tokenizer: Any,
        usage: Callable[[int], Usage],
        started_s: float,
        prefill_ms: float,
        when_done: Callable[[Any], None],
    ) -> None:
        self.state, self.probabilities = state, probabilities
        self._usage, self._started_s, self._prefill_ms, self._when_done = usage, started_s, prefill_ms, when_done
        self._num_tokens = len(state_ids)
        self._first_token_ms: float | None = None
        self._is_aborted, self._text_lock = False, threading.Lock()
        self._result: Result | None = None
        self._stream = TextStream(tokenizer, state_ids)
        self._pieces = filter(None, self._write())  # a token may add nothing

    @property
    def text(self) -> str:
        """The text so far."""
        return self._stream.text

    @property
    def is_aborted(self) -> bool:
        """Whether `abort` was called."""
        return self._is_aborted

    def __iter__(self) -> Iterator[str]:
        """See Reply."""
        return self._pieces

    def abort(self) -> None:
        """See Reply. Waits for a piece of text that is just being added, at most; `text` stays as it is from then."""
        with self._text_lock:
            self._is_aborted = True

    def result(self) -> Result:
        """See Reply."""
        for _ in self._pieces:
            pass
        assert self._result is not None
        return self._result

    def _decode(self) -> Generator[str, None, Ending]:
        """Yields what every token adds, maybe nothing, and returns the ending (as a generator does)."""
        raise NotImplementedError

    def _write(self) -> Iterator[str]:
        """Yields what every token adds to the text; at the end, by an error too, the result is there."""
        ending: Ending = "aborted"
        try:
            ending = "noise" if self.state is State.NOISE else (yield from self._decode())
        finally:
            self._finish(ending)

    def _finish(self, ending: Ending) -> None:
        self._note_first()
        assert self._first_token_ms is not None
        timing = Timing(prefill_ms=self._prefill_ms, first_token_ms=self._first_token_ms, total_ms=self._elapsed_ms())
        self._result = Result(
            state=self.state,
            probabilities=self.probabilities,
            text=self.text,
            ending=ending,
            usage=self._usage(self._num_tokens),
            timing=timing,
        )
        self._when_done(self)

    def _added(self, add: Callable[[], str]) -> str:
        """What `add` adds to the text; nothing once the reply was aborted."""
        with self._text_lock:
            piece = "" if self.is_aborted else add()
        if piece:
            self._note_first()
        return piece

    def _note_first(self) -> None:
        if self._first_token_ms is None:
            self._first_token_ms = self._elapsed_ms()

    def _elapsed_ms(self) -> float:
        return 1000 * (time.perf_counter() - self._started_s)
