"""A judge behind an OpenAI-compatible address, on the loopback interface."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from vita.errors import DependencyError
from vita.evaluate.interaction.judge import rate_interruption
from vita.evaluate.measuring import Settings
from vita.evaluate.openai_chat import ask


class Server(HTTPServer):
    """Answers what it is told to, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None, dict[str, Any]]] = []
        self.answer: tuple[int, Any] = (200, {"choices": [{"message": {"content": "It fits.\nRating: 4"}}]})
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1/"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, self.headers.get("Authorization"), body))
        status, content = self.server.answer
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as found:
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield found
        found.shutdown()
        thread.join()


def test_a_question_is_sent_as_the_interface_wants_it(server: Server) -> None:
    assert ask(server.url, "m", [("system", "s"), ("user", "u")], "key") == "It fits.\nRating: 4"
    ((path, key, body),) = server.asked
    assert (path, key) == ("/v1/chat/completions", "Bearer key")
    assert body == {
        "model": "m", "temperature": 0,
        "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("said", "rating"), [("Rating: 4", 4.0), ("rating: 1? No.\nRating: 5", 5.0), ("Rating: 9", None), ("good", None)]
)
def test_ratings(server: Server, said: str, rating: float | None) -> None:
    server.answer = (200, {"choices": [{"message": {"content": said}}]})
    labels = {"context": "a story", "interrupt": "stop, count"}
    assert rate_interruption(Settings(judge=server.url), labels, "one two") == rating
    asked = server.asked[0][2]["messages"][-1]["content"]
    assert asked == "First request: a story\nInterruption: stop, count\nAnswer: one two"


def test_servers_that_do_not_answer(server: Server) -> None:
    server.answer = (401, {"error": "no key"})
    with pytest.raises(DependencyError, match=r"refuses .*401"):
        ask(server.url, "m", [("user", "u")])
    server.answer = (200, {"other": 1})
    with pytest.raises(DependencyError, match="does not answer as"):
        ask(server.url, "m", [("user", "u")])
    with pytest.raises(DependencyError, match="does not answer as"):
        ask("http://127.0.0.1:9/v1", "m", [("user", "u")])
