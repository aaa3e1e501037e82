"""The vLLM engine on a real server against the local engine: replies, states, live sound, several turns, batches."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.vllm_plugin.conversations import CONVERSATIONS, EXAMPLES, ours
from vita.api import load, load_vllm
from vita.engine.protocol import Engine, Sampling
from vita.media import load_audio
from vita.tokens import State

pytestmark = pytest.mark.slow

OPTIONS = ["--max-model-len=2048", "--max-num-seqs=16", "--enforce-eager", "--block-size=32"]


@pytest.fixture(scope="module")
def local() -> Engine:
    return load("pocket", device="cpu", dtype="float32").engine


@pytest.fixture(scope="module")
def served() -> Iterator[Any]:
    """A server that is started here, or the one at VITA_TEST_VLLM_URL: the pocket model in float32."""
    url = os.environ.get("VITA_TEST_VLLM_URL")
    if url is None:
        pytest.importorskip("vllm", reason="vLLM is not installed: pip install 'vita-omni[vllm]'")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
        environment.setenv("VLLM_CPU_OMP_THREADS_BIND", "nobind")
        yield load_vllm("pocket", url or (), dtype="float32", options=OPTIONS).engine


def told(result: Any) -> tuple[Any, ...]:
    return result.state, result.text, result.ending, result.usage


def test_replies_are_those_of_the_local_engine(served: Engine, local: Engine) -> None:
    for name, turns in CONVERSATIONS.items():
        found, expected = (engine.open(messages=ours(turns)).reply().result() for engine in (served, local))
        assert told(found) == told(expected), name
        assert found.probabilities == pytest.approx(expected.probabilities, abs=1e-4), name


def test_a_batch_is_one_by_one(served: Engine, local: Engine) -> None:
    conversations = [ours(turns) for turns in CONVERSATIONS.values()]
    sampling = Sampling(state="answer", max_new_tokens=12)
    assert list(map(told, served.batch(conversations, sampling))) == list(
        map(told, local.batch(conversations, sampling))
    )


def test_a_conversation_that_grows(served: Engine, local: Engine) -> None:
    samples = load_audio(EXAMPLES / "capital_en.wav")
    heard = []
    for engine in (served, local):
        context = engine.open()
        listening, probes = context.listen(), []
        for start in range(0, len(samples), 4800):
            listening.push(samples[start : start + 4800])
            probes.append(listening.probe()[State.SPOKEN_QUERY])
        listening.close()
        first = context.reply().result()
        context.append("and what is two plus two?")
        second = context.fork().reply().result()
        context.rewind(1, heard="par")
        context.append("how many?")
        heard.append((probes, told(first), told(second), told(context.reply().result())))
    assert heard[0][0] == pytest.approx(heard[1][0], abs=1e-4)
    assert heard[0][1:] == heard[1][1:]
