"""Tokens to text as they come."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import make_tokenizer
from vita.engine.decoding import TextStream, TokenPicker
from vita.engine.protocol import Sampling
from vita.errors import ConfigError

TOKENIZER = make_tokenizer()


def streamed(ids: list[int]) -> list[str]:
    stream = TextStream(TOKENIZER, TOKENIZER("<1>").input_ids)
    pieces = [stream.push(token) for token in ids] + [stream.finish()]
    assert "".join(pieces) == stream.text
    return [piece for piece in pieces if piece]


@settings(max_examples=50, deadline=None)
@given(st.text(alphabet="ab é蓝鲸👍🏽\n 。", max_size=20))
def test_pieces_join_to_the_text(text: str) -> None:
    pieces = streamed(TOKENIZER(text, add_special_tokens=False).input_ids)
    assert "".join(pieces) == text.strip()
    assert not any("\ufffd" in piece for piece in pieces)


def test_a_character_comes_when_it_is_whole() -> None:
    stream = TextStream(TOKENIZER, ())
    ids = TOKENIZER("蓝a", add_special_tokens=False).input_ids
    assert [stream.push(token) for token in ids] == ["", "", "蓝", "a"]


def test_bytes_that_are_no_text_are_marked_at_the_end() -> None:
    broken = TOKENIZER("蓝", add_special_tokens=False).input_ids[:2]
    assert streamed(broken) == ["\ufffd"]
    assert streamed([*broken, *TOKENIZER("ok", add_special_tokens=False).input_ids]) == ["\ufffdo", "k"]


def test_special_tokens_and_outer_blanks_are_not_text() -> None:
    ids = [
        *TOKENIZER(" \n hi", add_special_tokens=False).input_ids,
        2,
        *TOKENIZER(" there \n", add_special_tokens=False).input_ids,
    ]
    assert "".join(streamed(ids)) == "hi there"


def test_picker() -> None:
    logits = torch.tensor([0.0, 3.0, 2.0, 1.0])
    assert TokenPicker(Sampling(), ()).pick(logits) == 1
    assert TokenPicker(Sampling(), (1, 900)).pick(logits) == 2
    assert logits[1] == 3
    drawn = [TokenPicker(Sampling(temperature=1, seed=seed), (1,)).pick(logits) for seed in range(200)]
    assert 1 not in drawn
    assert drawn.count(2) / 200 == pytest.approx(0.665, abs=0.1)


def test_top_p_draws_from_the_likeliest_only() -> None:
    logits = torch.log(torch.tensor([0.1, 0.5, 0.05, 0.35]))

    def drawn(top_p: float) -> set[int]:
        return {TokenPicker(Sampling(temperature=1, top_p=top_p, seed=seed), ()).pick(logits) for seed in range(300)}

    assert (drawn(0.5), drawn(0.6), drawn(0.9), drawn(1.0)) == ({1}, {1, 3}, {0, 1, 3}, {0, 1, 2, 3})
    with pytest.raises(ConfigError, match="top_p is out of range"):
        Sampling(top_p=0)
