"""An engine on a vLLM server: contexts are prompts that grow, and vLLM's prefix cache keeps what was read of them.

The server runs the model with our plugin (`vllm serve MODEL`); tokenizer, template and, for live sound, the audio tower
are here. A Context is not to be used from two threads at once, except for `Reply.abort`; several contexts may be.
Opened by `vita.api`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from vita.chat.messages import Message, Part, extended
from vita.engine.conversation import Conversation
from vita.engine.protocol import GREEDY, Result, Sampling
from vita.engine.vllm_client import VllmServer
from vita.engine.vllm_listening import VllmListening
from vita.engine.vllm_messages import MessageWriter, SoundEncoder
from vita.engine.vllm_messages import Part as WrittenPart
from vita.engine.vllm_reply import VllmReply, state_probabilities
from vita.models.processing_vita import VitaProcessor
from vita.tokens import State


class VllmEngine:
    """See `vita.engine.protocol.Engine`.

    Args:
        server: runs the model.
        processor: the same model's.
        encoder: of sounds, for a server that takes embeddings (--enable-mm-embeds); None sends sounds whole.
        max_concurrent: how many conversations of a batch are sent at once.
    """

    def __init__(
        self,
        server: VllmServer,
        processor: VitaProcessor,
        encoder: SoundEncoder | None = None,
        *,
        max_concurrent: int = 32,
    ) -> None:
        self.server, self.processor, self.encoder = server, processor, encoder
        self.writer = MessageWriter(processor.config.states, encoder)
        self._max_concurrent = max_concurrent

    @property
    def history_tokens(self) -> int | None:
        """See Engine."""
        return self.processor.config.history_tokens

    @property
    def has_tools(self) -> bool:
        """See Engine. The server is not told of tools."""
        return False

    def open(self, system: str | None = None, *, messages: Sequence[Message] = ()) -> VllmContext:
        """See Engine."""
        start = [] if system is None else [Message.system(system)]
        return VllmContext(self, [*start, *messages])

    def batch(self, conversations: Sequence[Sequence[Message]], sampling: Sampling = GREEDY) -> list[Result]:
        """See Engine. The server puts them together."""

        def answer(messages: Sequence[Message]) -> Result:
            return self.open(messages=messages).reply(sampling).result()

        with ThreadPoolExecutor(self._max_concurrent) as pool:
            return list(pool.map(answer, conversations))

    def warm_up(self) -> None:
        """Asks a short question: a wrong address shows at once, and the first user does not wait for compiling."""
        self.open(messages=[Message.user("hello")]).reply(Sampling(max_new_tokens=1)).result()

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        """The prompt of a conversation that is to be answered. Raises PromptError or LimitError."""
        return self.processor.encode(messages).ids

    def read(self, messages: Sequence[Message], more: Sequence[WrittenPart] = ()) -> None:
        """Let the server read a conversation now, so that what follows finds it in the prefix cache."""
        if more or any(message.role != "system" for message in messages):
            written = self.writer.write(messages, more)
            self.server.read({"messages": written, "add_generation_prompt": False, "max_tokens": 1, "temperature": 0})

    def probe(self, messages: Sequence[Message], more: Sequence[WrittenPart] = ()) -> dict[State, float]:
        """The state of a reply that would begin now."""
        request = self._request(messages, more, GREEDY)
        longest = max(map(len, self.processor.state_reader.spellings.values()))
        steps = []
        for tokens in self.server.stream({**request, "max_tokens": longest}):
            steps += tokens.log_probabilities
        return state_probabilities(self.processor.state_reader, steps, "auto")

    def reply(self, messages: Sequence[Message], sampling: Sampling, **about: Any) -> VllmReply:
        """A reply to a conversation; `about` as VllmReply takes it."""
        prompt_ids = self.prompt_ids(messages)
        tokens = self.server.stream(self._request(messages, (), sampling))
        return VllmReply(
            tokens=tokens,  # type: ignore[arg-type]
            processor=self.processor,
            prompt_ids=prompt_ids,
            sampling=sampling,
            **about,
        )

    def _request(self, messages: Sequence[Message], more: Sequence[WrittenPart], sampling: Sampling) -> dict[str, Any]:
        spellings = self.processor.state_reader.spellings.values()
        return {
            "messages": self.writer.write(messages, more),
            "max_tokens": sampling.max_new_tokens + max(map(len, spellings)),
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": sampling.seed,
            "stop_token_ids": list(self.processor.stop_ids),
            "logprobs": True,
            "logprob_token_ids": sorted({token for ids in spellings for token in ids}),
            "vllm_xargs": {"vita_state": sampling.state},
        }


class VllmContext(Conversation[VllmReply, VllmListening]):
    """See `vita.engine.protocol.Context`; made by `VllmEngine.open`."""

    def __init__(self, engine: VllmEngine, messages: list[Message]) -> None:
        super().__init__(messages)
        self._engine = engine

    def append(self, *parts: Part | str | Message) -> None:
        """See Context."""
        self._check_idle()
        started_s = time.perf_counter()
        messages = extended(self._messages, *parts)
        self._engine.processor.encode(messages, add_generation_prompt=False)
        self._engine.read(messages)
        self._messages = messages
        self._read_ms += 1000 * (time.perf_counter() - started_s)

    def listen(self) -> VllmListening:
        """See Context."""
        self._check_idle()
        started_s = time.perf_counter()
        self._open_listening = VllmListening(self._engine, self._messages, self._note_heard)
        self._read_ms += 1000 * (time.perf_counter() - started_s)
        return self._open_listening

    def reply(self, sampling: Sampling = GREEDY) -> VllmReply:
        """See Context."""
        self._check_idle()
        read_ms, self._read_ms = self._read_ms, 0.0
        self._open_reply = self._engine.reply(
            self._messages,
            sampling,
            started_s=time.perf_counter(),
            read_ms=read_ms,
            when_done=lambda reply: self._note_reply(reply, reply.text, self._engine.processor),
        )
        return self._open_reply

    def fork(self) -> VllmContext:
        """See Context."""
        self._check_idle()
        return VllmContext(self._engine, list(self._messages))

    def rewind(self, num_messages: int, *, heard: str | None = None) -> None:
        """See Context."""
        self._check_idle()
        self._messages = self._before(num_messages, heard)
