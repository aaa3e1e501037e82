"""A reply that a vLLM server is writing. Made by `vllm.VllmContext.reply`.

Its first tokens spell the state (the plugin on the server sees to that); they are read before anything is shown.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial

from vita.chat.state import StateReader
from vita.engine.decoding import TextStream
from vita.engine.protocol import Ending, Result, Sampling, Timing, Usage
from vita.engine.vllm_client import Tokens
from vita.errors import ConfigError
from vita.models.processing_vita import VitaProcessor
from vita.tokens import State


class VllmReply:
    """See `vita.engine.protocol.Reply`.

    Args:
        tokens: the reply as it is written.
        processor: the model's.
        prompt_ids: what it replies to.
        sampling: how it is written.
        started_s: when it was asked for (perf_counter).
        read_ms: what was read of the turn before.
        when_done: called once, when it has ended.
    """

    def __init__(
        self,
        *,
        tokens: Generator[Tokens, None, None],
        processor: VitaProcessor,
        prompt_ids: Sequence[int],
        sampling: Sampling,
        started_s: float,
        read_ms: float,
        when_done: Callable[[VllmReply], None],
    ) -> None:
        self._tokens, self._processor, self._prompt_ids = tokens, processor, prompt_ids
        self._started_s, self._when_done = started_s, when_done
        self._waiting: deque[int] = deque()
        self._steps: list[dict[int, float]] = []
        self._ending: str | None = None
        self._is_aborted, self._text_lock = False, threading.Lock()
        self._first_token_ms: float | None = None
        self._result: Result | None = None
        self.state, spelled = self._read_state()
        self._prefill_ms = read_ms + self._elapsed_ms()
        self.probabilities = state_probabilities(processor.state_reader, self._steps, sampling.state)
        self._num_tokens = len(spelled)
        self._stream = TextStream(processor.tokenizer, spelled)
        self._pieces = self._write()

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
        """See Reply. The server is told with the next token that it sends, or when the result is asked for."""
        with self._text_lock:
            self._is_aborted = True

    def result(self) -> Result:
        """See Reply."""
        for _ in self._pieces:
            pass
        assert self._result is not None
        return self._result

    def _next(self) -> int | None:
        """The next token, None after the last."""
        while not self._waiting and self._ending is None:
            found = next(self._tokens, None)
            if found is None:
                self._ending = "stop"
                break
            self._waiting.extend(found.ids)
            self._steps += found.log_probabilities
            self._ending = found.ending
        return self._waiting.popleft() if self._waiting else None

    def _read_state(self) -> tuple[State, list[int]]:
        spellings, written = self._processor.state_reader.spellings, []
        while tuple(written) not in spellings.values():
            token = self._next()
            if token is None or token not in self._processor.state_reader.next_ids(written):
                self._tokens.close()
                raise ConfigError(
                    "the vLLM server does not begin its replies with a state",
                    fix="install vita-omni there, and serve this model",
                )
            written.append(token)
        return next(state for state, ids in spellings.items() if ids == tuple(written)), written

    def _write(self) -> Iterator[str]:
        ending: Ending = "aborted"
        try:
            if self.state is State.NOISE:
                ending = "noise"
                return
            stops = self._processor.stop_ids
            while not self._is_aborted and (token := self._next()) is not None and token not in stops:
                self._num_tokens += 1
                yield from self._added(partial(self._stream.push, token))
            if not self._is_aborted:
                yield from self._added(self._stream.finish)
                ending = "length" if self._ending == "length" else "stop"
        finally:
            self._tokens.close()
            self._finish("aborted" if self._is_aborted and ending != "noise" else ending)

    def _added(self, add: Callable[[], str]) -> Iterator[str]:
        """What `add` adds to the text; nothing once the reply was aborted."""
        with self._text_lock:
            piece = "" if self._is_aborted else add()
        if piece:
            self._first_token_ms = self._first_token_ms or self._elapsed_ms()
            yield piece

    def _finish(self, ending: Ending) -> None:
        total_ms = self._elapsed_ms()
        config, ids = self._processor.config, self._prompt_ids
        usage = Usage(
            prompt_tokens=len(ids),
            image_tokens=sum(token == config.image_token_id for token in ids),
            audio_tokens=sum(token == config.audio_token_id for token in ids),
            completion_tokens=self._num_tokens,
        )
        first_ms = self._first_token_ms or total_ms
        self._result = Result(
            state=self.state,
            probabilities=self.probabilities,
            text=self.text,
            ending=ending,
            usage=usage,
            timing=Timing(prefill_ms=self._prefill_ms, first_token_ms=first_ms, total_ms=total_ms),
        )
        self._when_done(self)

    def _elapsed_ms(self) -> float:
        return 1000 * (time.perf_counter() - self._started_s)


def state_probabilities(reader: StateReader, steps: Sequence[dict[int, float]], mode: str) -> dict[State, float]:
    """Of every state that was allowed, by the step at which their spellings part.

    Args:
        reader: knows the spellings.
        steps: log-probabilities of (at least) the spellings' ids at each step of the reply.
        mode: "auto" or "answer".
    """
    allowed = {state: ids for state, ids in reader.spellings.items() if mode == "auto" or state is not State.NOISE}
    parting = next(depth for depth in range(99) if len({ids[depth : depth + 1] for ids in allowed.values()}) > 1)
    found = steps[parting] if len(steps) > parting else {}
    weights = {state: math.exp(found.get(ids[parting], -math.inf)) for state, ids in allowed.items()}
    whole = sum(weights.values()) or 1.0
    return {state: weight / whole for state, weight in weights.items()}
