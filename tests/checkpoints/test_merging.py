"""Adapters, connectors and what else was trained in part, merged into their base."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from tests.checkpoints.reference_like import AUDIO_FOLDER, ReferenceLike, make
from vita.checkpoints import convert, convert_back
from vita.checkpoints.loading import load_model
from vita.errors import CheckpointError

QUERY = "model.layers.0.self_attn.q_proj"
PROJECTOR = "model.mm_projector.2.bias"
RANK, ALPHA = 4, 8


@pytest.fixture(scope="module")
def base() -> ReferenceLike:
    return make("qwen2")


def write_trained(folder: Path, tensors: dict[str, dict[str, torch.Tensor]], **settings: Any) -> Path:
    """A folder as training leaves it: config.json, and files of tensors by their name."""
    folder.mkdir()
    raw = json.loads((folder.parent / "base" / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**raw, "_name_or_path": "owner/base"}))
    for name, own in tensors.items():
        own = {key: tensor.clone() for key, tensor in own.items()}
        save_file(own, folder / name) if name.endswith("safetensors") else torch.save(own, folder / name)
    if settings:
        (folder / "adapter_config.json").write_text(json.dumps(settings))
    return folder


def adapter(seed: int = 1) -> dict[str, torch.Tensor]:
    """A low-rank change of one query projection, named as peft names it."""
    generator = torch.Generator().manual_seed(seed)
    return {
        f"base_model.model.{QUERY}.lora_A.weight": torch.randn(RANK, 32, generator=generator),
        f"base_model.model.{QUERY}.lora_B.weight": torch.randn(32, RANK, generator=generator),
    }


@pytest.mark.parametrize("file", ["adapter_model.safetensors", "adapter_model.bin"])
def test_adapters_and_what_was_trained_beside_them(base: ReferenceLike, tmp_path: Path, file: str) -> None:
    """Merged as peft itself merges them."""
    import peft

    source = base.write(tmp_path / "base", num_shards=2)
    beside = {f"base_model.model.{PROJECTOR}": torch.full((32,), 7.0)}
    trained = write_trained(
        tmp_path / "trained", {file: adapter(), "non_lora_trainables.bin": beside}, r=RANK, lora_alpha=ALPHA
    )
    report = convert(trained, tmp_path / "dst", base=source)
    assert report.merged == {QUERY + ".weight": file, PROJECTOR: "non_lora_trainables.bin"}
    model = load_model(tmp_path / "dst")
    assert model.vision_connector.output_projection.bias.eq(7).all()

    linear = torch.nn.Sequential(torch.nn.Linear(32, 32, bias=False))
    linear[0].weight.data = base.tensors[QUERY + ".weight"].clone()
    wrapped = peft.get_peft_model(linear, peft.LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=["0"]))
    wrapped.base_model.model[0].lora_A.default.weight.data = adapter()[f"base_model.model.{QUERY}.lora_A.weight"]
    wrapped.base_model.model[0].lora_B.default.weight.data = adapter()[f"base_model.model.{QUERY}.lora_B.weight"]
    expected = wrapped.merge_and_unload()[0].weight
    merged = model.state_dict()
    torch.testing.assert_close(
        merged["language_model.model.layers.0.self_attn.q_proj.weight"], expected, rtol=0, atol=1e-5
    )
    before = base.model.state_dict()
    changed = [name for name, tensor in merged.items() if not torch.equal(tensor, before[name])]
    assert changed == [
        "vision_connector.output_projection.bias",
        "language_model.model.layers.0.self_attn.q_proj.weight",
    ]
    with pytest.raises(CheckpointError, match="not converted from one checkpoint"):
        convert_back(tmp_path / "dst", tmp_path / "back")


def test_the_root_of_the_rank(base: ReferenceLike, tmp_path: Path) -> None:
    source = base.write(tmp_path / "base")
    options = {"r": RANK, "lora_alpha": ALPHA, "use_rslora": True}
    convert(
        write_trained(tmp_path / "trained", {"adapter_model.bin": adapter()}, **options), tmp_path / "dst", base=source
    )
    found = load_model(tmp_path / "dst").state_dict()["language_model.model.layers.0.self_attn.q_proj.weight"]
    a, b = adapter().values()
    torch.testing.assert_close(found, base.tensors[QUERY + ".weight"] + 4.0 * b @ a, rtol=1e-5, atol=1e-5)


def test_connectors_on_a_plain_language_model(base: ReferenceLike, tmp_path: Path) -> None:
    """After the alignment stages: the language model as it came, the encoders' folders, two small files."""
    whole = base.write(tmp_path / "base")
    prefixes = {"mm_projector.bin": "model.mm_projector.", "audio_adpter.bin": "model.audio_encoder.adpter."}
    trained = {
        file: {name: tensor for name, tensor in base.tensors.items() if name.startswith(prefix)}
        for file, prefix in prefixes.items()
    }
    folder = write_trained(tmp_path / "trained", trained)
    for part in whole.iterdir():
        if part.is_dir():
            part.rename(folder / part.name)
    language = base.write(tmp_path / "language", leave_out=tuple(prefixes.values()))
    report = convert(folder, tmp_path / "dst", base=language)
    assert set(report.merged.values()) == set(prefixes)
    state = base.model.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in load_model(tmp_path / "dst").state_dict().items())


