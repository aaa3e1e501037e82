"""A vLLM server as a child process; a stand-in for vLLM answers, has a child of its own, or does not start."""

from __future__ import annotations

import os
from pathlib import Path

import httpx2
import psutil
import pytest

from vita.engine.vllm_process import VllmProcess
from vita.errors import DependencyError

STAND_IN = """
import http.server, subprocess, sys
options = dict(zip(sys.argv[1:], sys.argv[2:]))
if "--fail" in sys.argv:
    sys.exit(3)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"{child.pid} {sys.argv[1:]}".encode())

    def log_message(self, *_):
        pass

http.server.HTTPServer((options["--host"], int(options["--port"])), Handler).serve_forever()
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `import vllm` finds, here and in the child."""
    package = tmp_path / "vllm" / "entrypoints" / "cli"
    package.mkdir(parents=True)
    for folder in (package, package.parent, package.parent.parent):
        (folder / "__init__.py").touch()
    (package / "main.py").write_text(STAND_IN)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))


def test_it_serves_and_ends_with_all_it_started(stand_in: None) -> None:
    process = VllmProcess(Path("a-model"), dtype="float32", options=["--block-size=32"])
    try:
        process.wait_until_ready()
        pid, _, told = httpx2.get(f"{process.url}/health").text.partition(" ")
        child = psutil.Process(int(pid))
    finally:
        process.close()
    assert told.startswith("['serve', 'a-model', '--host', '127.0.0.1', '--port', ")
    assert told.endswith("'--dtype', 'float32', '--enable-mm-embeds', '--block-size=32']")
    child.wait(20)
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"{process.url}/health")


def test_one_that_does_not_start(stand_in: None) -> None:
    process = VllmProcess(Path("a-model"), options=["--fail"])
    with pytest.raises(DependencyError, match=r"vLLM did not start \(got exit code 3\); see its log above"):
        process.wait_until_ready()


def test_without_vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        DependencyError, match=r"vLLM is not installed; pip install 'vita-omni\[vllm\]', or give --vllm"
    ):
        VllmProcess(Path("a-model"))
