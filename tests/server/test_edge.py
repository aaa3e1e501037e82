"""Who may come in, what every reply carries, and limits on requests."""

from __future__ import annotations

import gzip
import json
import logging
from collections.abc import Iterator
from typing import Any

import anyio
import openai
import pytest

from tests.server.conftest import Bench
from vita.errors import ConfigError
from vita.server.gate import Gate
from vita.server.logs import JsonFormatter
from vita.server.settings import ServerSettings

pytestmark = pytest.mark.anyio
KEYS = {"api_keys": ("another-key", "secret-key")}
HELLO = {"model": "pocket", "messages": [{"role": "user", "content": "my secret question"}]}


def error_of(response: Any) -> dict[str, Any]:
    """The error of a reply, its form checked."""
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


async def test_a_key_lets_in() -> None:
    bench = Bench(**KEYS)
    assert (await bench.ask()).choices
    assert (await bench.http.get("/health")).json()["status"] == "ok"


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer secret-ke",
        "Bearer secret-keyy",
        "Basic secret-key",
        "secret-key",
        "Bearer é",
    ],
)
@pytest.mark.parametrize("path", ["/v1/models", "/metrics", "/openapi.json", "/nowhere"])
async def test_without_a_key_nobody_comes_in(value: str | None, path: str) -> None:
    headers = {} if value is None else {"Authorization": value.encode()}
    response = await Bench(**KEYS).http.get(path, headers=headers)
    assert response.status_code == 401
    assert error_of(response)["code"] == "invalid_api_key"
    assert response.headers["www-authenticate"] == "Bearer"


async def test_a_wrong_key_is_the_clients_own_error() -> None:
    bench = Bench(api_keys=("another-key",))
    with pytest.raises(openai.AuthenticationError):
        await bench.ask()
    assert bench.asked == []


def test_every_key_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """In constant time, and not only up to the one that fits."""
    import hmac

    from starlette.datastructures import Headers

    compared = []
    real = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: (compared.append((len(a), len(b))), real(a, b))[1])
    Gate(["first-key", "a-much-longer-second-key"]).check("/", Headers({"authorization": "bearer first-key"}))
    assert compared == [(32, 32), (32, 32)]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8000", 200), ("LOCALHOST", 200), ("127.0.0.1:8000", 200), ("192.168.1.5", 200), ("[::1]:8000", 200),
        ("my-machine:1", 200), ("rebound.example:8000", 403), ("127.0.0.1.example", 403), ("localhost.example", 403),
        ("", 403),
    ],
)  # fmt: skip
async def test_names_of_others_are_refused_while_there_is_no_key(host: str, status: int) -> None:
    response = await Bench(host_names=("my-machine",)).http.get("/v1/models", headers={"Host": host})
    assert response.status_code == status


async def test_with_a_key_the_name_does_not_matter() -> None:
    headers = {"Host": "vita.example", "Authorization": "Bearer secret-key"}
    assert (await Bench(**KEYS).http.get("/v1/models", headers=headers)).status_code == 200


@pytest.mark.parametrize(
    ("origin", "status"), [("http://localhost", 200), ("http://evil.example", 403), ("null", 403), ("http://[", 403)]
)
async def test_pages_of_other_origins_are_refused(bench: Bench, origin: str, status: int) -> None:
    response = await bench.post(HELLO, headers={"Origin": origin})
    assert response.status_code == status
    assert len(bench.asked) == (status == 200)


