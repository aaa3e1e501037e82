"""What a conversation is made of: parts (text, image, video, audio), messages, and the checks on them.

Made by the command line, the Python interface and the server; read by the templates and by the processor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Union, get_args

from vita.chat.tools import Tool, ToolCall
from vita.errors import PromptError
from vita.tokens import AUDIO_PLACEHOLDER, IMAGE_PLACEHOLDER, VIDEO_PLACEHOLDER, State

if TYPE_CHECKING:
    import numpy as np
    import PIL.Image

    from vita.media.video import Clip

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True)
class Text:
    """Words; in a user's message they may hold one placeholder per medium, to say where it belongs."""

    text: str


@dataclass(frozen=True, eq=False)
class Image:
    """A picture in RGB."""

    image: PIL.Image.Image


@dataclass(frozen=True, eq=False)
class Video:
    """Frames and their times."""

    clip: Clip


@dataclass(frozen=True, eq=False)
class Audio:
    """Sound: float32 [num_samples], mono, 16 kHz, in [-1, 1]."""

    samples: np.ndarray


Part = Union[Text, Image, Video, Audio]  # noqa: UP007  (isinstance over its members, Python 3.10)
Medium = Union[Image, Video, Audio]  # noqa: UP007

PLACEHOLDER_OF: dict[type, str] = {Image: IMAGE_PLACEHOLDER, Video: VIDEO_PLACEHOLDER, Audio: AUDIO_PLACEHOLDER}
"""Kind of medium -> its placeholder, in the order in which media stand before a text that does not place them."""


@dataclass(frozen=True)
class Message:
    """One turn of a conversation.

    role: who speaks.
    parts: what is said and shown; media only from the user.
    state: the state token that an assistant's reply begins with; None for a reply without one.
    tools: of a system message: what the model may call; without parts, the model's own system prompt stays.
    calls: of an assistant's: what it calls. The messages of the role "tool" that follow say what came of them.
    """

    role: Role
    parts: tuple[Part, ...] = ()
    state: State | None = None
    tools: tuple[Tool, ...] = ()
    calls: tuple[ToolCall, ...] = ()

    def __post_init__(self) -> None:
        if self.role not in get_args(Role):
            raise PromptError("unknown role of a message", got=repr(self.role), expected=", ".join(get_args(Role)))
        object.__setattr__(self, "parts", tuple(self.parts))
        for part in self.parts:
            if not isinstance(part, get_args(Part)):
                raise PromptError("unknown part of a message", got=type(part).__name__, expected="Text, Image, ...")
        if self.media and self.role != "user":
            raise PromptError(f"a message of the {self.role} cannot hold media", fix="put them into a user's message")
        if self.state is not None and self.role != "assistant":
            raise PromptError(f"a message of the {self.role} cannot have a state", got=self.state.value)
        if (self.tools and self.role != "system") or (self.calls and self.role != "assistant"):
            raise PromptError(f"a message of the {self.role} cannot have tools or calls of tools")

    @property
    def text(self) -> str:
        """All text parts, one a line."""
        return "\n".join(part.text for part in self.parts if isinstance(part, Text))

    @property
    def media(self) -> tuple[Medium, ...]:
        """The parts that are no text, in the order given."""
        return tuple(part for part in self.parts if not isinstance(part, Text))

    @classmethod
    def system(cls, text: str) -> Message:
        """A system prompt."""
        return cls("system", (Text(text),))

    @classmethod
    def user(cls, *parts: Part | str) -> Message:
        """A user's turn; a plain string stands for a text part."""
        return cls("user", tuple(Text(part) if isinstance(part, str) else part for part in parts))

    @classmethod
    def assistant(cls, text: str, state: State | None = None) -> Message:
        """A reply, with the state that the model had read off the turn before."""
        return cls("assistant", (Text(text),), state)


def extended(messages: Sequence[Message], *parts: Part | str | Message) -> list[Message]:
    """The conversation with more in it: a whole Message is taken as it is; parts join the user's turn that is open."""
    more = list(messages)
    for part in parts:
        if isinstance(part, Message):
            more.append(part)
        elif more and more[-1].role == "user":
            more[-1] = Message("user", (*more[-1].parts, Text(part) if isinstance(part, str) else part))
        else:
            more.append(Message.user(part))
    return more


def check_messages(messages: Sequence[Message], *, answering: bool) -> None:
    """Raises PromptError unless the messages are a conversation.

    Args:
        messages: at most one system message, first; then user and assistant in turn, the user first. An assistant's
            that calls tools is followed by what came of them.
        answering: the model is to answer now, so the last message must be a user's question, or a tool's result.
    """
    turns = [message for message in messages if message.role != "system"]
    if len(messages) - len(turns) > 1 or (len(messages) > len(turns) and messages[0].role != "system"):
        raise PromptError("a system message is not the first message", fix="give one system message, at the start")
    if not turns:
        raise PromptError("no question: the conversation is empty", fix="ask something, typed or spoken")
    for index, message in enumerate(turns):
        expected = _next_roles(turns[index - 1] if index else None)
        if message.role not in expected:
            got = {"got": message.role, "expected": " or ".join(expected)}
            raise PromptError(f"roles do not alternate at turn {index + 1}", **got)
        if message.role == "user" and not message.parts:
            raise PromptError(f"turn {index + 1} of the conversation is empty")
    if answering:
        _check_question(turns[-1])


def _next_roles(before: Message | None) -> tuple[Role, ...]:
    """Whose message may come next."""
    if before is None:
        return ("user",)
    if before.role == "tool":
        return ("assistant", "tool", "user")
    if before.role == "user":
        return ("assistant",)
    return ("tool",) if before.calls else ("user",)


def _check_question(message: Message) -> None:
    """The turn to be answered is the user's, and it asks something: words or sound; or a tool has told something."""
    if message.role == "tool":
        return
    if message.role != "user":
        raise PromptError("nothing to answer: the last message is the assistant's", fix="add a user's message")
    words = message.text
    for placeholder in PLACEHOLDER_OF.values():
        words = words.replace(placeholder, " ")
    if not words.strip() and not any(isinstance(part, Audio) for part in message.parts):
        raise PromptError("no question at all", fix="add a question, typed or spoken")
