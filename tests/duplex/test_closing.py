"""The end of a session: nothing runs on, nothing is kept, whoever waited for it; and many sessions on one engine."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest

from tests.conftest import make_model
from tests.duplex.stage import FIXED, QUESTION, Recorder, WordsVoice, script
from vita.clock import RealClock, VirtualClock, run_virtual
from vita.duplex.session import Session
from vita.duplex.voice_activity import ScriptedVoiceActivity
from vita.engine.local import LocalEngine
from vita.engine.protocol import Engine
from vita.engine.scripted import Line, ScriptedContext, ScriptedEngine
from vita.tokens import State

SPEECH = np.full(1600, QUESTION, np.float32)


@pytest.fixture(scope="module")
def engine() -> LocalEngine:
    return LocalEngine(*make_model(chunk_size=4))


def session_on(engine: Engine, clock: VirtualClock | RealClock) -> Session:
    return Session(
        engine, WordsVoice(), ScriptedVoiceActivity(), clock=clock, sink=Recorder(), on_event=lambda event: None,
        options=FIXED,
    )  # fmt: skip


async def speak(session: Session, clock: VirtualClock | RealClock, num_pieces: int) -> None:
    for _ in range(num_pieces):
        await clock.sleep_until(clock.now_s() + 0.1)
        session.feed(SPEECH)


@pytest.mark.parametrize("num_pieces", [1, 3, 12])
def test_a_closed_session_holds_nothing_of_a_real_engine(engine: LocalEngine, num_pieces: int) -> None:
    async def main() -> None:
        clock = VirtualClock(lambda kind: 0.01)
        async with session_on(engine, clock) as session:
            session.type("what is this?")
            await speak(session, clock, num_pieces)
            assert engine.budget.used > 0
        assert engine.budget.used == 0
        session.feed(SPEECH)
        session.type("and this?")
        await clock.sleep_until(clock.now_s() + 10)
        assert engine.budget.used == 0
        await session.close()

    run_virtual(main())


def test_one_after_the_other_on_a_small_budget() -> None:
    """Each session needs most of the cache: if any kept something, the next would be refused."""
    errors: list[str] = []
    used: list[int] = []

    async def main(engine: LocalEngine) -> None:
        clock = VirtualClock()
        for _ in range(4):
            async with session_on(engine, clock) as session:
                session._on_event = lambda event: errors.append(event["error"]) if "error" in event else None
                session.type("hello there")
                await speak(session, clock, 2)
                used.append(engine.budget.used)

    model = make_model(chunk_size=4)
    run_virtual(main(LocalEngine(*model)))
    run_virtual(main(LocalEngine(*model, max_cached_tokens=int(1.5 * max(used)))))
    assert errors == []


def test_closing_goes_on_when_its_caller_is_cancelled() -> None:
    """As when a server drops the task of a connection while a token is being computed."""
    contexts: list[ScriptedContext] = []

    class Opened(ScriptedEngine):
        def open(self, *arguments: object, **options: object) -> ScriptedContext:
            contexts.append(super().open())
            return contexts[-1]

    async def main() -> None:
        clock = VirtualClock(lambda kind: 5.0 if kind == "decide" else 0.0)
        session = await session_on(Opened(script), clock).__aenter__()
        session.type("how many?")
        await clock.sleep_until(1.0)
        closing = asyncio.create_task(session.close())
        await clock.sleep_until(2.0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert any(context.messages for context in contexts)
        await session.close()
        assert clock.now_s() == 5.0
        assert not any(context.messages for context in contexts)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_virtual(main())


def test_a_fault_of_ours_is_raised_and_everything_let_go() -> None:
    def fails(messages: object) -> Line:
        raise ZeroDivisionError

    async def main() -> None:
        clock = VirtualClock()
        session = await session_on(ScriptedEngine(fails), clock).__aenter__()
        session.type("how many?")
        await clock.sleep_until(1.0)
        with pytest.raises(ZeroDivisionError):
            await session.close()
        assert session._contexts["a"].messages == ()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_virtual(main())


def test_a_session_that_waits_for_its_model_holds_up_no_other() -> None:
    """On the real clock, as in a server: one session's reply hangs in the engine, the other one is answered."""
    may_go = threading.Event()

    def waits(messages: tuple[object, ...]) -> Line:
        may_go.wait(10)
        return Line(State.TYPED_QUERY, ("late",))

    async def main() -> list[str]:
        clocks = RealClock(), RealClock()
        events: list[str] = []
        stuck = session_on(ScriptedEngine(waits), clocks[0])
        quick = session_on(ScriptedEngine(script), clocks[1])
        quick._on_event = lambda event: events.append(event["event"])
        try:
            async with stuck, quick:
                stuck.type("one?")
                quick.type("two?")
                while "first_audio" not in events:
                    await asyncio.sleep(0.005)
                may_go.set()
        finally:
            for clock in clocks:
                clock.close()
        return events

    assert "first_audio" in asyncio.run(asyncio.wait_for(main(), 10))
