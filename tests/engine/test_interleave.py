"""Many conversations on one thread: turns, order, errors, and no lane that waits for a long reply."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError

import numpy as np
import pytest

from vita.engine.interleave import Interleaver
from vita.engine.protocol import Sampling
from vita.engine.scripted import Line, ScriptedContext, ScriptedEngine, ScriptedReply
from vita.errors import ConfigError
from vita.tokens import State

LONG = Line(State.TYPED_QUERY, tuple(f"{number} " for number in range(200)))


@pytest.fixture
def turns() -> Interleaver:
    return Interleaver()


def asked() -> tuple[ScriptedContext, ScriptedReply]:
    context = ScriptedEngine(lambda messages: LONG).open()
    context.append("count")
    return context, context.reply()


def finish(turns: Interleaver) -> int:
    """Steps until nothing is left; how many."""
    return sum(1 for _ in iter(turns.step, False))


def test_a_long_reply_does_not_keep_a_listening_waiting(turns: Interleaver) -> None:
    pieces: list[str] = []
    written = turns.write("speaker", asked()[1], pieces.append)
    context = ScriptedEngine([]).open()
    listening = turns.call("listener", context.listen)
    turns.step(), turns.step()
    for pushed in range(1, 21):
        heard = turns.call("listener", lambda: listening.result().push(np.zeros(160, np.float32)))
        turns.step(), turns.step()
        assert heard.done(), "one turn of the other lane at most comes before"
        assert listening.result().seconds == pytest.approx(0.01 * pushed)
    assert 20 <= len(pieces) <= 22, "and the reply goes on meanwhile"
    assert not written.done()
    finish(turns)
    assert written.result().text == "".join(pieces) == "".join(LONG.pieces)


def test_replies_take_turns_and_a_lane_keeps_its_order(turns: Interleaver) -> None:
    order: list[str] = []
    for lane in ("a", "b", "c"):
        turns.write(lane, asked()[1], lambda piece, lane=lane: order.append(lane))
        turns.call(lane, lambda lane=lane: order.append(f"after {lane}"))
    finish(turns)
    assert order[:600] == ["a", "b", "c"] * 200
    assert order[600:] == ["after a", "after b", "after c"]
    assert not turns.step()


def test_what_goes_wrong_goes_to_who_waits(turns: Interleaver) -> None:
    def fail(*args: object) -> Iterator[str]:
        raise ConfigError("broken")

    context, reply = asked()
    results = [turns.call("a", fail), turns.write("b", reply, fail), turns.call("a", lambda: 7)]
    finish(turns)
    for result in results[:2]:
        with pytest.raises(ConfigError, match="broken"):
            result.result()
    assert results[2].result() == 7
    context.append("usable again: its reply was aborted")
    assert context.messages[1].text == "0 "


def test_cancelled_before_its_turn(turns: Interleaver) -> None:
    called: list[int] = []
    first, second = turns.call("a", lambda: called.append(1)), turns.call("a", lambda: called.append(2))
    _, reply = asked()
    writing = turns.write("b", reply, lambda piece: called.append(3))
    assert first.cancel()
    assert writing.cancel()
    finish(turns)
    assert (called, second.done(), reply.is_aborted) == ([2], True, True)


def test_a_thread_works_until_it_is_stopped(turns: Interleaver) -> None:
    thread = threading.Thread(target=turns.run)
    thread.start()
    endless = ScriptedEngine(lambda messages: Line(State.TYPED_QUERY, ("x",) * 10**6)).open()
    endless.append("go")
    began, reply = threading.Event(), endless.reply(Sampling(max_new_tokens=10**6))
    written = turns.write("a", reply, lambda piece: began.set())
    behind = turns.call("a", lambda: None)
    assert began.wait(10)
    assert turns.call("b", threading.get_ident).result(10) == thread.ident
    turns.stop()
    thread.join(10)
    assert not thread.is_alive()
    assert written.result(0).ending == "aborted"
    with pytest.raises(CancelledError):
        behind.result(0)
    with pytest.raises(ConfigError, match="stopped"):
        turns.call("a", lambda: None)
