"""The assistant's own voice, coming back through the microphone: taken out, and told from other people's.

What was sent is the reference. In each frequency bin, the echo is a weighted sum of the reference's last frames; the
weights are tracked by a Kalman filter (its measurement noise is what other people say), which also tells how far the
echo is not known yet. Sound that is no louder than that is taken for echo: so a session that has just begun to speak is
not interrupted by itself. Used by `microphone.py`.
Shape legend: F frequency bins, K frames of the reference.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np

from vita.duplex.player import Sink
from vita.media.audio import SAMPLE_RATE_HZ

FRAME, HOP = 512, 256
"""Samples of a frame and from one to the next, at 16 kHz: 32 and 16 ms."""
NUM_BINS = FRAME // 2 + 1
_HANN = np.hanning(FRAME + 1)[:FRAME].astype(np.float32)
_VOICE_BINS = slice(200 * FRAME // SAMPLE_RATE_HZ, 4000 * FRAME // SAMPLE_RATE_HZ)
_COUPLING = 0.25  # variance of a weight before anything was heard: an echo of about half the amplitude
_DRIFT = 2e-6  # what is added to it in every frame: rooms change
_MISMATCH = 0.15  # of the echo's power, so much may stay: frames are no convolution
_FADING = 0.85  # and so much of that in the next frame: rooms go on
_BEGIN, _STAY = 3.0, 1.0  # the rest must be so many times what may be left of the echo, to be somebody else
_FLOOR = 1e-6 * FRAME
_SILENT = 1e-4 * FRAME


class Reference:
    """What was sent, by time, and its frames.

    Args:
        sample_rate_hz: of what is sent.
        keep_s: so much of the past is kept.
    """

    def __init__(self, sample_rate_hz: int, keep_s: float = 2.0) -> None:
        self._rate_hz = sample_rate_hz
        self._buffer = np.zeros(int(keep_s * sample_rate_hz), np.float32)
        self._end = 0
        self._frame = round(FRAME * sample_rate_hz / SAMPLE_RATE_HZ)
        self._window = np.hanning(self._frame + 1)[: self._frame].astype(np.float32) * (FRAME / self._frame)

    def add(self, at_s: float, samples: np.ndarray) -> None:
        """Sent to be heard at `at_s`: float32 [num_samples]."""
        at, end = round(at_s * self._rate_hz), round(at_s * self._rate_hz) + len(samples)
        size = len(self._buffer)
        self._buffer[np.arange(max(self._end, end - size), end) % size] = 0  # what was not sent is silence
        self._buffer[np.arange(at, end) % size] = samples
        self._end = max(self._end, end)

    def spectrum(self, end_s: float) -> np.ndarray:
        """The frame of 32 ms that ends at `end_s`: complex64 [F], silent where nothing was sent."""
        end, size = round(end_s * self._rate_hz), len(self._buffer)
        positions = np.arange(end - self._frame, end)
        is_kept = (positions < self._end) & (positions >= max(0, self._end - size))
        samples = np.where(is_kept, self._buffer[positions % size], 0)
        found = np.fft.rfft(samples * self._window)[:NUM_BINS]
        return np.pad(found, (0, NUM_BINS - len(found))).astype(np.complex64)


class EchoCanceller:
    """Takes the echo of what was sent out of what the microphone hears.

    Args:
        sample_rate_hz: of what is sent.
        reach_ms: the echo's last trace comes so late, delays on its way included.
    """

    def __init__(self, sample_rate_hz: int, reach_ms: float = 384.0) -> None:
        self.sample_rate_hz = sample_rate_hz
        self._reference = Reference(sample_rate_hz)
        num_frames = round(reach_ms * SAMPLE_RATE_HZ / 1000 / HOP)
        self._frames_FK = np.zeros((NUM_BINS, num_frames), np.complex64)
        self._weights_FK = np.zeros_like(self._frames_FK)
        self._unsure_FKK = np.tile(_COUPLING * np.eye(num_frames, dtype=np.complex64), (NUM_BINS, 1, 1))
        self._heard = np.zeros(FRAME, np.float32)  # the last frame of the microphone
        self._echo = np.zeros(FRAME, np.float32)  # the echo in the last frame, whose second half is not complete
        self._position = 0  # samples heard
        self._given = 0  # samples given out
        self._power_F = np.zeros(NUM_BINS, np.float32)  # of the echo, fading
        self._judged: deque[tuple[int, float, float]] = deque(maxlen=64)

    def sent(self, at_s: float, samples: np.ndarray) -> None:
        """The assistant says this: float32 [num_samples], heard from `at_s` on (seconds of the session)."""
        self._reference.add(at_s, samples)

    def push(self, samples: np.ndarray) -> np.ndarray:
        """What the microphone hears next, float32 [any], and what is left of it: as much or, while the assistant
        speaks, up to 32 ms less, which follow later.
        """
        left: list[np.ndarray] = []
        while len(samples):
            piece = samples[: HOP - self._position % HOP]
            samples = samples[len(piece) :]
            self._heard = np.concatenate([self._heard[len(piece) :], piece])
            self._position += len(piece)
            if self._position % HOP == 0:
                left.append(self._hop())
            elif not self._is_active:
                left.append(self._give(self._position))
        return np.concatenate(left) if left else np.zeros(0, np.float32)

    def is_own_voice(self, start: int, end: int, *, in_turn: bool) -> bool:
        """Whether what was heard from sample `start` to `end` can be the echo alone. Within a turn, somebody else is
        taken for granted sooner.
        """
        found = [(rest, echo) for at, rest, echo in self._judged if start < at - HOP // 2 and at - FRAME // 2 < end]
        rest, echo = (sum(values) for values in zip(*found, strict=True)) if found else (1.0, 0.0)
        return rest < (_STAY if in_turn else _BEGIN) * echo

    @property
    def _is_active(self) -> bool:
        return bool(np.abs(self._frames_FK).max() > _SILENT)

    def _hop(self) -> np.ndarray:
        """A frame has been heard: its echo is estimated, and what is left of the sound given out."""
        end_s = self._position / SAMPLE_RATE_HZ
        newest_F1 = self._reference.spectrum(end_s)[:, None]
        self._frames_FK = np.concatenate([newest_F1, self._frames_FK[:, :-1]], axis=1)
        self._echo = np.concatenate([self._echo[HOP:], np.zeros(HOP, np.float32)])
        if not self._is_active:
            return self._give(self._position)
        echo_F = self._track(np.fft.rfft(self._heard * _HANN).astype(np.complex64))
        self._echo += np.fft.irfft(echo_F).astype(np.float32)
        return self._give(self._position - HOP)

    def _track(self, heard_F: np.ndarray) -> np.ndarray:
        """One step of the filter: the echo as it was expected [F]; what was heard then corrects the weights."""
        frames_FK = self._frames_FK
        echo_F = np.einsum("fk,fk->f", self._weights_FK, frames_FK)
        rest_F = heard_F - echo_F
        spread_FK = np.matmul(self._unsure_FKK, frames_FK.conj()[..., None])[..., 0]
        unsure_F = np.einsum("fk,fk->f", frames_FK, spread_FK).real
        power_F = np.abs(rest_F) ** 2
        others_F = np.maximum(power_F - unsure_F, 0.1 * power_F) + _FLOOR
        gain_FK = spread_FK / (unsure_F + others_F)[:, None]
        self._weights_FK = self._weights_FK + gain_FK * rest_F[:, None]
        self._unsure_FKK -= gain_FK[:, :, None] * spread_FK.conj()[:, None, :]
        np.einsum("fkk->fk", self._unsure_FKK)[:] += _DRIFT
        self._power_F = np.maximum(np.abs(echo_F) ** 2, _FADING * self._power_F)
        allowed_F = unsure_F + _MISMATCH * self._power_F
        self._judged.append((self._position, float(power_F[_VOICE_BINS].sum()), float(allowed_F[_VOICE_BINS].sum())))
        return echo_F

    def _give(self, to: int) -> np.ndarray:
        """The sound up to sample `to`, as far as it was not given yet, without its echo."""
        num = max(0, to - self._given)
        if num == 0:
            return np.zeros(0, np.float32)
        back = self._position - self._given
        start = FRAME - back
        # Between two hops, the last whole frame ends before the last sample.
        echo = self._echo[start : start + num] if self._position % HOP == 0 else np.zeros(num, np.float32)
        self._given = to
        return self._heard[start : start + num] - echo


class Loudspeaker:
    """A sink whose sound comes back through the microphone: an EchoCanceller is told of all that is played.

    Args:
        sink: plays it.
        echo: is told.
        fed_s: how much the microphone has heard by now (seconds); its clock is not the session's.
        now_s: the session's clock.
    """

    def __init__(self, sink: Sink, echo: EchoCanceller, fed_s: Callable[[], float], now_s: Callable[[], float]) -> None:
        self._sink, self._echo, self._fed_s, self._now_s = sink, echo, fed_s, now_s
        self._behind_s = 0.0  # the microphone's clock, behind the session's
        self._next_s = -1.0

    def play(self, at_s: float, samples: np.ndarray) -> None:
        """See `vita.duplex.player.Sink`."""
        if abs(at_s - self._next_s) > 0.005:  # an answer begins, or goes on after a pause
            self._behind_s = self._now_s() - self._fed_s()
        self._next_s = at_s + len(samples) / self._echo.sample_rate_hz
        self._echo.sent(at_s - self._behind_s, samples)
        self._sink.play(at_s, samples)