@pytest.mark.parametrize("path", ["/health", "/nowhere", "/v1/chat/completions"])
async def test_every_reply_carries_the_headers(bench: Bench, path: str) -> None:
    headers = (await bench.http.get(path)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["x-request-id"].startswith("req_")
    assert "access-control-allow-origin" not in headers
    assert "server" not in headers


async def test_routes_that_are_not_there(bench: Bench) -> None:
    missing = await bench.http.get("/v1/nowhere")
    wrong = await bench.http.get("/v1/chat/completions")
    assert (missing.status_code, error_of(missing)["message"]) == (404, "there is no /v1/nowhere here")
    assert (wrong.status_code, error_of(wrong)["message"]) == (405, "GET is not for /v1/chat/completions")
    assert (await bench.http.get("/docs")).status_code == 404


@pytest.mark.parametrize(
    ("body", "headers", "status", "words"),
    [
        (b"x" * 2000, {}, 413, "at most 1000 bytes"),
        (gzip.compress(b"{}"), {"Content-Encoding": "gzip"}, 415, "compressed"),
        (b"{", {"Content-Type": "application/json"}, 400, "no valid JSON"),
        (b"[" * 900, {"Content-Type": "application/json"}, 400, ""),
        (b"\xff\xfe", {"Content-Type": "application/json"}, 400, ""),
        (b'{"model": "\\ud800", "messages": []}', {"Content-Type": "application/json"}, 400, ""),
        (json.dumps(HELLO).encode(), {"Content-Type": "text/plain"}, 400, ""),
        (b'{"model": "pocket", "temperature": NaN, "messages": []}', {"Content-Type": "application/json"}, 400, ""),
        (b"", {}, 400, ""),
    ],
)
async def test_bodies_that_are_refused(body: bytes, headers: dict[str, str], status: int, words: str) -> None:
    bench = Bench(max_body_bytes=1000)
    response = await bench.http.post("/v1/chat/completions", content=body, headers=headers)
    assert response.status_code == status
    assert words in error_of(response)["message"]
    assert bench.asked == []


async def call(bench: Bench, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A request by hand: the messages arrive, then nothing more."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop(0)
        await anyio.sleep_forever()
        raise AssertionError

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/v1/chat/completions", "query_string": b"", "http_version": "1.1",
        "headers": [(b"host", b"localhost"), (b"content-type", b"application/json")], "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000), "scheme": "http", "root_path": "", "raw_path": b"", "asgi": {"version": "3.0"},
    }  # fmt: skip
    await bench.app(scope, receive, send)
    return sent


def chunk(body: bytes, more: bool = True) -> dict[str, Any]:
    """A piece of a request's body."""
    return {"type": "http.request", "body": body, "more_body": more}


async def test_a_body_that_grows_too_large_on_the_way() -> None:
    sent = await call(Bench(max_body_bytes=1000), [chunk(b"x" * 600), chunk(b"x" * 600)])
    assert sent[0]["status"] == 413


async def test_a_body_that_never_ends() -> None:
    sent = await call(Bench(body_timeout_s=0.05), [chunk(b"{")])
    assert sent[0]["status"] == 408


async def test_a_client_that_leaves_while_it_sends(bench: Bench) -> None:
    assert await call(bench, [chunk(b"{"), {"type": "http.disconnect"}]) == []


async def test_too_many_open_requests() -> None:
    bench = Bench(max_open_requests=1)
    async with anyio.create_task_group() as group:
        group.start_soon(call, bench, [chunk(b"{")])
        await anyio.wait_all_tasks_blocked()
        response = await bench.http.get("/health")
        group.cancel_scope.cancel()
    assert (response.status_code, error_of(response)["type"]) == (503, "server_error")
    assert (await bench.http.get("/health")).status_code == 200


@pytest.fixture
def lines() -> Iterator[list[dict[str, Any]]]:
    """What the server logs, read as JSON."""
    found: list[dict[str, Any]] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(json.loads(JsonFormatter().format(record)))

    logger, handler = logging.getLogger("vita.server"), Collector()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield found
    logger.removeHandler(handler)
    logger.setLevel(level)


async def test_the_log_tells_numbers_and_no_content(bench: Bench, lines: list[dict[str, Any]]) -> None:
    response = await bench.post(HELLO)
    await bench.http.get("/secret-path?token=secret")
    first, second = lines
    assert first["request_id"] == response.headers["x-request-id"]
    assert (first["route"], first["status"], first["state"]) == ("/v1/chat/completions", 200, "typed_query")
    assert first["completion_tokens"] == 5
    assert (second["route"], second["status"]) == ("other", 404)
    assert not any(word in json.dumps(lines) for word in ("secret", "eight legs"))


async def test_a_fault_of_ours_is_logged_and_told_as_nothing_more(lines: list[dict[str, Any]]) -> None:
    bench = Bench(lambda messages: 1 / 0)  # type: ignore[arg-type, return-value]
    response = await bench.post(HELLO)
    assert response.status_code == 500
    assert "division" not in response.text
    assert "ZeroDivisionError" in lines[0]["traceback"]
    assert response.headers["x-request-id"] == lines[0]["request_id"]


async def test_metrics(bench: Bench) -> None:
    await bench.post(HELLO)
    await bench.http.get("/nowhere")
    text = (await bench.http.get("/metrics")).text
    assert 'vita_requests_total{route="/v1/chat/completions",status="200"} 1.0' in text
    assert 'vita_requests_total{route="other",status="404"} 1.0' in text
    assert 'vita_turns_total{state="typed_query"} 1.0' in text
    assert 'vita_tokens_total{kind="completion"} 5.0' in text


@pytest.mark.parametrize("options", [{"max_sessions": 0}, {"max_waiting": -1}, {"api_keys": ("short",)},
                                     {"api_keys": ("with a blank",)}, {"max_tokens": -3}])  # fmt: skip
def test_settings_check_themselves(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        ServerSettings(**options)


def test_keys_are_not_printed() -> None:
    assert "secret" not in repr(ServerSettings(api_keys=("secret-key",)))
