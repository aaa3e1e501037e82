"""Several engines as one: whose turn it is, and answers in the order of the questions."""

from __future__ import annotations

from typing import Any

import pytest

from vita.chat.messages import Message
from vita.duplex.contexts import Contexts
from vita.engine.protocol import Engine, Result, Sampling
from vita.engine.scripted import Line, ScriptedEngine
from vita.engine.several import SeveralEngines
from vita.tokens import State


def named(name: str) -> ScriptedEngine:
    """Answers with its name and the question."""
    return ScriptedEngine(lambda messages: Line(State.TYPED_QUERY, (f"{name}: {messages[-1].text}",)))


@pytest.fixture
def several() -> SeveralEngines:
    return SeveralEngines([named("first"), named("second")])


def test_contexts_are_dealt_out_in_turn(several: SeveralEngines) -> None:
    replies = [several.open(messages=[Message.user("hi")]).reply().result().text for _ in range(3)]
    assert replies == ["first: hi", "second: hi", "first: hi"]


def test_a_fork_stays(several: SeveralEngines) -> None:
    context = several.open(messages=[Message.user("hi")])
    assert context.fork().reply().result().text == "first: hi"


def test_the_roles_of_a_live_conversation_have_one_each(several: SeveralEngines) -> None:
    no_clock: Any = None
    contexts = Contexts(several, None, (), None, no_clock)
    for context in (contexts["a"], contexts["b"]):
        context.append("hi")
    replies = [context.reply().result().text for context in (contexts["a"], contexts["b"])]
    assert replies == ["first: hi", "second: hi"]


def test_a_batch_keeps_its_order(several: SeveralEngines) -> None:
    asked = [[Message.user(str(number))] for number in range(5)]
    found: list[Result] = several.batch(asked, Sampling(max_new_tokens=5))
    assert [result.text for result in found] == ["first: 0", "second: 1", "first: 2", "second: 3", "first: 4"]
    assert several.batch([]) == []


def test_what_one_can_do_all_can(several: SeveralEngines) -> None:
    one = several.engines[0]
    assert (several.history_tokens, several.has_tools) == (one.history_tokens, one.has_tools)
    engine: Engine = several  # for the type checker: all that an engine has
    assert engine is several
