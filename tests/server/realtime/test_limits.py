"""Limits on realtime sessions: how many, how long, how fast, and what a client that misbehaves costs the others."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import anyio
import pytest

from tests.duplex.stage import hears
from tests.server.conftest import Bench
from tests.server.realtime.stage import text_item
from tests.server.realtime.wire import ASKED, DROPPED, Wire, num_sessions, wired
from vita.chat.messages import Message
from vita.clock import run_virtual
from vita.engine.scripted import Line, ScriptedEngine
from vita.server.realtime.outbox import Outbox
from vita.server.realtime.pace import Pace
from vita.tokens import State

pytestmark = pytest.mark.anyio
TALK = tuple(f"number {n}, " for n in range(40))


def made(text: tuple[str, ...] = TALK, **settings: Any) -> Bench:
    """An application that has much to say."""
    return Bench(engine=ScriptedEngine(lambda _: Line(State.SPOKEN_QUERY, text), hears), **settings)


async def test_one_session_more_is_refused_and_the_next_place_is_given() -> None:
    bench = made(max_sessions=1, max_session_wait_s=0.2)
    async with wired(bench):
        second = Wire(bench)
        assert await second.ended() == "rate_limit_exceeded"
        assert (second.close_code, second.status) == (1013, None)
        waiting = Wire(bench)
    await waiting.until("session.created")
    waiting.put(DROPPED)
    await waiting.ended()
    assert await num_sessions(bench) == 0


async def test_nobody_waits_behind_a_full_queue() -> None:
    bench = made(max_sessions=1, max_waiting=0, max_session_wait_s=60)
    async with wired(bench):
        assert await Wire(bench).ended() == "rate_limit_exceeded"


async def test_sessions_of_one_client() -> None:
    bench = made(max_sessions=4, max_sessions_per_client=1)
    async with wired(bench, client="192.0.2.1"), wired(bench, client="192.0.2.2"):
        assert await Wire(bench, client="192.0.2.1").ended() == "rate_limit_exceeded"
    async with wired(bench, client="192.0.2.1"):
        pass


@pytest.mark.parametrize(
    ("settings", "code"), [({"max_first_silence_s": 0.3}, "session_idle"), ({"max_session_s": 0.3}, "session_expired")]
)
async def test_sessions_end(settings: dict[str, float], code: str) -> None:
    bench = made(**settings)
    wire = Wire(bench)
    assert await wire.ended() == code
    assert wire.close_code == 1008
    assert await num_sessions(bench) == 0


async def test_a_client_that_falls_silent_is_closed() -> None:
    bench = made(max_first_silence_s=0.2, max_silence_s=1.0)
    wire = Wire(bench)
    began_s = time.monotonic()
    wire.send("{}")
    assert await wire.ended() == "session_idle"
    assert time.monotonic() - began_s > 0.9


async def test_a_client_that_is_gone_in_mid_answer_frees_its_place_within_a_second() -> None:
    bench = made(max_sessions=1)
    wire = Wire(bench)
    wire.send(ASKED)
    await wire.until("response.output_audio.delta", 5)
    wire.put(DROPPED)
    left_s = time.monotonic()
    await wire.ended()
    assert time.monotonic() - left_s < 1
    assert await num_sessions(bench) == 0
    async with wired(bench):
        assert await num_sessions(bench) == 1


async def test_a_client_that_does_not_read_is_closed_and_costs_the_others_nothing() -> None:
    bench = made(max_unread_bytes=30_000)
    async with wired(bench) as other:
        slow = Wire(bench, client="192.0.2.2")
        await slow.until("session.created")
        slow.is_read.clear()
        slow.send(ASKED)
        with anyio.fail_after(20):
            while await num_sessions(bench) == 2:
                await asyncio.sleep(0.05)
        slow.is_read.set()
        await slow.ended()
        assert len(str(slow.events)) < 60_000
        other.send(ASKED)
        await other.until("response.output_audio.delta")


async def test_an_outbox_keeps_no_more_than_it_may() -> None:
    outbox = Outbox(1000)
    outbox.emit("one", text="x")
    assert '"one"' in (await outbox.next() or "")
    for _ in range(1000):
        outbox.emit("many", text="x" * 100)
        assert outbox._num_bytes <= 1000
    assert outbox.overflow.is_set()
    with pytest.raises(TimeoutError), anyio.fail_after(0):
        await outbox.next()


async def test_answers_end_before_the_server_does() -> None:
    bench = made(("One two three four.",))
    wire = Wire(bench)
    silent = Wire(bench, client="192.0.2.2")
    await silent.until("session.created")
    wire.send(ASKED)
    await wire.until("response.output_audio.delta")
    draining = asyncio.create_task(bench.app.state.drain(10))
    assert await silent.ended() == "server_stopping"
    assert await Wire(bench).ended() == "server_stopping"
    wire.send(ASKED)  # a further question is not heard any more
    assert await wire.ended() == "server_stopping"
    assert [event["response"]["status"] for event in wire.all("response.done")] == ["completed"]
    assert wire.close_code == 1001
    await draining


async def test_a_fault_ends_one_session_only() -> None:
    def failing(messages: tuple[Message, ...]) -> Line:
        if messages[-1].text == "fail":
            raise ValueError("secret")
        return Line(State.TYPED_QUERY, ("Fine.",))

    bench = Bench(engine=ScriptedEngine(failing, hears))
    async with wired(bench) as other:
        wire = Wire(bench, client="192.0.2.2")
        wire.send(text_item("fail"), {"type": "response.create"})
        assert await wire.ended() == "internal_error"
        assert wire.close_code == 1011
        assert "secret" not in str(wire.events)
        other.send(text_item("hello"), {"type": "response.create"})
        assert (await other.until("response.done"))["response"]["status"] == "completed"


@pytest.mark.parametrize(
    ("headers", "settings", "status"),
    [
        ([(b"origin", b"https://evil.example")], {}, 403),
        ([(b"authorization", b"Bearer wrong-key")], {"api_keys": ("secret-key",)}, 401),
        ([], {"api_keys": ("secret-key",)}, 401),
    ],
)
async def test_the_gate_is_for_websockets_too(headers: Any, settings: Any, status: int) -> None:
    wire = Wire(made(**settings), headers=headers)
    await wire.ended()
    assert (wire.status, wire.events) == (status, [])


async def test_a_model_that_is_not_served_and_a_session_that_is_not_there() -> None:
    bench = made()
    assert await Wire(bench, query="model=gpt-9").ended() == "model_not_found"
    assert await Wire(bench, query="session_id=sess_guessed").ended() == "session_not_found"


def test_what_comes_too_fast_is_read_later() -> None:
    async def main() -> list[float]:
        now = asyncio.get_running_loop().time
        pace, times = Pace(10, 5, now), []
        for _ in range(20):
            await pace.spend(1)
            times.append(now())
        return times

    times = run_virtual(main())
    assert times[5] == 0
    assert times[-1] == pytest.approx(1.3, abs=0.11)
