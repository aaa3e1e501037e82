"""From voice activity to turns: when somebody begins to speak to somebody, and when that turn may have ended.

Pure: `hear(hearing, window, ...) -> (hearing, signals)`, one window at a time. Called by `session.py`. How a turn
starts and how it stops are strategies, objects of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, Protocol, Union

from vita.errors import ConfigError
from vita.tokens import State


@dataclass(frozen=True, kw_only=True)
class StartStrategy:
    """When a turn begins.

    threshold: a window with at least this probability of speech is voice.
    stay_threshold: in a turn, one with at least this is.
    min_speech_ms: so much voice begins a turn.
    gap_ms: voice that is followed by so much quiet before it was enough was nothing.
    preroll_ms: so much sound before the first voice belongs to the turn, for its first phonemes.
    """

    threshold: float = 0.5
    stay_threshold: float = 0.35
    min_speech_ms: float = 96.0
    gap_ms: float = 160.0
    preroll_ms: float = 300.0

    def __post_init__(self) -> None:
        if not 0 < self.stay_threshold <= self.threshold < 1:
            got = f"{self.stay_threshold} and {self.threshold}"
            raise ConfigError("thresholds of voice do not fit", got=got, expected="0 < stay_threshold <= threshold < 1")


class StopStrategy(Protocol):
    """When a turn ends."""

    @property
    def max_turn_s(self) -> float:
        """A turn is cut there; who speaks on begins another."""
        ...

    def after(self, silence_ms: float) -> Literal["wait", "ask", "end"]:
        """What so much silence means: nothing yet, ask the model whether the turn is complete, or its end."""
        ...

    def is_complete(self, probabilities: Mapping[State, float]) -> bool:
        """Whether what the model said when it was asked ends the turn."""
        ...


@dataclass(frozen=True, kw_only=True)
class FixedSilence:
    """A turn ends after `silence_ms` of silence, whatever was said; after `max_turn_s` in any case."""

    silence_ms: float = 500.0
    max_turn_s: float = 30.0

    def after(self, silence_ms: float) -> Literal["wait", "ask", "end"]:
        """See StopStrategy."""
        return "end" if silence_ms >= self.silence_ms else "wait"

    def is_complete(self, probabilities: Mapping[State, float]) -> bool:
        """See StopStrategy. It never asks."""
        return False


@dataclass(frozen=True, kw_only=True)
class Semantic:
    """A turn ends when the model, asked in a short silence, surely takes it for a question; else after a longer one.

    ask_after_ms: silence after which it is asked, and asked again with every further window.
    threshold: the probability of a spoken question that is sure.
    silence_ms: ends the turn without it.
    max_turn_s: ends it in any case.
    """

    ask_after_ms: float = 200.0
    threshold: float = 0.9
    silence_ms: float = 500.0
    max_turn_s: float = 30.0

    def after(self, silence_ms: float) -> Literal["wait", "ask", "end"]:
        """See StopStrategy."""
        if silence_ms >= self.silence_ms:
            return "end"
        return "ask" if silence_ms >= self.ask_after_ms else "wait"

    def is_complete(self, probabilities: Mapping[State, float]) -> bool:
        """See StopStrategy."""
        return probabilities.get(State.SPOKEN_QUERY, 0.0) >= self.threshold


@dataclass(frozen=True)
class Window:
    """One window of sound.

    end_s, duration_s: when it ends (seconds of input), how long it is.
    probability: of speech in it.
    loud_s: where the last loud sound ended up to then; None where nobody listens for that.
    """

    end_s: float
    duration_s: float
    probability: float
    loud_s: float | None = None


@dataclass(frozen=True)
class VoiceHeard:
    """Somebody may be speaking: the first window with voice has ended."""


@dataclass(frozen=True)
class VoiceGone:
    """It was too little to be a turn."""


@dataclass(frozen=True)
class TurnStarted:
    """voice_s: where the voice began. from_s: where the turn's sound begins, pre-roll included."""

    voice_s: float
    from_s: float


