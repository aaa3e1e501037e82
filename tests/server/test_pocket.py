"""`vita serve` as a user starts it: the pocket model in a process of its own, the `openai` client, then SIGTERM."""

from __future__ import annotations

import base64
import io
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
import soundfile

from tests.server.conftest import AUDIO, EXAMPLES, IMAGE, NOISE, VIDEO

SOURCE = Path(__file__).parents[2] / "src"


class Served:
    """The running command.

    banner: what it printed.
    client: the `openai` client for it.
    """

    def __init__(self, process: subprocess.Popen[str], banner: list[str]) -> None:
        self.process, self.banner = process, banner
        found = re.search(r"https?://\S+", banner[0])
        assert found is not None
        self.client = openai.OpenAI(base_url=found[0], api_key="the-right-key", max_retries=0)

    def ask(self, content: Any, **options: Any) -> Any:
        """A chat completion."""
        messages = [{"role": "user", "content": content}]
        return self.client.chat.completions.create(model="pocket", messages=messages, **options)  # type: ignore[call-overload]


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """`vita serve --port 0`."""
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "VITA_API_KEY": "the-right-key", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "vita.cli.main", "serve", "--port", "0"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, bufsize=1
    )
    assert process.stdout is not None
    banner = [process.stdout.readline() for _ in range(3)]
    assert banner[0], process.communicate()[1]
    yield Served(process, banner)
    process.kill()
    process.communicate()


def test_it_prints_where_it_is(served: Served) -> None:
    assert re.match(r"serving pocket at http://127\.0\.0\.1:\d+/v1 ", served.banner[0])
    assert re.match(r"the page: http://127\.0\.0\.1:\d+/$", served.banner[1])
    assert "microphone" in served.banner[2]
    assert "--tls self-signed" in served.banner[2]


def test_text(served: Served) -> None:
    reply = served.ask("How many legs does a spider have?")
    assert reply.choices[0].message.content == "eight"
    assert reply.choices[0].message.vita["state"] == "typed_query"
    assert "<3>" not in reply.choices[0].message.content


def test_streaming(served: Served) -> None:
    chunks = list(served.ask("How many legs does a spider have?", stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "eight"
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_a_spoken_question_about_a_picture_answered_aloud(served: Served) -> None:
    reply = served.ask([IMAGE, AUDIO], modalities=["text", "audio"], audio={"voice": "alloy", "format": "wav"})
    message = reply.choices[0].message
    assert message.vita["state"] == "spoken_query"
    assert message.audio.transcript
    samples, rate_hz = soundfile.read(io.BytesIO(base64.b64decode(message.audio.data)))
    assert (rate_hz, abs(samples).max() > 0.1) == (24_000, True)
    assert reply.usage.prompt_tokens_details.image_tokens > 0
    assert reply.usage.prompt_tokens_details.audio_tokens > 0


def test_video(served: Served) -> None:
    reply = served.ask([VIDEO, {"type": "text", "text": "Which way does it move?"}])
    assert reply.choices[0].message.content
    assert reply.usage.prompt_tokens_details.image_tokens > 0


def test_noise_is_not_answered(served: Served) -> None:
    side_talk = base64.b64encode((EXAMPLES / "side_talk_en.wav").read_bytes()).decode()
    for sound in (NOISE, {"type": "input_audio", "input_audio": {"data": side_talk, "format": "wav"}}):
        choice = served.ask([sound]).choices[0]
        assert (choice.message.content, choice.finish_reason) == ("", "stop")
        assert choice.message.vita["state"] == "noise"


def test_errors(served: Served) -> None:
    with pytest.raises(openai.BadRequestError, match="not public"):
        served.ask([{"type": "image_url", "image_url": {"url": "http://169.254.169.254/"}}, IMAGE])
    with pytest.raises(openai.BadRequestError, match="<image>"):  # the engine's own error reaches the client
        served.ask("Look at <image>.")
    with pytest.raises(openai.NotFoundError):
        served.client.chat.completions.create(model="gpt-9", messages=[{"role": "user", "content": "hi"}])
    with pytest.raises(openai.AuthenticationError):
        served.client.with_options(api_key="the-wrong-key").models.list()


def test_sigterm_ends_it_in_order(served: Served) -> None:
    """The last of this file: it ends the server."""
    served.process.send_signal(signal.SIGTERM)
    _, log = served.process.communicate(timeout=600)
    assert served.process.returncode == 0
    assert '"status": 200' in log
    assert "Traceback" not in log
    assert "spider" not in log
    assert "the-right-key" not in log
