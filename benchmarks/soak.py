"""A long conversation of questions, side talk, sounds and interruptions: is every question answered, does memory stay?

    python benchmarks/soak.py [--minutes 30] [--real]

The pocket model, reserved voices. Time is virtual, and work on the model takes its CPU time of one thread; with --real
it is the machine's. Memory is the process's resident set, looked at once a minute after the first three.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import resource
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from live_scene import QUESTIONS, RATE_HZ, SIDE_TALK, STORIES, CpuTimeClock, Scene, Spoken, turn_of

PIECE = 160
KINDS = {"question": 6, "side talk": 2, "sound": 1, "story": 1}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--real", action="store_true", help="at real speed")
    parser.add_argument("--history-tokens", type=int, default=3000, help="of a session (default: 3000)")
    options = parser.parse_args()

    import torch

    from vita.clock import run_virtual

    torch.set_num_threads(1)
    soak = Soak(60 * options.minutes, options.real, options.history_tokens)
    (asyncio.run if options.real else run_virtual)(soak.run())
    soak.report()


class Sounds:
    """What is heard, made as it is needed."""

    def __init__(self) -> None:
        self._rng, self._noise = random.Random(0), np.random.default_rng(0)
        self._scene = Scene(self._rng)
        self.spoken: list[Spoken] = []
        self._ready = np.zeros(0, np.float32)

    def next_piece(self) -> np.ndarray:
        """10 ms."""
        while len(self._ready) < PIECE:
            self._make()
            self._ready = np.concatenate([self._ready, *self._scene.parts])
            self._scene.parts.clear()
            self.spoken, self._scene.spoken = [*self.spoken, *self._scene.spoken], []
        piece, self._ready = self._ready[:PIECE], self._ready[PIECE:]
        return piece + self._noise.normal(0, 0.0005, PIECE).astype(np.float32)

    def _make(self) -> None:
        from vita.synth.sounds import SOUND_KINDS, sound

        kind = self._rng.choices(list(KINDS), list(KINDS.values()))[0]
        if kind == "sound":
            name = self._rng.choice([name for name in SOUND_KINDS if name != "silence"])
            self._scene.add_sound(kind, sound(name, self._rng.uniform(0.5, 2.0), self._noise), self._rng.uniform(1, 3))
        elif kind == "story":
            self._scene.add("question", *self._rng.choice(STORIES), pause_s=self._rng.uniform(3, 5))
            self._scene.add("interruption", *self._rng.choice(QUESTIONS), pause_s=self._rng.uniform(3, 5))
        else:
            texts = QUESTIONS if kind == "question" else SIDE_TALK
            self._scene.add(kind, *self._rng.choice(texts), pause_s=self._rng.uniform(2.5, 6))


class Soak:
    """One long session."""

    def __init__(self, seconds: float, is_real: bool, history_tokens: int) -> None:
        self.seconds, self.is_real, self.history_tokens = seconds, is_real, history_tokens
        self.events: list[dict[str, Any]] = []
        self.memory_mb: list[float] = []
        self.sounds = Sounds()
        self.late_s = 0.0

    async def run(self) -> None:
        """All of it."""
        from vita.api import load
        from vita.clock import Clock, RealClock
        from vita.duplex.options import LiveOptions
        from vita.duplex.session import Session
        from vita.duplex.voice_activity import SileroVoiceActivity
        from vita.speech.voices import get_voice

        class Nowhere:
            def play(self, at_s: float, samples: np.ndarray) -> None:
                pass

        engine = load("pocket", device="cpu", dtype="float32").engine
        activity, voice = SileroVoiceActivity(), get_voice()
        clock: Clock = RealClock() if self.is_real else CpuTimeClock()
        session = Session(
            engine, voice, activity, clock=clock, sink=Nowhere(), on_event=self.events.append,
            options=LiveOptions(history_tokens=self.history_tokens),
        )  # fmt: skip
        async with session:
            for number in range(int(self.seconds * RATE_HZ / PIECE)):
                due_s = (number + 1) * PIECE / RATE_HZ
                await clock.sleep_until(due_s)
                self.late_s = max(self.late_s, clock.now_s() - due_s)
                session.feed(self.sounds.next_piece())
                if number % 6000 == 0 and number >= 18_000:
                    self.memory_mb.append(resident_mb())
        clock.close()

    def report(self) -> None:
        """What is to be shown."""
        said = [spoken for spoken in self.sounds.spoken if spoken.end_s < self.seconds - 5]
        counts: Counter[str] = Counter(spoken.kind for spoken in said)
        answered: Counter[str] = Counter()
        missed: Counter[str] = Counter()
        waited_s: list[float] = []
        for spoken in said:
            turn = turn_of(spoken, self.events)
            if "first_audio" in turn:
                answered[spoken.kind] += 1
                if spoken.kind in ("question", "interruption"):
                    waited_s.append(turn["first_audio"]["t"] - spoken.end_s)
            elif spoken.kind in ("question", "interruption"):
                state = turn.get("state", {})
                missed[
                    f"{spoken.start_s // 60:.0f}. minute: {state.get('reason') or state.get('state') or 'no turn'}"
                ] += 1
        for kind, number in counts.items():
            print(f"{kind:14}{answered[kind]:4} of {number} answered")
        print(f"questions that were not answered: {dict(missed)}")
        third = len(waited_s) // 3
        first, last = (1000 * np.median(part) for part in (waited_s[:third], waited_s[-third:]))
        print(f"first sound: {first:.0f} ms (median of the first third), {last:.0f} ms (of the last)")
        if len(self.memory_mb) > 1:
            growth = self.memory_mb[-1] / self.memory_mb[0] - 1
            print(f"memory: {self.memory_mb[0]:.0f} to {self.memory_mb[-1]:.0f} MB, {100 * growth:+.1f} %")
        forgotten = sum(event["event"] == "forgotten" for event in self.events)
        errors = [event["error"] for event in self.events if event["event"] == "error"]
        print(f"{forgotten} oldest turns forgotten; {len(errors)} errors {errors[:3]}")
        cpu_s = resource.getrusage(resource.RUSAGE_SELF)
        print(f"the input was at most {1000 * self.late_s:.1f} ms late; {cpu_s.ru_utime + cpu_s.ru_stime:.0f} s of CPU")


def resident_mb() -> float:
    """The process's resident set."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


if __name__ == "__main__":
    started_s = time.monotonic()
    main()
    print(f"{time.monotonic() - started_s:.0f} s of time")
