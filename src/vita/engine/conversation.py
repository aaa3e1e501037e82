"""What the contexts of all engines have in common: their messages, and one thing at a time that goes on in them."""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar

from vita.chat.messages import Message
from vita.chat.placement import PLACEHOLDERS
from vita.engine.protocol import Listening, Reply
from vita.errors import PromptError
from vita.models.processing_vita import VitaProcessor


class OpenReply(Reply, Protocol):
    """A reply that knows whether it was aborted."""

    @property
    def is_aborted(self) -> bool:
        """Whether `abort` was called."""
        ...


ReplyT = TypeVar("ReplyT", bound=OpenReply)
ListeningT = TypeVar("ListeningT", bound=Listening)


class Conversation(Generic[ReplyT, ListeningT]):
    """The messages of a context; at most one reply that is written in it or one sound that it listens to."""

    def __init__(self, messages: list[Message]) -> None:
        self._messages = messages
        self._open_reply: ReplyT | None = None
        self._open_listening: ListeningT | None = None
        self._read_ms = 0.0  # spent on reading since the last reply

    @property
    def messages(self) -> tuple[Message, ...]:
        """See Context."""
        return tuple(self._messages)

    def _before(self, num_messages: int, heard: str | None) -> list[Message]:
        """The messages that `Context.rewind` leaves; PromptError where it cannot."""
        if not 0 <= num_messages <= len(self._messages):
            raise PromptError("cannot rewind there", got=num_messages, expected=f"0 to {len(self._messages)} messages")
        kept, later = self._messages[:num_messages], self._messages[num_messages:]
        if heard is None:
            return kept
        if not later or later[0].role != "assistant":
            raise PromptError(f"there is no reply after {num_messages} messages, of which part was heard")
        return [*kept, Message.assistant(heard, later[0].state)]

    def _note_heard(self, messages: list[Message] | None, closing_ms: float) -> None:
        """A sound has ended: closed, the conversation holds it; cancelled (None), it does not."""
        self._open_listening = None
        if messages is not None:
            self._messages = messages
            self._read_ms += closing_ms

    def _note_reply(self, reply: Reply, text: str, processor: VitaProcessor) -> None:
        """A reply has ended: its text becomes a message, without what a prompt must not hold."""
        self._open_reply = None
        for control in (*processor.template.control_texts(), *PLACEHOLDERS):
            text = text.replace(control, f"{control[0]} {control[1:]}")
        self._messages.append(Message.assistant(text, reply.state))

    def _check_idle(self) -> None:
        if self._open_reply is not None and self._open_reply.is_aborted:
            self._open_reply.result()
        if self._open_reply is not None:
            raise PromptError("a reply is still being written", fix="read it to its end, or abort it")
        if self._open_listening is not None:
            raise PromptError("a sound is still being listened to", fix="close or cancel it")
