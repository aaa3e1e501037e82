"""Prompts, token ids and training labels against the reference (prompts.json, tokenizer/).

Where the reference is wrong the expectation is built from the case's own content: several images in one message share
the first one's tile count there, more than 16 images in a row are dropped, a text that breaks the labels masks the
whole sample silently.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest
import torch
from prompt_cases import count_differences, load_json, load_tokenizer, templates, turns_of

from vita.chat import VitaTemplate
from vita.chat.placement import split_at
from vita.chat.tokenizing import encode
from vita.data.collate import Sample, collate
from vita.data.records import Record
from vita.data.sample import LabelRules, TextSample, reply_turns, text_sample
from vita.errors import DataError, PromptError, VitaError
from vita.tokens import (
    AUDIO_PLACEHOLDER,
    AUDIO_SENTINEL,
    IGNORE_LABEL,
    IMAGE_PLACEHOLDER,
    IMAGE_SENTINEL,
    VIDEO_PLACEHOLDER,
)

REFERENCE_MAX_IMAGES = 16
NAME_OF = {"user": "human", "assistant": "gpt"}
SENTINEL_OF = {IMAGE_PLACEHOLDER: IMAGE_SENTINEL, AUDIO_PLACEHOLDER: AUDIO_SENTINEL}
ID_LISTS = {
    "plain_ids": (),
    "tokenizer_image_token": (IMAGE_PLACEHOLDER,),
    "tokenizer_image_audio_token": (IMAGE_PLACEHOLDER, AUDIO_PLACEHOLDER),
}


@pytest.fixture
def prompts(reference_dir: Path) -> dict:
    return load_json(reference_dir / "prompts.json")


@pytest.fixture
def tokenizer(reference_dir: Path, prompts: dict):
    return load_tokenizer(reference_dir / "tokenizer")


def render(template: VitaTemplate, messages: list[str | None], modality: str | None) -> str:
    turns, open_reply = turns_of(messages)
    system = template.system_prompt(turns, modality)
    return template.render_turns(turns, system=system, open_reply=open_reply)


def sentinel_ids(tokenizer, text: str, placeholders: tuple[str, ...]) -> list[int]:
    found = split_at(text, placeholders)[1] if placeholders else []
    runs = [[SENTINEL_OF[placeholder]] for placeholder in found]
    if not placeholders:  # no text is a placeholder
        placeholders = ("\0",)
    return encode(tokenizer, text, runs, adds_bos=True, placeholders=placeholders).ids


def test_prompts_are_the_reference_text(reference_dir, prompts, record_difference):
    for index, case in enumerate(prompts["prompts"]):
        template = templates(reference_dir / "prompts.json")[case["conv_mode"]]
        ours = render(template, case["messages"], case["modality"])
        record_difference(f"prompt {index} text", count_differences(list(ours), list(case["prompt"])), 0)
        assert render(template, case["messages"], case["modality"]) == ours  # a template keeps no state


@pytest.mark.parametrize("kind", ID_LISTS)
def test_ids_of_prompts_and_bare_strings(kind, prompts, tokenizer, record_difference):
    texts = [(case["prompt"], case) for case in prompts["prompts"]]
    texts += [(case["text"], case) for case in prompts["bare_strings"]]
    for index, (text, case) in enumerate(texts):
        ours = sentinel_ids(tokenizer, text, ID_LISTS[kind])
        record_difference(f"{kind} {index}", count_differences(ours, case[kind]), 0)


def test_prompts_that_the_reference_refuses(reference_dir, prompts):
    compared = 0
    for case in prompts["get_prompt_errors"]:
        if "error" not in case:  # calling twice is no mistake with us, see test_prompts_are_the_reference_text
            continue
        template = templates(reference_dir / "prompts.json")[case["conv_mode"]]
        with pytest.raises(PromptError):
            render(template, case["messages"], case["modality"])
        compared += 1
    assert compared


def placeholders_of(case: dict) -> list[list[str]]:
    return [split_at(turn["value"])[1] for turn in case["conversations"]]


def record_of(case: dict, conversations: list[dict] | None = None) -> Record:
    """The case as an item of the training JSON."""
    conversations = conversations or case["conversations"]
    found = [placeholder for turn in conversations for placeholder in split_at(turn["value"])[1]]
    item = {
        "id": case["name"],
        "conversations": conversations,
        "image": [f"{n}.png" for n in range(found.count(IMAGE_PLACEHOLDER))],
        "video": [f"{n}.mp4" for n in range(found.count(VIDEO_PLACEHOLDER))],
        "audio": [f"{n}.wav" for n in range(found.count(AUDIO_PLACEHOLDER))],
        "inserted_id": case["preprocess_multimodal_args"].get("inserted_id"),
        "end_tag": case["preprocess_args"].get("end_tag", True),
    }
    return Record.from_json(item)


def tile_counts(case: dict) -> list[int]:
    """Tiles of each image, one count per placeholder: what the media really have."""
    wanted = sum(found.count(IMAGE_PLACEHOLDER) for found in placeholders_of(case))
    given = case["preprocess_multimodal_args"].get("patch_num", [1] * wanted)
    return given if len(given) == wanted else []


def joined_up(text: str, placeholder: str) -> str:
    """The text without line breaks next to the placeholder."""
    return text.replace(placeholder + "\n", placeholder).replace("\n" + placeholder, placeholder)


def is_capped(text: str) -> bool:
    """The reference drops images of a message beyond the limit if they all stand side by side."""
    images = text.count(IMAGE_PLACEHOLDER)
    return images > REFERENCE_MAX_IMAGES and IMAGE_PLACEHOLDER * images in joined_up(text, IMAGE_PLACEHOLDER)


def reference_tile_counts(case: dict) -> list[int]:
    """Tiles as the reference takes them: a message uses up one count, which all its images get."""
    given = iter(case["preprocess_multimodal_args"].get("patch_num", [1] * len(case["conversations"])))
    counts = []
    for turn in case["conversations"]:
        images = turn["value"].count(IMAGE_PLACEHOLDER)
        counts += [next(given)] * (REFERENCE_MAX_IMAGES if is_capped(turn["value"]) else images) if images else []
    return counts


def capped(conversations: list[dict]) -> list[dict]:
    """The conversation with the images that the reference drops left out."""
    turns = []
    for turn in conversations:
        text = turn["value"]
        if is_capped(text):
            extra = text.count(IMAGE_PLACEHOLDER) - REFERENCE_MAX_IMAGES
            text = joined_up(text, IMAGE_PLACEHOLDER).replace(IMAGE_PLACEHOLDER, "", extra)
        turns.append({**turn, "value": text})
    return turns


def moves_wrongly(case: dict) -> bool:
    """A message ends with an image that does not stand next to all others: the reference then doubles them."""
    for turn in case["conversations"]:
        for placeholder in (IMAGE_PLACEHOLDER, VIDEO_PLACEHOLDER):
            text = joined_up(turn["value"], placeholder)
            if text.endswith(placeholder) and not text.endswith(placeholder * text.count(placeholder)):
                return True
    return False


def breaks_labels(case: dict, template: VitaTemplate) -> bool:
    return any(template.end in turn["value"] for turn in case["conversations"])


def sample_of(case: dict, record: Record, counts: list[int], template: VitaTemplate, tokenizer) -> TextSample:
    given = case["preprocess_args"]
    no_media = not (given.get("has_image") or given.get("has_audio"))
    multimodal = case["preprocess_multimodal"]
    rules = LabelRules(states=multimodal, tidy=multimodal, lead=1 if no_media else 0)
    frames = case["preprocess_multimodal_args"].get("image_token_num", 1)
    media_ids = {
        IMAGE_PLACEHOLDER: [[IMAGE_SENTINEL] * count for count in counts],
        VIDEO_PLACEHOLDER: [[IMAGE_SENTINEL] * frames] * len(record.videos),
        AUDIO_PLACEHOLDER: [[AUDIO_SENTINEL]] * len(record.audios),
    }
    return text_sample(record, template, tokenizer, media_ids, rules=rules, modality=given.get("modality"))


def test_training_samples(reference_dir, prompts, tokenizer, record_difference):
    for index, case in enumerate(prompts["training"]):
        template = templates(reference_dir / "prompts.json")[case["conv_mode"]]
        if case["error"]:
            with pytest.raises(VitaError):
                sample_of(case, record_of(case), tile_counts(case), template, tokenizer)
            continue
        if breaks_labels(case, template):
            continue  # see test_samples_that_the_reference_masks
        if moves_wrongly(case):
            continue  # see test_every_tile_of_every_image_has_its_place
        record = record_of(case, capped(case["conversations"]))
        ours = sample_of(case, record, reference_tile_counts(case), template, tokenizer)
        record_difference(f"{index} {case['name']} ids", count_differences(ours.input_ids, case["input_ids"]), 0)
        if not case["printed"]:
            record_difference(f"{index} {case['name']} labels", count_differences(ours.labels, case["labels"]), 0)
        else:  # masked as a whole by the reference: every reply is learned with us
            assert any(label != IGNORE_LABEL for label in ours.labels)


def test_samples_that_the_reference_masks(reference_dir, prompts, tokenizer):
    """A text that holds an end-of-turn mark is an error with us that names the sample."""
    for case in prompts["training"]:
        template = templates(reference_dir / "prompts.json")[case["conv_mode"]]
        if breaks_labels(case, template):
            assert case["printed"]
            assert all(label == IGNORE_LABEL for label in case["labels"])
            with pytest.raises(DataError, match=case["name"]):
                sample_of(case, record_of(case), tile_counts(case), template, tokenizer)


def expanded(text: str, counts: Iterator[int], frames: int) -> str:
    """The text with an image placeholder for every tile and every frame."""
    pieces, found = split_at(text)
    for index, placeholder in enumerate(found):
        if placeholder == IMAGE_PLACEHOLDER:
            found[index] = placeholder * next(counts)
        elif placeholder == VIDEO_PLACEHOLDER:
            found[index] = IMAGE_PLACEHOLDER * frames
    return "".join(part for pair in zip(pieces, [*found, ""], strict=True) for part in pair)


def test_texts_laid_out_for_training(reference_dir, prompts):
    compared = 0
    for case in prompts["training"]:
        if not case["after_preprocess_multimodal"] or moves_wrongly(case):
            continue
        template = templates(reference_dir / "prompts.json")[case["conv_mode"]]
        turns = reply_turns(record_of(case, capped(case["conversations"])), template, LabelRules())
        expected = [(turn["from"], turn["value"]) for turn in case["after_preprocess_multimodal"]]
        if expected[0][0] == "gpt":  # a reply to nothing, not part of the prompt
            expected.pop(0)
        counts, frames = iter(reference_tile_counts(case)), case["preprocess_multimodal_args"].get("image_token_num", 1)
        ours = [(NAME_OF[turn.role], expanded(turn.text, counts, frames)) for turn in turns]
        assert ours == expected, case["name"]
        compared += 1
    assert compared


def test_every_tile_of_every_image_has_its_place(reference_dir, prompts, tokenizer):
    """Ours counts every image's own tiles; where the reference differs, it is by one of its known faults."""
    compared = 0
    for case in prompts["training"]:
        counts, template = tile_counts(case), templates(reference_dir / "prompts.json")[case["conv_mode"]]
        if not counts or breaks_labels(case, template) or case["error"]:
            continue
        ours = sample_of(case, record_of(case), counts, template, tokenizer)
        assert ours.input_ids.count(IMAGE_SENTINEL) == sum(counts), case["name"]
        if case["n_image_tokens"] != sum(counts):
            several = any(found.count(IMAGE_PLACEHOLDER) > 1 for found in placeholders_of(case))
            assert several, f"{case['name']}: the reference has {case['n_image_tokens']} tiles, ours {sum(counts)}"
        compared += 1
    assert compared


