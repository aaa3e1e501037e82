"""compose: every checked combination is composed, saved, loaded, and answers; its encoders compute what theirs did."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Pictures
from transformers import AutoModel, WhisperFeatureExtractor, WhisperModel

from tests.checkpoints import tiny_parts
from vita.chat.messages import Audio, Image, Message
from vita.checkpoints import compose, load
from vita.engine.local import LocalEngine
from vita.engine.protocol import Sampling
from vita.errors import CheckpointError, ConfigError
from vita.models.audio_features import audio_features
from vita.tokens import VITA_1_5_STATES

Part = Callable[[str, str], Path]
Composed = Callable[[str, str, str], Path]
COMBINATIONS = [
    ("qwen2", "intern_vit", "whale"),
    ("qwen2", "siglip", "whisper"),
    ("qwen3", "clip", "ours"),
    ("mixtral", "intern_vit_hf", "whisper"),
    ("llama", "siglip_vision", "ours"),
    ("llama", "clip_vision", "whale"),
    ("qwen2", "ours", "ours"),
]


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> Part:
    """The folder of a part, made once."""
    root = tmp_path_factory.mktemp("parts")

    def find(family: str, kind: str) -> Path:
        folder = root / f"{family}-{kind}"
        if not folder.exists():
            makers = {"vision": tiny_parts.VISION, "audio": tiny_parts.AUDIO}
            tiny_parts.language_model(folder, kind) if family == "llm" else makers[family][kind](folder)
        return folder

    return find


@pytest.fixture(scope="module")
def composed(part: Part, tmp_path_factory: pytest.TempPathFactory) -> Composed:
    """The folder of a composition, made once."""
    root = tmp_path_factory.mktemp("composed")

    def find(llm: str, vision: str, audio: str) -> Path:
        folder = root / f"{llm}-{vision}-{audio}"
        if not folder.exists():
            made = compose(part("llm", llm), part("vision", vision), part("audio", audio), folder, max_tiles=2)
            assert min(made.parameters.values()) > 0
        return folder

    return find


def sound(seconds: float, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal(round(16000 * seconds)) * 0.1).astype(np.float32)


def picture() -> Image:
    pixels = np.random.default_rng(0).integers(0, 255, (40, 90, 3), np.uint8)
    return Image(Pictures.fromarray(pixels))


@pytest.mark.parametrize(("llm", "vision", "audio"), COMBINATIONS)
def test_a_combination_answers(composed: Composed, llm: str, vision: str, audio: str) -> None:
    model, processor = load(composed(llm, vision, audio), device="cpu", dtype="float32")
    assert processor.template.states == VITA_1_5_STATES
    question = Message.user(picture(), Audio(sound(1.3)), "What is it?")
    engine = LocalEngine(model, processor)
    results = [engine.open(messages=[question]).reply(Sampling(max_new_tokens=6)).result() for _ in range(2)]
    assert results[0].text == results[1].text
    assert results[0].usage.completion_tokens > 0
    listened = engine.open()
    listened.append(picture())
    hearing = listened.listen()
    for start in range(0, 20800, 3200):
        hearing.push(sound(1.3)[start : start + 3200])
    hearing.close()
    assert hearing.seconds == pytest.approx(1.3)
    assert model.config.audio_config.streamable == (audio == "ours")


@pytest.mark.parametrize(("llm", "vision", "audio"), COMBINATIONS[1:6])
def test_vision_encoders_compute_what_theirs_did(
    part: Part, composed: Composed, llm: str, vision: str, audio: str
) -> None:
    model, _ = load(composed(llm, vision, audio), device="cpu", dtype="float32")
    original: Any = AutoModel.from_pretrained(part("vision", vision))
    original = getattr(original, "vision_model", original).eval()
    size = model.config.tile_size
    pixels = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        states = original(pixel_values=pixels, output_hidden_states=True)
        found = model.vision_tower(pixels)
    if "siglip" in vision:
        expected = states.last_hidden_state
    elif "clip" in vision:
        expected = states.hidden_states[-2][:, 1:]
    else:
        expected = states.hidden_states[-1][:, 1:]
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    config = model.config
    assert (config.image_mean, config.image_std) == tuple(tiny_parts.MEANS.values())
    edge = 27 if "siglip" in vision else 4
    assert config.num_image_tokens == (edge // (3 if edge == 27 else 2)) ** 2
    assert model.get_image_features(pixels).shape[1] == config.num_image_tokens


@pytest.fixture(scope="module")
def whispering(composed: Composed) -> tuple[Any, Any]:
    return load(composed("qwen2", "siglip", "whisper"), device="cpu", dtype="float32")


@pytest.mark.parametrize("seconds", [0.03, 0.4, 1.0, 1.7, 2.0, 2.01])
def test_whisper_computes_what_it_did(part: Part, whispering: tuple[Any, Any], seconds: float) -> None:
    """Window by window, padded as its feature extractor pads; the mask counts the frames that hear the sound."""
    model, processor = whispering
    config = model.config.audio_config
    samples = sound(seconds)
    features = audio_features(samples, config)
    assert len(features) == config.num_frames(len(samples))
    extractor = WhisperFeatureExtractor(feature_size=80, chunk_length=1)
    encoder = WhisperModel.from_pretrained(part("audio", "whisper")).encoder.eval()
    windows = [samples[start : start + 16000] for start in range(0, len(samples), 16000)]
    padded = torch.cat([torch.from_numpy(features), torch.full((9, 80), 77.0)])[None]  # padding is never looked at
    with torch.no_grad():
        whole = extractor(windows, sampling_rate=16000, return_tensors="pt").input_features
        expected = encoder(whole).last_hidden_state.flatten(0, 1)
        found, mask = model.audio_tower(padded, torch.tensor([len(features)]))
        tokens, token_mask = model.get_audio_features(padded, torch.tensor([len(features)]))
    assert int(mask.sum()) == config.num_encoder_frames(len(features))
    torch.testing.assert_close(found[mask], expected[: int(mask.sum())], rtol=1e-4, atol=1e-4)
    assert int(token_mask.sum()) == len(processor.audio_ids(len(samples))) == len(tokens[token_mask])
    assert int(token_mask.sum()) == pytest.approx(12.5 * seconds, abs=1.5)


def test_clips_of_a_batch_do_not_see_each_other(whispering: tuple[Any, Any]) -> None:
    model, _ = whispering
    sounds = sound(1.5, seed=0), sound(0.3, seed=1)
    clips = [torch.from_numpy(audio_features(samples, model.config.audio_config)) for samples in sounds]
    batch = torch.nn.utils.rnn.pad_sequence(clips, batch_first=True)
    with torch.no_grad():
        hidden, mask = model.audio_tower(batch, torch.tensor([len(clip) for clip in clips]))
        for row, clip in enumerate(clips):
            alone, _ = model.audio_tower(clip[None], torch.tensor([len(clip)]))
            torch.testing.assert_close(hidden[row][mask[row]], alone[0], rtol=1e-4, atol=1e-5)


def test_the_language_model_is_untouched_and_the_connectors_are_drawn(part: Part, tmp_path: Path) -> None:
    folders = part("llm", "qwen2"), part("vision", "clip"), part("audio", "whale")
    compose(*folders, tmp_path / "a")
    compose(*folders, tmp_path / "b", seed=1, dtype="bfloat16", template="qwen2p5_instruct")
    first, second = (load(tmp_path / name, device="cpu", dtype="float32")[0] for name in "ab")
    original = AutoModel.from_pretrained(folders[0]).state_dict()
    assert all(torch.equal(first.language_model.model.state_dict()[name], tensor) for name, tensor in original.items())
    weight, other = (m.vision_connector.input_projection.weight for m in (first, second))
    assert 0 < weight.std() < 1
    assert not torch.allclose(weight, other, atol=1e-2)
    assert first.audio_tower.cmvn.mean.tolist() == second.audio_tower.cmvn.mean.tolist() == [2.0] * 80
    assert (first.config.template, second.config.template) == ("tokenizer", "qwen2p5_instruct")
    assert json.loads((tmp_path / "b" / "config.json").read_text())["dtype"] == "bfloat16"
    assert first.config.image_token_id == first.config.text_config.vocab_size


@pytest.mark.parametrize(
    ("llm", "vision", "audio", "words"),
    [
        ("clip", "clip", "ours", "holds no language model .*model_type clip"),
        ("qwen2", "whisper", "ours", "no vision encoder that can be used .*model_type whisper"),
        ("qwen2", "clip", "siglip", "no audio encoder that can be used .*model_type siglip"),
        ("qwen2", "nothing", "ours", "unknown model"),
    ],
)
def test_parts_of_another_kind(part: Part, tmp_path: Path, llm: str, vision: str, audio: str, words: str) -> None:
    families = {"qwen2": "llm", "clip": "vision", "siglip": "vision", "whisper": "audio", "ours": "audio"}
    folders = [part(families[kind], kind) if kind in families else "no-such-model" for kind in (llm, vision, audio)]
    with pytest.raises(CheckpointError, match=words) as raised:
        compose(folders[0], folders[1], folders[2], tmp_path / "new")
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "new").exists()


def test_weights_that_are_missing(part: Part, tmp_path: Path) -> None:
    import shutil

    from safetensors.torch import load_file, save_file

    folder = Path(shutil.copytree(part("vision", "clip"), tmp_path / "clip"))
    tensors = load_file(folder / "model.safetensors")
    name = next(name for name in tensors if re.search(r"vision_model.*layers\.0\.mlp\.fc1\.weight", name))
    del tensors[name]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"lacks weights of the part that is wanted .*fc1.weight"):
        compose(part("llm", "qwen2"), folder, part("audio", "ours"), tmp_path / "new")


def test_options_that_do_not_fit(part: Part, tmp_path: Path) -> None:
    folders = part("llm", "llama"), part("vision", "clip"), part("audio", "ours")
    with pytest.raises(ConfigError, match="unknown dtype"):
        compose(*folders, tmp_path / "new", dtype="int3")
    with pytest.raises(ConfigError, match="no chat template"):
        compose(*folders, tmp_path / "new", template="tokenizer")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(CheckpointError, match="is there already"):
        compose(*folders, tmp_path / "full")
