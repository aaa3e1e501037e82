"""`deploy/ray_serve.py` on a real Ray: it grows with its sessions, a session stays with its replica, one that dies is
replaced.

Runs where `VITA_RAY_PYTHON` names an interpreter that has `ray[serve]` beside this project's `serve` extra.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import psutil
import pytest
import soxr
import yaml
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.server.conftest import EXAMPLES, until
from vita.media.audio import load_audio

PYTHON = os.environ.get("VITA_RAY_PYTHON")
REPOSITORY = Path(__file__).parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.skipif(PYTHON is None, reason="no Ray: set VITA_RAY_PYTHON")]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Host and port of one replica that may become two, of up to four sessions each."""
    folder = tmp_path_factory.mktemp("ray")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    arguments = {"model": "pocket", "replicas": "1", "most": "2", "sessions": "4"}
    application = {"name": "default", "import_path": "deploy.ray_serve:build", "args": arguments}
    config = {"http_options": {"host": "127.0.0.1", "port": port}, "applications": [application]}
    (folder / "serve.yaml").write_text(yaml.safe_dump(config))
    paths = os.pathsep.join((str(REPOSITORY), str(REPOSITORY / "src")))
    environment = {**os.environ, "PYTHONPATH": paths, "RAY_AUTH_MODE": "disabled", "OMP_NUM_THREADS": "1"}
    environment.pop("VITA_API_KEY", None)
    command = [Path(str(PYTHON)).with_name("serve"), "run", folder / "serve.yaml"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, env=environment, cwd=REPOSITORY, stdout=log, stderr=log)
    try:
        assert until(lambda: _is_healthy(port) or process.poll() is not None, 300)
        assert process.poll() is None, (folder / "log").read_text()[-3000:]
        yield f"127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def _is_healthy(port: int) -> bool:
    """Asked twice a second, to leave it some time."""
    time.sleep(0.5)
    try:
        return httpx2.get(f"http://127.0.0.1:{port}/health", timeout=5).status_code == 200
    except httpx2.HTTPError:
        return False


def replicas() -> list[psutil.Process]:
    """Processes of Ray that run the server. Ray writes their names over their command lines."""
    found = [process for process in psutil.process_iter(["cmdline"]) if process.info["cmdline"]]
    return [process for process in found if process.info["cmdline"][0].startswith("ray::ServeReplica:default:vita")]


class Session:
    """A realtime session, its name in Ray's hash, and what the server calls it."""

    def __init__(self, address: str, name: str, *, resume: str = "") -> None:
        self.address, self.name = address, name
        url = f"ws://{address}/v1/realtime{'?session_id=' if resume else ''}{resume}"
        self.socket: ClientConnection = connect(url, additional_headers={"x-session-id": name}, legacy=True)
        self.told = self.until("session.created")["session"]

    def until(self, kind: str) -> dict[str, Any]:
        """The next event of this type."""
        while True:
            event = json.loads(self.socket.recv(timeout=60))
            assert event["type"] != "error", event
            if event["type"] == kind:
                return event

    def ask(self, question: np.ndarray) -> str:
        """What it answers to the sound, 24 kHz, followed by a second of silence."""
        sound = np.concatenate([question, np.zeros(24_000, np.float32)])
        data = base64.b64encode((sound * 32767).astype("<i2").tobytes()).decode()
        self.socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": data}))
        answer = self.until("response.output_audio_transcript.done")["transcript"]
        self.until("response.done")
        return answer

    def drop(self) -> None:
        """Lose the connection, as a network does."""
        self.socket.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


@pytest.fixture(scope="module")
def question() -> np.ndarray:
    """Float32 sound, 24 kHz: what is the capital of France?"""
    return soxr.resample(load_audio(EXAMPLES / "capital_en.wav"), 16_000, 24_000)


@pytest.fixture
def opened(address: str) -> Iterator[list[Session]]:
    """Six sessions, closed in the end."""
    with ExitStack() as stack:
        sessions = []
        for number in range(6):
            sessions.append(Session(address, f"listener {number}"))
            stack.callback(sessions[-1].socket.close)
        yield sessions


def test_it_grows_with_its_sessions(address: str, question: np.ndarray) -> None:
    assert len(replicas()) == 1
    first = [Session(address, f"early {number}") for number in range(4)]

    def has_grown() -> bool:
        """Asked while they talk: a silent session is closed after a while."""
        return {session.ask(question) for session in first} == {"paris"} and len(replicas()) == 2

    assert until(has_grown, 240)
    for session in first:
        session.socket.close()
    assert until(lambda: _is_spread(address), 120)


def _is_spread(address: str) -> bool:
    """Whether both answer: a name is hashed to one of them, and they were not started at the same moment."""
    time.sleep(0.5)
    seen = {_answered(address, f"name {number}") for number in range(8)}
    return len(seen) > 1


def _answered(address: str, name: str) -> str:
    """When the replica that this name belongs to was started."""
    text = httpx2.get(f"http://{address}/metrics", headers={"x-session-id": name}, timeout=20).text
    return next(line for line in text.splitlines() if line.startswith("vita_spoken_seconds_created"))


def test_a_lost_session_finds_its_replica_again(address: str, opened: list[Session], question: np.ndarray) -> None:
    homes = {_answered(address, session.name) for session in opened}
    assert len(homes) == 2
    for session in opened:
        assert session.ask(question) == "paris"
        session.drop()
        again = _resumed(session)
        assert again.told["vita_resumed"] is True
        assert again.ask(question) == "paris"
        again.socket.close()


def _resumed(session: Session) -> Session:
    """It, over a new connection; asked again until the replica has seen that the old one is lost."""
    for _ in range(20):
        try:
            return Session(session.address, session.name, resume=session.told["id"])
        except AssertionError:
            time.sleep(0.5)
    raise TimeoutError(session.name)


def test_one_that_is_killed_is_replaced(address: str, opened: list[Session], question: np.ndarray) -> None:
    before = replicas()
    assert len(before) == 2
    before[0].kill()
    answers: list[str | None] = []
    for session in opened:
        try:
            answers.append(session.ask(question))
        except ConnectionClosed:
            answers.append(None)
    assert set(answers) == {"paris", None}  # those of the other replica, and those who were told that theirs is gone
    assert until(lambda: len(replicas()) == 2 and before[0] not in replicas(), 120)
    assert until(lambda: _is_spread(address), 120)
    session = Session(address, "after it")
    assert session.ask(question) == "paris"
    session.socket.close()
