"""What a live conversation is at one moment: its policy, its turns that are not decided yet, who has which role.

Changed by `machine.step` alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from vita.duplex.events import ContextName, Sound, SpeechEnded
from vita.errors import ConfigError
from vita.tokens import State


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What counts as an interruption.

    early_threshold: the probability of a question from which the old answer is stopped while its interruption is still
        being spoken; from the same probability of noise on, the answer is not lowered any more. Above 1: never.
        `benchmarks/live.py early` has the curve.
    early_after_s: so much of a turn is read before it is judged early.
    backchannel_ms: a turn with less voice than this does not interrupt an answer ("mm-hm", "嗯").
    min_turn_ms: a turn with less voice than this is noise, whenever it comes.
    """

    early_threshold: float = 0.9
    early_after_s: float = 0.6
    backchannel_ms: float = 350.0
    min_turn_ms: float = 160.0

    def __post_init__(self) -> None:
        if not self.early_threshold > 0.5:
            raise ConfigError("early_threshold is too low", got=self.early_threshold, expected="more than 0.5")


@dataclass(frozen=True, kw_only=True)
class Turn:
    """A spoken turn that is not decided yet.

    from_s: where its sound begins.
    leaning: what the monitor, asked early, was sure of.
    ended: its end, once it has come.
    is_deciding: the monitor reads its state.
    is_spotted: the monitor was asked which word it is.
    is_stop: it is a stop word: it needs no answer.
    """

    number: int
    from_s: float
    leaning: State | None = None
    ended: SpeechEnded | None = None
    is_deciding: bool = False
    is_spotted: bool = False
    is_stop: bool = False


@dataclass(frozen=True, kw_only=True)
class Live:
    """The state of a conversation.

    generator: the context that has this role.
    turns: spoken turns in order; the monitor reads the first, the others wait.
    answering: the number of the turn whose answer is written or played.
    has_voice: somebody may be speaking.
    sound: how the answer is played.
    num_turns: turns so far, spoken and typed.
    is_over: the user is gone.
    """

    policy: Policy = field(default_factory=Policy)
    generator: ContextName = "a"
    turns: tuple[Turn, ...] = ()
    answering: int | None = None
    has_voice: bool = False
    sound: Sound = "full"
    num_turns: int = 0
    is_over: bool = False

    @property
    def monitor(self) -> ContextName:
        """The context that listens."""
        return "b" if self.generator == "a" else "a"

    @property
    def is_idle(self) -> bool:
        """Nobody speaks, nothing is to be decided or answered."""
        return not self.turns and self.answering is None and not self.has_voice
