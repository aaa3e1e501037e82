"""Ids and labels of training samples, with a template of each kind."""

from __future__ import annotations

import pytest

from vita.chat import SystemPrompts, TokenizerTemplate, VitaTemplate
from vita.data.records import Record
from vita.data.sample import REFERENCE_TEXT_RULES, LabelRules, text_sample
from vita.errors import DataError
from vita.tokens import AUDIO_PLACEHOLDER, IGNORE_LABEL, IMAGE_PLACEHOLDER
from vita.train.tokenizer import build_tokenizer

TOKENIZER = build_tokenizer(["what is it a red circle blue system user bot where you"])
POCKET = TokenizerTemplate(tokenizer=TOKENIZER)
IMAGE, SOUND = 900, 901


def record_of(*turns: str, **fields: object) -> Record:
    """A record of human and gpt turns, one medium per placeholder."""
    conversations = [{"from": ("human", "gpt")[index % 2], "value": text} for index, text in enumerate(turns)]
    text = "".join(turns)
    media = {"image": ["x.png"] * text.count("<image>"), "audio": ["x.wav"] * text.count("<audio>")}
    return Record.from_json({"id": "s1", "conversations": conversations, **media, **fields})


def media_of(record: Record, size: int = 2) -> dict[str, list[list[int]]]:
    return {
        IMAGE_PLACEHOLDER: [[IMAGE] * size] * len(record.images),
        AUDIO_PLACEHOLDER: [[SOUND] * size] * len(record.audios),
    }


def learned(record: Record, template=POCKET, **options) -> list[str]:
    """The text of each run of learned ids, without its spaces."""
    sample = text_sample(record, template, TOKENIZER, media_of(record), **options)
    assert len(sample.input_ids) == len(sample.labels)
    runs, inside = [], False
    for token, label in zip(sample.input_ids, sample.labels, strict=True):
        assert label in (token, IGNORE_LABEL)
        if label != IGNORE_LABEL:
            runs = [*runs, [token]] if not inside else [*runs[:-1], [*runs[-1], token]]
        inside = label != IGNORE_LABEL
    return [TOKENIZER.decode(run).replace(" ", "") for run in runs]


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (record_of("what is it", "a circle"), ["<3>acircle<|end|>"]),
        (record_of("<image>\n<audio>\n", "red"), ["<1>red<|end|>"]),
        (record_of("<image>\nwhat", "red", "where", "you"), ["<3>red<|end|>", "<3>you<|end|>"]),
        (record_of("<audio>", "", inserted_id=1), ["<2><|end|>"]),
        (record_of("<audio>", "red", "<audio>", "blue", inserted_id=3), ["<1>red<|end|>", "<2>blue<|end|>"]),
        (record_of("<audio>", "red", end_tag=False), ["<1>red"]),
        (record_of("what", "red", "where", "you", end_tag=False), ["<3>red<|end|>", "<3>you"]),
        (record_of("what", "red", "where", end_tag=False), ["<3>red<|end|>"]),
        (record_of("what", "a\n\nred"), ["<3>a\n\nred<|end|>"]),
        (record_of("<image>what", "a\n\nred"), ["<3>a\nred<|end|>"]),
    ],
)
def test_what_is_learned(record, expected):
    assert learned(record) == expected


def test_vita_template_learns_the_same_replies():
    template = VitaTemplate(prompts=SystemPrompts(neither="system", image="a", video="b"), end="<|end|>")
    record = record_of("<image>\n<audio>", "red", "what", "blue")
    assert learned(record, template) == ["<1>red<|end|>", "<3>blue<|end|>"]
    text_only = record_of("what", "blue")
    assert learned(text_only, template, rules=REFERENCE_TEXT_RULES) == [":blue<|end|>"]


def test_a_reply_of_nothing_is_no_reply():
    rules = LabelRules(states=False, tidy=False)
    with pytest.raises(DataError, match="no reply to learn"):
        text_sample(record_of("what", "", end_tag=False), POCKET, TOKENIZER, {}, rules=rules)


