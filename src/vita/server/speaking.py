"""Voices and audio formats: OpenAI's names on the voices of `vita.speech`. Used by `chat.py` and `speech.py`.

The names of OpenAI's voices stand for variants of the embedded voice, so that clients with a fixed list of names work
and sound different; they do not sound like their namesakes. Any voice of `vita.speech` is also known by its own name.
"""

from __future__ import annotations

import io
from collections.abc import AsyncGenerator

import anyio
import anyio.to_thread
import numpy as np
import soundfile
import soxr

from vita.server.failures import ApiError
from vita.server.metrics import Metrics
from vita.speech.clauses import ClauseSplitter
from vita.speech.espeak import Espeak
from vita.speech.voices import EspeakOptions, EspeakVoice, Voice, get_voice, voice_names

SAMPLE_RATE_HZ = 24_000
"""Of everything that is sent; what OpenAI's clients expect of pcm16."""
_VARIANTS = {
    "alloy": "", "ash": "m1", "ballad": "m2", "cedar": "m3", "echo": "m4", "fable": "m5", "onyx": "m7", "verse": "m6",
    "coral": "f1", "marin": "f2", "nova": "f3", "sage": "f4", "shimmer": "f5",
}  # fmt: skip
_CONTAINERS = {"wav": ("WAV", "PCM_16"), "flac": ("FLAC", "PCM_16"), "mp3": ("MP3", None), "opus": ("OGG", "OPUS")}
_MEDIA_TYPES = {
    "wav": "audio/wav", "flac": "audio/flac", "mp3": "audio/mpeg", "opus": "audio/ogg", "pcm": "audio/pcm",
    "pcm16": "audio/pcm",
}  # fmt: skip
_WORDS_A_MINUTE = 175
_SPEEDS = (0.5, 2.5)


class Speaker:
    """Speaks replies and texts, a few at once.

    Args:
        metrics: told how much.
        max_at_once: threads that speak at the same time.
    """

    def __init__(self, metrics: Metrics, max_at_once: int) -> None:
        self._metrics = metrics
        self._espeak = Espeak()
        self._limiter = anyio.CapacityLimiter(max_at_once)

    def voice(self, name: str, *, speed: float = 1.0, param: str = "voice") -> Voice:
        """The voice called so. Raises ApiError for an unknown one, and for a speed that it has not."""
        if name in _VARIANTS or name == "espeak":
            if not _SPEEDS[0] <= speed <= _SPEEDS[1]:
                expected = f"{_SPEEDS[0]} to {_SPEEDS[1]}"
                raise ApiError(400, f"this voice does not speak at the speed {speed:g}; give {expected}", param="speed")
            options = EspeakOptions(variant=_VARIANTS.get(name, ""), rate_wpm=round(_WORDS_A_MINUTE * speed))
            return EspeakVoice(options, self._espeak)
        if name not in voice_names():
            known = ", ".join(sorted({*_VARIANTS, *voice_names()}))
            raise ApiError(400, f"unknown voice; give one of {known}", param=param, code="unknown_voice")
        if speed != 1:
            raise ApiError(400, "this voice has one speed only; leave it out", param="speed")
        return get_voice(name)

    async def speak(self, voice: Voice, text: str) -> np.ndarray:
        """float32 [num_samples] at 24 kHz."""
        return await anyio.to_thread.run_sync(self._speak, voice, text, limiter=self._limiter)

    async def encode(self, samples: np.ndarray, audio_format: str) -> bytes:
        """A whole file (or bare samples) of what `speak` gave."""
        return await anyio.to_thread.run_sync(encode, samples, audio_format, limiter=self._limiter)

    async def pcm_by_clause(self, voice: Voice, text: str) -> AsyncGenerator[bytes, None]:
        """The text as pcm16 at 24 kHz, clause by clause."""
        splitter = ClauseSplitter()
        for clause in (*splitter.push(text), *splitter.finish()):
            if pcm := pcm16(await self.speak(voice, clause)):
                yield pcm

    def close(self) -> None:
        """End the voice's process."""
        self._espeak.close()

    def _speak(self, voice: Voice, text: str) -> np.ndarray:
        samples, sample_rate_hz = voice.speak(text)
        if sample_rate_hz != SAMPLE_RATE_HZ and len(samples):
            samples = soxr.resample(samples, sample_rate_hz, SAMPLE_RATE_HZ)
        self._metrics.spoken.inc(len(samples) / SAMPLE_RATE_HZ)
        return samples


def check_format(audio_format: str, *, streamed: bool, param: str) -> None:
    """Raises ApiError for a format that is not made, or not while it streams."""
    known = ("pcm16",) if streamed else tuple(_MEDIA_TYPES)
    if audio_format not in known:
        when = " of a streamed reply" if streamed else ""
        raise ApiError(400, f"the audio format{when} is one of {', '.join(known)}", param=param, code="unknown_format")


def media_type(audio_format: str) -> str:
    """The MIME type of a format."""
    return _MEDIA_TYPES[audio_format]


def pcm16(samples: np.ndarray) -> bytes:
    """Little-endian 16-bit samples of float32 [num_samples] in [-1, 1]; louder ones are clipped."""
    return (np.clip(samples, -1, 1) * 32767).round().astype("<i2").tobytes()


def encode(samples: np.ndarray, audio_format: str) -> bytes:
    """float32 [num_samples] at 24 kHz as a file of that format."""
    if audio_format not in _CONTAINERS:
        return pcm16(samples)
    container, subtype = _CONTAINERS[audio_format]
    file = io.BytesIO()
    soundfile.write(file, np.clip(samples, -1, 1), SAMPLE_RATE_HZ, format=container, subtype=subtype)
    return file.getvalue()
