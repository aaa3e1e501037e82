"""What an engine is: it opens Contexts (conversations that the model has read so far), which listen and give Replies.

Implemented by `local` (PyTorch) and `scripted` (tests); used by `vita.api`, the command line and live conversations.
Contexts of one engine may be used at the same time, each by one thread; the engine shares itself out among them, so
that one long reply does not keep another context's listening waiting.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Literal, Protocol

import numpy as np

from vita.chat.messages import Message, Part
from vita.chat.state import StateMode
from vita.errors import ConfigError
from vita.tokens import State

Ending = Literal["stop", "length", "noise", "aborted"]
"""Why a reply ended: the model ended it, max_new_tokens, the turn was noise, `Reply.abort`."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How a reply is written.

    max_new_tokens: at most so many tokens after the state token.
    temperature: 0 takes the likeliest token; above, tokens are drawn.
    top_p: only the likeliest tokens are drawn that have this probability together; 1: all.
    seed: makes drawing repeatable; None draws differently every time.
    state: "auto" leaves the state to the model, "answer" never takes a turn for noise.
    """

    max_new_tokens: int = 256
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    state: StateMode = "auto"

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise ConfigError("max_new_tokens is too small", got=self.max_new_tokens, expected="1 or more")
        if not 0 <= self.temperature <= 10:
            raise ConfigError("temperature is out of range", got=self.temperature, expected="0 to 10")
        if not 0 < self.top_p <= 1:
            raise ConfigError("top_p is out of range", got=self.top_p, expected="above 0, up to 1")


GREEDY = Sampling()


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Tokens of one reply.

    prompt_tokens: the conversation up to the reply, features of media included.
    image_tokens, audio_tokens: how many of these stand for pictures and video, and for sound.
    completion_tokens: state token and text of the reply.
    """

    prompt_tokens: int
    image_tokens: int
    audio_tokens: int
    completion_tokens: int

    def to_dict(self) -> dict[str, int]:
        """For JSON, with the total."""
        return {**asdict(self), "total_tokens": self.prompt_tokens + self.completion_tokens}


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Milliseconds of one reply.

    prefill_ms: reading what was new in the conversation, media included, until the state was known; of a sound that
        was listened to, only what was left when it closed.
    first_token_ms: from the call of `reply` to the first text (for noise: to the state).
    total_ms: from the call of `reply` to the end.
    """

    prefill_ms: float
    first_token_ms: float
    total_ms: float


@dataclass(frozen=True, kw_only=True)
class Result:
    """A finished reply.

    state: what the model took the turn for.
    probabilities: of every state that was allowed.
    text: the reply; "" for noise.
    ending: why it ended.
    """

    state: State
    probabilities: dict[State, float]
    text: str
    ending: Ending
    usage: Usage
    timing: Timing


class Reply(Protocol):
    """A reply that is being written: the state is known at once, the text comes by iterating."""

    state: State
    probabilities: dict[State, float]

    def __iter__(self) -> Iterator[str]:
        """The text, in pieces that join to `Result.text`."""
        ...

    def abort(self) -> None:
        """End it now, from any thread; no text comes afterwards."""
        ...

    def result(self) -> Result:
        """The finished reply; whatever has not been written yet is written first."""
        ...


@dataclass(frozen=True)
class Words:
    """What a model's ear makes of a sound.

    text: the words.
    likelihoods: of each phrase that was asked for, how likely it is that the sound says this and nothing else, compared
        with the best reading of it; 0 to 1.
    """

    text: str
    likelihoods: dict[str, float]


class Listening(Protocol):
    """A sound of the user's turn that is still arriving. Ends with `close` or `cancel`; then it takes nothing more."""

    @property
    def seconds(self) -> float:
        """How much was heard."""
        ...

    def push(self, samples: np.ndarray) -> None:
        """Hear more: float samples [num_samples] in [-1, 1], mono, 16 kHz, any number of them; they are read now.

        Raises MediaError for samples of another kind, LimitError for more than the model or the engine can hold: what
        was heard before stays, and can still be closed or cancelled.
        """
        ...

    def probe(self) -> dict[State, float]:
        """What the turn would be if it ended now; the conversation stays as it is.

        Raises MediaError before 25 ms were heard.
        """
        ...

    def words(self, phrases: Sequence[str] = ()) -> Words | None:
        """The words of the sound so far, and whether it says one of `phrases`; None from a model that hears no words.

        Raises MediaError before 25 ms were heard.
        """
        ...

    def close(self) -> None:
        """The sound has ended: it is a part of the user's turn, which can be answered.

        Raises MediaError if less than 25 ms were heard; the sound is then cancelled.
        """
        ...

    def cancel(self) -> None:
        """Forget the sound, as if it had never been heard; nothing happens if it has ended."""
        ...


class Context(Protocol):
    """A conversation that the model has read so far.

    While a reply is being written, and while a sound is listened to, everything but `messages` raises PromptError.
    """

    @property
    def messages(self) -> tuple[Message, ...]:
        """What is in it, the system message included if it was given."""
        ...

    def append(self, *parts: Part | str | Message) -> None:
        """Add parts to the user's turn, or whole messages, and let the model read them now."""
        ...

    def listen(self) -> Listening:
        """Hear a sound of the user's turn while it is still arriving; all before it is read now."""
        ...

    def reply(self, sampling: Sampling = GREEDY) -> Reply:
        """Answer the user's turn. The reply becomes a message when it has ended."""
        ...

    def fork(self) -> Context:
        """A second conversation with the same beginning."""
        ...

    def rewind(self, num_messages: int, *, heard: str | None = None) -> None:
        """Forget all but the first messages; of the reply after them keep `heard`, if given."""
        ...


class Engine(Protocol):
    """Holds a model; one copy of the weights for all its contexts."""

    @property
    def history_tokens(self) -> int | None:
        """Live conversations keep no more than this for the model; None: as they like."""
        ...

    @property
    def has_tools(self) -> bool:
        """Whether conversations may have tools, and calls of them."""
        ...

    def open(self, system: str | None = None, *, messages: Sequence[Message] = ()) -> Context:
        """A new conversation; `system` replaces the model's own system prompt, `messages` were said before."""
        ...

    def batch(self, conversations: Sequence[Sequence[Message]], sampling: Sampling = GREEDY) -> list[Result]:
        """Answer many conversations at once, each as if it were alone."""
        ...
