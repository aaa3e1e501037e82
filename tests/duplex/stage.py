"""A stage for scripted timelines: what people say and when, a model and a voice without weights, and virtual time.

A second of answer is one word; a turn's sound carries what was said as its amplitude, so that the scripted model knows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from vita.chat.messages import Audio, Message
from vita.clock import VirtualClock, run_virtual
from vita.duplex.options import LiveOptions
from vita.duplex.session import LiveEvent, Session
from vita.duplex.turns import FixedSilence
from vita.duplex.voice_activity import ScriptedVoiceActivity
from vita.engine.protocol import GREEDY, Result, Sampling
from vita.engine.scripted import Hears, Line, Script, ScriptedContext, ScriptedEngine
from vita.tokens import State

RATE_HZ = 16_000
QUESTION, SIDE_TALK, NOISE = 0.5, 0.25, 0.0005
"""Amplitudes: a question to the model, talk to somebody else, and sound that is no speech at all."""
SAID = {0.4: "stop", 0.6: "uh huh"}
"""What is said at these amplitudes; the model takes the first for noise, the second for a question."""
STOP, MURMUR = SAID
FIXED = LiveOptions(stop=FixedSilence(silence_ms=500), sample_rate_hz=RATE_HZ)
Step = tuple[float, Callable[[Session], None]]
STORY = (*(f"word{n} " for n in range(9)), "end.")


class WordsVoice:
    """Speaks every word for exactly one second."""

    def speak(self, text: str, lang: str | None = None) -> tuple[np.ndarray, int]:
        return np.full(RATE_HZ * len(text.split()), 0.5, np.float32), RATE_HZ

    def close(self) -> None:
        pass


class Recorder:
    """A sink that lays the sound on a timeline."""

    def __init__(self) -> None:
        self.blocks: list[tuple[float, np.ndarray]] = []

    def play(self, at_s: float, samples: np.ndarray) -> None:
        self.blocks.append((at_s, samples))

    def timeline(self, seconds: float) -> np.ndarray:
        sound = np.zeros(int(seconds * RATE_HZ) + RATE_HZ, np.float32)
        for at_s, samples in self.blocks:
            at = round(at_s * RATE_HZ)
            sound[at : at + len(samples)] += samples
        return sound


def kind_of(samples: np.ndarray) -> float:
    """The loudest kind of speech in a turn's sound."""
    return float(np.abs(samples).max(initial=0.0))


def hears(samples: np.ndarray) -> Mapping[State, float]:
    """After half a second of sound the model is sure."""
    if len(samples) < RATE_HZ // 2:
        return {State.SPOKEN_QUERY: 0.5, State.NOISE: 0.5}
    return {State.SPOKEN_QUERY: 1.0} if kind_of(samples) >= QUESTION else {State.NOISE: 1.0}


def says(samples: np.ndarray) -> str:
    """The words of a sound: only some are known."""
    return next((text for level, text in SAID.items() if abs(kind_of(samples) - level) < 1e-6), "whatever else")


def script(messages: tuple[Message, ...]) -> Line:
    """A question gets the story, numbered by how many questions there were; side talk gets nothing."""
    last = messages[-1].parts[-1]
    if not isinstance(last, Audio):
        return Line(State.TYPED_QUERY, STORY)
    return Line(State.SPOKEN_QUERY, STORY) if kind_of(last.samples) >= QUESTION else Line(State.NOISE)


class CountingEngine(ScriptedEngine):
    """Every message is 10 tokens long; a model that holds `history_tokens` of them."""

    def __init__(self, script: Script, history_tokens: int | None, hears: Hears = hears) -> None:
        super().__init__(script, hears)
        self._history_tokens = history_tokens

    @property
    def history_tokens(self) -> int | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self._history_tokens

    def open(self, system: str | None = None, *, messages: Sequence[Message] = ()) -> ScriptedContext:
        return _CountingContext(self, list(messages))


class _CountingContext(ScriptedContext):
    def reply(self, sampling: Sampling = GREEDY) -> Any:
        reply, tokens = super().reply(sampling), 10 * len(self.messages)
        finish = reply.result

        def result() -> Result:
            done = finish()
            return replace(done, usage=replace(done.usage, prompt_tokens=tokens))

        reply.result = result
        return reply


class Show:
    """What came of a timeline."""

    def __init__(self, events: list[LiveEvent], sound: np.ndarray, engine: ScriptedEngine, session: Session) -> None:
        self.events, self.sound, self.engine, self.session = events, sound, engine, session

    def times(self, event: str, **fields: Any) -> list[float]:
        """When an event happened whose fields are these."""
        return [entry["t"] for entry in self.all(event, **fields)]

    def all(self, event: str, **fields: Any) -> list[LiveEvent]:
        """Every such event."""
        return [e for e in self.events if e["event"] == event and all(e.get(k) == v for k, v in fields.items())]

    def heard(self, turn: int) -> str:
        """The text whose sound was played."""
        return "".join(entry["text"] for entry in self.all("reply_text", turn=turn))

    def loudness(self, from_s: float, to_s: float) -> float:
        """The loudest sample of the answers between two times."""
        return float(np.abs(self.sound[round(from_s * RATE_HZ) : round(to_s * RATE_HZ)]).max(initial=0.0))

    @property
    def history(self) -> list[tuple[str, str]]:
        """(role, text or kind of sound) of the conversation, as it ended."""
        kinds = {QUESTION: "question", SIDE_TALK: "side talk"}
        return [
            (message.role, *(kinds[kind_of(p.samples)] if isinstance(p, Audio) else p.text for p in message.parts))
            for message in self.session.history
        ]  # type: ignore[return-value]


def perform(
    seconds: float,
    *speech: tuple[float, float, float],
    steps: tuple[Step, ...] = (),
    options: LiveOptions = FIXED,
    cost_s: Callable[[str], float] = lambda kind: 0.0,
    leave_s: float | None = None,
    engine: ScriptedEngine | None = None,
    chunk_s: float = 0.032,
) -> Show:
    """Run a timeline of so many seconds: (start, end, amplitude) of what is said, and calls on the session at times."""
    sound = np.zeros(int(seconds * RATE_HZ), np.float32)
    for start_s, end_s, amplitude in speech:
        part = sound[round(start_s * RATE_HZ) : round(end_s * RATE_HZ)]
        part[:] = np.maximum(part, amplitude)
    engine = engine or ScriptedEngine(script, hears, says)
    events: list[LiveEvent] = []
    recorder = Recorder()

    async def main() -> Session:
        clock = VirtualClock(cost_s)
        session = Session(
            engine, WordsVoice(), ScriptedVoiceActivity(), clock=clock, sink=recorder, on_event=events.append,
            options=options,
        )  # fmt: skip
        async with session:
            due = sorted(steps, key=lambda step: step[0])
            for end_s in np.arange(1, round((leave_s or seconds) / chunk_s) + 1) * chunk_s:
                while due and due[0][0] <= end_s:
                    await clock.sleep_until(due[0][0])
                    due.pop(0)[1](session)
                await clock.sleep_until(float(end_s))
                session.feed(sound[round((end_s - chunk_s) * RATE_HZ) : round(end_s * RATE_HZ)])
        assert not any(session._contexts[name].messages for name in ("a", "b")), "what was read is still held"
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, f"tasks left behind: {left}"
        before = (len(events), len(recorder.blocks))
        await clock.sleep_until(clock.now_s() + 60)
        assert (len(events), len(recorder.blocks)) == before, "something came late"
        return session

    session = run_virtual(main())
    return Show(events, recorder.timeline(seconds + 60), engine, session)
