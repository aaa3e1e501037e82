"""Prompt text to ids, piece by piece."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vita.chat.placement import PLACEHOLDERS, split_at
from vita.chat.tokenizing import beginning, encode, load_tokenizer
from vita.errors import CheckpointError, PromptError
from vita.train.tokenizer import build_tokenizer

TOKENIZER = build_tokenizer(["what is it a red circle 你好"])
RED, CIRCLE = TOKENIZER.convert_tokens_to_ids(["▁red", "▁circle"])


def test_media_stand_where_their_placeholders_did():
    text = "red<image>circle<audio><video>"
    encoded = encode(TOKENIZER, text, [[900, 900], [901], []])
    assert encoded.ids == [RED, 900, 900, CIRCLE, 901]
    assert [text[start:end] for start, end in encoded.spans] == ["red", "<image>", "<image>", "circle", "<audio>"]
    assert encoded.index_at(3) == 1
    assert encoded.index_at(len(text)) == 5


def test_placeholders_that_are_not_looked_for_are_text():
    encoded = encode(TOKENIZER, "<image><audio>", [[900]], placeholders=("<image>",))
    assert encoded.ids[0] == 900
    assert encoded.ids[1:] == TOKENIZER("<audio>", add_special_tokens=False).input_ids


@pytest.mark.parametrize("runs", [[], [[1], [2]]])
def test_media_and_placeholders_must_match(runs):
    with pytest.raises(PromptError, match="do not match"):
        encode(TOKENIZER, "a<image>", runs)


def test_a_token_over_a_boundary_is_an_error():
    encoded = encode(TOKENIZER, "red circle")
    with pytest.raises(PromptError, match="both sides"):
        encoded.index_at(1)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.sampled_from([*PLACEHOLDERS, "red", " it", "\n", "好", "é", "😀"]), max_size=10).map("".join))
def test_spans_are_in_order_and_inside_the_text(text):
    found = split_at(text)[1]
    encoded = encode(TOKENIZER, text, [[900]] * len(found), adds_bos=True)
    assert len(encoded.ids) == len(encoded.spans)
    assert encoded.ids.count(900) == len(found)
    starts = [start for start, _ in encoded.spans]
    assert starts == sorted(starts)
    assert all(0 <= start <= end <= len(text) for start, end in encoded.spans)


def test_ids_and_places_are_those_of_the_outer_tokenizer():
    """Whatever was asked of it before: truncation and padding do not stay."""
    text = "what is it a red circle <|end|> 你好 " * 3
    wanted = TOKENIZER(text, add_special_tokens=False, return_offsets_mapping=True)
    TOKENIZER(["red", text], padding="max_length", truncation=True, max_length=4)
    found = encode(TOKENIZER, text)
    assert found.ids == wanted.input_ids
    assert found.spans == [tuple(span) for span in wanted.offset_mapping]


def test_a_tokenizer_without_a_beginning_adds_none():
    assert beginning(TOKENIZER) == []
    assert encode(TOKENIZER, "red", adds_bos=True).ids == [RED]


def test_a_folder_without_tokenizer(tmp_path):
    with pytest.raises(CheckpointError, match="no tokenizer"):
        load_tokenizer(tmp_path)


def test_a_saved_tokenizer_gives_the_same_ids(tmp_path):
    TOKENIZER.save_pretrained(tmp_path)
    again = load_tokenizer(tmp_path)
    text = "  what is\n it? <|end|>好"
    assert again(text).input_ids == TOKENIZER(text).input_ids
    assert again.chat_template == TOKENIZER.chat_template
