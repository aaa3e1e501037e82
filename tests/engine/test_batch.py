"""Batches: every conversation gets what it would get alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.conftest import make_model
from tests.engine.test_local import BLUE, FILM, HUM, RED
from vita.chat.messages import Message
from vita.engine.local import LocalEngine
from vita.engine.protocol import Sampling
from vita.tokens import State

CONVERSATIONS = [
    [Message.user("hello")],
    [Message.user(RED, "which colour is it, and why?")],
    [Message.user(HUM)],
    [Message.user(FILM, HUM)],
    [Message.system("Be brief."), Message.user(BLUE, RED, "a"), Message.assistant("b"), Message.user("c")],
    [Message.user("x" * 100)],
]


@pytest.mark.parametrize("text", ["qwen2", "mixtral"])
@pytest.mark.parametrize("mode", ["auto", "answer"])
@pytest.mark.parametrize("temperature", [0.0, 1.5])
def test_batch_is_one_by_one(text: str, mode: Any, temperature: float) -> None:
    engine = LocalEngine(*make_model(text, seed=3))
    sampling = Sampling(max_new_tokens=15, temperature=temperature, seed=7, state=mode)
    together = engine.batch(CONVERSATIONS, sampling)
    alone = [engine.open(messages=messages).reply(sampling).result() for messages in CONVERSATIONS]
    for one, many in zip(alone, together, strict=True):
        assert (many.state, many.text, many.ending, many.usage) == (one.state, one.text, one.ending, one.usage)
        assert many.probabilities == pytest.approx(one.probabilities, abs=1e-4)
        assert 0 < many.timing.prefill_ms <= many.timing.first_token_ms <= many.timing.total_ms


def test_rows_that_are_noise_or_end_early_leave_the_others_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = LocalEngine(*make_model(seed=3))
    sampling = Sampling(max_new_tokens=15)
    alone = [engine.open(messages=messages).reply(sampling).result() for messages in CONVERSATIONS]
    sizes = []
    original = engine.model.forward
    monkeypatch.setattr(
        engine.model, "forward", lambda **inputs: sizes.append(inputs["input_ids"].shape[0]) or original(**inputs)
    )
    together = engine.batch(CONVERSATIONS, sampling)
    num_noise = sum(result.state is State.NOISE for result in alone)
    assert 0 < num_noise < len(alone)
    assert [result.text for result in together] == [result.text for result in alone]
    assert all(result.text == "" for result in together if result.state is State.NOISE)
    assert sizes[-1] <= len(alone) - num_noise


def test_nothing_asked_nothing_answered(tiny_model: tuple[Any, Any]) -> None:
    assert LocalEngine(*tiny_model).batch([]) == []


def test_all_noise_decodes_nothing(tiny_model: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    engine = LocalEngine(*tiny_model)
    token = engine.processor.state_reader.spellings[State.NOISE][1]
    original = engine.model.forward
    lengths = []

    def forward(**inputs: Any) -> Any:
        lengths.append(inputs["input_ids"].shape[1])
        outputs = original(**inputs)
        outputs.logits = (
            torch.nn.functional.one_hot(torch.tensor(token), outputs.logits.shape[-1]) * 50.0 + outputs.logits
        )
        return outputs

    monkeypatch.setattr(engine.model, "forward", forward)
    results = engine.batch(CONVERSATIONS[:3])
    assert [result.ending for result in results] == ["noise"] * 3
    assert len(lengths) == len(engine.processor.state_reader.prefixes())
