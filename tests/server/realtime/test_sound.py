"""Audio formats: compared with an independent codec, and the same whole and in pieces."""

from __future__ import annotations

import base64
import io
from typing import Any

import av
import numpy as np
import pytest

from vita.server.failures import ApiError
from vita.server.realtime.configuration import AudioFormat
from vita.server.realtime.sound import SoundDecoder, decode_all, encode, encode_heard

RAW = {"audio/pcmu": "mulaw", "audio/pcma": "alaw", "audio/pcm": "s16le"}
FORMATS: list[dict[str, Any]] = [
    {"type": "audio/pcm"}, {"type": "audio/pcm", "rate": 16_000}, {"type": "audio/pcmu"}, {"type": "audio/pcma"},
]  # fmt: skip


def tone(rate_hz: int, seconds: float = 1.0) -> np.ndarray:
    time_s = np.arange(int(seconds * rate_hz)) / rate_hz
    return (0.5 * np.sin(2 * np.pi * 440 * time_s)).astype(np.float32)


@pytest.mark.parametrize("fields", FORMATS)
def test_bytes_are_what_ffmpeg_takes_them_for(fields: dict[str, Any]) -> None:
    audio_format = AudioFormat(**fields)
    sent = base64.b64decode(encode(tone(audio_format.rate_hz), audio_format))
    options = {"sample_rate": str(audio_format.rate_hz), "ch_layout": "mono"}
    with av.open(io.BytesIO(sent), format=RAW[audio_format.type], options=options) as container:
        frames = [frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)]
    heard = np.concatenate(frames).astype(np.float32) / 32768
    np.testing.assert_allclose(heard, tone(audio_format.rate_hz), atol=0.03)


@pytest.mark.parametrize("fields", FORMATS)
@pytest.mark.parametrize("piece", [1, 333, 5000])
def test_pieces_are_the_whole(fields: dict[str, Any], piece: int) -> None:
    audio_format = AudioFormat(**fields)
    sent = base64.b64decode(encode(tone(audio_format.rate_hz, 0.25), audio_format))
    decoder = SoundDecoder(audio_format)
    pieces = [decoder.decode(base64.b64encode(sent[n : n + piece]).decode()) for n in range(0, len(sent), piece)]
    whole = decode_all(base64.b64encode(sent).decode(), audio_format)
    np.testing.assert_allclose(np.concatenate([*pieces, decoder.finish()]), whole, atol=1e-5)
    assert len(whole) == pytest.approx(4000, abs=2)
    np.testing.assert_allclose(whole[500:3500], tone(16_000, 0.25)[500:3500], atol=0.03)


def test_what_was_heard_goes_back() -> None:
    audio_format = AudioFormat()
    again = decode_all(encode_heard(tone(16_000), audio_format), audio_format)
    np.testing.assert_allclose(again[1000:15000], tone(16_000)[1000:15000], atol=0.01)


@pytest.mark.parametrize("audio", ["%", "QQ", "é"])
def test_what_is_no_base64(audio: str) -> None:
    with pytest.raises(ApiError, match="base64"):
        SoundDecoder(AudioFormat()).decode(audio)
