"""Where media stand in a text."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vita.chat import Audio, Image, Message, Video
from vita.chat.placement import (
    PLACEHOLDERS,
    PLAIN_LAYOUT,
    VISUAL_PLACEHOLDERS,
    VITA_LAYOUT,
    collapse_blank_lines,
    place,
    split_at,
)
from vita.errors import PromptError
from vita.media import Clip

FIRST, SECOND = (Image(PIL.Image.new("RGB", (size, size))) for size in (4, 5))
SOUND = Audio(np.zeros(1600, np.float32))
CLIP = Video(Clip(frames=[PIL.Image.new("RGB", (4, 4))], times_s=np.zeros(1), fps=1.0))


@pytest.mark.parametrize(
    ("parts", "vita", "plain"),
    [
        (("look", FIRST), "<image>\nlook", "<image>look"),
        ((SOUND, "look", CLIP, FIRST), "<image>\n<video>\n<audio>look", "<image><video><audio>look"),
        ((FIRST, SOUND), "<image>\n<audio>", "<image><audio>"),
        ((FIRST, SECOND, "which"), "<image>\n<image>\nwhich", "<image><image>which"),
        (("<image>\n<audio>\n", FIRST, SOUND), "<image>\n<audio>", "<image>\n<audio>\n"),
        (("which\n<image>", FIRST), "<image>\nwhich", "which\n<image>"),
        (("this <image> or <image>?", FIRST, SECOND), "this <image>\n or <image>\n?", "this <image> or <image>?"),
        (("or <audio>?", FIRST, SOUND), "<image>\nor <audio>?", "<image>or <audio>?"),
        (("a\n\nb", FIRST), "<image>\na\n\nb", "<image>a\n\nb"),
    ],
)
def test_layouts(parts, vita, plain):
    assert place(Message.user(*parts), VITA_LAYOUT).text == vita
    assert place(Message.user(*parts), PLAIN_LAYOUT).text == plain


def test_media_come_in_the_order_of_their_placeholders():
    placed = place(Message.user("<audio> then <image> then <image>", FIRST, SECOND, SOUND), PLAIN_LAYOUT)
    assert placed.media == (SOUND, FIRST, SECOND)
    placed = place(Message.user(SOUND, "now", CLIP, FIRST), VITA_LAYOUT)
    assert placed.media == (FIRST, CLIP, SOUND)


@pytest.mark.parametrize(
    "parts",
    [("<image>",), ("<image><image>", FIRST), ("<image>", FIRST, SECOND), ("<audio>", FIRST), ("<video>\nx", FIRST)],
)
def test_placeholders_must_match_the_media(parts):
    with pytest.raises(PromptError, match="do not match"):
        place(Message.user(*parts), VITA_LAYOUT)


PIECES = st.lists(st.sampled_from([*PLACEHOLDERS, "\n", " ", "a", "<", "image>"]), max_size=12).map("".join)


@settings(deadline=None, max_examples=50)
@given(PIECES)
def test_splitting_loses_nothing(text):
    pieces, found = split_at(text)
    assert "".join(part for pair in zip(pieces, [*found, ""], strict=True) for part in pair) == text
    assert not any(placeholder in piece for piece in pieces for placeholder in PLACEHOLDERS)


@settings(deadline=None, max_examples=50)
@given(PIECES)
@example("<<image>image><image>")
@example("<au<image>dio>a<image>")
def test_tidying_keeps_every_placeholder_and_the_words(text):
    tidy = VITA_LAYOUT.apply(text)
    for placeholder in PLACEHOLDERS:
        assert tidy.count(placeholder) == text.count(placeholder)
    assert tidy.count("a") == text.count("a")
    for placeholder in VISUAL_PLACEHOLDERS:
        assert tidy.count(placeholder + "\n") == text.count(placeholder)


def test_blank_lines_collapse_in_one_pass():
    assert collapse_blank_lines("a\n\nb\n\n\n\nc") == "a\nb\n\nc"
