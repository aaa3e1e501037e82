"""The `openai` package, unmodified, talks to /v1/realtime on the loopback interface, in real time."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import openai
import PIL.Image
import pytest
import soundfile
from openai import AsyncOpenAI
from websockets.exceptions import InvalidStatus

from tests.duplex.stage import QUESTION, SIDE_TALK, hears, kind_of
from tests.server.conftest import Bench, on_loopback
from tests.server.realtime.stage import text_item
from vita.chat.messages import Audio, Image, Message, Video
from vita.engine.scripted import Line, ScriptedEngine
from vita.tokens import State

pytestmark = pytest.mark.anyio
RATE_HZ = 24_000
LONG = ("One two three four five six seven eight nine ten, ", "eleven twelve thirteen fourteen fifteen sixteen.")


def script(messages: tuple[Message, ...]) -> Line:
    """Speech gets a long answer the first time, then a short one; words are answered with what was shown."""
    last = messages[-1].parts[-1]
    if isinstance(last, Audio):
        if kind_of(last.samples) < QUESTION - 0.1:
            return Line(State.NOISE)
        return Line(State.SPOKEN_QUERY, LONG if len(messages) == 1 else ("Stopped.",))
    if messages[-1].text == "count":
        return Line(State.TYPED_QUERY, (("zero", "one", "two", "three")[len(messages)],))
    shown = [type(part).__name__ for part in messages[-1].parts if isinstance(part, (Image, Video))]
    return Line(State.TYPED_QUERY, (" ".join([*shown, "seen."]),))


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with on_loopback(
        Bench(engine=ScriptedEngine(script, hears), max_sessions=8, max_sessions_per_client=8).app
    ) as found:
        yield f"{found}/v1"


class Talk:
    """A connection, and all that came over it."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.events: list[Any] = []
        self.changed = asyncio.Event()
        self.reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for event in self.connection:
            self.events.append(event)
            self.changed.set()

    def all(self, kind: str) -> list[Any]:
        return [event for event in self.events if event.type == kind]

    async def until(self, kind: str, number: int = 1) -> Any:
        """The event of this type, once there are so many."""
        with anyio.fail_after(20):
            while len(self.all(kind)) < number:
                self.changed.clear()
                await self.changed.wait()
        return self.all(kind)[number - 1]

    async def say(self, *parts: tuple[float, float]) -> None:
        """Speak, as fast as it can be sent: (seconds, amplitude)."""
        sound = np.concatenate([np.full(round(s * RATE_HZ), amplitude) for s, amplitude in parts])
        for first in range(0, len(sound), RATE_HZ // 10):
            data = (sound[first : first + RATE_HZ // 10] * 32767).astype("<i2").tobytes()
            await self.connection.input_audio_buffer.append(audio=base64.b64encode(data).decode())

    def sound(self) -> np.ndarray:
        """What was answered: int16, 24 kHz."""
        deltas = [base64.b64decode(event.delta) for event in self.all("response.output_audio.delta")]
        return np.frombuffer(b"".join(deltas), "<i2")


@asynccontextmanager
async def talking(url: str, **query: Any) -> AsyncIterator[Talk]:
    async with AsyncOpenAI(base_url=url, api_key="none").realtime.connect(model="pocket", **query) as connection:
        talk = Talk(connection)
        await talk.until("session.created")
        yield talk
        talk.reader.cancel()


async def test_a_spoken_question_noise_and_an_interruption(url: str, tmp_path: Path) -> None:
    async with talking(url) as talk:
        await talk.say((0.3, 0.0), (1.0, QUESTION), (0.7, 0.0))
        await talk.until("response.output_audio.delta", 20)
        await talk.say((0.7, SIDE_TALK), (0.7, 0.0))
        noise = await talk.until("conversation.item.done", 2)
        assert noise.item.vita["state"] == "noise"
        assert not talk.all("response.done")
        await talk.say((1.0, QUESTION), (0.7, 0.0))
        first = (await talk.until("response.done")).response
        assert (first.status, first.status_details.reason) == ("cancelled", "turn_detected")
        cut = await talk.until("conversation.item.truncated")
        assert cut.item_id == first.output[0].id
        second = (await talk.until("response.done", 2)).response
        assert (second.status, second.output[0].content[0].transcript) == ("completed", "Stopped.")
        heard = "".join(e.delta for e in talk.all("response.output_audio_transcript.delta") if e.item_id == cut.item_id)
        assert "".join(LONG).startswith(heard)
        assert heard != "".join(LONG)
        soundfile.write(tmp_path / "answers.wav", talk.sound(), RATE_HZ)
        samples, rate_hz = soundfile.read(tmp_path / "answers.wav")
        assert abs(samples).max() > 0.1
        assert cut.audio_end_ms / 1000 + 0.3 < len(samples) / rate_hz


async def test_text_pictures_and_a_camera(url: str) -> None:
    def item(*parts: dict[str, Any]) -> dict[str, Any]:
        return {"type": "message", "role": "user", "content": list(parts)}

    file = io.BytesIO()
    PIL.Image.new("RGB", (64, 48), "red").save(file, "PNG")
    picture = {
        "type": "input_image",
        "image_url": "data:image/png;base64," + base64.b64encode(file.getvalue()).decode(),
    }
    async with talking(url) as talk:
        await talk.connection.session.update(session={"type": "realtime", "output_modalities": ["text"]})
        for number, (frames, seen) in enumerate(
            [(0, "seen."), (1, "Image seen."), (2, "Image Image seen."), (3, "Video seen.")], 1
        ):
            for _ in range(frames):
                await talk.connection.conversation.item.create(item=item(picture))
            await talk.connection.conversation.item.create(item=text_item("What is it?")["item"])
            await talk.connection.response.create()
            done = await talk.until("response.done", number)
            assert done.response.output[0].content[0].text == seen
        assert "".join(event.delta for event in talk.all("response.output_text.delta")).startswith("seen.Image seen.")


async def test_a_lost_connection_is_resumed(url: str) -> None:
    async with talking(url) as talk:
        session = talk.all("session.created")[0].session
        await talk.connection.conversation.item.create(item=text_item("What is it?")["item"])
        await talk.connection.response.create()
        await talk.until("response.done")
        talk.reader.cancel()
        talk.connection._connection.transport.abort()
    await asyncio.sleep(1.0)
    async with talking(url, extra_query={"session_id": session.id}) as again:
        assert again.all("session.created")[0].session.vita_resumed
        await again.until("conversation.item.added", 2)
        assert [event.item.role for event in again.all("conversation.item.added")] == ["user", "assistant"]
        await again.connection.response.create()
        assert (await again.until("error")).error.code == "nothing_to_answer"
        await again.connection.conversation.item.create(item=text_item("count")["item"])
        await again.connection.response.create()
        assert (await again.until("response.done")).response.output[0].content[0].transcript == "three"
    async with talking_refused(url, extra_query={"session_id": session.id}) as error:
        assert error.code == "session_not_found"


@asynccontextmanager
async def talking_refused(url: str, **query: Any) -> AsyncIterator[Any]:
    """The error that a connection ends with."""
    async with AsyncOpenAI(base_url=url, api_key="none").realtime.connect(model="pocket", **query) as connection:
        event = await connection.recv()
        assert event.type == "error"
        yield event.error


async def test_without_a_key_nobody_comes_in() -> None:
    with on_loopback(Bench(api_keys=("secret-key",)).app) as found:
        client = AsyncOpenAI(base_url=f"{found}/v1", api_key="wrong-key")
        with pytest.raises((InvalidStatus, openai.APIStatusError)) as refused:
            async with client.realtime.connect(model="pocket"):
                pass
        assert "401" in str(refused.value)
