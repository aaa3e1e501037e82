"""The conversation as it really was: answers cut to what was heard, noise left out. Contexts are brought to it.

Kept by `session.py`. A context that listened while the other one answered knows only what had been heard when it began
to listen; before it listens or answers again, `catch_up` puts that right.
"""

from __future__ import annotations

from collections.abc import Sequence

from vita.chat.messages import Message
from vita.engine.protocol import Context
from vita.tokens import State


class History:
    """Messages of a conversation.

    Args:
        start: messages that are never forgotten (the system prompt), and those said before.
        max_tokens: when a prompt was longer than this, the oldest turn is forgotten; None keeps all.
    """

    def __init__(self, start: Sequence[Message], max_tokens: int | None) -> None:
        self._messages = list(start)
        self._max_tokens = max_tokens

    @property
    def messages(self) -> tuple[Message, ...]:
        """From the first to the last."""
        return tuple(self._messages)

    def add(self, message: Message) -> None:
        """What was said last."""
        self._messages.append(message)

    def with_partial(self, heard: str | None, state: State) -> tuple[Message, ...]:
        """With the part of an answer that was heard so far; None where nobody is answering."""
        return self.messages if heard is None else (*self._messages, Message.assistant(heard, state))

    def forget_oldest(self, prompt_tokens: int) -> Message | None:
        """Drop the oldest question and its answer if the prompt was too long; the question that was dropped."""
        first = next((n for n, message in enumerate(self._messages) if message.role == "user"), None)
        is_long = self._max_tokens is not None and prompt_tokens > self._max_tokens
        if not is_long or first is None or len(self._messages) - first < 4:
            return None
        question = self._messages[first]
        del self._messages[first : first + 2]
        return question


def catch_up(context: Context, wanted: Sequence[Message]) -> None:
    """Make `context` hold exactly the messages `wanted`; what they share is not read again."""
    have = context.messages
    pairs = zip(have, wanted, strict=False)
    shared = next((n for n, (mine, right) in enumerate(pairs) if mine != right), min(len(have), len(wanted)))
    if shared < min(len(have), len(wanted)) and _is_part(wanted[shared], have[shared]):
        context.rewind(shared, heard=wanted[shared].text)
        shared += 1
    elif shared < len(have):
        context.rewind(shared)
    if shared < len(wanted):
        context.append(*wanted[shared:])


def _is_part(heard: Message, written: Message) -> bool:
    """Whether one answer is the beginning of the other, or all of it."""
    same_kind = heard.role == written.role == "assistant" and heard.state == written.state
    return same_kind and written.text.startswith(heard.text)
