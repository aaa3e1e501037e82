"""VITA-1.5: the layout of its checkpoints, its language model, its states and its prompt format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from tests.checkpoints.reference_like import ReferenceLike, make
from tests.conftest import make_tokenizer
from tests.models.tiny_vita import media, prompt
from vita.chat.messages import Message
from vita.checkpoints import convert, load
from vita.engine.local import LocalEngine
from vita.engine.protocol import Sampling
from vita.errors import CheckpointError
from vita.tokens import VITA_1_5_STATES

START, END = "<|im_start|>", "<|im_end|>"


@pytest.fixture(scope="module")
def reference() -> ReferenceLike:
    return make("qwen2", image_token_id=300, audio_token_id=301)


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer of bytes with Qwen's marks: no beginning of a sequence, the end of a turn ends the sequence."""
    tokenizer = make_tokenizer()
    tokenizer.add_special_tokens({"eos_token": END, "additional_special_tokens": [START]})
    tokenizer.bos_token = None
    return tokenizer


@pytest.fixture(scope="module")
def converted(
    reference: ReferenceLike, tokenizer: PreTrainedTokenizerFast, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("vita-1.5")
    source = reference.write(folder / "src", num_shards=2)
    tokenizer.save_pretrained(source)
    convert(source, folder / "dst")
    return folder / "dst"


@pytest.fixture(scope="module")
def loaded(converted: Path) -> tuple[Any, Any]:
    return load(converted, device="cpu", dtype="float32")


def test_the_model_is_the_same(reference: ReferenceLike, loaded: tuple[Any, Any]) -> None:
    model, _ = loaded
    ids = prompt(1, 5, 7, 9)
    ids = torch.cat([ids, torch.tensor([[300] * 4 + [8] + [301] * 5])], 1)
    with torch.no_grad():
        found, expected = (m(input_ids=ids, **media()).logits for m in (model, reference.model))
    assert torch.equal(found, expected)
    text = model.config.text_config
    assert (text.model_type, text.rope_parameters["rope_theta"], text.sliding_window) == ("qwen2", 1e6, None)
    foreign = ("mm_", "tokenizer_", "image_", "audio_", "freeze_", "unfreeze_", "tune_", "use_mm", "use_s2")
    assert not [name for name in vars(text) if name.startswith(foreign)]


def test_what_the_release_decides(loaded: tuple[Any, Any]) -> None:
    model, processor = loaded
    assert model.config.states == processor.template.states == VITA_1_5_STATES
    assert model.config.template == "qwen2p5_instruct"
    assert model.config.tokenizer_model_max_length == 300
    assert processor.stop_ids == (processor.tokenizer.convert_tokens_to_ids(END),)


def test_the_prompt_is_the_reference_s(loaded: tuple[Any, Any]) -> None:
    """Written out from the reference's conversation code: roles, marks, line breaks, state characters."""
    template = loaded[1].template
    system = template.prompts.neither
    history = [Message.user("Who?"), Message.assistant("Me.")]
    assert template.render([*history, Message.user("And now?")]) == (
        f"{START}system\n{system}{END}\n{START}user\nWho?{END}\n{START}assistant\nMe.{END}\n"
        f"{START}user\nAnd now?{END}\n{START}assistant\n"
    )
    finished = template.render(history, add_generation_prompt=False)
    assert finished.endswith(f"{START}assistant\nMe.{END}")
    assert template.end_of_reply() == END


def test_it_answers(loaded: tuple[Any, Any]) -> None:
    engine = LocalEngine(*loaded)
    replies = [engine.open("Be brief.").fork() if turn else engine.open("Be brief.") for turn in range(2)]
    results = []
    for context in replies:
        context.append("Hi")
        results.append(context.reply(Sampling(max_new_tokens=5)).result())
    assert (results[0].state, results[0].text) == (results[1].state, results[1].text)


def test_prompts_of_a_clone_are_those_of_1_5(
    reference: ReferenceLike, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    source = reference.write(tmp_path / "src")
    tokenizer.save_pretrained(source)
    clone = tmp_path / "conversation.py"
    calls = [
        f"Conversation(system=['{v} i', '{v} v', '{v} n'], version='{v}')" for v in ("mixtral_two", "qwen2p5_instruct")
    ]
    clone.write_text("\n".join(calls))
    convert(source, tmp_path / "dst", prompts=clone)
    saved = json.loads((tmp_path / "dst" / "processor_config.json").read_text())["system_prompts"]
    assert saved == {kind: f"qwen2p5_instruct {kind[0]}" for kind in ("neither", "image", "video")}


@pytest.mark.parametrize(
    ("name", "shape", "words"),
    [
        ("model.layers.0.block_sparse_moe.gate.weight", (4, 32), "superfluous"),
        ("model.audio_encoder.prompt_embeddings.weight", (25, 32), "not in the conversion table"),
        ("predictor_head.weight", (4, 32), "not in the conversion table"),
    ],
)
def test_tensors_that_1_5_does_not_have(
    reference: ReferenceLike, tmp_path: Path, name: str, shape: tuple[int, ...], words: str
) -> None:
    tensors = {**reference.tensors, name: torch.zeros(shape)}
    with pytest.raises(CheckpointError, match=words):
        convert(ReferenceLike(reference.model, tensors).write(tmp_path / "src"), tmp_path / "dst")
