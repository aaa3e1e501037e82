"""/v1/audio/transcriptions: the words of a sound."""

from __future__ import annotations

from typing import Any

import numpy as np
import openai
import pytest

from tests.server.conftest import EXAMPLES, Bench
from vita.engine.scripted import Line, ScriptedEngine
from vita.tokens import State

pytestmark = pytest.mark.anyio
WAV = (EXAMPLES / "colour_en.wav").read_bytes()


def heard(samples: np.ndarray) -> str:
    """Tells how much it heard."""
    return f"{len(samples) / 16_000:.1f} seconds"


def made(**options: Any) -> Bench:
    return Bench(engine=ScriptedEngine(lambda _: Line(State.NOISE), **options))


async def words(bench: Bench, **options: Any) -> Any:
    arguments = {"model": "whisper-1", "file": ("sound.wav", WAV), **options}
    return await bench.openai.audio.transcriptions.create(**arguments)


async def test_the_words_of_a_file() -> None:
    bench = made(says=heard)
    assert (await words(bench)).text == (await words(bench, model="pocket")).text == "1.3 seconds"
    assert await words(bench, response_format="text", language="en", temperature=0) == "1.3 seconds\n"


async def test_a_model_without_words() -> None:
    with pytest.raises(openai.BadRequestError, match="not trained to tell the words") as refused:
        await words(made())
    assert refused.value.code == "not_supported"


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        ({"model": "gpt-9"}, 404, "use pocket"),
        ({"response_format": "srt"}, 400, "json, text"),
        ({"file": ("sound.wav", b"no sound")}, 400, "sound"),
        ({"file": ("sound.wav", WAV[:50])}, 400, "sound"),
    ],
)
async def test_what_is_refused(options: dict[str, Any], status: int, message: str) -> None:
    with pytest.raises(openai.APIStatusError, match=message) as refused:
        await words(made(says=heard), **options)
    assert refused.value.status_code == status


async def test_a_body_that_is_no_form() -> None:
    response = await made(says=heard).post({"model": "whisper-1"}, path="/v1/audio/transcriptions")
    assert (response.status_code, response.json()["error"]["param"]) == (400, "file")
