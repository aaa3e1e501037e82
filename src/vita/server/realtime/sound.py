"""Audio formats of a realtime connection: their bytes as samples and back. Used by `conversation.py`, `response.py`."""

from __future__ import annotations

import base64
import binascii
import io

import numpy as np
import soundfile
import soxr

from vita.media import SAMPLE_RATE_HZ
from vita.server.failures import ApiError
from vita.server.realtime.configuration import AudioFormat
from vita.server.speaking import pcm16

_G711 = {"audio/pcmu": "ULAW", "audio/pcma": "ALAW"}


class SoundDecoder:
    """Bytes that come in pieces of any length as float32 samples, mono, 16 kHz.

    Args:
        audio_format: of the bytes.
    """

    def __init__(self, audio_format: AudioFormat) -> None:
        self._format = audio_format
        self._rest = b""
        self._resampler = _resampler(audio_format)

    def decode(self, encoded: str) -> np.ndarray:
        """The next piece, base64. Raises ApiError for what is none."""
        try:
            data = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            raise ApiError(400, "audio is no valid base64", code="invalid_value", param="audio") from None
        data = self._rest + data
        whole = len(data) - len(data) % 2 if self._format.type == "audio/pcm" else len(data)
        data, self._rest = data[:whole], data[whole:]
        samples = samples_of(data, self._format)
        return self._resampled(samples, last=False)

    def finish(self) -> np.ndarray:
        """What was held back; the next piece begins anew."""
        samples = self._resampled(np.zeros(0, np.float32), last=True)
        self._rest, self._resampler = b"", _resampler(self._format)
        return samples

    def _resampled(self, samples: np.ndarray, *, last: bool) -> np.ndarray:
        if self._resampler is None:
            return samples
        return np.clip(self._resampler.resample_chunk(samples, last=last), -1, 1)


def decode_all(encoded: str, audio_format: AudioFormat) -> np.ndarray:
    """A whole sound as float32 [num_samples], 16 kHz. Raises ApiError."""
    decoder = SoundDecoder(audio_format)
    return np.concatenate([decoder.decode(encoded), decoder.finish()])


def encode(samples: np.ndarray, audio_format: AudioFormat) -> str:
    """float32 [num_samples], at the format's rate, in base64."""
    if audio_format.type == "audio/pcm":
        return base64.b64encode(pcm16(samples)).decode()
    file = io.BytesIO()
    subtype = _G711[audio_format.type]
    soundfile.write(file, np.clip(samples, -1, 1), audio_format.rate_hz, format="RAW", subtype=subtype)
    return base64.b64encode(file.getvalue()).decode()


def encode_heard(samples: np.ndarray, audio_format: AudioFormat) -> str:
    """float32 [num_samples] at 16 kHz, in base64."""
    if audio_format.rate_hz != SAMPLE_RATE_HZ:
        samples = soxr.resample(samples, SAMPLE_RATE_HZ, audio_format.rate_hz)
    return encode(samples, audio_format)


def _resampler(audio_format: AudioFormat) -> soxr.ResampleStream | None:
    if audio_format.rate_hz == SAMPLE_RATE_HZ:
        return None
    return soxr.ResampleStream(audio_format.rate_hz, SAMPLE_RATE_HZ, 1)


def samples_of(data: bytes, audio_format: AudioFormat) -> np.ndarray:
    """Bytes as float32 [num_samples], at the format's rate; pcm in whole samples."""
    if audio_format.type == "audio/pcm":
        return np.frombuffer(data, "<i2").astype(np.float32) / 32768
    if not data:
        return np.zeros(0, np.float32)
    subtype = _G711[audio_format.type]
    samples, _ = soundfile.read(
        io.BytesIO(data), dtype="float32", samplerate=audio_format.rate_hz, channels=1, format="RAW", subtype=subtype
    )
    return samples
