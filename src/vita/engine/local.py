"""An engine on PyTorch, in this process: one model, any number of conversations, each with a KV cache of its own.

Opened by `vita.api`. A Context is not to be used from two threads at once, except for `Reply.abort`; several contexts
may be: their passes through the model take turns (`turnstile.py`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from vita.chat.messages import Message, Part, extended
from vita.engine.batch import answer_batch
from vita.engine.budget import CacheBudget
from vita.engine.conversation import Conversation
from vita.engine.decoding import ReplyParts
from vita.engine.listening import LocalListening
from vita.engine.prefix import Prefix
from vita.engine.prompt import Prompt, PromptBuilder
from vita.engine.protocol import GREEDY, Result, Sampling
from vita.engine.reply import LocalReply
from vita.engine.turnstile import Turnstile
from vita.models.modeling_vita import VitaForConditionalGeneration
from vita.models.processing_vita import VitaProcessor


class LocalEngine:
    """See `vita.engine.protocol.Engine`.

    Args:
        model: on its device, in its dtype.
        processor: the model's.
        max_cached_tokens: at most so many tokens in the KV caches of all contexts together; None for no limit. What
            goes beyond it raises LimitError. Batches, which keep nothing, do not count.
    """

    def __init__(
        self, model: VitaForConditionalGeneration, processor: VitaProcessor, *, max_cached_tokens: int | None = None
    ) -> None:
        self.model, self.processor = model.eval(), processor
        self.parts = ReplyParts.of(model, processor)
        self.budget = CacheBudget(max_cached_tokens)
        self.turnstile = Turnstile()

    @property
    def history_tokens(self) -> int | None:
        """See Engine."""
        return self.processor.config.history_tokens

    @property
    def has_tools(self) -> bool:
        """See Engine."""
        return self.processor.template.has_tools

    def open(self, system: str | None = None, *, messages: Sequence[Message] = ()) -> LocalContext:
        """See Engine. Read with the first turn: which system prompt is used can depend on what is shown first."""
        self.budget.check(1)
        builder = PromptBuilder(self.processor)
        start = [] if system is None else [Message.system(system)]
        prefix = Prefix(self.model, builder, self.budget, self.turnstile)
        return LocalContext(self, [*start, *messages], builder, prefix)

    def batch(self, conversations: Sequence[Sequence[Message]], sampling: Sampling = GREEDY) -> list[Result]:
        """See Engine."""
        return answer_batch(self.model, self.processor, self.parts, conversations, sampling)


class LocalContext(Conversation[LocalReply, LocalListening]):
    """See `vita.engine.protocol.Context`; made by `LocalEngine.open`."""

    def __init__(self, engine: LocalEngine, messages: list[Message], builder: PromptBuilder, prefix: Prefix) -> None:
        super().__init__(messages)
        self._engine, self._builder, self._prefix = engine, builder, prefix

    def append(self, *parts: Part | str | Message) -> None:
        """See Context."""
        self._check_idle()
        started_s = time.perf_counter()
        messages = extended(self._messages, *parts)
        self._prefix.read(self._builder.build(messages, answering=False))
        self._messages = messages
        self._read_ms += 1000 * (time.perf_counter() - started_s)

    def listen(self) -> LocalListening:
        """See Context."""
        self._check_idle()
        started_s = time.perf_counter()
        self._open_listening = LocalListening(
            model=self._engine.model,
            parts=self._engine.parts,
            builder=self._builder,
            prefix=self._prefix,
            turnstile=self._engine.turnstile,
            messages=self._messages,
            when_done=self._note_heard,
        )
        self._read_ms += 1000 * (time.perf_counter() - started_s)
        return self._open_listening

    def reply(self, sampling: Sampling = GREEDY) -> LocalReply:
        """See Context."""
        self._check_idle()
        started_s = time.perf_counter()
        prompt = self._builder.build(self._messages, answering=True)
        parts = self._engine.parts
        reading = parts.read_state(self._prefix, self._prefix.read(prompt), sampling.state)
        prefill_ms = self._read_ms + 1000 * (time.perf_counter() - started_s)
        self._read_ms = 0.0
        self._open_reply = LocalReply(
            prefix=self._prefix,
            parts=parts,
            prompt=prompt,
            reading=reading,
            sampling=sampling,
            started_s=started_s,
            prefill_ms=prefill_ms,
            when_done=lambda reply: self._note_reply(reply, reply.text, self._engine.processor),
        )
        return self._open_reply

    def fork(self) -> LocalContext:
        """See Context."""
        self._check_idle()
        builder = self._builder.copy()
        return LocalContext(self._engine, list(self._messages), builder, self._prefix.fork(builder))

    def rewind(self, num_messages: int, *, heard: str | None = None) -> None:
        """See Context. The cache is cut now; what is left is not read again."""
        self._check_idle()
        kept = self._before(num_messages, heard)
        prompt = Prompt([], [])
        if any(message.role != "system" for message in kept):
            prompt = self._builder.build(kept, answering=False)
        self._prefix.crop(self._prefix.shared_with(prompt))
        self._builder.keep_only(prompt.spans)
        self._messages = kept
