"""Large models: spread over memory and disk, in 8 and 4 bits, and how much they need."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.checkpoints import tiny_parts
from tests.checkpoints.reference_like import make
from tests.conftest import make_model
from vita.chat.messages import Audio, Image, Message
from vita.checkpoints import compose, load, placement
from vita.checkpoints.loading import load_model
from vita.checkpoints.memory import footprint, read_config
from vita.checkpoints.placement import Placement
from vita.engine.local import LocalEngine
from vita.engine.protocol import Sampling
from vita.errors import CheckpointError, ConfigError, DependencyError
from vita.models.configuration_vita import VitaConfig
from vita.models.modeling_vita import VitaForConditionalGeneration

HAS_BITSANDBYTES = importlib.util.find_spec("bitsandbytes") is not None
SPREAD = {
    "vision_tower": "cpu", "vision_connector": "cpu", "audio_tower": "cpu", "audio_connector": "cpu",
    "language_model.model.embed_tokens": "cpu", "language_model.model.rotary_emb": "cpu",
    "language_model.model.layers.0": "disk", "language_model.model.layers.1": "cpu",
    "language_model.model.norm": "disk", "language_model.lm_head": "cpu",
}  # fmt: skip


def answers(folder: Path, **options: Any) -> tuple[str, str]:
    """What a model says to a picture and a sound, and to a sound that it listens to."""
    import numpy as np
    from PIL import Image as Pictures

    model, processor = load(folder, dtype="float32", **options)
    sound = np.sin(np.arange(16000) / 9).astype(np.float32)
    engine = LocalEngine(model, processor)
    picture = Image(Pictures.new("RGB", (40, 30), (200, 10, 90)))
    given = engine.open(messages=[Message.user(picture, Audio(sound), "What?")])
    heard = engine.open()
    listening = heard.listen()
    listening.push(sound)
    listening.close()
    sampling = Sampling(max_new_tokens=6, state="answer")
    return given.reply(sampling).result().text, heard.reply(sampling).result().text


@pytest.mark.parametrize("device_map", ["auto", SPREAD, "file"])
def test_a_model_spread_over_memory_and_disk_answers_the_same(
    tiny_folder: Path, tmp_path: Path, device_map: Any
) -> None:
    if device_map == "file":
        (tmp_path / "map.json").write_text(json.dumps(SPREAD))
        device_map = str(tmp_path / "map.json")
    found = answers(tiny_folder, device_map=device_map, offload_dir=tmp_path / "offloaded")
    assert found == answers(tiny_folder)
    assert any(found)


@pytest.mark.skipif(not HAS_BITSANDBYTES, reason="bitsandbytes is not installed")
@pytest.mark.parametrize(("quantize", "likeness"), [("int8", 0.95), ("int4", 0.8)])
def test_weights_in_few_bits(tmp_path: Path, quantize: str, likeness: float) -> None:
    """A random model, whose numbers are far from gentle; widths of 64, of which the library makes blocks."""
    config = make_model()[0].config.to_dict()
    config["text_config"] |= {"hidden_size": 64, "intermediate_size": 128, "head_dim": 32, "num_key_value_heads": 2}
    config["audio_config"]["output_dim"] = 64
    torch.manual_seed(0)
    whole = VitaForConditionalGeneration(VitaConfig(**config)).eval()
    whole.save_pretrained(tmp_path)
    small = load_model(tmp_path, torch.float32, Placement(quantize=quantize), torch.device("cpu"))
    layer = small.language_model.model.layers[0].self_attn.q_proj.weight
    assert layer.dtype in (torch.int8, torch.uint8)
    assert small.vision_connector.input_projection.weight.dtype == torch.float32
    assert small.language_model.lm_head.weight.dtype == torch.float32
    ids = torch.arange(10, 30)[None]
    with torch.no_grad():
        found, expected = (model(input_ids=ids).logits.flatten() for model in (small, whole))
    assert torch.cosine_similarity(found, expected, 0) > likeness


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"device_map": "anywhere"}, ConfigError, "unknown device map .*anywhere.*a JSON file"),
        ({"device_map": "auto", "device": "cpu"}, ConfigError, "exclude each other"),
        ({"quantize": "int3"}, ConfigError, "unknown quantization .*int8 or int4"),
        ({"offload_dir": "x"}, ConfigError, "needs a device map; --device-map auto"),
    ],
)
def test_placements_that_cannot_be(
    tiny_folder: Path, options: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        load(tiny_folder, **options)


def test_packages_that_are_missing(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    for package, options in (("accelerate", {"device_map": "auto"}), ("bitsandbytes", {"quantize": "int4"})):
        with monkeypatch.context() as patch:
            patch.setattr(
                placement.importlib.util, "find_spec", lambda name, p=package: None if name == p else find(name)
            )
            with pytest.raises(DependencyError, match=rf"needs {package}; pip install 'vita-omni\[large\]'"):
                load(tiny_folder, **options)


def test_experts_are_not_quantized() -> None:
    config = make_model("mixtral")[0].config
    with pytest.raises(ConfigError, match="experts of a mixture"):
        Placement(quantize="int8").options(config, torch.device("cpu"), torch.float32)


@pytest.mark.parametrize("kind", ["qwen2", "qwen3", "llama", "mixtral"])
def test_memory_is_that_of_the_loaded_model(kind: str) -> None:
    model = make_model(kind)[0]
    found = footprint(model.config)
    assert found.num_parameters == sum(p.numel() for p in model.parameters())
    assert found.weight_bytes("float32") == sum(p.numel() * p.element_size() for p in model.parameters())
    cache = model.language_model(input_ids=torch.arange(12)[None], use_cache=True).past_key_values
    numbers = sum(layer.keys.numel() + layer.values.numel() for layer in cache.layers)
    assert found.cache_bytes("float32", 12) == 4 * numbers
    assert found.precisions() == ["float32", "bfloat16"] + ([] if kind == "mixtral" else ["int8", "int4"])
    if kind != "mixtral":
        assert found.weight_bytes("bfloat16") > found.weight_bytes("int8") > found.weight_bytes("int4")
        assert found.weight_bytes("bfloat16") - found.weight_bytes("int8") == found.num_quantized


def test_memory_of_the_releases() -> None:
    """From their published sizes; docs/models.md has the table."""
    first = footprint(VitaConfig(text_config={"model_type": "mixtral", "vocab_size": 51760}))
    assert first.parts["language_model"] / 1e9 == pytest.approx(46.86, abs=0.05)
    assert first.parts["audio_tower"] / 2**20 == pytest.approx(341, abs=1)  # the paper counts in 2^20
    assert first.weight_bytes("bfloat16") / 1e9 == pytest.approx(95.1, abs=0.1)
    qwen = {
        "model_type": "qwen2", "vocab_size": 152064, "hidden_size": 3584, "intermediate_size": 18944,
        "num_hidden_layers": 28, "num_attention_heads": 28, "num_key_value_heads": 4,
    }  # fmt: skip
    second = footprint(VitaConfig(text_config=qwen, tokenizer_model_max_length=6200))
    assert second.parts["language_model"] / 1e9 == pytest.approx(7.62, abs=0.01)
    assert second.cache_bytes("bfloat16", 1000) == 2 * 28 * 4 * 128 * 2 * 1000
    text = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
    for name, found in (("VITA-1.0", first), ("VITA-1.5", second)):
        weights = [found.weight_bytes(precision) / 1e9 for precision in found.precisions()]
        cells = [f"{gigabytes:.1f}" for gigabytes in weights] + ["-"] * (4 - len(weights))
        cache = f"{found.cache_bytes('bfloat16') / 1e9:.2f} ({found.max_tokens:,} tokens)"
        parameters = f"{found.num_parameters / 1e9:.1f} B"
        assert f"| {' | '.join([name, parameters, *cells, cache])} |" in text


def test_configurations_are_read_without_weights(tiny_folder: Path, tmp_path: Path, monkeypatch: Any) -> None:
    import huggingface_hub

    (tmp_path / "only").mkdir()
    (tmp_path / "only" / "config.json").write_bytes((tiny_folder / "config.json").read_bytes())
    assert footprint(read_config(tmp_path / "only")) == footprint(VitaConfig.from_pretrained(tiny_folder))
    reference = make("qwen2")
    source = reference.write(tmp_path / "reference")
    (source / "model.safetensors").unlink()
    model = reference.model
    assert footprint(read_config(source)).num_parameters == sum(p.numel() for p in model.parameters())
    asked: list[Any] = []

    def fetch(name: str, allow_patterns: list[str]) -> str:
        asked.append((name, allow_patterns))
        return str(tmp_path / "only")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    assert read_config("owner/name").model_type == "vita"
    assert asked == [("owner/name", ["config.json"])]
    tiny_parts.clip(tmp_path / "clip")
    with pytest.raises(CheckpointError, match=r"another kind of model .*clip"):
        read_config(tmp_path / "clip")


def test_a_composition_says_what_it_needs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from vita.cli.main import main

    parts = [tiny_parts.language_model(tmp_path / "llm"), tiny_parts.clip(tmp_path / "clip")]
    compose(parts[0], parts[1], tiny_parts.whisper(tmp_path / "whisper"), tmp_path / "new")
    assert main(["doctor", "--model", str(tmp_path / "new")]) == 0
    out = capsys.readouterr().out
    assert [line.split()[0] for line in out.splitlines() if "parameters" in line] == [
        "vision_tower", "vision_connector", "audio_tower", "audio_connector", "language_model",
    ]  # fmt: skip
    assert [line.split()[0] for line in out.splitlines() if " GB  " in line] == ["float32", "bfloat16", "int8", "int4"]
    assert "2,048 tokens" in out
    assert "cpu (" in out