@dataclass(frozen=True)
class MayBeComplete:
    """The stop strategy wants the model to be asked."""


@dataclass(frozen=True)
class TurnEnded:
    """voice_s: where the last voice ended. voiced_ms: how much voice there was."""

    voice_s: float
    voiced_ms: float


HANGOVER_MS, SURELY_GONE_MS = 96.0, 64.0
"""Voice activity tells the end of a voice so much too late at most; after so much without it, it is over."""
Signal = Union[VoiceHeard, VoiceGone, TurnStarted, MayBeComplete, TurnEnded]  # noqa: UP007


@dataclass(frozen=True)
class Hearing:
    """Where turn detection stands.

    in_turn: a turn is going on.
    voice_s: where the voice began that may be, or is, a turn; None in quiet.
    last_voice_s: where the last window with voice ended.
    voiced_ms: voice since `voice_s`.
    """

    in_turn: bool = False
    voice_s: float | None = None
    last_voice_s: float = 0.0
    voiced_ms: float = 0.0


QUIET = Hearing()


def hear(
    hearing: Hearing, window: Window, start: StartStrategy, stop: StopStrategy
) -> tuple[Hearing, tuple[Signal, ...]]:
    """One more window: the new state, and what it means."""
    is_voice = window.probability >= (start.stay_threshold if hearing.in_turn else start.threshold)
    if hearing.voice_s is None and not is_voice:
        return hearing, ()
    signals: list[Signal] = []
    if hearing.voice_s is None:
        hearing = Hearing(voice_s=window.end_s - window.duration_s)
        signals.append(VoiceHeard())
    if is_voice:
        voiced_ms = hearing.voiced_ms + 1000 * window.duration_s
        hearing = replace(hearing, last_voice_s=window.end_s, voiced_ms=voiced_ms)
    hearing, more = (_in_turn if hearing.in_turn else _before_turn)(hearing, window, start, stop)
    return hearing, (*signals, *more)


def end_turn(hearing: Hearing) -> tuple[Hearing, tuple[Signal, ...]]:
    """The turn is complete, the model says; nothing if none is going on."""
    if not hearing.in_turn:
        return hearing, ()
    return QUIET, (TurnEnded(hearing.last_voice_s, hearing.voiced_ms),)


def _before_turn(
    hearing: Hearing, window: Window, start: StartStrategy, stop: StopStrategy
) -> tuple[Hearing, tuple[Signal, ...]]:
    assert hearing.voice_s is not None
    if hearing.voiced_ms >= start.min_speech_ms - 1e-6:
        from_s = max(0.0, hearing.voice_s - start.preroll_ms / 1000)
        return replace(hearing, in_turn=True), (TurnStarted(hearing.voice_s, from_s),)
    if 1000 * (window.end_s - hearing.last_voice_s) >= start.gap_ms - 1e-6:
        return QUIET, (VoiceGone(),)
    return hearing, ()


def _in_turn(
    hearing: Hearing, window: Window, start: StartStrategy, stop: StopStrategy
) -> tuple[Hearing, tuple[Signal, ...]]:
    assert hearing.voice_s is not None
    if window.end_s - hearing.voice_s >= stop.max_turn_s:
        return end_turn(hearing)
    silence_ms = 1000 * (window.end_s - hearing.last_voice_s) + 1e-6
    if stop.after(silence_ms) == "end":
        return end_turn(hearing)
    is_asked = "ask" in (stop.after(silence_ms), stop.after(_quiet_ms(silence_ms, window)))
    return hearing, ((MayBeComplete(),) if is_asked else ())


def _quiet_ms(silence_ms: float, window: Window) -> float:
    """How long nothing was heard. Voice activity outlasts a voice: once it is gone, what counts is the last loud sound,
    up to HANGOVER_MS before.
    """
    if window.loud_s is None or silence_ms < SURELY_GONE_MS:
        return silence_ms
    return max(silence_ms, min(1000 * (window.end_s - window.loud_s), silence_ms + HANGOVER_MS))
