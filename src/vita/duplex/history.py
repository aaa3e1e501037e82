"""The conversation as it really was: answers cut to what was heard, noise left out. Contexts are brought to it.

Kept by `session.py`. A context that listened while the other one answered knows only what had been heard when it began
to listen; before it listens or answers again, `catch_up` puts that right.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Sequence

from vita.chat.messages import Message
from vita.engine.protocol import Context
from vita.tokens import State

Entry = tuple[Hashable, Message]
SYSTEM = ("system",)
"""The key of the system prompt."""


class History:
    """Entries of a conversation: messages, each with a key by which it is found again.

    Args:
        start: entries of before; a system prompt among them is never forgotten.
        max_tokens: when a prompt was longer than this, the oldest turn is forgotten; None keeps all.
    """

    def __init__(self, start: Sequence[Entry], max_tokens: int | None) -> None:
        self._numbers = itertools.count()
        self._entries: list[Entry] = list(start)
        self._max_tokens = max_tokens

    @property
    def messages(self) -> tuple[Message, ...]:
        """From the first to the last, user and assistant in turn."""
        return _in_turn([message for _, message in self._entries])

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All messages with their keys."""
        return tuple(self._entries)

    @property
    def last(self) -> Hashable:
        """The key of the last entry; None if there is none."""
        return self._entries[-1][0] if self._entries else None

    def add(self, message: Message, key: Hashable = None, *, after: Hashable = None) -> None:
        """What was said last; or what belongs behind the entry `after`, if that is still there. No key makes one."""
        place = next((n for n, (other, _) in enumerate(self._entries, 1) if other == after), len(self._entries))
        self._entries.insert(place, (next(self._numbers) if key is None else key, message))

    def add_heard(self, message: Message, key: Hashable = None) -> None:
        """A spoken turn as a context holds it: joined to what the user had typed or shown just before, if anything."""
        before = self.messages[-1:]
        if before and before[0].role == "user" and message.parts[: len(before[0].parts)] == before[0].parts:
            message = Message("user", message.parts[len(before[0].parts) :])
        self.add(message, key)

    def find(self, key: Hashable) -> Message | None:
        """The message of an entry, if it is still there."""
        return next((message for other, message in self._entries if other == key), None)

    def change(self, key: Hashable, message: Message) -> None:
        """Put another message in the place of an entry, if it is still there."""
        self._entries = [(other, message if other == key else old) for other, old in self._entries]

    def drop(self, key: Hashable) -> None:
        """Take an entry out, if it is still there."""
        self._entries = [entry for entry in self._entries if entry[0] != key]

    def set_system(self, text: str | None) -> None:
        """Another system prompt, or the model's own."""
        self._entries = [entry for entry in self._entries if entry[1].role != "system"]
        if text is not None:
            self._entries.insert(0, (SYSTEM, Message.system(text)))

    def with_partial(self, heard: str | None, state: State, after: Hashable = None) -> tuple[Message, ...]:
        """With the part of an answer, to the entry `after`, that was heard so far; None where nobody is answering."""
        if heard is None:
            return self.messages
        messages = [message for _, message in self._entries]
        place = next((n for n, (key, _) in enumerate(self._entries, 1) if key == after), len(messages))
        return _in_turn([*messages[:place], Message.assistant(heard, state), *messages[place:]])

    def forget_oldest(self, prompt_tokens: int) -> Message | None:
        """Drop the oldest question and its answer if the prompt was too long; the question that was dropped."""
        roles = [message.role for _, message in self._entries]
        starts = [n for n, role in enumerate(roles) if role == "user" and (n == 0 or roles[n - 1] != "user")]
        is_long = self._max_tokens is not None and prompt_tokens > self._max_tokens
        if not is_long or len(starts) < 2 or len(self._entries) - starts[1] < 2:
            return None
        question = self._entries[starts[0]][1]
        del self._entries[starts[0] : starts[1]]
        return question


def _in_turn(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Neighbours of one role are joined; a reply before any question is left out."""
    joined: list[Message] = []
    for message in messages:
        last = joined[-1] if joined else None
        if message.role == "assistant" and (last is None or last.role == "system"):
            continue
        if last is None or last.role != message.role:
            joined.append(message)
        elif message.role == "user":
            joined[-1] = Message("user", (*last.parts, *message.parts))
        else:
            joined[-1] = Message.assistant(f"{last.text} {message.text}".strip(), message.state)
    return tuple(joined)


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
