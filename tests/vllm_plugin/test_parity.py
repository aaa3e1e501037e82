"""The pocket model on vLLM against the local engine: prompts, greedy ids, log-probabilities, alone and in a batch.

Run in an environment that has vLLM: `python -m pytest tests/vllm_plugin -m "slow or not slow"`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from tests.vllm_plugin.conversations import CONVERSATIONS, ours, theirs
from vita.checkpoints import load
from vita.checkpoints.loading import POCKET_DIR
from vita.engine.local import LocalEngine
from vita.engine.protocol import Sampling
from vita.models.batching import stack_media
from vita.tokens import State

pytest.importorskip("vllm", reason="vLLM is not installed: pip install 'vita-omni[vllm]'")
pytestmark = pytest.mark.slow

MAX_NEW_TOKENS = 24
LOG_PROBABILITY = 1e-3


@pytest.fixture(scope="module")
def local() -> LocalEngine:
    return LocalEngine(*load("pocket", device="cpu", dtype="float32"))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """vLLM in this process."""
    with pytest.MonkeyPatch.context() as environment:
        for name, value in {
            "VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"
        }.items():  # fmt: skip
            environment.setenv(name, value)
        from vllm import LLM

        yield LLM(
            str(POCKET_DIR), dtype="float32", max_model_len=2048, max_num_batched_tokens=2048, max_num_seqs=16,
            enforce_eager=True, limit_mm_per_prompt={"image": 4, "video": 1, "audio": 4},
        )  # fmt: skip


@pytest.fixture(scope="module")
def expected(local: LocalEngine) -> dict[str, tuple[list[int], list[int]]]:
    """Prompt ids and reply ids of the local engine."""
    found = {}
    for name, turns in CONVERSATIONS.items():
        messages = ours(turns)
        reply = local.open(messages=messages).reply(Sampling(max_new_tokens=MAX_NEW_TOKENS))
        result = reply.result()
        ids = [*reply._stream._ids]
        if result.ending == "stop" or result.state is State.NOISE:
            ids.append(local.processor.stop_ids[0])
        found[name] = local.processor.encode(messages).ids, ids
    return found


def answers(served: Any, names: list[str]) -> list[Any]:
    from vllm import SamplingParams

    sampling = SamplingParams(temperature=0, max_tokens=MAX_NEW_TOKENS + 1, logprobs=5, skip_special_tokens=False)
    found = served.chat([theirs(CONVERSATIONS[name]) for name in names], sampling, use_tqdm=False)
    return [(one.prompt_token_ids, one.outputs[0]) for one in found]


def check(name: str, answer: Any, expected: dict[str, tuple[list[int], list[int]]], local: LocalEngine) -> float:
    prompt_ids, output = answer
    assert prompt_ids == expected[name][0], name
    assert list(output.token_ids) == expected[name][1], name
    return greatest_difference(local, name, *expected[name], output.logprobs)


@torch.inference_mode()
def greatest_difference(
    local: LocalEngine, name: str, prompt_ids: list[int], reply_ids: list[int], found: list[dict[int, Any]]
) -> float:
    """Of the five greatest log-probabilities of every step."""
    encoded = [local.processor.encode_medium(medium) for turn in ours(CONVERSATIONS[name]) for medium in turn.media]
    media = stack_media(encoded)
    ids = torch.tensor([[*prompt_ids, *reply_ids]])
    logits = local.model(input_ids=ids, **media).logits[0, len(prompt_ids) - 1 : -1]
    logits[:, [local.model.config.image_token_id, local.model.config.audio_token_id]] = -torch.inf
    log_probabilities = logits.log_softmax(-1)
    return max(
        abs(float(log_probabilities[step, token]) - one.logprob)
        for step, top in enumerate(found)
        for token, one in top.items()
        if one.logprob > -30
    )


def test_all_in_one_batch(served: Any, local: LocalEngine, expected: dict[str, Any]) -> None:
    names = list(CONVERSATIONS)
    differences = [
        check(name, answer, expected, local) for name, answer in zip(names, answers(served, names), strict=True)
    ]
    print(f"\ngreatest difference of a log-probability: {max(differences):.1e}")
    assert max(differences) < LOG_PROBABILITY


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_one_alone(name: str, served: Any, local: LocalEngine, expected: dict[str, Any]) -> None:
    """Its prompt is in the prefix cache since the batch: the features of media come from there, too."""
    assert check(name, answers(served, [name])[0], expected, local) < LOG_PROBABILITY


def test_the_examples_have_every_state(expected: dict[str, Any], local: LocalEngine) -> None:
    spellings = local.processor.state_reader.spellings
    written = {ids[0] for _, ids in expected.values()}
    assert written == {ids[0] for ids in spellings.values()}
