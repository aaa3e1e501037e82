"""Its own voice comes back through the microphone: is it interrupted by itself, and is a real question still heard?

    python benchmarks/echo.py [--minutes 10] [--delay-ms 20 110 200] [--db -6 -13 -20] [--no-canceller]

The pocket model tells stories; what it says comes back after a delay, through a room (reverberation of 250 ms), so many
decibels lower. The minutes are shared out among all pairs of delay and level, a session each. Somebody asks for a story
when it is quiet, and now and then asks a question in the middle of one. Time is virtual. Turns that begin while nobody
speaks are false; those that end an answer are false interruptions.
"""

from __future__ import annotations

import argparse
import itertools
import random
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

RATE_HZ, PIECE = 16_000, 160
STORIES = [("Tell me a story.", "en"), ("Please tell me a story.", "en"), ("给我讲个故事。", "zh")]
QUESTIONS = [("How many legs does a spider have?", "en"), ("What is the capital of France?", "en")]


@dataclass
class Count:
    """What happened in one session."""

    stories: int = 0
    asked: int = 0
    heard: int = 0
    answered: int = 0
    false_turns: int = 0
    false_interruptions: int = 0
    answering_s: float = 0.0
    cpu_s: float = 0.0
    to_silence_ms: list[float] = field(default_factory=list)


