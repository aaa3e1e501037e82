"""Adapters on vLLM against the same adapters merged into the weights of the local engine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tests.vllm_plugin.conversations import CONVERSATIONS
from tests.vllm_plugin.parity import LOG_PROBABILITY, answers, check, expected_of, vllm_of
from vita.checkpoints import load
from vita.checkpoints.loading import POCKET_DIR
from vita.engine.local import LocalEngine

pytest.importorskip("vllm", reason="vLLM is not installed: pip install 'vita-omni[vllm]'")
pytestmark = pytest.mark.slow

RANK, ALPHA, STRENGTH = 4, 8, 0.65


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, LocalEngine]:
    """A folder as PEFT writes it, for every matrix of the language model's layers, and the engine it is merged into."""
    folder = tmp_path_factory.mktemp("adapter")
    model, processor = load("pocket", device="cpu", dtype="float32")
    random, saved, targets = torch.Generator().manual_seed(0), {}, set()
    for name, layer in model.language_model.model.named_modules():
        if isinstance(layer, nn.Linear):
            down = torch.randn(RANK, layer.in_features, generator=random) * layer.in_features**-0.5
            up = torch.randn(layer.out_features, RANK, generator=random) * STRENGTH
            layer.weight.data += ALPHA / RANK * up @ down
            for part, value in (("lora_A", down), ("lora_B", up)):
                saved[f"base_model.model.language_model.model.{name}.{part}.weight"] = value
            targets.add(name.rpartition(".")[2])
    save_file(saved, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": RANK, "lora_alpha": ALPHA, "target_modules": sorted(targets), "bias": "none"}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    assert targets == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
    return folder, LocalEngine(model, processor)


@pytest.fixture(scope="module")
def served() -> Iterator[Any]:
    with vllm_of(POCKET_DIR, enable_lora=True, max_lora_rank=8, max_loras=1) as made:
        yield made


def test_with_an_adapter_and_without(served: Any, adapter: tuple[Path, LocalEngine]) -> None:
    """One server, asked in turn; the adapter changes what is said."""
    from vllm.lora.request import LoRARequest

    folder, merged = adapter
    plain = LocalEngine(*load("pocket", device="cpu", dtype="float32"))
    names, differences, replies = list(CONVERSATIONS), [], []
    for engine, options in ((merged, {"lora_request": LoRARequest("made", 1, str(folder))}), (plain, {})):
        expected = expected_of(engine)
        found = answers(served, names, **options)
        differences += [check(name, one, expected, engine) for name, one in zip(names, found, strict=True)]
        replies.append([list(output.token_ids) for _, output in found])
    changed = sum(adapted != without for adapted, without in zip(*replies, strict=True))
    print(
        f"\ngreatest difference of a log-probability: {max(differences):.1e}; {changed} replies of {len(names)} changed"
    )
    assert max(differences) < LOG_PROBABILITY
    assert changed >= 4
