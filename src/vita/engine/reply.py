"""A reply of the PyTorch engine while it is being written. Made by `local.LocalContext.reply`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

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
        self._is_aborted, self._text_lock = False, threading.Lock()
        self._result: Result | None = None
        self._stream = TextStream(parts.tokenizer, reading.ids)
        self._steps = self._write()
        self._pieces = filter(None, self._steps)  # a token may add nothing

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
        for _ in self._steps:
            pass
        assert self._result is not None
        return self._result

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
        """Yields what every token adds, maybe nothing, and returns the ending (as a generator does)."""
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
            yield self._added(partial(self._stream.push, token))
        yield self._added(self._stream.finish)
        return "aborted" if self.is_aborted else ending

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
