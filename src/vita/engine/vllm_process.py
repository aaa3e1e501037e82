"""A vLLM server as a child process on this machine. Made by `vita.api` for `--engine vllm` without an address."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from vita.errors import DependencyError

_STARTS_S, _ENDS_S = 900.0, 30.0


class VllmProcess:
    """`vllm serve` of a model folder, reachable from this machine only; started at once, ended by `close`.

    Args:
        folder: the model.
        dtype: as vLLM takes it.
        options: more of its options.
    """

    def __init__(self, folder: Path, *, dtype: str = "auto", options: Sequence[str] = ()) -> None:
        if importlib.util.find_spec("vllm") is None:
            raise DependencyError("vLLM is not installed", fix="pip install 'vita-omni[vllm]', or give --vllm-url")
        port = _free_port()
        self.url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "vllm.entrypoints.cli.main", "serve", str(folder), "--host", "127.0.0.1"]
        command += ["--port", str(port), "--dtype", dtype, "--enable-mm-embeds", *options]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, start_new_session=True)

    def wait_until_ready(self) -> None:
        """Returns when it answers. Raises DependencyError if it ends before, or takes too long."""
        import httpx2

        until_s = time.monotonic() + _STARTS_S
        while time.monotonic() < until_s and self._process.poll() is None:
            with suppress(httpx2.TransportError):
                if httpx2.get(f"{self.url}/health", timeout=5.0).status_code == 200:
                    return
            time.sleep(0.5)
        self.close()
        raise DependencyError(
            "vLLM did not start", got=f"exit code {self._process.returncode}", fix="see its log above"
        )

    def close(self) -> None:
        """End it and what it has started."""
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_ENDS_S)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
