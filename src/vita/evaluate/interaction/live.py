"""Live conversations for measuring: a recording in, what was said and what happened out, on virtual time.

The model is driven as `vita live` drives it. Two baselines on the same weights show what the state token and the second
context are worth. Called by `duplex_bench.py` and `long.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

from vita.chat.messages import Message
from vita.clock import Clock, VirtualClock, run_virtual
from vita.duplex.files import FRAME_S, Timeline
from vita.duplex.options import LiveOptions
from vita.duplex.session import LiveEvent, Session
from vita.duplex.state import Policy
from vita.duplex.turns import FixedSilence
from vita.duplex.voice_activity import SileroVoiceActivity, VoiceActivity
from vita.engine.protocol import GREEDY, Context, Engine, Listening, Result, Sampling, Words
from vita.media import SAMPLE_RATE_HZ
from vita.speech.voices import Voice
from vita.tokens import State

T = TypeVar("T")
Speaking = Literal["model", "vad-only", "no-barge-in"]
SPEAK_S = 0.010
"""What speaking a clause takes; it is done by another process, whose CPU time is not seen here."""
_AT_ONCE = Policy(early_after_s=0.0, backchannel_ms=0.0, min_turn_ms=0.0)


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """What came of a recording.

    sound: what the system said, float32 [num_samples] of 16 kHz, on the clock of the recording.
    events: as `vita live` logs them.
    """

    sound: np.ndarray
    events: list[LiveEvent]


class CpuTimeClock(VirtualClock):
    """Virtual time on which work on a model takes the CPU time that it took, so that other work does not count."""

    async def run(self, kind: str, work: Callable[[], T]) -> T:
        """See Clock."""
        started_s = time.process_time()
        result = work()
        cost_s = SPEAK_S if kind == "speak" else time.process_time() - started_s
        await self.sleep_until(self.now_s() + cost_s)
        return result


def converse(
    engine: Engine,
    samples: np.ndarray,
    voice: Voice,
    *,
    system: Speaking = "model",
    activity: VoiceActivity | None = None,
    make_clock: Callable[[], Clock] = CpuTimeClock,
) -> Conversation:
    """Hold one conversation; it ends with the recording.

    Args:
        engine: answers.
        samples: what the microphone hears, float32 [num_samples] of 16 kHz.
        voice: speaks.
        system: the model as it is, or a baseline, see `options_of` and `AnsweringEngine`.
        activity: hears voices; Silero VAD if it is not given.
        make_clock: called in the event loop.
    """
    events: list[LiveEvent] = []
    timeline = Timeline(SAMPLE_RATE_HZ)
    if system == "vad-only":
        engine = AnsweringEngine(engine)

    async def main() -> float:
        clock = make_clock()
        session = Session(
            engine, voice, activity or SileroVoiceActivity(), clock=clock, sink=timeline, on_event=events.append,
            options=options_of(system),
        )  # fmt: skip
        async with session:
            return await _play(session, clock, samples, events, is_deaf=system == "no-barge-in")

    seconds = run_virtual(main())
    sound = timeline.sound(seconds)[: round(seconds * SAMPLE_RATE_HZ)]
    return Conversation(sound=sound, events=[event for event in events if event["t"] <= seconds])


def options_of(system: Speaking) -> LiveOptions:
    """The settings of `vita live`; "vad-only" ends a turn after half a second of silence and stops for any voice."""
    if system == "vad-only":
        sampling = Sampling(state="answer")
        return LiveOptions(sample_rate_hz=SAMPLE_RATE_HZ, stop=FixedSilence(), policy=_AT_ONCE, sampling=sampling)
    return LiveOptions(sample_rate_hz=SAMPLE_RATE_HZ)


async def _play(
    session: Session, clock: Clock, samples: np.ndarray, events: list[LiveEvent], *, is_deaf: bool
) -> float:
    """Feed the recording at its own pace; a deaf system hears silence while it answers. When it ended, in seconds."""
    frame, position = int(FRAME_S * SAMPLE_RATE_HZ), 0
    ear = _Ear()
    while position < len(samples):
        await clock.sleep_until((position + frame) / SAMPLE_RATE_HZ)
        heard = np.zeros(frame, np.float32)
        if not (is_deaf and ear.is_answering(events)):
            part = samples[position : position + frame]
            heard[: len(part)] = part
        session.feed(heard)
        position += frame
    return position / SAMPLE_RATE_HZ


class _Ear:
    """Follows the events: whether an answer is on its way or played."""

    def __init__(self) -> None:
        self._seen, self._answering = 0, False

    def is_answering(self, events: list[LiveEvent]) -> bool:
        for event in events[self._seen :]:
            if event["event"] == "state":
                self._answering |= event["state"] != State.NOISE.value
            elif event["event"] in ("playback_end", "interrupted", "error"):
                self._answering = False
        self._seen = len(events)
        return self._answering


class AnsweringEngine:
    """The same model without its judgement: whatever it hears is a question, at once."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def history_tokens(self) -> int | None:
        """See Engine."""
        return self._engine.history_tokens

    @property
    def has_tools(self) -> bool:
        """See Engine."""
        return self._engine.has_tools

    def open(self, system: str | None = None, *, messages: Sequence[Message] = ()) -> Context:
        """See Engine."""
        return AnsweringContext(self._engine.open(system, messages=messages))

    def batch(self, conversations: Sequence[Sequence[Message]], sampling: Sampling = GREEDY) -> list[Result]:
        """See Engine."""
        return self._engine.batch(conversations, sampling)


class AnsweringContext:
    """A Context whose sounds are questions."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.append, self.reply, self.rewind = context.append, context.reply, context.rewind

    @property
    def messages(self) -> tuple[Message, ...]:
        """See Context."""
        return self._context.messages

    def listen(self) -> Listening:
        """See Context."""
        return AnsweringListening(self._context.listen())

    def fork(self) -> Context:
        """See Context."""
        return AnsweringContext(self._context.fork())


class AnsweringListening:
    """A Listening that is a question whatever was heard."""

    def __init__(self, listening: Listening) -> None:
        self._listening = listening
        self.push, self.close, self.cancel = listening.push, listening.close, listening.cancel

    @property
    def seconds(self) -> float:
        """See Listening."""
        return self._listening.seconds

    def probe(self) -> dict[State, float]:
        """See Listening."""
        return {State.SPOKEN_QUERY: 1.0}

    def words(self, phrases: Sequence[str] = ()) -> Words | None:
        """See Listening; no word is told from another."""
        return None
