"""`vita serve`: its options become settings; what is missing is told before a model is loaded."""

from __future__ import annotations

import importlib.util
from types import SimpleNamespace
from typing import Any

import pytest

from vita.cli.main import main
from vita.engine.scripted import ScriptedEngine


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What was started instead of a server."""
    import vita.api
    import vita.server.app
    import vita.server.serving

    calls: list[dict[str, Any]] = []

    def serve(app: Any, endpoint: Any, listening: Any, *, when_ready: Any) -> None:
        listening.close()
        when_ready("http://there")
        calls.append({"settings": app, "endpoint": endpoint})

    monkeypatch.delenv("VITA_API_KEY", raising=False)
    monkeypatch.setattr(vita.api, "load", lambda *args, **options: vita.api.Assistant(ScriptedEngine([])))
    monkeypatch.setattr(vita.server.app, "create_app", lambda engine, settings: settings)
    monkeypatch.setattr(vita.server.serving, "serve", serve)
    return calls


def test_options_become_settings(
    started: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VITA_API_KEY", "from-outside")
    assert main(["serve", "--port", "0", "--api-key", "one-good-key", "--max-sessions", "2", "--model", "a/b-c"]) == 0
    settings = started[0]["settings"]
    assert (settings.api_keys, settings.max_sessions, settings.model_name) == (
        ("one-good-key", "from-outside"),
        2,
        "b-c",
    )
    banner = capsys.readouterr().out
    assert banner.startswith("serving b-c at http://there/v1")
    assert "--tls self-signed" in banner


def test_an_open_server_without_a_key_is_warned_of(
    started: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--port", "0", "--host", "0.0.0.0"]) == 0
    assert "without a key; give --api-key" in capsys.readouterr().err
    assert main(["serve", "--port", "0"]) == 0
    assert capsys.readouterr().err == ""


def test_the_engine_is_vllm(started: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    import vita.api

    asked: list[Any] = []

    def load_vllm(*arguments: Any, **options: Any) -> vita.api.Assistant:
        asked.append((arguments, options))
        return vita.api.Assistant(ScriptedEngine([]))

    monkeypatch.setattr(vita.api, "load_vllm", load_vllm)
    monkeypatch.setenv("VLLM_API_KEY", "a-key")
    assert main(["serve", "--port", "0", "--engine", "vllm", "--vllm-url", "http://there"]) == 0
    assert main(["serve", "--port", "0", "--engine", "vllm", "--vllm-option=--seed=1", "--dtype", "bfloat16"]) == 0
    assert asked == [
        (("pocket", ["http://there"]), {"dtype": "auto", "options": [], "api_key": "a-key"}),
        (("pocket", []), {"dtype": "bfloat16", "options": ["--seed=1"], "api_key": "a-key"}),
    ]


def test_workers_share_a_vllm_server(started: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    """What each of them does is shown by tests/server/test_workers.py."""
    import vita.api
    import vita.server.workers

    asked: list[Any] = []

    def serve_by_workers(work: Any, num_workers: int, endpoint: Any, listening: Any, *, when_ready: Any) -> None:
        asked.append((num_workers, *work.args[0].vllm_url))
        work(1, listening, SimpleNamespace(send=when_ready), {})

    def load_vllm(model: str, urls: list[str], **options: Any) -> vita.api.Assistant:
        asked.extend(urls)
        return vita.api.Assistant(ScriptedEngine([]))

    monkeypatch.setattr(vita.server.workers, "serve_by_workers", serve_by_workers)
    monkeypatch.setattr(vita.api, "start_vllm", lambda model, dtype, options: f"http://{model}-{dtype}{options[0]}")
    monkeypatch.setattr(vita.api, "load_vllm", load_vllm)
    monkeypatch.setattr(vita.server.app, "create_app", lambda engine, settings, transcripts: settings)
    arguments = ["serve", "--port", "0", "--workers", "3", "--engine", "vllm", "--vllm-option=--seed=1"]
    assert main([*arguments, "--api-key", "one-good-key"]) == 0
    assert asked == [(3, "http://pocket-auto--seed=1"), "http://pocket-auto--seed=1"]
    assert (started[0]["settings"].worker, started[0]["settings"].api_keys) == (1, ("one-good-key",))


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--tls", "yes"], "--tls is not understood (got yes, expected self-signed, or CERT,KEY)"),
        (["--max-sessions", "0"], "max_sessions of the server is not usable (got 0, expected above 0)"),
        (["--vllm-url", "http://x"], "--vllm-url and --vllm-option belong to --engine vllm; add --engine vllm"),
        (
            ["--engine", "vllm", "--vllm-url", "http://x", "--vllm-option=--seed=1"],
            "--vllm-option is for a server that is started here; leave out --vllm-url",
        ),
        (
            ["--engine", "vllm", "--max-cached-tokens", "9"],
            "--device-map, --quantize, --offload-dir and --max-cached-tokens belong to --engine local; "
            "use vLLM's own: --vllm-option",
        ),
        (["--workers", "0"], "--workers is not usable (got 0, expected 1 or more)"),
        (["--api-key", "short"], "an API key is not usable (expected at least 8 ASCII characters without blanks)"),
    ],
)
def test_mistakes(
    started: list[dict[str, Any]], arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--port", "0", *arguments]) == 2
    assert capsys.readouterr().err == f"vita: error: {line}\n"
    assert started == []


def test_without_the_extra_it_names_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "fastapi" else real(name))
    assert main(["serve"]) == 2
    assert capsys.readouterr().err == "vita: error: serving needs fastapi; pip install 'vita-omni[serve]'\n"
