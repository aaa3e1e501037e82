"""On a GPU: bfloat16 learns what float32 learns, and the speed of stage 3 for a language model of a billion weights."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from pathlib import Path

import pytest
import torch

from tests.train.tuning_case import log_of, recipe_of, train, write_records
from vita.models.configuration_vita import VitaConfig
from vita.models.modeling_vita import VitaForConditionalGeneration
from vita.models.processing_vita import VitaProcessor
from vita.train.flops import peak_flops
from vita.train.tuning_recipe import TuningRecipe
from vita.train.tuning_stage import TuningStage

STAGE_3 = ("language_model", "vision_connector", "audio_connector")
BILLION = {
    "model_type": "qwen2", "hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 22,
    "num_attention_heads": 16, "num_key_value_heads": 4, "vocab_size": 32_000, "max_position_embeddings": 8192,
    "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "tie_word_embeddings": True,
}  # fmt: skip


@pytest.fixture
def a_gpu() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")


@pytest.mark.gpu
@pytest.mark.usefixtures("a_gpu")
def test_bfloat16_has_the_losses_of_float32(tiny_folder: Path, tmp_path: Path) -> None:
    """Within its accuracy; and float32 on the GPU those of the CPU."""
    losses = {}
    for name, device, precision in (("cpu", "cpu", "fp32"), ("gpu", "cuda", "fp32"), ("bf16", "cuda", "bf16")):
        stage = TuningStage(name="s", train=STAGE_3, steps=4, learning_rate=1e-3)
        recipe = recipe_of(tiny_folder, write_records(tmp_path), stage, device=device, precision=precision)
        train(recipe, tmp_path / name)
        losses[name] = [row["loss"] for row in log_of(tmp_path / name)]
    assert losses["gpu"] == pytest.approx(losses["cpu"], rel=1e-3)
    assert losses["bf16"] == pytest.approx(losses["cpu"], rel=3e-2)


@pytest.mark.gpu
@pytest.mark.usefixtures("a_gpu")
def test_a_run_goes_on(tiny_folder: Path, tmp_path: Path) -> None:
    """With the optimiser's state where the device wants it."""
    stage = TuningStage(name="s", train=STAGE_3, steps=4, learning_rate=1e-3)
    recipe = recipe_of(tiny_folder, write_records(tmp_path), stage, device="cuda", save_every=2, keep=2)
    train(recipe, tmp_path)
    whole = [row["loss"] for row in log_of(tmp_path)]
    for name in ("model", "checkpoint-000004"):
        shutil.rmtree(tmp_path / "s" / name)
    train(recipe, tmp_path)
    assert [row["loss"] for row in log_of(tmp_path)] == pytest.approx(whole, rel=1e-4)


def write_random_model(tiny_folder: Path, folder: Path, text: dict[str, object], device: str) -> None:
    """A random language model with tiny towers; they are not what is measured."""
    processor = VitaProcessor.from_pretrained(tiny_folder)
    small = processor.config.to_dict()
    small["audio_config"] = {**small["audio_config"], "output_dim": text["hidden_size"]}
    small |= {"text_config": text, "tokenizer_model_max_length": 8192}
    config = VitaConfig(**{key: value for key, value in small.items() if key != "model_type"})
    with torch.device(device):
        model = VitaForConditionalGeneration(config).to(torch.bfloat16)  # pyright: ignore[reportArgumentType]
    model.audio_tower.cmvn.float()
    model.config.dtype = torch.bfloat16
    model.save_pretrained(folder)
    VitaProcessor(processor.tokenizer, config).save_pretrained(folder)


def write_long_records(folder: Path) -> Path:
    """The small set with replies that fill rows of some thousand tokens."""
    path = write_records(folder)
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for number, row in enumerate(rows):
        row["conversations"][1]["value"] = "ab" * (100 + 20 * number)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def speed_recipe(model: Path, folder: Path, *, compiled: bool, device: str, max_tokens: int) -> TuningRecipe:
    """Stage 3 in bfloat16 on packed rows, twelve steps with a line for the last six."""
    stage = TuningStage(name="s", train=STAGE_3, steps=12, learning_rate=1e-4)
    options = {"device": device, "precision": "bf16", "packing": True, "max_tokens": max_tokens, "batch_size": 1}
    recipe: TuningRecipe = recipe_of(model, write_long_records(folder), stage, **options)
    return dataclasses.replace(recipe, compile=compiled, log_every=6, save_every=12)


@pytest.mark.slow
def test_what_measures_speed_runs_on_a_cpu(tiny_folder: Path, tmp_path: Path) -> None:
    """With a small language model and short rows; so that the tests below can fail for a device's reasons alone."""
    small = {**BILLION, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2}
    write_random_model(tiny_folder, tmp_path / "model", small, "cpu")
    recipe = speed_recipe(tmp_path / "model", tmp_path, compiled=False, device="cpu", max_tokens=1024)
    told: list[str] = []
    train(recipe, tmp_path / "run", told)
    assert any(line.startswith("s: step 12/12") for line in told)
    rows = log_of(tmp_path / "run")
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert rows[0]["tokens"] == 1024  # a full row


@pytest.mark.gpu
@pytest.mark.usefixtures("a_gpu")
@pytest.mark.parametrize("compiled", [False, True])
def test_speed_of_stage_3_with_a_billion_weights(tiny_folder: Path, tmp_path: Path, compiled: bool) -> None:
    """Prints tokens/s and MFU over the last steps, and appends them to $VITA_GPU_REPORT if that is set."""
    write_random_model(tiny_folder, tmp_path / "model", BILLION, "cuda")
    recipe = speed_recipe(tmp_path / "model", tmp_path, compiled=compiled, device="cuda", max_tokens=4096)
    told: list[str] = []
    train(recipe, tmp_path / "run", told)
    line = next(line for line in told if line.startswith("s: step 12/12"))
    print(f"compile {compiled}: {torch.cuda.get_device_name()}: {line}")
    losses = [row["loss"] for row in log_of(tmp_path / "run")]
    assert losses[-1] < losses[0]
    if peak_flops(torch.device("cuda")):
        assert " MFU " in line
    if "VITA_GPU_REPORT" in os.environ:
        with Path(os.environ["VITA_GPU_REPORT"]).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"compile": compiled, "line": line}) + "\n")