class Room:
    """What the speaker plays comes back: delayed, reverberant, weaker. A sink."""

    def __init__(self, delay_ms: float, level_db: float, rng: np.random.Generator, played_hz: int) -> None:
        times_s = np.arange(int(0.25 * RATE_HZ)) / RATE_HZ
        response = 0.06 * rng.normal(size=len(times_s)) * np.exp(-6.9 * times_s / 0.25)
        response[0] = 1.0
        self._response = response / np.sqrt(np.sum(response**2)) * 10 ** (level_db / 20)
        self._delay = int(delay_ms * RATE_HZ / 1000)
        self._played_hz = played_hz
        self._sound = np.zeros(0, np.float32)

    def play(self, at_s: float, samples: np.ndarray) -> None:
        """See Sink. Resampled to 16 kHz block by block, which is good enough for an echo."""
        num = len(samples) * RATE_HZ // self._played_hz
        times = np.arange(num) * self._played_hz / RATE_HZ
        heard = np.convolve(np.interp(times, np.arange(len(samples)), samples), self._response)
        at = round(at_s * RATE_HZ) + self._delay
        missing = at + len(heard) - len(self._sound)
        if missing > 0:
            self._sound = np.concatenate([self._sound, np.zeros(missing + 30 * RATE_HZ, np.float32)])
        self._sound[at : at + len(heard)] += heard

    def between(self, start: int, end: int) -> np.ndarray:
        """What comes back between two samples."""
        found = self._sound[start:end]
        return np.concatenate([found, np.zeros(end - start - len(found), np.float32)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--delay-ms", type=float, nargs="+", default=[20.0, 110.0, 200.0])
    parser.add_argument("--db", type=float, nargs="+", default=[-6.0, -13.0, -20.0])
    parser.add_argument("--no-canceller", action="store_true", help="for comparison")
    options = parser.parse_args()

    import torch

    from vita.api import load

    torch.set_num_threads(1)
    engine = load("pocket", device="cpu", dtype="float32").engine
    pairs = list(itertools.product(options.delay_ms, options.db))
    total = Count()
    for number, (delay_ms, level_db) in enumerate(pairs):
        count = converse(
            engine, delay_ms, level_db, 60 * options.minutes / len(pairs), number, not options.no_canceller
        )
        print(f"{delay_ms:4.0f} ms {level_db:4.0f} dB: {line(count)}", flush=True)
        for name, value in vars(count).items():
            setattr(total, name, getattr(total, name) + value)
    print(f"all:            {line(total)}")


def line(count: Count) -> str:
    """One session, or all."""
    silence = f", silent after {np.median(count.to_silence_ms):.0f} ms (median)" if count.to_silence_ms else ""
    return (
        f"{count.answering_s:4.0f} s of {count.stories} stories, {count.false_interruptions} false interruptions, "
        f"{count.false_turns} false turns; {count.heard} of {count.asked} questions over it heard, "
        f"{count.answered} answered{silence}; {count.cpu_s:.0f} s of CPU"
    )


def converse(engine: Any, delay_ms: float, level_db: float, seconds: float, seed: int, echo: bool) -> Count:
    """One session of so many seconds."""
    from vita.clock import VirtualClock, run_virtual
    from vita.duplex.options import LiveOptions
    from vita.duplex.session import Session
    from vita.duplex.voice_activity import SileroVoiceActivity
    from vita.speech.voices import get_voice
    from vita.synth.voices import reserved_voice, say

    rng, noise = random.Random(seed), np.random.default_rng(seed)
    settings = LiveOptions(echo=echo)
    room = Room(delay_ms, level_db, noise, settings.sample_rate_hz)
    events: list[dict[str, Any]] = []
    spoken: list[tuple[str, float, float]] = []  # kind, from, to
    count = Count()

    def next_speech(kind: str, now_s: float) -> np.ndarray:
        text, lang = rng.choice(STORIES if kind == "story" else QUESTIONS)
        sound = say(text, reserved_voice(rng, lang))
        spoken.append((kind, now_s, now_s + len(sound) / RATE_HZ))
        return (0.4 * sound / np.abs(sound).max()).astype(np.float32)

    async def run() -> None:
        clock = VirtualClock()
        session = Session(
            engine, get_voice(), SileroVoiceActivity(), clock=clock, sink=room, on_event=events.append, options=settings
        )
        saying, position, quiet_s, interrupt_s = np.zeros(0, np.float32), 0, 0.0, None
        async with session:
            while position < seconds * RATE_HZ:
                now_s = position / RATE_HZ
                quiet_s = quiet_s + PIECE / RATE_HZ if session.is_idle else 0.0
                if quiet_s > 1.0 and not len(saying):
                    saying = next_speech("story", now_s)
                    interrupt_s = now_s + rng.uniform(7, 11) if rng.random() < 0.7 else None
                elif interrupt_s is not None and now_s > interrupt_s and not session.is_idle and not len(saying):
                    saying, interrupt_s = next_speech("question", now_s), None
                piece, saying = saying[:PIECE], saying[PIECE:]
                heard = room.between(position, position + PIECE) + noise.normal(0, 0.0005, PIECE).astype(np.float32)
                heard[: len(piece)] += piece
                position += PIECE
                await clock.sleep_until(position / RATE_HZ)
                session.feed(heard.astype(np.float32))

    started_s = time.process_time()
    run_virtual(run())
    count.cpu_s = time.process_time() - started_s
    judge(count, events, spoken)
    return count


def judge(count: Count, events: list[dict[str, Any]], spoken: list[tuple[str, float, float]]) -> None:
    """Fill in what the events say."""

    def who(at_s: float) -> int | None:
        return next((n for n, (_, start, end) in enumerate(spoken) if start - 0.3 < at_s < end + 0.3), None)

    turns = {e["turn"]: who(e["voice_s"]) for e in events if e["event"] == "speech_start"}
    count.false_turns = sum(owner is None for owner in turns.values())
    starts = {e["turn"]: e["t"] for e in events if e["event"] == "first_audio"}
    ends = {e["turn"]: e["t"] for e in events if e["event"] in ("playback_end", "interrupted")}
    count.answering_s = sum(ends[turn] - at_s for turn, at_s in starts.items() if turn in ends)
    cuts = [e for e in events if e["event"] == "interrupted"]
    count.false_interruptions = sum(turns.get(e.get("by")) is None for e in cuts)
    queries = {turns.get(e["turn"]) for e in events if e["event"] == "state" and e["state"] == "spoken_query"}
    answered = {turns.get(turn) for turn in starts}
    for number, (kind, start_s, end_s) in enumerate(spoken):
        if kind == "story":
            count.stories += number in answered
            continue
        count.asked += 1
        count.heard += number in queries
        count.answered += number in answered
        silences = [e["t"] for e in events if e["event"] in ("sound", "interrupted") and start_s < e["t"] < end_s + 1.5
                    and (e["event"] == "interrupted" or e["sound"] == "held")]  # fmt: skip
        count.to_silence_ms += [1000 * (silences[0] - start_s)] if silences else []


if __name__ == "__main__":
    main()
