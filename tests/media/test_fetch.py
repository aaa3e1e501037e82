"""Downloads, against a server on the loopback interface."""

from __future__ import annotations

import base64
import http.server
import io
import socket
import threading
import time
from collections.abc import Iterator

import PIL.Image
import pytest

from vita.errors import ConfigError, LimitError, MediaError
from vita.media import FetchPolicy, MediaLimits, load_audio, load_image
from vita.media.fetch import short_url
from vita.media.source import open_source
from vita.media.transport import _is_public

from . import make

PNG = make.encoded_image(PIL.Image.new("RGB", (6, 4), (10, 20, 30)), "PNG")


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers each path in its own bad or good way."""

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""

    def do_GET(self) -> None:
        name = self.path.split("?")[0].strip("/").replace("/", "_")
        getattr(self, f"get_{name}", self.get_missing)()

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        """A whole reply."""
        self.send_response(status)
        for key, value in ({"Content_Length": str(len(body))} | headers).items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def get_missing(self) -> None:
        self.answer(404, b"not here")

    def get_picture(self) -> None:
        self.answer(200, PNG)

    def get_sound(self) -> None:
        self.answer(200, make.wav(make.tone(0.1, 16_000), 16_000))

    def get_empty(self) -> None:
        self.answer(200)

    def get_broken(self) -> None:
        self.answer(500, b"oops")

    def get_announced(self) -> None:
        self.answer(200, b"", Content_Length=str(10**12))

    def get_endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        try:
            while True:
                self.wfile.write(bytes(4096))
        except OSError:
            self.close_connection = True

    def get_short(self) -> None:
        self.answer(200, PNG, Content_Length=str(len(PNG) + 1))
        self.close_connection = True

    def get_slow(self) -> None:
        """A byte now and then: every single read is quick, the whole is not."""
        self.send_response(200)
        self.end_headers()
        try:
            for _ in range(200):
                self.wfile.write(b"x")
                time.sleep(0.02)
        except OSError:
            self.close_connection = True

    def get_hop(self) -> None:
        self.answer(302, Location="/picture")

    def get_loop(self) -> None:
        self.answer(302, Location="/loop")

    def get_to_file(self) -> None:
        self.answer(302, Location="file:///etc/hostname")

    def get_to_ftp(self) -> None:
        self.answer(302, Location="ftp://127.0.0.1/x")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of the server."""
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running.daemon_threads = True
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{running.server_port}"
    running.shutdown()
    thread.join()
    running.server_close()


def test_downloads(server: str) -> None:
    assert load_image(f"{server}/picture").size == (6, 4)
    assert len(load_audio(f"{server}/sound")) == 1_600


def test_follows_redirects(server: str) -> None:
    assert load_image(f"{server}/hop").size == (6, 4)
    with pytest.raises(MediaError, match="redirects too often"):
        load_image(f"{server}/hop", policy=FetchPolicy(max_redirects=0))


BAD = {
    "missing": ("/nothing", MediaError, "HTTP 404", "check the URL"),
    "server-error": ("/broken", MediaError, "HTTP 500", "check the URL"),
    "empty": ("/empty", MediaError, "is empty", "check the URL"),
    "announced-too-large": ("/announced", LimitError, "1000000000000 bytes announced", "raise max_download_bytes"),
    "endless": ("/endless", LimitError, "too large", "raise max_download_bytes"),
    "cut-short": ("/short", MediaError, "cut short", "try again"),
    "redirect-loop": ("/loop", MediaError, "more than 5 redirects", "final URL"),
    "redirect-to-file": ("/to/file", MediaError, "redirects to where a download may not go", "check it"),
    "redirect-to-ftp": ("/to/ftp", MediaError, "ftp", "check the URL"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_replies(server: str, name: str) -> None:
    path, kind, what, fix = BAD[name]
    with pytest.raises(MediaError) as caught:
        load_image(server + path, limits=MediaLimits(max_download_bytes=100_000))
    assert type(caught.value) is kind
    line = str(caught.value)
    assert what in line
    assert fix in line
    assert "127.0.0.1" in line
    assert "\n" not in line


def test_slow_reply_ends_at_the_deadline(server: str) -> None:
    start_s = time.monotonic()
    with pytest.raises(LimitError, match="took too long"):
        load_image(f"{server}/slow", limits=MediaLimits(timeout_s=0.2))
    assert time.monotonic() - start_s < 1.5


def test_server_that_never_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(LimitError, match="took too long"):
        load_image(f"http://127.0.0.1:{silent.getsockname()[1]}/x", limits=MediaLimits(timeout_s=0.1))


def test_a_name_that_is_looked_up_for_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: released.wait(20))
    began_s = time.monotonic()
    with pytest.raises(LimitError, match="took too long"):
        load_image("http://slow.example/x", limits=MediaLimits(timeout_s=0.1))
    assert time.monotonic() - began_s < 10
    released.set()


def test_server_that_speaks_another_language() -> None:
    """Neither HTTP nor TLS comes back."""

    def reply() -> None:
        for _ in range(2):
            connection, _ = listening.accept()
            with connection:
                connection.recv(1)
                connection.sendall(b"220 welcome\r\n")
                connection.recv(65536)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=reply)
        thread.start()
        for scheme in ("http", "https"):
            with pytest.raises(MediaError, match=r"cannot be reached \(got .*\); check the URL and the network"):
                load_image(f"{scheme}://127.0.0.1:{listening.getsockname()[1]}/x")
        thread.join()


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(MediaError, match="cannot be reached"):
        load_image(f"http://127.0.0.1:{port}/x")


