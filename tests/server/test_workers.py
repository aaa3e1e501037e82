"""Processes behind one address: what they have in common, one that is killed, and the end of all of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest
from openai import OpenAI
from websockets.sync.client import connect

from tests.server.conftest import until

REPOSITORY = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join((str(REPOSITORY), str(REPOSITORY / "src")))}
PROGRAM = [sys.executable, "-m", "tests.server.worker_stand_in"]


@pytest.fixture(scope="module")
def started() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The parent and its address."""
    with subprocess.Popen(PROGRAM, env=ENVIRONMENT, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as parent:
        try:
            assert parent.stdout is not None
            yield parent, parent.stdout.readline().strip()
        finally:
            parent.kill()


def servers(parent: subprocess.Popen[str]) -> list[psutil.Process]:
    """Its children that listen: the workers."""
    return [child for child in psutil.Process(parent.pid).children() if _listens(child)]


def _listens(process: psutil.Process) -> bool:
    """Whether it does; one that is ending does not."""
    try:
        return any(socket.status == "LISTEN" for socket in process.net_connections("tcp"))
    except (psutil.Error, OSError):
        return False


def test_a_spoken_reply_is_known_to_all_of_them(started: tuple[subprocess.Popen[str], str]) -> None:
    """The first client holds its connection, so the second one gets to the other worker."""
    _, url = started
    options: Any = {"model": "pocket", "modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}}
    with OpenAI(base_url=f"{url}/v1", api_key="none") as first, OpenAI(base_url=f"{url}/v1", api_key="none") as second:
        asked: Any = [{"role": "user", "content": "hello"}]
        sound = first.chat.completions.create(messages=asked, **options).choices[0].message.audio
        assert sound is not None
        assert sound.transcript == "hello"
        asked = [{"role": "assistant", "audio": {"id": sound.id}}, {"role": "user", "content": " and you?"}]
        reply = second.chat.completions.create(model="pocket", messages=[{"role": "user", "content": "a"}, *asked])
        assert reply.choices[0].message.content == "ahello and you?"


def test_a_worker_that_is_killed_is_replaced(started: tuple[subprocess.Popen[str], str]) -> None:
    parent, url = started
    before = servers(parent)
    assert len(before) == 2
    before[0].kill()

    def is_replaced() -> bool:
        now = servers(parent)
        return len(now) == 2 and before[0] not in now

    assert until(is_replaced, 60)

    realtime = url.replace("http", "ws") + "/v1/realtime"

    def both_talk() -> bool:
        """Asked twice a second, to leave the new process some time."""
        time.sleep(0.5)
        try:
            with connect(realtime) as one, connect(realtime) as other:
                return {str(session.recv()).split("sess_")[1][:2] for session in (one, other)} == {"0w", "1w"}
        except OSError:
            return False

    assert until(both_talk, 240)


def test_all_end_together(started: tuple[subprocess.Popen[str], str]) -> None:
    parent, url = started
    children = psutil.Process(parent.pid).children(recursive=True)
    parent.send_signal(signal.SIGTERM)
    assert parent.wait(60) == 0
    assert until(lambda: not any(child.is_running() and child.status() != "zombie" for child in children))
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"{url}/health")


def test_one_that_cannot_start_ends_all() -> None:
    options: Any = {"env": ENVIRONMENT, "cwd": REPOSITORY, "capture_output": True, "text": True, "timeout": 120}
    done = subprocess.run([*PROGRAM, "fail"], **options)
    assert done.returncode == 1
    assert "DependencyError: a worker did not start; see what it said above" in done.stderr
