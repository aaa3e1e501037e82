"""The scripted engine keeps the protocol, so that tests that stand on it are worth something."""

from __future__ import annotations

import numpy as np
import pytest

from vita.chat.messages import Audio, Message
from vita.engine.protocol import Context, Engine, Listening, Sampling
from vita.engine.scripted import Line, ScriptedEngine
from vita.errors import MediaError, PromptError
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


def silence(seconds: float) -> np.ndarray:
    return np.zeros(round(16000 * seconds), np.float32)


def test_listening_becomes_a_part_of_the_turn() -> None:
    context = ScriptedEngine(lambda messages: TYPED).open()
    context.append("what is")
    listening: Listening = context.listen()
    for _ in range(3):
        listening.push(silence(0.1))
    assert listening.seconds == pytest.approx(0.3)
    assert len(context.messages[0].parts) == 1
    listening.close()
    assert [message.role for message in context.messages] == ["user"]
    sound = context.messages[0].parts[1]
    assert isinstance(sound, Audio)
    assert len(sound.samples) == 4800
    assert context.reply().result().text == "one two three"


def test_probes_follow_the_seconds_or_the_samples() -> None:
    timeline = [(1.0, {State.SPOKEN_QUERY: 0.9, State.NOISE: 0.1}), (2.0, {State.SPOKEN_QUERY: 1.0})]
    listening = ScriptedEngine([], timeline).open().listen()
    found = []
    for _ in range(4):
        listening.push(silence(0.6))
        found.append(listening.probe()[State.SPOKEN_QUERY])
    assert found == [0.0, 0.9, 0.9, 1.0]
    loud = ScriptedEngine([], lambda samples: {State.SPOKEN_QUERY: float(samples.max())}).open().listen()
    loud.push(silence(0.1) + 0.5)
    assert loud.probe() == {State.SPOKEN_QUERY: 0.5, State.NOISE: 0.0, State.TYPED_QUERY: 0.0}


def test_nothing_else_while_listening() -> None:
    context = ScriptedEngine(lambda messages: TYPED).open()
    context.append("hello")
    listening = context.listen()
    for forbidden in (context.listen, context.reply, context.fork, lambda: context.append("x")):
        with pytest.raises(PromptError, match="still being listened to"):
            forbidden()
    with pytest.raises(PromptError, match="still being listened to"):
        context.rewind(0)
    listening.cancel()
    listening.cancel()
    with pytest.raises(PromptError, match="this sound has ended"):
        listening.push(silence(1))
    assert [message.text for message in context.fork().messages] == ["hello"]


def test_too_short_or_no_sound() -> None:
    context = ScriptedEngine([]).open()
    listening = context.listen()
    listening.push(silence(0.02))
    with pytest.raises(MediaError, match="too short"):
        listening.probe()
    with pytest.raises(MediaError, match="too short"):
        listening.close()
    assert context.messages == ()
    for wrong in (np.zeros(400, np.int16), np.zeros((400, 2), np.float32), np.full(400, np.nan, np.float32)):
        with pytest.raises(MediaError, match="a piece of sound"):
            context.listen().push(wrong)
        context = ScriptedEngine([]).open()


def test_an_open_reply_blocks_and_an_aborted_one_is_noted() -> None:
    context = ScriptedEngine(lambda messages: TYPED).open()
    context.append("count")
    reply = context.reply()
    next(iter(reply))
    with pytest.raises(PromptError, match="still being written"):
        context.listen()
    reply.abort()
    listening = context.listen()
    listening.push(silence(1))
    listening.close()
    assert [message.text for message in context.messages] == ["count", "one ", ""]
