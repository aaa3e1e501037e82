"""load: strict, safetensors only, one line for each mistake."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from vita.checkpoints import load
from vita.checkpoints.loading import POCKET_DIR, find_model, load_model, pick_device, pick_dtype
from vita.errors import CheckpointError, ConfigError, DependencyError, VitaError

Tensors = dict[str, torch.Tensor]


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model that a test may spoil."""
    return Path(shutil.copytree(tiny_folder, tmp_path / "model"))


def test_model_and_processor(tiny_folder: Path, tiny_model: tuple[Any, Any]) -> None:
    model, processor = load(tiny_folder, device="cpu", dtype="auto")
    assert not model.training
    assert model.dtype == torch.float32
    state = tiny_model[0].state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    assert processor.config.num_image_tokens == model.config.num_image_tokens
    assert len(processor.tokenizer) == model.config.text_config.vocab_size
    assert load(str(tiny_folder), device="cpu", dtype="bfloat16")[0].dtype == torch.bfloat16


def change_tensors(change: Callable[[Tensors], Any]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})

    return apply


def change_config(**fields: Any) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        content = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(content | fields))

    return apply


def write(name: str, content: bytes) -> Callable[[Path], Any]:
    return lambda folder: (folder / name).write_bytes(content)


def as_pickle(name: str) -> Callable[[Path], Any]:
    return lambda folder: (folder / "model.safetensors").rename(folder / name)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (change_tensors(lambda t: t.pop("audio_connector.projection.bias")), "1 missing: audio_connector.projection"),
        (change_tensors(lambda t: t.update({"x.weight": torch.zeros(2)})), "1 superfluous: x.weight"),
        (
            change_tensors(lambda t: t.update({"language_model.model.norm.weight": torch.zeros(31)})),
            r"1 misshapen: language_model.model.norm.weight \[31\] for \[32\]",
        ),
        (
            change_tensors(lambda t: [t.pop(name) for name in list(t) if name.startswith("vision_tower")]),
            "missing: vision_tower.* and .* more",
        ),
        (change_tensors(lambda t: t.clear()), "missing"),
        (write("model.safetensors", b""), "cannot be read"),
        (write("model.safetensors", b"\xff" * 100), "cannot be read"),
        (as_pickle("pytorch_model.bin"), "pickles.*pytorch_model.bin.*vita convert"),
        (as_pickle("model.pt"), "pickles.*model.pt.*vita convert"),
        (as_pickle("weights"), "has no model.safetensors"),
        (change_config(model_type="vita-mixtral"), "layout of the reference.*vita convert"),
        (change_config(model_type="llama"), "another kind of model.*llama"),
        (change_config(image_token_id=4, audio_token_id=4), "must differ"),
        (change_config(vision_connector={"type": "what"}), "unknown vision connector"),
        (write("config.json", b"{"), "config.json cannot be read"),
        (lambda folder: (folder / "config.json").unlink(), "has no config.json"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "no tokenizer"),
    ],
)
def test_checkpoints_that_cannot_be_loaded(
    folder: Path, change: Callable[[Path], Any], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    change(folder)
    with caplog.at_level(logging.WARNING), pytest.raises(VitaError, match=words) as raised:
        load(folder, device="cpu", dtype="float32")
    assert "\n" not in str(raised.value)
    assert not caplog.records


def test_a_truncated_file(folder: Path) -> None:
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_model(folder)


def test_names_of_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_model("pocket") == POCKET_DIR
    (tmp_path / "pocket").mkdir()
    assert find_model("pocket") == Path("pocket")
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match="is a file"):
        find_model("file")
    for name in ("no-such-model", "a/b/c", "owner/name with spaces"):
        with pytest.raises(CheckpointError, match="unknown model"):
            find_model(name)


def test_models_of_the_hub(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    asked: list[tuple[str, Any]] = []

    def fetch(name: str, allow_patterns: list[str]) -> str:
        asked.append((name, allow_patterns))
        if name == "owner/gone":
            raise ConnectionError("no route\nto host")
        return str(tiny_folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    assert load("owner/name", device="cpu", dtype="auto")[0].config.model_type == "vita"
    with pytest.raises(CheckpointError, match=r"owner/gone.*no route") as raised:
        find_model("owner/gone")
    assert "\n" not in str(raised.value)
    assert not any(pattern.endswith((".bin", ".pt", ".py")) for pattern in asked[0][1])


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert pick_device("auto").type == "cpu"
    assert pick_device(torch.device("cpu")).type == "cpu"
    with pytest.raises(DependencyError, match="no cuda device"):
        pick_device("cuda")
    with pytest.raises(ConfigError, match="unknown device"):
        pick_device("toaster")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert pick_device("auto").type == "mps"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert pick_device("auto").type == "cuda"


@pytest.mark.parametrize(
    ("device", "dtype"), [("cpu", torch.float32), ("cuda", torch.bfloat16), ("mps", torch.float16)]
)
def test_dtypes(device: str, dtype: torch.dtype) -> None:
    assert pick_dtype("auto", torch.device(device)) == dtype
    assert pick_dtype("float16", torch.device(device)) == torch.float16
    assert pick_dtype(torch.float64, torch.device(device)) == torch.float64
    with pytest.raises(ConfigError, match="unknown dtype"):
        pick_dtype("int3", torch.device(device))
