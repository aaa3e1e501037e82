"""The scripted engine keeps the protocol, so that tests that stand on it are worth something."""

from __future__ import annotations

import pytest

from vita.chat.messages import Message
from vita.engine.protocol import Context, Engine, Sampling
from vita.engine.scripted import Line, ScriptedEngine
from vita.tokens import State

TYPED = Line(State.TYPED_QUERY, ("one ", "two ", "three"))


def test_says_its_lines_in_order() -> None:
    engine: Engine = ScriptedEngine([TYPED, Line(State.NOISE, ("unheard",))])
    context: Context = engine.open("be brief")
    context.append("count")
    context.append("please")
    reply = context.reply()
    assert (reply.state, list(reply)) == (State.TYPED_QUERY, ["one ", "two ", "three"])
    assert (reply.result().text, reply.result().ending) == ("one two three", "stop")
    context.append("hm")
    result = context.reply().result()
    assert (result.state, result.text, result.ending) == (State.NOISE, "", "noise")
    assert [message.text for message in context.messages] == ["be brief", "count\nplease", "one two three", "hm", ""]


def test_a_script_can_look_at_the_conversation() -> None:
    engine = ScriptedEngine(lambda messages: Line(State.TYPED_QUERY, (messages[-1].text.upper(),)))
    results = engine.batch([[Message.user("a")], [Message.user("b")]])
    assert [result.text for result in results] == ["A", "B"]


@pytest.mark.parametrize(("sampling", "text", "ending"), [(Sampling(max_new_tokens=1), "one ", "length")])
def test_length(sampling: Sampling, text: str, ending: str) -> None:
    result = ScriptedEngine([TYPED]).batch([[Message.user("a")]], sampling)[0]
    assert (result.text, result.ending) == (text, ending)


def test_abort_fork_and_rewind() -> None:
    context = ScriptedEngine(lambda messages: TYPED).open()
    context.append("count")
    reply = context.reply()
    pieces = iter(reply)
    next(pieces)
    reply.abort()
    assert list(pieces) == []
    assert reply.result().ending == "aborted"
    branch = context.fork()
    context.rewind(1, heard="on")
    assert [message.text for message in context.messages] == ["count", "on"]
    assert [message.text for message in branch.messages] == ["count", "one "]