def test_collator(prompts, record_difference):
    expected = prompts["collator"]
    clips = [torch.full((length, expected["audios_shape"][-1]), 7.0) for length in expected["audio_lengths"]]
    tiles = torch.stack([torch.full(expected["images_shape"][1:], value) for value in expected["images_first_value"]])
    rows = list(zip(expected["instance_input_ids"], expected["instance_labels"], strict=True))
    samples = []
    for row, (ids, labels) in enumerate(rows):  # each after the first has one picture and one clip, the first the rest
        start = 0 if row == 0 else len(tiles) - len(rows) + row
        end = len(tiles) - len(rows) + row + 1
        samples.append(
            Sample(input_ids=ids, labels=labels, pixel_values=tiles[start:end], audio_features=clips[start:end])
        )
    batch = collate(samples, pad_id=prompts["pad_token_id"])
    for name in ("input_ids", "labels"):
        record_difference(name, count_differences(batch[name].flatten().tolist(), list(chain(*expected[name]))), 0)
    assert list(batch["pixel_values"].shape) == expected["images_shape"]
    assert batch["pixel_values"][:, 0, 0, 0].tolist() == expected["images_first_value"]
    assert list(batch["audio_features"].shape) == expected["audios_shape"]
    assert batch["audio_lengths"].tolist() == expected["audio_lengths"]
    for row, (ids, _) in enumerate(rows):  # the reference masks a text's own pad ids; ours does not
        ours, theirs = batch["attention_mask"][row].tolist(), expected["attention_mask"][row]
        own_pads = [index for index, token in enumerate(ids) if token == prompts["pad_token_id"]]
        assert [index for index in range(len(ours)) if ours[index] != theirs[index]] == own_pads
