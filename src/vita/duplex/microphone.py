"""What comes from the microphone: the last seconds of its sound, and the events that turn detection makes of it.

Used by `session.py`.
"""

from __future__ import annotations

import numpy as np

from vita.duplex import events as ev
from vita.duplex import turns
from vita.duplex.echo import EchoCanceller
from vita.duplex.voice_activity import WINDOW_S, WINDOW_SAMPLES, VoiceActivity
from vita.media.audio import SAMPLE_RATE_HZ, check_samples


class Microphone:
    """Sound in, events out.

    Args:
        activity: hears whether somebody speaks.
        start, stop: when a turn begins and ends.
        echo: takes the assistant's own voice out; None where it cannot come back.

    sound: what was heard, without that.
    """

    def __init__(
        self,
        activity: VoiceActivity,
        start: turns.StartStrategy,
        stop: turns.StopStrategy,
        echo: EchoCanceller | None = None,
    ) -> None:
        self.sound = InputSound(keep_s=2 * stop.max_turn_s)
        self._activity, self._start, self._stop = activity, start, stop
        self._echo = echo
        self._hearing = turns.QUIET
        self._num_fed = self._judged_to = 0

    @property
    def fed_s(self) -> float:
        """How much was heard, seconds."""
        return self._num_fed / SAMPLE_RATE_HZ

    @property
    def last_voice_s(self) -> float:
        """Where the last voice of the turn that goes on ended."""
        return self._hearing.last_voice_s

    def feed(self, samples: np.ndarray) -> list[ev.Event]:
        """What was heard next, float32 [num_samples], and what that means. Raises MediaError for other samples."""
        samples = check_samples(samples)
        self._num_fed += len(samples)
        self.sound.add(samples if self._echo is None else self._echo.push(samples))
        events: list[ev.Event] = []
        while self.sound.end - self._judged_to >= WINDOW_SAMPLES:
            probability = self._judge(self._judged_to, self._judged_to + WINDOW_SAMPLES)
            self._judged_to += WINDOW_SAMPLES
            judged = turns.Window(self._judged_to / SAMPLE_RATE_HZ, WINDOW_S, probability)
            self._hearing, signals = turns.hear(self._hearing, judged, self._start, self._stop)
            events += [_event(signal) for signal in signals]
        return events

    def set_strategies(self, start: turns.StartStrategy, stop: turns.StopStrategy) -> None:
        """When a turn begins and ends, from now on."""
        self._start, self._stop = start, stop

    def drop_turn(self) -> bool:
        """Hear nothing more of the turn that goes on; whether one does."""
        was_in_turn, self._hearing = self._hearing.in_turn, turns.QUIET
        return was_in_turn

    def _judge(self, start: int, end: int) -> float:
        """The probability that somebody else speaks between two samples."""
        probability = self._activity.probability(self.sound.between(start, end))
        if self._echo is not None and self._echo.is_own_voice(start, end, in_turn=self._hearing.in_turn):
            return 0.0
        return probability

    def end_turn(self, last_voice_s: float) -> list[ev.Event]:
        """The turn is complete, the model says, having heard it up to then; nothing if somebody has spoken on."""
        if last_voice_s != self._hearing.last_voice_s:
            return []
        self._hearing, signals = turns.end_turn(self._hearing)
        return [_event(signal) for signal in signals]


class InputSound:
    """The last seconds of what the microphone heard; positions count samples from the session's start.

    Args:
        keep_s: how much is kept at least.
    """

    def __init__(self, keep_s: float) -> None:
        self._keep = int(keep_s * SAMPLE_RATE_HZ)
        self._buffer = np.zeros(2 * self._keep, np.float32)
        self._start = 0  # position of the buffer's first sample
        self.end = 0

    def add(self, samples: np.ndarray) -> None:
        """What was heard next."""
        for first in range(0, len(samples), self._keep):
            self._add(samples[first : first + self._keep])

    def between(self, start: int, end: int) -> np.ndarray:
        """The samples from `start` to before `end`; those that are not kept are left out."""
        first, last = max(start, self._start), min(end, self.end)
        return self._buffer[first - self._start : max(first, last) - self._start].copy()

    def _add(self, samples: np.ndarray) -> None:
        filled = self.end - self._start
        if filled + len(samples) > len(self._buffer):
            self._buffer[: self._keep] = self._buffer[filled - self._keep : filled]
            self._start, filled = self.end - self._keep, self._keep
        self._buffer[filled : filled + len(samples)] = samples
        self.end += len(samples)


def _event(signal: turns.Signal) -> ev.Event:
    if isinstance(signal, turns.VoiceHeard):
        return ev.Voice(is_heard=True)
    if isinstance(signal, turns.VoiceGone):
        return ev.Voice(is_heard=False)
    if isinstance(signal, turns.TurnStarted):
        return ev.SpeechStarted(signal.voice_s, signal.from_s)
    if isinstance(signal, turns.MayBeComplete):
        return ev.SpeechPaused()
    return ev.SpeechEnded(signal.voice_s, signal.voiced_ms)
