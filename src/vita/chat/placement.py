"""Where media stand in a text: counting, placing, spacing and splitting placeholders.

Used by the templates (chat), by the tokenising of prompts and by the training samples, so that a question is laid
out in training as it is in use.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from vita.chat.messages import PLACEHOLDER_OF, Medium, Message
from vita.errors import PromptError
from vita.tokens import AUDIO_PLACEHOLDER, IMAGE_PLACEHOLDER, VIDEO_PLACEHOLDER

PLACEHOLDERS = tuple(PLACEHOLDER_OF.values())
VISUAL_PLACEHOLDERS = (IMAGE_PLACEHOLDER, VIDEO_PLACEHOLDER)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How placeholders are spaced in a user's text.

    after_visual: text that follows every image and video placeholder.
    tidy: line breaks around placeholders are the layout's (those of the text are dropped), and a picture that ends
        the text is moved to its front.
    """

    after_visual: str = ""
    tidy: bool = False

    def apply(self, text: str) -> str:
        """The text with its placeholders spaced by the layout."""
        if self.tidy:
            for placeholder in VISUAL_PLACEHOLDERS:
                if placeholder in text:
                    text = _visual_first(_without_breaks_around(text, placeholder), placeholder)
        for placeholder in VISUAL_PLACEHOLDERS if self.after_visual else ():
            text = text.replace(placeholder, placeholder + self.after_visual)
        if self.tidy:
            text = text.replace(AUDIO_PLACEHOLDER + "\n", AUDIO_PLACEHOLDER)
        return text


PLAIN_LAYOUT = Layout()
VITA_LAYOUT = Layout(after_visual="\n", tidy=True)
"""One line break after every picture, none after a sound: what VITA-1.0 was trained on."""


@dataclass(frozen=True)
class Placed:
    """A user's text with one placeholder per medium, and the media in the order of their placeholders."""

    text: str
    media: tuple[Medium, ...]


def place(message: Message, layout: Layout) -> Placed:
    """Puts a placeholder for every medium of a message into its text.

    A kind of medium that the text does not mention stands before the text: images, then videos, then sounds. Raises
    PromptError where the text has another number of placeholders of a kind than the message has media of it.
    """
    text = message.text
    waiting: dict[str, list[Medium]] = {placeholder: [] for placeholder in PLACEHOLDERS}
    for medium in message.media:
        waiting[PLACEHOLDER_OF[type(medium)]].append(medium)
    front = ""
    for placeholder, media in waiting.items():
        mentioned = text.count(placeholder)
        if not mentioned:
            front += placeholder * len(media)
        elif mentioned != len(media):
            raise PromptError(
                f"the text's placeholders {placeholder} do not match the media given",
                got=f"{mentioned} placeholder(s), {len(media)} given",
                fix="give one per placeholder, or leave the placeholders out",
            )
    text = layout.apply(front + text)
    _, order = split_at(text)
    return Placed(text, tuple(waiting[placeholder].pop(0) for placeholder in order))


def split_at(text: str, placeholders: Sequence[str] = PLACEHOLDERS) -> tuple[list[str], list[str]]:
    """The n + 1 pieces of text around n placeholders (pieces may be empty), and the placeholders, in order."""
    pattern = "(" + "|".join(re.escape(placeholder) for placeholder in placeholders) + ")"
    pieces = re.split(pattern, text)
    return pieces[0::2], pieces[1::2]


def collapse_blank_lines(text: str) -> str:
    """Every two line breaks become one, in one pass from the left (four become two)."""
    return text.replace("\n\n", "\n")


def _without_breaks_around(text: str, placeholder: str) -> str:
    return text.replace(placeholder + "\n", placeholder).replace("\n" + placeholder, placeholder)


def _visual_first(text: str, placeholder: str) -> str:
    """Moves all placeholders of the kind to the front when the text ends with one.

    A text whose remaining pieces would join to another placeholder ("<<image>image> ... <image>") stays as it is.
    """
    if not text.endswith(placeholder):
        return text
    rest = text.replace(placeholder, "").strip()
    if any(rest.count(other) != (text.count(other) if other != placeholder else 0) for other in PLACEHOLDERS):
        return text
    return (placeholder * text.count(placeholder) + rest).strip()
