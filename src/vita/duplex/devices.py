"""The microphone and the speakers of this machine, by PortAudio (extra `mic`). Used by `vita live` in the terminal."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from typing import Any

import numpy as np

from vita.errors import DependencyError
from vita.media.audio import SAMPLE_RATE_HZ

BLOCK_S = 0.01
_AHEAD_S = 0.03  # so much is collected before an answer sounds, against gaps


class Devices:
    """Opens both; made inside the running event loop. A sink: what it is given is played as soon as it can be.

    Args:
        sample_rate_hz: of what is played.
        device: number or part of a name, as sounddevice takes it; None for the system's own.
    Raises DependencyError where there is no PortAudio, no microphone or no speaker.
    """

    def __init__(self, sample_rate_hz: int, device: str | int | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._heard: asyncio.Queue[np.ndarray] = asyncio.Queue()
        self._lock = threading.Lock()
        self._waiting: deque[np.ndarray] = deque()
        self._num_waiting, self._ahead, self._is_playing = 0, int(_AHEAD_S * sample_rate_hz), False
        sounddevice = _sounddevice()
        self._streams: list[Any] = []
        shape = {"channels": 1, "dtype": "float32", "device": device}
        try:
            microphone = sounddevice.InputStream(
                samplerate=SAMPLE_RATE_HZ, blocksize=int(BLOCK_S * SAMPLE_RATE_HZ), callback=self._hear, **shape
            )
            self._streams.append(microphone)
            speaker = sounddevice.OutputStream(samplerate=sample_rate_hz, latency="low", callback=self._fill, **shape)
            self._streams.append(speaker)
            for stream in self._streams:
                stream.start()
        except (sounddevice.PortAudioError, ValueError) as error:
            missing = "speaker" if self._streams else "microphone"
            self.close()
            raise DependencyError(
                f"the {missing} cannot be opened", got=error,
                fix="connect one, or hold a conversation from files: vita live --in INPUT.wav ...",
            ) from error  # fmt: skip

    async def read(self) -> np.ndarray:
        """What was heard next: float32 [num_samples], 16 kHz."""
        return await self._heard.get()

    def forget(self) -> None:
        """Drop what was heard up to now."""
        while not self._heard.empty():
            self._heard.get_nowait()

    def play(self, at_s: float, samples: np.ndarray) -> None:
        """See `vita.duplex.player.Sink`."""
        with self._lock:
            self._waiting.append(samples)
            self._num_waiting += len(samples)

    def close(self) -> None:
        """Let both go."""
        for stream in self._streams:
            stream.close()

    def _hear(self, samples: np.ndarray, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._heard.put_nowait, samples[:, 0].copy())

    def _fill(self, samples: np.ndarray, *_: object) -> None:
        """Called for the next samples [N, 1] to be played; silence where there are none yet."""
        samples[:] = 0
        with self._lock:
            self._is_playing = self._is_playing or self._num_waiting >= self._ahead
            at = 0
            while self._is_playing and self._waiting and at < len(samples):
                block = self._waiting.popleft()
                num = min(len(block), len(samples) - at)
                samples[at : at + num, 0] = block[:num]
                at += num
                self._num_waiting -= num
                if num < len(block):
                    self._waiting.appendleft(block[num:])
            self._is_playing = self._is_playing and bool(self._waiting)


def _sounddevice() -> Any:
    try:
        import sounddevice  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise DependencyError(
            "a microphone needs the package sounddevice", fix="pip install 'vita-omni[mic]', or give --in INPUT.wav"
        ) from error
    except OSError as error:
        raise DependencyError(
            "sounddevice finds no PortAudio", got=error, fix="install it (Debian: apt install libportaudio2)"
        ) from error
    return sounddevice
