"""How soon a live conversation answers, lowers its voice and falls silent: the pocket model on a scripted recording.

    python benchmarks/live.py [--long] [--stop silence] [--early P]

The recording is made of reserved voices: questions, side talk, and a story that is talked over. Time is virtual, and
work on the model takes its CPU time on one thread, so that other work on the machine does not count; speaking a clause
takes SPEAK_S. Latencies count from the last sound of the question in the recording.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")
SPEAK_S = 0.010
QUESTIONS = [
    ("How many legs does a spider have?", "en"), ("What is the capital of France?", "en"), ("天空是什么颜色？", "zh"),
    ("How many days are there in a week?", "en"), ("中国的首都是哪里？", "zh"),
]  # fmt: skip
SIDE_TALK = [("I told him that the train was late again.", "en"), ("她昨天去了商店买东西。", "zh")]
LONG = "I was wondering about this all day long while I walked through the town and back, so please can you tell me, "


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--long", action="store_true", help="a question of some 20 s, too, and ten more turns")
    parser.add_argument("--stop", choices=("semantic", "silence"), default="semantic")
    parser.add_argument("--early", type=float, default=0.9)
    options = parser.parse_args()

    import torch

    torch.set_num_threads(1)
    samples, script = make_recording(options.long)
    events = converse(samples, options)
    report(events, script)


def make_recording(is_long: bool) -> tuple[np.ndarray, list[tuple[str, float, float]]]:
    """The sound, and (kind, first sound, last sound) of each turn in it."""
    from vita.synth.voices import reserved_voice, say

    rng = random.Random(0)
    turns: list[tuple[str, str, str, float]] = [("question", *question, 3.0) for question in QUESTIONS]
    turns[2:2] = [("side talk", *SIDE_TALK[0], 1.5)]
    turns += [("question", "Tell me a story.", "en", 3.0), ("side talk over it", *SIDE_TALK[1], 1.5)]
    turns += [("question over it", *QUESTIONS[1], 3.0)]
    if is_long:
        turns += [("question", LONG * 3 + QUESTIONS[0][0], "en", 3.0)]
        turns += [("question", *rng.choice(QUESTIONS), 3.0) for _ in range(10)]
    parts, script, at_s = [np.zeros(16_000, np.float32)], [], 1.0
    for kind, text, lang, pause_s in turns:
        sound = say(text, reserved_voice(rng, lang))
        sound = 0.4 * sound / np.abs(sound).max()
        loud = np.flatnonzero(np.abs(sound) > 0.004)
        script.append((kind, at_s + loud[0] / 16_000, at_s + loud[-1] / 16_000))
        parts += [sound, np.zeros(int(pause_s * 16_000), np.float32)]
        at_s += (len(parts[-2]) + len(parts[-1])) / 16_000
    samples = np.concatenate(parts)
    noise = np.random.default_rng(0).normal(0, 0.0005, len(samples))
    return samples + noise.astype(np.float32), script


def converse(samples: np.ndarray, options: argparse.Namespace) -> list[dict[str, Any]]:
    """The events of the conversation."""
    from vita.api import load
    from vita.clock import VirtualClock, run_virtual
    from vita.duplex.files import Recording, Timeline, play_in
    from vita.duplex.machine import Policy
    from vita.duplex.options import LiveOptions
    from vita.duplex.session import Session
    from vita.duplex.turns import FixedSilence, Semantic
    from vita.duplex.voice_activity import SileroVoiceActivity
    from vita.speech.voices import get_voice

    class CpuTimeClock(VirtualClock):
        async def run(self, kind: str, work: Callable[[], T]) -> T:
            started_s = time.process_time()
            result = work()
            cost_s = SPEAK_S if kind == "speak" else time.process_time() - started_s
            await self.sleep_until(self.now_s() + cost_s)
            return result

    events: list[dict[str, Any]] = []
    engine = load("pocket").engine
    strategy = Semantic() if options.stop == "semantic" else FixedSilence()

    async def main() -> None:
        clock = CpuTimeClock()
        settings = LiveOptions(stop=strategy, policy=Policy(early_threshold=options.early))
        timeline = Timeline(settings.sample_rate_hz)
        activity = SileroVoiceActivity()
        session = Session(
            engine, get_voice(), activity, clock=clock, sink=timeline, on_event=events.append, options=settings
        )
        async with session:
            await play_in(session, clock, Recording(samples=samples))

    run_virtual(main())
    return events


def report(events: list[dict[str, Any]], script: list[tuple[str, float, float]]) -> None:
    """One line a turn, then the quantiles."""
    answered: list[float] = []
    for kind, start_s, end_s in script:
        turn = next((e for e in events if e["event"] == "speech_start" and abs(e["voice_s"] - start_s) < 0.3), None)
        if turn is None:
            print(f"{kind:18} at {start_s:6.2f} s: no turn")
            continue
        mine = {e["event"]: e for e in reversed(events) if e.get("turn") == turn["turn"]}
        text = f"{kind:18} at {start_s:6.2f} s, {end_s - start_s:5.2f} s long: {mine['state']['state']}"
        if "first_audio" in mine:
            first_ms = 1000 * (mine["first_audio"]["t"] - end_s)
            answered += [first_ms] if kind.startswith("question") else []
            waited = 1000 * (mine["speech_end"]["t"] - end_s)
            text += f", first sound {first_ms:.0f} ms after its end (of which {waited:.0f} ms waiting)"
        if kind.endswith("over it"):
            for sound in ("low", "held"):
                times = [e["t"] for e in events if e["event"] == "sound" and e["sound"] == sound]
                after = [1000 * (t - start_s) for t in times if start_s < t < end_s]
                text += f", {sound} after {after[0]:.0f} ms" if after else f", never {sound}"
        print(text)
    if answered:
        p50, p95 = np.percentile(answered, [50, 95])
        print(f"first sound after the end of a question: p50 {p50:.0f} ms, p95 {p95:.0f} ms of {len(answered)}")


if __name__ == "__main__":
    main()
