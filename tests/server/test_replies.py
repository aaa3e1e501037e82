"""The queue, replies that are given up, and clients that leave; then the same over a real connection."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import anyio
import pytest

from tests.server.conftest import Bench, on_loopback, until
from vita.chat.messages import Message
from vita.engine.protocol import Result, Sampling
from vita.engine.scripted import Line, ScriptedEngine, ScriptedReply
from vita.server.metrics import Metrics
from vita.server.replies import Desk
from vita.server.settings import ServerSettings
from vita.tokens import State

pytestmark = pytest.mark.anyio
HELLO = {"model": "pocket", "messages": [{"role": "user", "content": "hi"}]}


class Pen:
    """An engine whose replies are written piece by piece, while it is let to; notes how each ended."""

    history_tokens = None

    def __init__(self) -> None:
        self.go = threading.Semaphore(0)
        self.num_begun = 0
        self.endings: list[str] = []

    def write(self, num_pieces: int) -> None:
        """Let so many pieces be written."""
        self.go.release(num_pieces)

    def open(self, system: str | None = None, *, messages: Sequence[Message] = ()) -> Pen:
        """See Engine; it is its own context."""
        return self

    def reply(self, sampling: Sampling) -> SlowReply:
        """See Context: a hundred words."""
        line = Line(State.TYPED_QUERY, ("word ",) * 100)
        return SlowReply(self, ScriptedEngine([line]).open(messages=[Message.user("hi")]).reply(sampling))


class SlowReply:
    """See Reply; waits for its pen before each piece."""

    def __init__(self, pen: Pen, written: ScriptedReply) -> None:
        self._pen, self._written, self._aborted = pen, written, False
        self.state, self.probabilities = written.state, written.probabilities

    def __iter__(self) -> Iterator[str]:
        self._pen.num_begun += 1
        for piece in self._written:
            while not self._pen.go.acquire(timeout=0.01):
                if self._aborted:
                    return
            yield piece

    def abort(self) -> None:
        self._aborted = True
        self._written.abort()

    def result(self) -> Result:
        result = self._written.result()
        self._pen.endings.append(result.ending)
        return result


@pytest.fixture
def pen() -> Pen:
    """See Pen."""
    return Pen()


async def running(bench: Bench, num_running: int, num_waiting: int) -> None:
    """Until so many replies are being written and so many wait."""
    with anyio.fail_after(5):
        while True:
            lines = (await bench.http.get("/metrics")).text.splitlines()
            if f"vita_replies_running {num_running}.0" in lines and f"vita_replies_waiting {num_waiting}.0" in lines:
                return
            await anyio.sleep(0.01)


async def test_a_queue_and_a_polite_refusal(pen: Pen) -> None:
    bench = Bench(engine=pen, max_sessions=2, max_waiting=1)
    done: list[int] = []

    async def ask() -> None:
        done.append((await bench.post(HELLO)).status_code)

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(ask)
        await running(bench, 2, 1)
        refused = await bench.post(HELLO)
        assert refused.status_code == 429
        assert refused.headers["retry-after"] == "5"
        assert refused.json()["error"]["type"] == "rate_limit_error"
        assert refused.json()["error"]["code"] == "rate_limit_exceeded"
        pen.write(300)
    assert done == [200, 200, 200]
    await running(bench, 0, 0)


async def test_nobody_waits_for_ever(pen: Pen) -> None:
    bench = Bench(engine=pen, max_sessions=1, max_wait_s=0.05)
    async with anyio.create_task_group() as group:
        group.start_soon(bench.post, HELLO)
        await running(bench, 1, 0)
        assert (await bench.post(HELLO)).status_code == 429
        pen.write(100)


async def test_a_stop_sequence_ends_the_writing(pen: Pen) -> None:
    bench = Bench(engine=pen)
    pen.write(10)
    completion = await bench.ask("hi", stop="word word")
    assert (completion.choices[0].message.content, pen.endings) == ("", ["aborted"])


@pytest.fixture
def address(pen: Pen) -> Iterator[tuple[str, int]]:
    """A server that writes one reply at a time."""
    with on_loopback(Bench(engine=pen, max_sessions=1).app) as url:
        host, port = url.removeprefix("http://").split(":")
        yield host, int(port)


def ask_on(connection: socket.socket, **options: Any) -> None:
    """Send a question."""
    body = json.dumps({**HELLO, **options}).encode()
    head = ["POST /v1/chat/completions HTTP/1.1", "Host: localhost", "Content-Type: application/json"]
    connection.sendall("\r\n".join([*head, f"Content-Length: {len(body)}", "", ""]).encode() + body)


def read_until(connection: socket.socket, end: bytes) -> bytes:
    """What comes, up to the first time that `end` is in it."""
    connection.settimeout(20)
    found = b""
    while end not in found and (piece := connection.recv(65536)):
        found += piece
    return found


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_hangs_up_ends_its_reply(address: tuple[str, int], pen: Pen, stream: bool) -> None:
    with socket.create_connection(address) as connection:
        ask_on(connection, stream=stream)
        if stream:
            pen.write(1)
            assert b"word" in read_until(connection, b"word")
        else:
            assert until(lambda: pen.num_begun == 1)
    assert until(lambda: pen.endings == ["aborted"])
    with socket.create_connection(address) as connection:  # its place is free again
        pen.write(100)
        ask_on(connection)
        assert read_until(connection, b"word").startswith(b"HTTP/1.1 200")


def test_a_client_that_hangs_up_while_it_waits(address: tuple[str, int], pen: Pen) -> None:
    with socket.create_connection(address) as first:
        ask_on(first)
        assert until(lambda: pen.num_begun == 1)
        with socket.create_connection(address) as second:
            ask_on(second)
        pen.write(100)
        assert read_until(first, b"word").startswith(b"HTTP/1.1 200")
    assert until(lambda: pen.endings == ["stop"])


def test_replies_end_before_the_server_does(pen: Pen) -> None:
    with on_loopback(Bench(engine=pen).app, timeout_graceful_shutdown=10) as url:
        host, port = url.removeprefix("http://").split(":")
        connection = socket.create_connection((host, int(port)))
        ask_on(connection)
        assert until(lambda: pen.num_begun == 1)
        threading.Timer(0.2, pen.write, (100,)).start()
    with connection:
        assert read_until(connection, b"word").startswith(b"HTTP/1.1 200")


async def test_an_opener_that_fails_gives_its_place_back() -> None:
    desk = Desk(ServerSettings(max_sessions=1), Metrics())
    for _ in range(3):
        with pytest.raises(KeyError):
            await desk.begin(lambda check: {}["x"])
    desk.close()
