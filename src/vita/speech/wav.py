"""Samples to a 16-bit WAV file, by the standard library. Called through `vita.speech.write_wav`."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np

from vita.errors import MediaError


def write(path: str | Path, samples: np.ndarray, sample_rate_hz: int) -> None:
    """Write mono float32 samples in [-1, 1]; louder ones are clipped. Makes the folder if need be."""
    path = Path(path)
    data = (np.clip(samples, -1, 1) * 32767).round().astype("<i2").tobytes()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(sample_rate_hz)
            file.writeframes(data)
    except OSError as error:
        raise MediaError(f"{path} cannot be written", got=error.strerror) from error
