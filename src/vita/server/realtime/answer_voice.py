"""The voice of one realtime conversation: it can be changed, and be silent where answers are only written."""

from __future__ import annotations

import numpy as np

from vita.server.metrics import Metrics
from vita.speech.voices import Voice

_ANY_RATE_HZ = 24_000


class AnswerVoice:
    """See `vita.speech.voices.Voice`.

    Args:
        voice: speaks.
        metrics: told how much.

    speaks: whether answers are spoken.
    """

    def __init__(self, voice: Voice, metrics: Metrics) -> None:
        self.speaks = True
        self._voice, self._metrics = voice, metrics

    def change(self, voice: Voice) -> None:
        """Speak with another voice from the next clause on."""
        self._voice = voice

    def warm_up(self) -> None:
        """Start what the voice needs, so that the first answer does not wait for it."""
        self._voice.speak("a 1")

    def speak(self, text: str, lang: str | None = None) -> tuple[np.ndarray, int]:
        """See Voice."""
        if not self.speaks:
            return np.zeros(0, np.float32), _ANY_RATE_HZ
        samples, rate_hz = self._voice.speak(text, lang)
        self._metrics.spoken.inc(len(samples) / rate_hz)
        return samples, rate_hz

    def close(self) -> None:
        """See Voice. The voice belongs to the server."""
