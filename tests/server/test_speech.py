"""Speech: formats, voices, speed."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import openai
import pytest
import soundfile

from tests.server.conftest import Bench

pytestmark = pytest.mark.anyio
TEXT = "Hello there. How are you?"


async def speak(bench: Bench, **options: Any) -> bytes:
    arguments = {"model": "tts-1", "voice": "alloy", "input": TEXT, **options}
    return (await bench.openai.audio.speech.create(**arguments)).content


@pytest.mark.parametrize("audio_format", ["wav", "flac", "mp3", "opus"])
async def test_files(bench: Bench, audio_format: str) -> None:
    samples, rate_hz = soundfile.read(io.BytesIO(await speak(bench, response_format=audio_format)))
    assert rate_hz == 24_000
    assert 1.0 < len(samples) / rate_hz < 4.0
    assert abs(samples).max() > 0.1


async def test_pcm_is_streamed_and_mp3_is_the_default(bench: Bench) -> None:
    pcm = np.frombuffer(await speak(bench, response_format="pcm"), "<i2")
    samples, _ = soundfile.read(io.BytesIO(await speak(bench)))
    assert 0.8 < len(pcm) / len(samples) < 1.2


async def test_voices_and_speeds_differ(bench: Bench) -> None:
    plain, other, fast = [
        await speak(bench, response_format="pcm", **options) for options in ({}, {"voice": "nova"}, {"speed": 2.0})
    ]
    assert plain != other
    assert len(fast) < 0.7 * len(plain)


REFUSED: dict[str, tuple[dict[str, Any], int, str]] = {
    "voice": ({"voice": "bob"}, 400, "voice"),
    "format": ({"response_format": "aac"}, 400, "response_format"),
    "empty": ({"input": ""}, 400, "input"),
    "long": ({"input": "a" * 5000}, 400, "input"),
    "model": ({"model": "gpt-9"}, 404, "model"),
    "speed": ({"speed": 3.5}, 400, "speed"),
    "no speed": ({"speed": 9}, 400, "speed"),
    "instructions": ({"instructions": "whisper"}, 400, "instructions"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_refused(bench: Bench, name: str) -> None:
    options, status, param = REFUSED[name]
    with pytest.raises(openai.APIStatusError) as caught:
        await speak(bench, **options)
    assert (caught.value.status_code, caught.value.param) == (status, param)
