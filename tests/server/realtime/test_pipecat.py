"""Pipecat's own OpenAI Realtime service, in a pipeline of its own, talks to `vita serve`: nobody here wrote either end.

Runs where `VITA_PIPECAT_PYTHON` names an interpreter that has `pipecat-ai[openai]`, or this one has it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import soundfile

from tests.server.test_pocket import Served, served

__all__ = ["served"]
PYTHON = os.environ.get("VITA_PIPECAT_PYTHON", sys.executable)
SCRIPT = Path(__file__).parents[3] / "benchmarks" / "pipecat_talk.py"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        sys.executable == PYTHON and find_spec("pipecat") is None,
        reason="no Pipecat: set VITA_PIPECAT_PYTHON to a Python with pipecat-ai[openai]",
    ),
]


def test_a_conversation(served: Served, tmp_path: Path) -> None:
    url = served.banner[0].split()[3].replace("http", "ws", 1)
    command = [PYTHON, SCRIPT, f"{url}/realtime", "--key", "the-right-key", "--out", tmp_path / "answers.wav"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["errors"] == []
    assert (told["answers"][0], told["answers"][-1]) == ("eight", "paris")
    assert told["answers"][1].startswith("there was a little")  # the story, which was interrupted
    assert len(told["answers"]) == 3
    assert told["seconds"] == pytest.approx(soundfile.info(tmp_path / "answers.wav").duration, abs=0.01)
    assert told["seconds"] > 2
