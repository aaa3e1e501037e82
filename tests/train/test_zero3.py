"""DeepSpeed ZeRO-3: what it is told, and what it needs. `test_processes.py` trains with it where it is installed."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from tests.conftest import make_model
from tests.models.tiny_vita import tiny_model
from tests.train.tuning_case import changed, in_processes, log_of, recipe_of, train, write_records
from vita.errors import ConfigError, DependencyError
from vita.train.tuning_recipe import TuningRecipe
from vita.train.zero3 import check_installed, config_of, expert_blocks


def test_what_it_is_told() -> None:
    config = config_of(bf16=True, gradient_clip=0.5)
    assert config["zero_optimization"] == {"stage": 3}
    assert config["gradient_clipping"] == 0.5
    assert config["communication_data_type"] == "fp32"
    assert config["torch_autocast"]["enabled"]
    assert not config_of(bf16=False, gradient_clip=1.0)["torch_autocast"]["enabled"]


def test_experts_are_gathered_by_the_layer() -> None:
    """With their router; nothing of a model without experts."""
    model = tiny_model("mixtral")
    blocks = expert_blocks(model)
    assert len(blocks) == model.config.text_config.num_hidden_layers
    assert all(any(".experts." in f".{name}" for name, _ in block.named_parameters()) for block in blocks)
    assert expert_blocks(tiny_model("llama")) == []


def test_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vita.train.zero3.importlib.util.find_spec", lambda name: None)
    with pytest.raises(DependencyError, match=r"zero3 needs DeepSpeed; pip install 'vita-omni\[zero3\]', or use fsdp2"):
        check_installed()
    with pytest.raises(ConfigError, match="layers that ZeRO-3 gathers are not compiled"):
        TuningRecipe(parallel="zero3", compile=True)


@pytest.mark.slow
def test_two_processes_share_out_experts(tmp_path: Path) -> None:
    """Of a mixture of experts, with its balancing loss; the losses of one process."""
    pytest.importorskip("deepspeed")
    for part in make_model("mixtral"):
        part.save_pretrained(tmp_path / "model")
    recipe = recipe_of(tmp_path / "model", write_records(tmp_path), batch_size=1, gradient_accumulation=4)
    recipe = changed(recipe, train=("language_model",), steps=3, learning_rate=1e-3)
    train(recipe, tmp_path / "alone")
    shared = dataclasses.replace(recipe, parallel="zero3", gradient_accumulation=2)
    assert in_processes(2, lambda: train(shared, tmp_path / "shared")) == [0, 0]
    losses = [[row["loss"] for row in log_of(tmp_path / name)] for name in ("alone", "shared")]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
