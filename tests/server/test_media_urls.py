"""What a URL in a request must not reach: twenty ways to an address that is not public, one refusal."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.server.conftest import EXAMPLES, Bench
from vita.media import FetchPolicy
from vita.media.transport import _is_public

pytestmark = pytest.mark.anyio
REFUSAL = "leads to an address that is not public, which is not allowed here"


class Inside(BaseHTTPRequestHandler):
    """A service that only this machine should reach; notes who came."""

    visits: list[str] = []  # noqa: RUF012  (one list for all requests)

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""

    def do_GET(self) -> None:
        self.visits.append(self.path)
        if self.path == "/redirect":
            self.send_response(302)
            self.send_header("Location", "http://169.254.169.254/latest/meta-data/")
            self.end_headers()
            return
        picture = (EXAMPLES / "shapes.png").read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(picture)))
        self.end_headers()
        self.wfile.write(picture)


@pytest.fixture
def inside() -> Iterator[int]:
    """Its port."""
    Inside.visits.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Inside)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


HOSTS = [
    "127.0.0.1",
    "localhost",
    "LOCALHOST",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "0177.0.0.1",
    "127.1",
    "0.0.0.0",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "[fe80::1]",
    "[fd00:ec2::254]",
    "[ff02::1]",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "224.0.0.1",
    "255.255.255.255",
]


async def ask_about(bench: Bench, url: str, kind: str = "image_url") -> tuple[int, str]:
    content = [{"type": kind, kind: {"url": url}}, {"type": "text", "text": "What is it?"}]
    body = {"model": "pocket", "messages": [{"role": "user", "content": content}]}
    response = await bench.post(body)
    return response.status_code, response.json().get("error", {}).get("message", "")


@pytest.mark.parametrize("host", HOSTS)
async def test_addresses_that_are_not_public(bench: Bench, inside: int, host: str) -> None:
    status, message = await ask_about(bench, f"http://{host}:{inside}/secret")
    assert status == 400
    assert REFUSAL in message
    assert message.endswith("; give a public URL or send the file itself")
    assert (Inside.visits, bench.asked) == ([], [])


@pytest.mark.parametrize(
    "host", ["somebody@127.0.0.1", "127.0.0.1#@public.example", "①②⑦.⓪.⓪.①", "127.0.0.1%00.example"]
)
async def test_other_spellings_do_not_get_there_either(bench: Bench, inside: int, host: str) -> None:
    status, _ = await ask_about(bench, f"http://{host}:{inside}/secret")
    assert (status, Inside.visits, bench.asked) == (400, [], [])


async def test_video_urls_too(bench: Bench, inside: int) -> None:
    assert REFUSAL in (await ask_about(bench, f"http://127.0.0.1:{inside}/", "video_url"))[1]


def resolving(monkeypatch: pytest.MonkeyPatch, port: int, *answers: str) -> None:
    """Every look-up of a name gives the next of `answers`; connections to public addresses reach our own service."""
    left = list(answers)
    real_connect = socket.socket.connect

    def look_up(host: Any, *_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (left.pop(0) if left else "127.0.0.1", port))]

    def connect(connection: socket.socket, address: Any) -> None:
        real_connect(connection, ("127.0.0.1", port) if _is_public(address[0]) else address)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(socket.socket, "connect", connect)


async def test_a_name_that_resolves_inside(bench: Bench, inside: int, monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, inside, "10.0.0.7")
    assert REFUSAL in (await ask_about(bench, "http://innocent.example/cat.png"))[1]
    assert Inside.visits == []


async def test_rebinding(bench: Bench, inside: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name is looked up once, and what was checked is what is connected to: a second answer changes nothing."""
    resolving(monkeypatch, inside, "8.8.8.8", "127.0.0.1")
    status, _ = await ask_about(bench, "http://rebinding.example/cat.png")
    assert (status, Inside.visits) == (200, ["/cat.png"])


async def test_a_redirect_inside(bench: Bench, inside: int, monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, inside, "8.8.8.8", "169.254.169.254")
    status, message = await ask_about(bench, "http://redirecting.example/redirect")
    assert (status, Inside.visits) == (400, ["/redirect"])
    assert REFUSAL in message
    assert "(got 169.254.169.254)" in message


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1/x", "/etc/passwd", "x.png"]
)
async def test_nothing_but_http_and_data(bench: Bench, url: str) -> None:
    status, message = await ask_about(bench, url)
    assert status == 400
    assert "data:" in message or "URL" in message


async def test_a_url_is_fetched_where_it_may_be(inside: int) -> None:
    bench = Bench(fetch=FetchPolicy(paths=False))
    assert await ask_about(bench, f"http://127.0.0.1:{inside}/cat.png") == (200, "")
    assert Inside.visits == ["/cat.png"]