def test_media_are_laid_out_as_the_template_wants_them():
    tidy = record_of("<image>what", "red")
    for text in ("<image>\nwhat", "<image>\n\nwhat", "what<image>"):
        record = record_of(text, "red")
        assert ids_of(record) == ids_of(tidy), text
    assert ids_of(tidy, LabelRules(tidy=False)) != ids_of(record, LabelRules(tidy=False))


def ids_of(record: Record, rules: LabelRules | None = None) -> list[int]:
    template = VitaTemplate(prompts=SystemPrompts(neither="system", image="a", video="b"), end="<|end|>")
    return text_sample(record, template, TOKENIZER, media_of(record), rules=rules).input_ids


def test_media_ids_stand_in_the_order_of_the_text():
    record = record_of("<audio>what\n<image>", "red", "<image><audio>", "blue")
    sample = text_sample(record, POCKET, TOKENIZER, {"<image>": [[1001], [1002] * 3], "<audio>": [[2001], [2002]]})
    assert [token for token in sample.input_ids if token > 1000] == [2001, 1001, 1002, 1002, 1002, 2002]
    assert sample.placeholders == ["<audio>", "<image>", "<image>", "<audio>"]


def test_every_image_of_a_message_has_its_own_tiles():
    """The reference gives all images of one message the first one's number of tiles."""
    record = record_of("<image><image>\nwhat", "red")
    sample = text_sample(record, POCKET, TOKENIZER, {"<image>": [[1001] * 2, [1002] * 4]})
    assert [token for token in sample.input_ids if token > 1000] == [1001] * 2 + [1002] * 4


def test_no_number_of_images_is_cut_off():
    """The reference silently drops images after the 16th of a row."""
    record = record_of("<image>" * 20 + "\nwhat", "red")
    assert text_sample(record, POCKET, TOKENIZER, media_of(record, 1)).input_ids.count(IMAGE) == 20


def test_a_leading_reply_is_left_out():
    turns = [{"from": "gpt", "value": "you"}, {"from": "human", "value": "what"}, {"from": "gpt", "value": "red"}]
    assert learned(Record.from_json({"id": "s1", "conversations": turns})) == ["<3>red<|end|>"]


HUMAN, GPT = {"from": "human", "value": "what"}, {"from": "gpt", "value": "red"}


@pytest.mark.parametrize(
    ("record", "media", "told"),
    [
        (record_of("what", "red <|end|> blue"), {}, "control text"),
        (record_of("what <|bot|>", "red"), {}, "control text"),
        (record_of("what", "<image>"), {"<image>": [[1]]}, "control text"),
        (record_of("<image>", "red"), {}, "do not match"),
        (record_of("what", "red"), {"<audio>": [[1]]}, "do not match"),
        (record_of("what"), {}, "no reply"),
        (Record.from_json({"id": "s1", "conversations": [HUMAN, HUMAN, GPT]}), {}, "alternate"),
        (Record.from_json({"id": "s1", "conversations": [GPT]}), {}, "no reply"),
    ],
)
def test_what_the_reference_masks_is_an_error_that_names_the_sample(record, media, told):
    with pytest.raises(DataError, match=f"sample s1.*{told}"):
        text_sample(record, POCKET, TOKENIZER, media)


def test_a_modality_that_the_text_belies():
    template = VitaTemplate(prompts=SystemPrompts(neither="a", image="b", video="c"), end="<|end|>")
    with pytest.raises(DataError, match=r"sample s1.*modality"):
        text_sample(record_of("what", "red"), template, TOKENIZER, {}, modality="image")


def test_only_replies_begin_with_a_state() -> None:
    sample = text_sample(record_of("what is it", "red", "where", "you"), POCKET, TOKENIZER, {})
    text = TOKENIZER.decode(sample.input_ids).replace(" ", "")
    assert text == "<|user|>whatisit<|end|><|bot|><3>red<|end|><|user|>where<|end|><|bot|><3>you<|end|>"
