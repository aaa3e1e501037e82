"""Messages and the checks on conversations."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest

from vita.chat import Audio, Image, Message, Text, check_messages
from vita.errors import PromptError
from vita.tokens import State

PICTURE = Image(PIL.Image.new("RGB", (4, 4)))
SOUND = Audio(np.zeros(1600, np.float32))
QUESTION = Message.user("what is it")
REPLY = Message.assistant("a circle", State.TYPED_QUERY)


def test_a_message_keeps_its_parts_in_order():
    message = Message.user(PICTURE, "one", SOUND, Text("two"))
    assert message.text == "one\ntwo"
    assert message.media == (PICTURE, SOUND)


@pytest.mark.parametrize(
    ("build", "told"),
    [
        (lambda: Message("bot", ()), "unknown role"),
        (lambda: Message("user", ("words",)), "unknown part"),
        (lambda: Message("assistant", (PICTURE,)), "cannot hold media"),
        (lambda: Message("system", (SOUND,)), "cannot hold media"),
        (lambda: Message("user", (Text("x"),), State.NOISE), "cannot have a state"),
    ],
)
def test_malformed_messages(build, told):
    with pytest.raises(PromptError, match=told):
        build()


@pytest.mark.parametrize(
    ("messages", "told"),
    [
        ([], "no question"),
        ([Message.system("be kind")], "no question"),
        ([QUESTION, QUESTION], "do not alternate"),
        ([REPLY, QUESTION], "do not alternate"),
        ([QUESTION, Message.system("be kind"), REPLY, QUESTION], "not the first"),
        ([Message.system("a"), Message.system("b"), QUESTION], "not the first"),
        ([QUESTION, REPLY], "nothing to answer"),
        ([Message.user()], "empty"),
        ([Message.user("  \n")], "no question at all"),
        ([Message.user(PICTURE)], "no question at all"),
        ([Message.user(PICTURE, "<image>\n")], "no question at all"),
    ],
)
def test_what_cannot_be_answered(messages, told):
    with pytest.raises(PromptError, match=told):
        check_messages(messages, answering=True)


@pytest.mark.parametrize(
    "messages",
    [
        [QUESTION],
        [Message.user(SOUND)],
        [Message.system("be kind"), QUESTION, REPLY, Message.user(PICTURE, SOUND)],
        [Message.user(PICTURE, "look"), REPLY, QUESTION],
    ],
)
def test_what_can_be_answered(messages):
    check_messages(messages, answering=True)


def test_a_finished_conversation_needs_no_question():
    check_messages([QUESTION, REPLY], answering=False)
