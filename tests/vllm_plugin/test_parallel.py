"""The pocket model on two processes of vLLM, its matrices or its layers shared out, against the local engine."""

from __future__ import annotations

from typing import Any

import pytest

from tests.vllm_plugin.conversations import CONVERSATIONS
from tests.vllm_plugin.parity import LOG_PROBABILITY, answers, check, expected_of, vllm_of
from vita.checkpoints import load
from vita.checkpoints.loading import POCKET_DIR
from vita.engine.local import LocalEngine

pytest.importorskip("vllm", reason="vLLM is not installed: pip install 'vita-omni[vllm]'")
pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "options",
    [
        {"tensor_parallel_size": 2},
        # vLLM 0.32 makes what its later layers take from the earlier ones when it warms up for compiled layers alone
        {"pipeline_parallel_size": 2, "enforce_eager": False},
    ],
    ids=["tensor", "pipeline"],
)
def test_two_processes(options: dict[str, Any]) -> None:
    local = LocalEngine(*load("pocket", device="cpu", dtype="float32"))
    expected, names = expected_of(local), list(CONVERSATIONS)
    with vllm_of(POCKET_DIR, own_process=True, distributed_executor_backend="mp", **options) as served:
        found = answers(served, names)
    differences = [check(name, one, expected, local) for name, one in zip(names, found, strict=True)]
    print(f"\ngreatest difference of a log-probability: {max(differences):.1e}")
    assert max(differences) < LOG_PROBABILITY
