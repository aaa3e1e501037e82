"""Prompts as vLLM takes them: our processor's ids, but with one marker in place of all the ids of a medium.

vLLM replaces each marker by the ids of its medium when it has processed it. Used by the renderer and the processor.
"""

from __future__ import annotations

from collections.abc import Sequence

from vita.chat import tokenizing
from vita.chat.messages import PLACEHOLDER_OF, Audio, Image, Medium, Message, Video
from vita.chat.placement import split_at
from vita.models.processing_vita import VitaProcessor
from vita.tokens import VIDEO_PLACEHOLDER

KINDS: dict[str, type] = {"image": Image, "video": Video, "audio": Audio}
"""vLLM's name of a modality -> the part of a message that it is."""


def markers(processor: VitaProcessor) -> dict[str, int]:
    """The id that marks each modality. For images and sounds it is that of their features.

    Video features have the id of images, so video is marked by the tokenizer's own placeholder; without one, by an id
    that nothing else has.
    """
    config, tokenizer = processor.config, processor.tokenizer
    taken = {config.image_token_id, config.audio_token_id}
    video = tokenizer.get_vocab().get(VIDEO_PLACEHOLDER)
    if video is None or video in taken:
        video = 1 + max(*taken, len(tokenizer), config.text_config.vocab_size)
    return {"image": config.image_token_id, "video": video, "audio": config.audio_token_id}


def stand_in(modality: str) -> Medium:
    """A medium that is only a place: what it shows is with vLLM."""
    return KINDS[modality](None)


def marked_ids(processor: VitaProcessor, messages: Sequence[Message], *, answering: bool = True) -> list[int]:
    """The prompt of a conversation whose media may be stand-ins. Raises PromptError for what is no conversation."""
    rendered = processor.template.render_with_media(messages, add_generation_prompt=answering)
    return marked_text(processor, rendered.text, adds_bos=processor.template.adds_bos)


def marked_text(processor: VitaProcessor, text: str, *, adds_bos: bool) -> list[int]:
    """The ids of a prompt that is text already, a marker for each of its placeholders."""
    marks = markers(processor)
    by_placeholder = {PLACEHOLDER_OF[kind]: marks[modality] for modality, kind in KINDS.items()}
    _, found = split_at(text)
    return tokenizing.encode(processor.tokenizer, text, [[by_placeholder[one]] for one in found], adds_bos=adds_bos).ids
