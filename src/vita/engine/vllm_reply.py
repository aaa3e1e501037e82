"""A reply that a vLLM server is writing. Made by `vllm.VllmContext.reply`.

Its first tokens spell the state (the plugin on the server sees to that); they are read before anything is shown.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from functools import partial

from vita.chat.state import StateReader
from vita.engine.protocol import Ending, Sampling, Usage
from vita.engine.vllm_client import Tokens
from vita.engine.writing import Writing
from vita.errors import ConfigError
from vita.models.processing_vita import VitaProcessor
from vita.tokens import State


class VllmReply(Writing):
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
        self._tokens, self._processor = tokens, processor
        self._waiting: deque[int] = deque()
        self._steps: list[dict[int, float]] = []
        self._ending: str | None = None
        state, spelled = self._read_state()
        config, num_prompt = processor.config, len(prompt_ids)
        counts = {name: list(prompt_ids).count(getattr(config, f"{name}_token_id")) for name in ("image", "audio")}
        super().__init__(
            state=state,
            probabilities=state_probabilities(processor.state_reader, self._steps, sampling.state),
            state_ids=spelled,
            tokenizer=processor.tokenizer,
            usage=lambda num_tokens: Usage(
                prompt_tokens=num_prompt,
                image_tokens=counts["image"],
                audio_tokens=counts["audio"],
                completion_tokens=num_tokens,
            ),
            started_s=started_s,
            prefill_ms=read_ms + 1000 * (time.perf_counter() - started_s),
            when_done=when_done,
        )

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

    def _decode(self) -> Generator[str, None, Ending]:
        """See Writing."""
        stops = self._processor.stop_ids
        while not self.is_aborted and (token := self._next()) is not None and token not in stops:
            self._num_tokens += 1
            yield self._added(partial(self._stream.push, token))
        yield self._added(self._stream.finish)
        if self.is_aborted:
            return "aborted"
        return "length" if self._ending == "length" else "stop"

    def _finish(self, ending: Ending) -> None:
        self._tokens.close()  # the server stops
        super()._finish(ending)


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
