"""A voice of Piper, from the package piper-tts (GPL-3, installed by the user) and a voice file of theirs.

Registered as "piper" in `voices.py`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vita.errors import ConfigError, DependencyError
from vita.speech.speakable import speakable


class PiperVoice:
    """See `vita.speech.voices.Voice`.

    Args:
        model: a Piper voice, MODEL.onnx, with MODEL.onnx.json beside it; it speaks one language.
    """

    def __init__(self, model: str) -> None:
        if not Path(model).is_file():
            raise ConfigError("there is no such Piper voice", got=model, expected="a file MODEL.onnx")
        try:
            import piper  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            raise DependencyError("Piper is not installed", fix="pip install piper-tts") from error
        self._voice = piper.PiperVoice.load(model)

    def speak(self, text: str, lang: str | None = None) -> tuple[np.ndarray, int]:
        """See Voice."""
        chunks = list(self._voice.synthesize(speakable(text))) if text.strip() else []
        pieces = [np.frombuffer(chunk.audio_int16_bytes, "<i2") for chunk in chunks]
        samples = np.concatenate([np.zeros(0, np.int16), *pieces]).astype(np.float32) / 32768
        return samples, chunks[0].sample_rate if chunks else 22_050

    def close(self) -> None:
        """Let the model go."""
        del self._voice
