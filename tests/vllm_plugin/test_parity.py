"""The pocket model on vLLM against the local engine: prompts, greedy ids, log-probabilities, alone and in a batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.vllm_plugin.conversations import CONVERSATIONS
from tests.vllm_plugin.parity import LOG_PROBABILITY, Expected, answers, check, expected_of, vllm_of
from vita.checkpoints import load
from vita.checkpoints.loading import POCKET_DIR
from vita.engine.local import LocalEngine

pytest.importorskip("vllm", reason="vLLM is not installed: pip install 'vita-omni[vllm]'")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def local() -> LocalEngine:
    return LocalEngine(*load("pocket", device="cpu", dtype="float32"))


@pytest.fixture(scope="module")
def served() -> Iterator[Any]:
    """vLLM in this process."""
    with vllm_of(POCKET_DIR) as made:
        yield made


@pytest.fixture(scope="module")
def expected(local: LocalEngine) -> Expected:
    return expected_of(local)


def test_all_in_one_batch(served: Any, local: LocalEngine, expected: Expected) -> None:
    names = list(CONVERSATIONS)
    differences = [
        check(name, answer, expected, local) for name, answer in zip(names, answers(served, names), strict=True)
    ]
    print(f"\ngreatest difference of a log-probability: {max(differences):.1e}")
    assert max(differences) < LOG_PROBABILITY


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_one_alone(name: str, served: Any, local: LocalEngine, expected: Expected) -> None:
    """Its prompt may be in the prefix cache since the batch: the features of media come from there, too."""
    assert check(name, answers(served, [name])[0], expected, local) < LOG_PROBABILITY


def test_the_examples_have_every_state(expected: Expected, local: LocalEngine) -> None:
    spellings = local.processor.state_reader.spellings
    written = {ids[0] for _, ids in expected.values()}
    assert written == {ids[0] for ids in spellings.values()}