def test_audio_prompts_are_refused(base: ReferenceLike, tmp_path: Path) -> None:
    source = base.write(tmp_path / "base", audio_prompt_finetune=True, audio_prompt_num=25)
    with pytest.raises(CheckpointError, match=r"audio prompts .* not converted \(got 25\)"):
        convert(source, tmp_path / "dst")
    assert (source / AUDIO_FOLDER).is_dir()


HALF = f"base_model.model.{QUERY}.lora_A.weight"


@pytest.mark.parametrize(
    ("tensors", "settings", "with_base", "words"),
    [
        ({"adapter_model.bin": adapter()}, {"r": 4, "lora_alpha": 8}, False, r"trained from owner/base.*--base FOLDER"),
        ({}, {}, True, "holds nothing to merge"),
        ({}, {}, False, "no tensors in"),
        ({"adapter_model.bin": {HALF: torch.zeros(4, 32)}}, {"r": 4, "lora_alpha": 8}, True, "is not whole"),
        ({"adapter_model.bin": adapter()}, {}, True, "adapters without adapter_config.json"),
        ({"adapter_model.bin": adapter()}, {"lora_alpha": 8}, True, "lacks or misstates 'r'"),
        ({"adapter_model.bin": adapter()}, {"r": 4, "lora_alpha": 8, "use_dora": True}, True, "uses use_dora"),
        (
            {"adapter_model.bin": {key.replace("q_proj", "x_proj"): value for key, value in adapter().items()}},
            {"r": 4, "lora_alpha": 8}, True, "1 adapters change nothing in the base",
        ),
        (
            {"adapter_model.bin": {key.replace("q_proj", "k_proj"): value for key, value in adapter().items()}},
            {"r": 4, "lora_alpha": 8}, True, r"does not fit its matrix \(got 32 x 32, expected 16 x 32\)",
        ),
        ({"mm_projector.bin": {"model.mm_projector.4.bias": torch.zeros(3)}}, {}, True, "not in the conversion table"),
        ({"mm_projector.bin": {PROJECTOR: torch.zeros(3)}}, {}, True, "1 misshapen: vision_connector"),
    ],
)  # fmt: skip
def test_changes_that_cannot_be_merged(
    base: ReferenceLike, tmp_path: Path, tensors: Any, settings: Any, with_base: bool, words: str
) -> None:
    source = base.write(tmp_path / "base")
    folder = write_trained(tmp_path / "trained", tensors, **settings)
    for part in source.iterdir():
        if part.is_dir() and not with_base:
            part.rename(folder / part.name)
    with pytest.raises(CheckpointError, match=words) as raised:
        convert(folder, tmp_path / "dst", base=source if with_base else None)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "dst").exists()
    assert not (tmp_path / "dst.partial").exists()
