"""Prompts with one marker for each medium, against the processor's; vLLM is not needed."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from tests.conftest import make_model, make_tokenizer
from tests.engine.test_local import BLUE, FILM, HUM, RED
from vita.chat.messages import Audio, Image, Message, Text, Video
from vita.chat.state import StateReader
from vita.errors import PromptError
from vita.models.processing_vita import VitaProcessor
from vita.tokens import State
from vita.vllm_plugin.marking import KINDS, marked_ids, markers, stand_in

CONVERSATIONS = {
    "text": [Message.user("hello")],
    "all kinds": [Message.user(HUM, "what?", FILM, RED, BLUE)],
    "placed": [Message.user("this <image> and <video> and <audio>", HUM, FILM, RED)],
    "turns": [Message.user(BLUE, "a"), Message.assistant("b", State.TYPED_QUERY), Message.user(RED, HUM)],
}


def replaced(processor: VitaProcessor, ids: list[int], messages: list[Message]) -> list[int]:
    """What vLLM makes of marked ids."""
    waiting: dict[int, list[list[int]]] = {mark: [] for mark in markers(processor).values()}
    for medium in (medium for message in messages for medium in message.media):
        modality = next(name for name, kind in KINDS.items() if isinstance(medium, kind))
        waiting[markers(processor)[modality]].append(processor.feature_ids(medium))
    return [one for token in ids for one in (waiting[token].pop(0) if token in waiting else [token])]


def with_stand_ins(message: Message) -> Message:
    parts = [part if isinstance(part, Text) else stand_in(modality(part)) for part in message.parts]
    return Message(message.role, tuple(parts), message.state)


def modality(part: Any) -> str:
    return {Image: "image", Video: "video", Audio: "audio"}[type(part)]


@pytest.mark.parametrize("name", CONVERSATIONS)
@pytest.mark.parametrize("knows_video", [True, False])
def test_markers_replaced_are_the_processors_ids(name: str, knows_video: bool, tiny_model: tuple[Any, Any]) -> None:
    processor: VitaProcessor = tiny_model[1]
    if not knows_video:
        processor = VitaProcessor(without_video(), processor.config)
    messages = CONVERSATIONS[name]
    ids = marked_ids(processor, [with_stand_ins(message) for message in messages])
    assert replaced(processor, ids, messages) == processor.encode(messages).ids


def without_video() -> Any:
    """The tokenizer of bytes with another name for its token <video>."""
    import json

    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    told = make_tokenizer()._tokenizer.to_str().replace("<video>", "<other>")
    assert "<other>" in json.loads(told)["model"]["vocab"]
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(told), unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )


def test_a_video_has_a_marker_of_its_own(tiny_model: tuple[Any, Any]) -> None:
    processor: VitaProcessor = tiny_model[1]
    named, unnamed = markers(processor), markers(VitaProcessor(without_video(), processor.config))
    assert len(set(named.values())) == len(set(unnamed.values())) == 3
    assert named["video"] == processor.tokenizer.convert_tokens_to_ids("<video>")
    assert unnamed["video"] >= processor.config.text_config.vocab_size


def test_what_is_no_conversation_is_refused(tiny_model: tuple[Any, Any]) -> None:
    with pytest.raises(PromptError, match="no question"):
        marked_ids(tiny_model[1], [Message.user(stand_in("image"))])


def test_following_next_ids_spells_a_state() -> None:
    reader = StateReader({State.SPOKEN_QUERY: [4, 5], State.NOISE: [4, 6, 7], State.TYPED_QUERY: [8]})
    assert reader.next_ids([]) == [4, 8]
    assert reader.next_ids([4]) == [5, 6]
    assert reader.next_ids([4], "answer") == [5]
    assert reader.next_ids([4, 6]) == [7]
    assert reader.next_ids([4, 5]) == reader.next_ids([8]) == reader.next_ids([9]) == []


def test_importing_vita_does_not_import_vllm() -> None:
    import subprocess

    code = "import sys, vita.api, vita.vllm_plugin.marking; assert 'vllm' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_models_of_other_kinds_are_marked_too() -> None:
    processor = make_model("mixtral")[1]
    ids = marked_ids(processor, [Message.user(stand_in("image"), "x")])
    assert ids.count(processor.config.image_token_id) == 1
