"""A reply of the PyTorch engine while it is being written. Made by `local.LocalContext.reply`."""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial

from vita.chat.state import StateReading
from vita.engine.decoding import ReplyParts, TokenPicker
from vita.engine.prefix import Prefix
from vita.engine.prompt import Prompt
from vita.engine.protocol import Ending, Sampling
from vita.engine.writing import Writing


class LocalReply(Writing):
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
        super().__init__(
            state=reading.state,
            probabilities=reading.probabilities,
            state_ids=reading.ids,
            tokenizer=parts.tokenizer,
            usage=lambda num_tokens: parts.usage(prompt.ids, num_tokens),
            started_s=started_s,
            prefill_ms=prefill_ms,
            when_done=when_done,
        )
        self._prefix, self._parts, self._sampling, self._state_ids = prefix, parts, sampling, reading.ids

    def _decode(self) -> Generator[str, None, Ending]:
        """See Writing."""
        picker = TokenPicker(self._sampling, self._parts.forbidden_ids)
        ids = self._state_ids
        ending: Ending = "length"
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
