"""A random model in VITA-1.0's manner on vLLM against the local engine.

Mixtral, InternViT with pixel shuffle and several tiles, full attention over sound, VITA's own template, states of three
tokens each, and ids for media that lie outside the vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import make_tokenizer
from tests.vllm_plugin.conversations import CONVERSATIONS
from tests.vllm_plugin.parity import LOG_PROBABILITY, Expected, answers, check, expected_of, vllm_of
from vita.chat.state import StateReader
from vita.engine.local import LocalEngine
from vita.models.configuration_vita import VitaConfig
from vita.models.modeling_vita import VitaForConditionalGeneration
from vita.models.processing_vita import VitaProcessor

pytest.importorskip("vllm", reason="vLLM is not installed: pip install 'vita-omni[vllm]'")
pytestmark = pytest.mark.slow

SPELLED = 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model, saved in several files."""
    tokenizer, folder = make_tokenizer(), tmp_path_factory.mktemp("vita_1_0")
    config = VitaConfig(
        text_config={
            "model_type": "mixtral", "num_local_experts": 4, "num_experts_per_tok": 2, "vocab_size": len(tokenizer),
            "hidden_size": 128, "intermediate_size": 192, "num_hidden_layers": 2, "num_attention_heads": 2,
            "num_key_value_heads": 1, "head_dim": 64, "initializer_range": 0.1, "bos_token_id": 1, "eos_token_id": 2,
            "pad_token_id": 0, "max_position_embeddings": 4096, "sliding_window": None,
        },
        vision_config={
            "image_size": [56, 56], "patch_size": [14, 14], "hidden_size": 64, "num_hidden_layers": 2,
            "num_attention_heads": 2, "intermediate_size": 96,
        },
        audio_config={
            "subsampling_dim": 32, "hidden_size": 64, "num_attention_heads": 2, "intermediate_size": 96,
            "num_hidden_layers": 2, "output_dim": 128,
        },
        max_tiles=4,
        tokenizer_model_max_length=2048,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = VitaForConditionalGeneration(config).eval()
    model.save_pretrained(folder, max_shard_size="500KB")
    VitaProcessor(tokenizer, config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def local(folder: Path) -> LocalEngine:
    """With states read as far as they are told apart, which is what vLLM can do."""
    from vita.checkpoints import load

    engine = LocalEngine(*load(folder, device="cpu", dtype="float32"))
    reader = StateReader(engine.parts.state_reader.spellings, whole=False)
    engine.parts = replace(engine.parts, state_reader=reader)
    return engine


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[Any]:
    """vLLM in a process of its own."""
    with vllm_of(folder, own_process=True) as made:
        yield made


def test_every_conversation(served: Any, local: LocalEngine) -> None:
    names, expected = list(CONVERSATIONS), expected_of(local)
    found: list[Any] = answers(served, names, SPELLED)
    differences = [check(name, answer, expected, local) for name, answer in zip(names, found, strict=True)]
    print(f"\ngreatest difference of a log-probability: {max(differences):.1e}")
    assert max(differences) < LOG_PROBABILITY


def test_some_alone(served: Any, local: LocalEngine) -> None:
    expected: Expected = expected_of(local)
    for name in ("image and spoken", "turns"):
        assert check(name, answers(served, [name], SPELLED)[0], expected, local) < LOG_PROBABILITY
