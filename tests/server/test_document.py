"""Every example of docs/server.md runs, against a scripted engine; its table of endpoints is complete."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server.conftest import Bench, on_loopback
from vita.engine.scripted import Line
from vita.tokens import State

REPOSITORY = Path(__file__).parents[2]
DOCUMENT = (REPOSITORY / "docs" / "server.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```(sh|python)\n(.*?)```", DOCUMENT, re.DOTALL)
PRINTED = ["eight typed_query\n", "eight", "eight ", " bytes\n", "eight True\n", "['pocket']\n"]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A server that answers everything with "eight"."""
    with on_loopback(Bench(lambda messages: Line(State.TYPED_QUERY, ("eight",))).app) as address:
        yield address


def code(language: str) -> list[str]:
    return [text for kind, text in EXAMPLES if kind == language]


@pytest.mark.parametrize(("text", "printed"), list(zip(code("python"), PRINTED, strict=True)))
def test_python(
    url: str, text: str, printed: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(REPOSITORY)
    exec(text.replace("http://127.0.0.1:8000", url), {})
    assert printed in capsys.readouterr().out


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")
@pytest.mark.parametrize("text", code("sh"))
def test_curl(url: str, text: str, tmp_path: Path) -> None:
    script = text.replace("http://127.0.0.1:8000", url).replace("curl -s", "curl -sS --fail")
    done = subprocess.run(["sh", "-e", "-c", script], cwd=tmp_path, capture_output=True, check=True)
    assert b"eight" in done.stdout or b"vita_" in done.stdout or (tmp_path / "hello.mp3").stat().st_size > 1000


def test_endpoints_are_told() -> None:
    paths: dict[str, Any] = Bench().app.openapi()["paths"]
    assert {path for path in paths if path.partition("{")[0].rstrip("/") not in DOCUMENT} == set()
