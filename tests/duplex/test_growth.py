"""A long conversation: what a second of it costs, and what is kept of it, do not grow."""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

import numpy as np

from tests.duplex.stage import FIXED, QUESTION, RATE_HZ, SIDE_TALK, STORY, CountingEngine, WordsVoice, kind_of
from vita.chat.messages import Audio, Message
from vita.clock import VirtualClock, run_virtual
from vita.duplex.session import LiveEvent, Session
from vita.duplex.voice_activity import ScriptedVoiceActivity
from vita.engine.scripted import Line
from vita.tokens import State

PIECE = RATE_HZ // 50
PERIOD_S = 8
"""A question, its answer of four words, and side talk in the middle of it."""


class Nowhere:
    def play(self, at_s: float, samples: np.ndarray) -> None:
        pass


def script(messages: tuple[Message, ...]) -> Line:
    last = messages[-1].parts[-1]
    assert isinstance(last, Audio)
    return Line(State.SPOKEN_QUERY, STORY[:4]) if kind_of(last.samples) >= QUESTION else Line(State.NOISE)


def hears(samples: np.ndarray) -> dict[State, float]:
    return {State.SPOKEN_QUERY: 1.0} if kind_of(samples) >= QUESTION else {State.NOISE: 1.0}


def period() -> np.ndarray:
    sound = np.random.default_rng(0).normal(0, 1e-4, PERIOD_S * RATE_HZ).astype(np.float32)
    sound[1 * RATE_HZ : 2 * RATE_HZ] = QUESTION
    sound[4 * RATE_HZ : int(4.6 * RATE_HZ)] = SIDE_TALK
    return sound


class Steps:
    """Counts the steps (bytecodes) that are executed while it is open."""

    def __init__(self) -> None:
        self.num = 0

    def __enter__(self) -> Steps:
        self._before = sys.gettrace()
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before)

    def _trace(self, frame: FrameType, event: str, argument: object) -> Callable[..., Any] | None:
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        self.num += event == "opcode"
        return self._trace


def converse(num_periods: int, counted: Sequence[int]) -> tuple[list[int], list[int], list[LiveEvent]]:
    """The steps of the periods that are counted, the bytes that are held after each of them, and all events."""
    steps: list[int] = []
    held: list[int] = []
    events: list[LiveEvent] = []
    sound = period()

    async def main() -> None:
        clock = VirtualClock()
        session = Session(
            CountingEngine(script, 60, hears), WordsVoice(), ScriptedVoiceActivity(), clock=clock, sink=Nowhere(),
            on_event=events.append, options=FIXED,
        )  # fmt: skip

        async def feed(start: int) -> None:
            for at in range(0, len(sound), PIECE):
                await clock.sleep_until((start + at + PIECE) / RATE_HZ)
                session.feed(sound[at : at + PIECE])

        async with session:
            for number in range(num_periods):
                if number not in counted:
                    await feed(number * len(sound))
                    continue
                with Steps() as counter:
                    await feed(number * len(sound))
                steps.append(counter.num)
                gc.collect()
                held.append(tracemalloc.get_traced_memory()[0])

    tracemalloc.start()
    try:
        run_virtual(main())
    finally:
        tracemalloc.stop()
    return steps, held, events


def test_neither_work_nor_memory_grows_with_the_conversation() -> None:
    steps, held, events = converse(12, (5, 11))
    assert sum(event["event"] == "playback_end" for event in events) == 12
    assert sum(event["event"] == "forgotten" for event in events) > 5
    assert steps[1] < 1.02 * steps[0]
    assert held[1] < held[0] + 200_000, "far less than what was heard between the two"
