"""What happens to a live conversation (events) and what is then to be done (commands): plain values, no torch.

`machine.step` turns the one into the other; `session.py` makes the events and carries the commands out. Every turn of
the user, spoken or typed, has a number, and the answer to it goes by the same number: what comes late from a turn that
is over is told by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Union

from vita.duplex.spotter import SpottedWord
from vita.engine.protocol import Sampling
from vita.tokens import State

ContextName = Literal["a", "b"]
Sound = Literal["full", "low", "held"]
"""How an answer is played: at full volume, ducked because somebody speaks, or paused because they surely ask."""
Purpose = Literal["early", "end", "word"]
"""Why the monitor is asked: to stop the old answer early, to end the turn, or for the word of a short one."""


@dataclass(frozen=True)
class Voice:
    """Somebody may be speaking, or that was nothing."""

    is_heard: bool


@dataclass(frozen=True)
class SpeechStarted:
    """A turn has begun; its sound from `from_s` on, its voice at `voice_s` (seconds of input)."""

    voice_s: float
    from_s: float


@dataclass(frozen=True)
class SpeechPaused:
    """A short silence in which the turn may have ended already."""


@dataclass(frozen=True)
class SpeechEnded:
    """The turn that began last has ended; its last voice at `voice_s`, with `voiced_ms` of voice in all."""

    voice_s: float
    voiced_ms: float


@dataclass(frozen=True)
class Listened:
    """The monitor has read `seconds` of a turn's sound."""

    turn: int
    seconds: float


@dataclass(frozen=True)
class Probed:
    """What a turn would be if it ended now; `word`: it says just this, and then there is a silence."""

    turn: int
    probabilities: Mapping[State, float]
    word: SpottedWord | None = None


@dataclass(frozen=True)
class Decided:
    """The monitor has read the turn to its end: its state, its word if it is one that is spotted, its text if known."""

    turn: int
    state: State
    probabilities: Mapping[State, float]
    word: SpottedWord | None = None
    heard: str | None = None


@dataclass(frozen=True)
class Failed:
    """A turn could not be read or answered; `error` is one line."""

    turn: int
    error: str


@dataclass(frozen=True)
class Dropped:
    """The spoken turn that began last is not to be judged."""


@dataclass(frozen=True)
class Typed:
    """The user has sent text; or, without any, wants an answer to what is in the conversation.

    sampling: how it is written, in place of the session's.
    """

    text: str
    sampling: Sampling | None = None


@dataclass(frozen=True)
class StopWord:
    """ "Stop" or "停" was heard in the turn that goes on, or typed."""

    is_typed: bool = False


@dataclass(frozen=True)
class AnswerEnded:
    """Everything of an answer was written and played."""

    turn: int


@dataclass(frozen=True)
class Disconnected:
    """The user is gone."""


Event = Union[  # noqa: UP007
    Voice, SpeechStarted, SpeechPaused, SpeechEnded, Listened, Probed, Decided, Failed, Dropped, Typed, StopWord,
    AnswerEnded, Disconnected,
]  # fmt: skip


@dataclass(frozen=True)
class Listen:
    """Let the monitor's context read a turn's sound, from `from_s` on and as it arrives."""

    turn: int
    context: ContextName
    from_s: float


@dataclass(frozen=True)
class Probe:
    """Ask the monitor what the turn would be if it ended now."""

    turn: int
    purpose: Purpose


@dataclass(frozen=True)
class Decide:
    """The turn has ended: read its last sound and its state."""

    turn: int


@dataclass(frozen=True)
class Forget:
    """Take a turn out of the context that has read it."""

    turn: int


@dataclass(frozen=True)
class Answer:
    """Write and speak the answer to a turn; the context that has read the turn is the generator now."""

    turn: int


@dataclass(frozen=True)
class AnswerTyped:
    """Append a typed text, if there is one, to the generator's context, and answer it."""

    turn: int
    context: ContextName
    text: str
    sampling: Sampling | None = None


@dataclass(frozen=True)
class Interrupt:
    """Abort an answer, silence it, and cut it to what was heard; `by` is the turn that did it, None for "stop"."""

    turn: int
    context: ContextName
    by: int | None


@dataclass(frozen=True)
class SetSound:
    """How the answer is played from now on."""

    sound: Sound


@dataclass(frozen=True)
class Tell:
    """Something for the log of events."""

    event: str
    turn: int | None = None
    role: Literal["generator", "monitor"] | None = None
    context: ContextName | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Shut:
    """End everything."""


Command = Union[  # noqa: UP007
    Listen, Probe, Decide, Forget, Answer, AnswerTyped, Interrupt, SetSound, Tell, Shut
]
