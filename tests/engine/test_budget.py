"""The bound on what all conversations of an engine keep."""

from __future__ import annotations

import gc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.conftest import make_model
from vita.chat.messages import Message
from vita.engine.local import LocalEngine
from vita.engine.protocol import Sampling
from vita.errors import ConfigError, LimitError

LONG = Sampling(max_new_tokens=400, state="answer")


@pytest.fixture(scope="module")
def model() -> tuple[Any, Any]:
    return make_model(chunk_size=4)


@pytest.fixture
def engine(model: tuple[Any, Any]) -> LocalEngine:
    """Holds 300 tokens, which are bytes."""
    return LocalEngine(*model, max_cached_tokens=300)


def test_conversations_share_one_bound(engine: LocalEngine) -> None:
    first, second = engine.open("s"), engine.open("s")
    first.append("a" * 150)
    used = engine.budget.used
    assert 150 < used < 200
    with pytest.raises(LimitError, match=r"KV cache is full .*at most 300 over all"):
        second.append("b" * 150)
    with pytest.raises(LimitError, match="KV cache is full"):
        first.fork()
    assert engine.budget.used == used
    assert second.messages == (Message.system("s"),)
    first.rewind(0)
    assert engine.budget.used == 0
    second.append("b" * 150)
    del second
    gc.collect()
    assert engine.budget.used == 0, "a conversation that nobody holds does not count"


def test_full_is_full(model: tuple[Any, Any]) -> None:
    context = LocalEngine(*model).open("s", messages=[Message.user("hello")])
    context.append("!")
    engine = LocalEngine(*model, max_cached_tokens=context._engine.budget.used)
    holder = engine.open("s", messages=[Message.user("hello")])
    holder.append("!")
    with pytest.raises(LimitError, match="KV cache is full"):
        engine.open()
    with pytest.raises(ConfigError, match="max_cached_tokens"):
        LocalEngine(*model, max_cached_tokens=0)


def test_a_reply_that_fills_the_cache_ends_there(engine: LocalEngine) -> None:
    engine.parts = replace(engine.parts, stop_ids=frozenset())
    context = engine.open("s", messages=[Message.user("a" * 100)])
    reply = context.reply(LONG)
    written = []
    with pytest.raises(LimitError, match="KV cache is full"):
        written.extend(reply)
    result = reply.result()
    assert result.ending == "aborted"
    assert context.messages[-1].text == result.text
    context.rewind(2)
    assert context.reply(Sampling(max_new_tokens=3, state="answer")).result().ending != "aborted"


def test_a_sound_that_fills_the_cache_can_still_be_closed(engine: LocalEngine) -> None:
    context = engine.open("s")
    listening = context.listen()
    listening.push(np.zeros(16_000, np.float32))
    with pytest.raises(LimitError, match="KV cache is full"):
        listening.push(np.zeros(400_000, np.float32))
    assert listening.seconds == 1.0
    listening.close()
    assert len(context.messages) == 2
