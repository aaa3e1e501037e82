"""An application around a scripted engine, and clients for it: in this process, and on the loopback interface."""

from __future__ import annotations

import base64
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn
from openai import AsyncOpenAI

from vita.chat.messages import Message
from vita.duplex.voice_activity import ScriptedVoiceActivity
from vita.engine.scripted import Line, ScriptedEngine
from vita.server.app import create_app
from vita.server.serving import DrainingServer
from vita.server.settings import ServerSettings
from vita.tokens import State

EXAMPLES = Path(__file__).parents[2] / "examples"
ANSWER = ("It has ", "eight legs", ". Or ten, ", "who knows.")
Asked = list[tuple[Message, ...]]


@pytest.fixture
def anyio_backend() -> str:
    """Tests marked anyio run on asyncio, as the server does."""
    return "asyncio"


def answer(messages: tuple[Message, ...]) -> Line:
    """Silence for a lone sound, ANSWER to words."""
    if messages[-1].text:
        return Line(State.TYPED_QUERY, ANSWER)
    return Line(State.NOISE)


class Bench:
    """An application, what its engine was asked, and clients for it in this process."""

    def __init__(
        self,
        script: Callable[[tuple[Message, ...]], Line] = answer,
        *,
        engine: Any = None,
        make_activity: Any = ScriptedVoiceActivity,
        **settings: Any,
    ) -> None:
        self.asked: Asked = []

        def asked(messages: tuple[Message, ...]) -> Line:
            self.asked.append(messages)
            return script(messages)

        self.settings = ServerSettings(**settings)
        self.app = create_app(engine or ScriptedEngine(asked), self.settings, make_activity=make_activity)
        transport = httpx2.ASGITransport(self.app, raise_app_exceptions=False)
        self.http = httpx2.AsyncClient(transport=transport, base_url="http://localhost")
        self.openai = AsyncOpenAI(
            base_url="http://localhost/v1", api_key="secret-key", http_client=self.http, max_retries=0
        )

    async def ask(self, content: Any = "hello", **options: Any) -> Any:
        """A chat completion with one message of the user."""
        messages = options.pop("messages", [{"role": "user", "content": content}])
        return await self.openai.chat.completions.create(**{"model": "pocket", "messages": messages, **options})

    async def post(self, body: Any, path: str = "/v1/chat/completions", **options: Any) -> httpx2.Response:
        """A bare request."""
        return await self.http.post(path, json=body, **options)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """The default application."""
    made = Bench()
    yield made
    await made.http.aclose()


def data_url(name: str, kind: str) -> str:
    """A file of the examples as a data: URL."""
    return f"data:{kind};base64,{encoded(name)}"


def encoded(name: str) -> str:
    """A file of the examples in base64."""
    return base64.b64encode((EXAMPLES / name).read_bytes()).decode()


IMAGE = {"type": "image_url", "image_url": {"url": data_url("shapes.png", "image/png"), "detail": "low"}}
VIDEO = {"type": "video_url", "video_url": {"url": data_url("moving.mp4", "video/mp4")}}
AUDIO = {"type": "input_audio", "input_audio": {"data": encoded("colour_en.wav"), "format": "wav"}}
NOISE = {"type": "input_audio", "input_audio": {"data": encoded("hum.wav"), "format": "wav"}}


@contextmanager
def on_loopback(app: Any, **options: Any) -> Iterator[str]:
    """The application on a free port of this machine; its URL."""
    listening = socket.create_server(("127.0.0.1", 0))
    options = {"ws_max_size": app.state.settings.max_event_bytes, "ws_per_message_deflate": False, **options}
    config = uvicorn.Config(app, log_config=None, access_log=False, ws="websockets-sansio", **options)
    server = DrainingServer(config, app.state.drain, 5)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield f"{'https' if config.is_ssl else 'http'}://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def until(condition: Callable[[], bool], within_s: float = 20.0) -> bool:
    """Whether it comes true in time."""
    deadline_s = time.monotonic() + within_s
    while not (found := condition()) and time.monotonic() < deadline_s:
        time.sleep(0.01)
    return found
