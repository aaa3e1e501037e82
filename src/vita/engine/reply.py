"""A reply of the PyTorch engine while it is being written. Made by `local.LocalContext.reply`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

from vita.chat.state import StateReading
from vita.engine.decoding import ReplyParts, TextStream, TokenPicker
from vita.engine.prefix import Prefix
from vita.engine.prompt import Prompt
from vita.engine.protocol import Ending, Result, Sampling, Timing
from vita.tokens import State


class LocalReply:
    """See `vita.engine.protocol.Reply`.

    Args:
        prefix: has read `prompt`, the state token not yet.
        parts: what writing needs of the model.
        prompt: the conversation up to the reply.
        reading: the state.
        sampling: how to write.
        started_s: when the reply was asked for (perf_counter).
        prefill_ms: what reading the turn took.
        when_done: called once, when the reply has ended.
    """

    def __init__(
        self,
        *,
        prefix: Prefix,
        parts: ReplyParts,
        prompt: Prompt,
        reading: StateReading,
        sampling: Sampling,
        started_s: float,
        prefill_ms: float,
        when_done: Callable[[LocalReply], None],
    ) -> None:
        self.state, self.probabilities = reading.state, reading.probabilities
        self._prefix, self._parts, self._prompt, self._sampling = prefix, parts, prompt, sampling
        self._state_ids = reading.ids
        self._started_s, self._prefill_ms, self._when_done = started_s, prefill_ms, when_done
        self._first_token_ms: float | None = None
        self._num_tokens = len(reading.ids)
        self._aborted = threading.Event()
        self._result: Result | None = None
        self._stream = TextStream(parts.tokenizer, reading.ids)
        self._pieces = self._write()

    @property
    def text(self) -> str:
        """The text so far."""
        return self._stream.text

    @property
    def is_aborted(self) -> bool:
        """Whether `abort` was called."""
        return self._aborted.is_set()

    def __iter__(self) -> Iterator[str]:
        """See Reply."""
        return self._pieces

    def abort(self) -> None:
        """See Reply."""
        self._aborted.set()

    def result(self) -> Result:
        """See Reply."""
        for _ in self._pieces:
            pass
        assert self._result is not None
        return self._result

    def _write(self) -> Iterator[str]:
        """Yields the text; at the end, however it comes, the result is there."""
        ending: Ending = "noise"
        if self.state is not State.NOISE:
            ending = yield from self._decode()
        self._note_first()
        assert self._first_token_ms is not None
        timing = Timing(prefill_ms=self._prefill_ms, first_token_ms=self._first_token_ms, total_ms=self._elapsed_ms())
        usage = self._parts.usage(self._prompt.ids, self._num_tokens)
        self._result = Result(
            state=self.state,
            probabilities=self.probabilities,
            text=self.text,
            ending=ending,
            usage=usage,
            timing=timing,
        )
        self._when_done(self)

    def _decode(self) -> Iterator[str]:
        """Yields the text and returns the ending (as a generator does)."""
        picker = TokenPicker(self._sampling, self._parts.forbidden_ids)
        ending, ids = "length", self._state_ids
        for _ in range(self._sampling.max_new_tokens):
            if self.is_aborted:
                return "aborted"
            token = picker.pick(self._prefix.step(ids))
            if token in self._parts.stop_ids:
                ending = "stop"
                break
            ids = (token,)
            self._num_tokens += 1
            if not self.is_aborted and (piece := self._stream.push(token)):
                self._note_first()
                yield piece
        if self.is_aborted:
            return "aborted"
        if rest := self._stream.finish():
            self._note_first()
            yield rest
        return ending

    def _note_first(self) -> None:
        if self._first_token_ms is None:
            self._first_token_ms = self._elapsed_ms()

    def _elapsed_ms(self) -> float:
        return 1000 * (time.perf_counter() - self._started_s)