def test_private_addresses_can_be_forbidden(server: str) -> None:
    """By number, and by a name that resolves to one."""
    policy = FetchPolicy(private_addresses=False)
    for url in (f"{server}/picture", f"{server}/picture".replace("127.0.0.1", "localhost")):
        with pytest.raises(MediaError, match="not public"):
            load_image(url, policy=policy)


def test_a_redirect_is_checked_as_well(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A public address that redirects to a private one gets nowhere: every connection is judged anew."""
    seen = []

    def public_once(ip: str) -> bool:
        seen.append(ip)
        return len(seen) == 1

    monkeypatch.setattr("vita.media.transport._is_public", public_once)
    with pytest.raises(MediaError, match="not public"):
        load_image(f"{server}/hop", policy=FetchPolicy(private_addresses=False))
    assert len(seen) == 2


@pytest.mark.parametrize(
    ("ip", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700:4700::1111", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("0.0.0.0", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("::ffff:127.0.0.1", False),
        ("2002:7f00:1::", False),
        ("2002:808:808::", True),
        ("64:ff9b::808:808", True),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b:1::808:808", False),
        ("::7f00:1", False),
        ("::ffff:0:7f00:1", False),
        ("2001:0:7f00:1::1", False),
        ("fec0::1", False),
        ("fd00:ec2::254", False),
        ("ff0e::1", False),
    ],
)
def test_public_addresses(ip: str, public: bool) -> None:
    assert _is_public(ip) is public


def test_what_a_policy_forbids(server: str, tmp_path: object) -> None:
    with pytest.raises(MediaError, match="URLs are not followed"):
        load_image(f"{server}/picture", policy=FetchPolicy(urls=False))
    with pytest.raises(MediaError, match="paths are not read"):
        load_image(f"{tmp_path}/x.png", policy=FetchPolicy(paths=False))
    assert load_image("data:image/png;base64," + base64.b64encode(PNG).decode(), policy=FetchPolicy(paths=False))


def test_impossible_policies() -> None:
    with pytest.raises(ConfigError, match="max_redirects"):
        FetchPolicy(max_redirects=-1)
    with pytest.raises(ConfigError, match="proxies"):
        FetchPolicy(private_addresses=False, proxies={"http": "http://127.0.0.1:1"})


def test_proxy_is_used(server: str) -> None:
    """The server stands in for a proxy: it is asked for the whole URL of a host that does not exist."""
    policy = FetchPolicy(proxies={"http": server})
    with pytest.raises(MediaError, match="HTTP 404"):
        load_image("http://host.invalid/picture", policy=policy)


def test_the_environment_does_not_choose_a_proxy(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert load_image(f"{server}/picture").size == (6, 4)


def test_urls_that_are_not_ascii(server: str) -> None:
    with pytest.raises(MediaError, match="HTTP 404"):
        load_image(f"{server}/图片 1.png?x=é")


def test_secrets_stay_out_of_messages() -> None:
    assert short_url("https://user:secret@host/a/b.png?token=secret#x") == "https://host/a/b.png"
    assert len(short_url("https://host/" + "a" * 1000)) == 100


def test_a_source_is_rewound_and_seekable(server: str) -> None:
    with open_source(f"{server}/picture") as opened:
        assert opened.file.seekable()
        assert opened.file.read() == PNG
        opened.file.seek(0, io.SEEK_SET)
