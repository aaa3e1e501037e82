"""A live conversation from files: a recording is the microphone, and what is said and done becomes files too.

Called by `vita live`. The form of the event log is that in which full-duplex systems are scored: one JSON object a
line, with `t` in seconds of the input.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vita.clock import Clock
from vita.duplex.session import LiveEvent, Session
from vita.errors import MediaError
from vita.media.audio import SAMPLE_RATE_HZ
from vita.speech.wav import write

if TYPE_CHECKING:
    from vita.media.video import Clip

FRAME_S = 0.01


@dataclass(frozen=True, kw_only=True)
class Recording:
    """What goes in.

    samples: float32 [num_samples], mono, 16 kHz.
    clip: what the camera sees, from the same moment on; None without a camera.
    """

    samples: np.ndarray
    clip: Clip | None = None

    @property
    def seconds(self) -> float:
        """Length of the sound."""
        return len(self.samples) / SAMPLE_RATE_HZ


class Timeline:
    """A sink that lays sound on the clock of the input and makes it a file."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._rate_hz = sample_rate_hz
        self._blocks: list[tuple[int, np.ndarray]] = []

    def play(self, at_s: float, samples: np.ndarray) -> None:
        """See `vita.duplex.player.Sink`."""
        self._blocks.append((round(at_s * self._rate_hz), samples))

    def sound(self, at_least_s: float) -> np.ndarray:
        """All of it: float32 [num_samples], silent where nothing was said."""
        end = max([round(at_least_s * self._rate_hz), *(at + len(samples) for at, samples in self._blocks)])
        sound = np.zeros(end, np.float32)
        for at, samples in self._blocks:
            sound[at : at + len(samples)] = samples
        return sound

    def save(self, path: str | Path, at_least_s: float) -> float:
        """Write a 16-bit WAV file; its length in seconds."""
        sound = self.sound(at_least_s)
        write(path, sound, self._rate_hz)
        return len(sound) / self._rate_hz


class EventLog:
    """Writes events as they come, one JSON object a line.

    Args:
        path: the file; its folder is made.
        also: told of each event, too.
    """

    def __init__(self, path: str | Path, also: Callable[[LiveEvent], None] = lambda event: None) -> None:
        path = Path(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("w", encoding="utf-8")
        except OSError as error:
            raise MediaError(f"{path} cannot be written", got=error.strerror) from error
        self._also = also

    def __call__(self, event: LiveEvent) -> None:
        """One event."""
        self._file.write(json.dumps(event, ensure_ascii=False) + "\n")
        self._also(event)

    def close(self) -> None:
        """The log is complete."""
        self._file.close()


async def play_in(session: Session, clock: Clock, recording: Recording, *, longest_answer_s: float = 120.0) -> float:
    """Feed a recording at its own pace, then silence until nothing is left to be said; when that was, in seconds.

    Args:
        session: listens.
        clock: the session's; the recording begins at its start.
        recording: what it hears and sees.
        longest_answer_s: after the recording, wait no longer than this.
    """
    frame = int(FRAME_S * SAMPLE_RATE_HZ)
    position = 0
    pictures = list(zip(recording.clip.times_s, recording.clip.frames, strict=True)) if recording.clip else []
    while position < len(recording.samples) or not session.is_idle:
        now_s = (position + frame) / SAMPLE_RATE_HZ
        if now_s > recording.seconds + longest_answer_s:
            break
        await clock.sleep_until(now_s)
        while pictures and pictures[0][0] <= now_s:
            session.look(pictures.pop(0)[1])
        heard = recording.samples[position : position + frame]
        session.feed(np.concatenate([heard, np.zeros(frame - len(heard), np.float32)]))
        position += frame
    return position / SAMPLE_RATE_HZ
