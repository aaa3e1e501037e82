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
from typing import Any, NamedTuple

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
    from vita.duplex.allocator import use_one_arena

    use_one_arena()  # as `vita live` does
    torch.set_num_threads(1)
    soak = Soak(60 * options.minutes, options.real, options.history_tokens)
    (asyncio.run if options.real else run_virtual)(soak.run())
    soak.report()


class Sounds:
    """What is heard: made before the session begins, so that making it takes nothing of its time."""

    def __init__(self, seconds: float) -> None:
        self._rng, self._noise = random.Random(0), np.random.default_rng(0)
        self._scene = Scene(self._rng)
        while self._scene.num_samples < seconds * RATE_HZ:
            self._make()
        self.spoken = self._scene.spoken
        self._samples = (32767 * np.concatenate(self._scene.parts)).astype(np.int16)
        self._position = 0

    def next_piece(self) -> np.ndarray:
        """10 ms, with the noise of a room."""
        start, self._position = self._position, self._position + PIECE
        noise = self._noise.normal(0, 0.0005, PIECE)
        return (self._samples[start : self._position] / 32767 + noise).astype(np.float32)

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


class Answer(NamedTuple):
    """When the first sound of an answer came, from the last of its question; and how long its prompt was."""

    total_ms: float
    waited_ms: float
    beyond_ms: float
    prompt_tokens: int

    @classmethod
    def of(cls, spoken: Spoken, turn: dict[str, dict[str, Any]]) -> Answer:
        """From the events of a turn."""
        first_s, end_s = turn["first_audio"]["t"], turn["speech_end"]["t"]
        usage = turn.get("reply_end", {}).get("usage", {})
        waited_ms = 1000 * (end_s - spoken.end_s)
        return cls(1000 * (first_s - spoken.end_s), waited_ms, 1000 * (first_s - end_s), usage.get("prompt_tokens", 0))


class Soak:
    """One long session."""

    def __init__(self, seconds: float, is_real: bool, history_tokens: int) -> None:
        self.seconds, self.is_real, self.history_tokens = seconds, is_real, history_tokens
        self.events: list[dict[str, Any]] = []
        self.memory_mb: list[float] = []
        self.cpu_s: list[float] = []
        self.sounds = Sounds(seconds)
        self.late_s = self.last_late_s = 0.0

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
        voice.speak("a 1 一")  # its processes start now, as those of `vita live`
        clock: Clock = RealClock() if self.is_real else CpuTimeClock()
        session = Session(
            engine, voice, activity, clock=clock, sink=Nowhere(), on_event=self.events.append,
            options=LiveOptions(history_tokens=self.history_tokens),
        )  # fmt: skip
        async with session:
            for number in range(int(self.seconds * RATE_HZ / PIECE)):
                due_s = (number + 1) * PIECE / RATE_HZ
                await clock.sleep_until(due_s)
                self.last_late_s = clock.now_s() - due_s
                self.late_s = max(self.late_s, self.last_late_s)
                session.feed(self.sounds.next_piece())
                if number % 6000 == 0:
                    self.cpu_s.append(time.process_time())
                    self.memory_mb += [resident_mb()] if number >= 18_000 else []
        clock.close()

    def report(self) -> None:
        """What is to be shown."""
        said = [spoken for spoken in self.sounds.spoken if spoken.end_s < self.seconds - 5]
        counts: Counter[str] = Counter(spoken.kind for spoken in said)
        answered: Counter[str] = Counter()
        missed: Counter[str] = Counter()
        answers: list[Answer] = []
        for spoken in said:
            turn = turn_of(spoken, self.events)
            if "first_audio" in turn:
                answered[spoken.kind] += 1
                if spoken.kind in ("question", "interruption"):
                    answers.append(Answer.of(spoken, turn))
            elif spoken.kind in ("question", "interruption"):
                state = turn.get("state", {})
                missed[
                    f"{spoken.start_s // 60:.0f}. minute: {state.get('reason') or state.get('state') or 'no turn'}"
                ] += 1
        for kind, number in counts.items():
            print(f"{kind:14}{answered[kind]:4} of {number} answered")
        print(f"questions that were not answered: {dict(missed)}")
        third = len(answers) // 3
        for name, part in (("first", answers[:third]), ("last", answers[-third:])):
            total_ms, waited_ms, beyond_ms, tokens = np.median(np.array(part), axis=0)
            surely = np.mean([answer.waited_ms < 400 for answer in part])
            print(f"{name} third, medians: first sound {total_ms:.0f} ms after the last of the question, of which "
                  f"{waited_ms:.0f} waited for and {beyond_ms:.0f} beyond; {100 * surely:.0f} % ended by the model's "
                  f"word, the others by silence; {tokens:.0f} tokens of prompt")  # fmt: skip
        p50, p95 = np.percentile(np.array(answers), [50, 95], axis=0)
        print(f"all: first sound p50 {p50[0]:.0f} ms, p95 {p95[0]:.0f} ms; beyond the wait p50 {p50[2]:.0f} ms, "
              f"p95 {p95[2]:.0f} ms of {len(answers)}")  # fmt: skip
        cpu_s = np.diff(self.cpu_s)
        if len(cpu_s) >= 4:
            half = len(cpu_s) // 2
            print(f"CPU for a second of sound: {np.mean(cpu_s[1:half]) / 60:.3f} s in the first half, "
                  f"{np.mean(cpu_s[half:]) / 60:.3f} s in the second")  # fmt: skip
        if len(self.memory_mb) > 1:
            growth = self.memory_mb[-1] / self.memory_mb[0] - 1
            print(f"memory: {self.memory_mb[0]:.0f} to {self.memory_mb[-1]:.0f} MB, {100 * growth:+.1f} %")
        forgotten = sum(event["event"] == "forgotten" for event in self.events)
        errors = [event["error"] for event in self.events if event["event"] == "error"]
        print(f"{forgotten} oldest turns forgotten; {len(errors)} errors {errors[:3]}")
        usage = resource.getrusage(resource.RUSAGE_SELF)
        print(f"the input was at most {1000 * self.late_s:.1f} ms late, {1000 * self.last_late_s:.1f} ms at the end")
        print(f"{usage.ru_utime + usage.ru_stime:.0f} s of CPU")


def resident_mb() -> float:
    """The process's resident set."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


if __name__ == "__main__":
    started_s = time.monotonic()
    main()
    print(f"{time.monotonic() - started_s:.0f} s of time")
