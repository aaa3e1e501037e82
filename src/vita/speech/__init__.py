"""Text to speech: the embedded voice (espeak-ng, English and Mandarin) and voices that plug-ins bring.

Called by the command line (`vita ask --speak`) and by live conversations. Imports nothing heavy until it speaks.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

__all__ = ["speak", "write_wav"]


def speak(text: str, lang: str | None = None, *, voice: str = "espeak") -> tuple[np.ndarray, int]:
    """Speak `text` as a reply is spoken: Markdown and state tokens are left out, each script in its own language.

    Args:
        text: the text, English, Chinese or mixed.
        lang: "en" or "zh", for what has no script of its own (digits); None: what the rest of the text is in.
        voice: a registered voice, see `vita.speech.voices.voice_names`.
    Returns:
        float32 samples [num_samples] in [-1, 1], mono, and their rate in Hz.
    """
    from vita.speech.voices import get_voice

    return get_voice(voice).speak(text, lang)


def write_wav(path: str | Path, samples: np.ndarray, sample_rate_hz: int) -> None:
    """Write mono float32 samples to a 16-bit WAV file, making its folder if need be."""
    from vita.speech.wav import write

    write(path, samples, sample_rate_hz)
