"""What the parity tests share: replies of the local engine as ids, those of vLLM, and how far their numbers differ."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.vllm_plugin.conversations import CONVERSATIONS, ours, theirs
from vita.engine.local import LocalEngine
from vita.engine.protocol import Sampling
from vita.models.batching import stack_media
from vita.tokens import State

MAX_NEW_TOKENS = 24
LOG_PROBABILITY = 1e-3
Expected = dict[str, tuple[list[int], list[int]]]
"""Name of a conversation -> ids of its prompt, ids of its reply."""


def expected_of(local: LocalEngine) -> Expected:
    """What the local engine makes of every conversation."""
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


@contextmanager
def vllm_of(folder: Path, *, own_process: bool = False, **options: Any) -> Iterator[Any]:
    """A model on vLLM, in this process or in others, until the end of the block; `options` are vLLM's own."""
    with pytest.MonkeyPatch.context() as environment:
        for name, value in {
            "VLLM_ENABLE_V1_MULTIPROCESSING": str(int(own_process)),
            "VLLM_CPU_KVCACHE_SPACE": "1",
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        }.items():
            environment.setenv(name, value)
        from vllm import LLM

        limits = {"image": 4, "video": 1, "audio": 4}
        yield LLM(
            str(folder), dtype="float32", max_model_len=2048, max_num_batched_tokens=2048, max_num_seqs=16,
            **{"enforce_eager": True, "limit_mm_per_prompt": limits, **options},
        )  # fmt: skip


def answers(served: Any, names: list[str], spelled: int = 1, **options: Any) -> list[Any]:
    """What vLLM makes of some conversations in one batch; `spelled` is the length of a state, `options` vLLM's own."""
    from vllm import SamplingParams

    sampling = SamplingParams(temperature=0, max_tokens=MAX_NEW_TOKENS + spelled, logprobs=5, skip_special_tokens=False)
    found = served.chat([theirs(CONVERSATIONS[name]) for name in names], sampling, use_tqdm=False, **options)
    return [(one.prompt_token_ids, one.outputs[0]) for one in found]


def check(name: str, answer: Any, expected: Expected, local: LocalEngine) -> float:
    """The same ids, then how far log-probabilities are apart."""
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
    ids = torch.tensor([[*prompt_ids, *reply_ids]])
    logits = local.model(input_ids=ids, **stack_media(encoded)).logits[0, len(prompt_ids) - 1 : -1]
    placeholders = [local.model.config.image_token_id, local.model.config.audio_token_id]
    logits[:, [token for token in placeholders if token < logits.shape[-1]]] = -torch.inf
    log_probabilities = logits.log_softmax(-1)
    return max(
        abs(float(log_probabilities[step, token]) - one.logprob)
        for step, top in enumerate(found)
        for token, one in top.items()
        if one.logprob > -30
    )
