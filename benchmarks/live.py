"""How soon a live conversation answers, lowers its voice and falls silent: the pocket model on scripted recordings.

    python benchmarks/live.py latency [--turns 20]   from the last sound of a question to the first of its answer
    python benchmarks/live.py growth                 a question of 20 s against one of 2 s, with and without streaming
    python benchmarks/live.py over                   speech over an answer: lowered, paused, cut, and when
    python benchmarks/live.py early                  the decision to pause: how soon, how often wrongly, by threshold
    python benchmarks/live.py sessions [--num 8]     several conversations at once on one engine
    python benchmarks/live.py memory                 two roles against one

The recordings are made of reserved voices. Time is virtual, and work on the model takes its CPU time of one thread, so
that other work on the machine counts little; speaking a clause takes 10 ms. Several sessions wait for one processor.
"""

from __future__ import annotations

import argparse
import asyncio
import random
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from live_scene import (
    QUESTIONS,
    SIDE_TALK,
    STORIES,
    CountedActivity,
    CpuTimeClock,
    Processor,
    Scene,
    Spoken,
    loud,
    turn_of,
)

LONG = "I was wondering about this all day long while I walked through the town and back, so please can you tell me, "
Events = list[dict[str, Any]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("latency", "growth", "over", "early", "sessions", "memory"))
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--num", type=int, default=8)
    options = parser.parse_args()

    import torch

    from vita.api import load

    torch.set_num_threads(1)
    if options.what == "memory":
        return memory()
    engine = load("pocket", device="cpu", dtype="float32").engine
    if options.what == "latency":
        latency(engine, options.turns)
    elif options.what == "growth":
        growth(engine)
    elif options.what == "over":
        over(engine, options.turns)
    elif options.what == "early":
        early(engine, options.turns)
    else:
        sessions(engine, options.num)


def converse(
    engine: Any, scenes: Sequence[Scene], *, stop: Any = None, sampling: Any = None
) -> list[tuple[Events, np.ndarray]]:
    """The events and the sound of conversations that go on at the same time, one on each scene."""
    from vita.clock import run_virtual
    from vita.duplex.files import Recording, Timeline, play_in
    from vita.duplex.options import LiveOptions
    from vita.duplex.session import Session
    from vita.duplex.turns import Semantic
    from vita.duplex.voice_activity import SileroVoiceActivity
    from vita.engine.protocol import GREEDY
    from vita.speech.voices import get_voice

    settings = LiveOptions(stop=stop or Semantic(), sampling=sampling or GREEDY)
    found: list[tuple[Events, np.ndarray]] = []

    async def one(scene: Scene, processor: Processor) -> None:
        events: Events = []
        timeline, clock = Timeline(settings.sample_rate_hz), CpuTimeClock(processor)
        session = Session(
            engine, get_voice(), CountedActivity(SileroVoiceActivity(), clock), clock=clock, sink=timeline,
            on_event=events.append, options=settings,
        )  # fmt: skip
        async with session:
            seconds = await play_in(session, clock, Recording(samples=scene.samples()))
        found.append((events, timeline.sound(seconds)))

    async def together() -> None:
        processor = Processor()
        await asyncio.gather(*(one(scene, processor) for scene in scenes))

    run_virtual(together())
    return found


def latencies(
    scene: Scene, events: Events, kinds: Sequence[str] = ("question", "over it")
) -> tuple[np.ndarray, np.ndarray]:
    """Of the questions that were answered: ms to the first sound, from their last one and from the end of the wait."""
    total, beyond = [], []
    for spoken in scene.spoken:
        turn = turn_of(spoken, events)
        if spoken.kind in kinds and "first_audio" in turn:
            total.append(1000 * (turn["first_audio"]["t"] - spoken.end_s))
            beyond.append(1000 * (turn["first_audio"]["t"] - turn["speech_end"]["t"]))
    return np.array(total), np.array(beyond)


def quantiles(name: str, values_ms: Sequence[float] | np.ndarray) -> str:
    """p50, p95 and how many."""
    if not len(values_ms):
        return f"{name}: none"
    p50, p95 = np.percentile(values_ms, [50, 95])
    return f"{name}: p50 {p50:.0f} ms, p95 {p95:.0f} ms of {len(values_ms)}"


def latency(engine: Any, num_turns: int) -> None:
    """Both strategies; and whether it grows from turn to turn."""
    from vita.duplex.turns import FixedSilence, Semantic

    for stop in (FixedSilence(), Semantic()):
        scene = Scene(random.Random(1))
        for number in range(num_turns):
            scene.add("question", *QUESTIONS[number % len(QUESTIONS)], pause_s=2.5)
        ((events, _),) = converse(engine, [scene], stop=stop)
        total, beyond = latencies(scene, events)
        name = type(stop).__name__
        print(quantiles(f"{name}, from the last sound", total))
        print(quantiles(f"{name}, beyond the silence that is waited for", beyond))
        if len(beyond) >= 12:
            first, tenth = np.median(beyond[:3]), np.median(beyond[9:12])
            print(f"{name}, turns 10-12 against 1-3, beyond the wait: {tenth:.0f} / {first:.0f} = {tenth / first:.2f}")


def growth(engine: Any) -> None:
    """Long questions, with streaming and without. Every turn is answered, by four tokens: what counts is the time."""
    import vita.engine.listening as listening
    from vita.duplex.turns import FixedSilence
    from vita.engine.protocol import Sampling
    from vita.models.audio_stream import WholeAudio, open_audio_stream

    sampling = Sampling(state="answer", max_new_tokens=4)
    for name, opener in (("streamed", open_audio_stream), ("read when it ends", WholeAudio)):
        listening.open_audio_stream = opener
        medians = []
        for repeats in (0, 3):
            scene = Scene(random.Random(2))
            for number in range(6):
                scene.add("question", LONG * repeats + QUESTIONS[3 * (number % 2)][0], "en", pause_s=3.0)
            ((events, _),) = converse(engine, [scene], stop=FixedSilence(), sampling=sampling)
            _, beyond = latencies(scene, events)
            length_s = np.median([spoken.end_s - spoken.start_s for spoken in scene.spoken])
            medians.append(np.median(beyond))
            print(quantiles(f"{name}, {length_s:.1f} s, beyond the wait", beyond))
        print(f"{name}: ratio {medians[1] / medians[0]:.2f}")
    listening.open_audio_stream = open_audio_stream


def over(engine: Any, num_turns: int) -> None:
    """A story, and a question or side talk over it."""
    scene = Scene(random.Random(3))
    for number in range(num_turns):
        scene.add("question", *STORIES[0], pause_s=3.5)
        if number % 2:
            scene.add("side talk", *SIDE_TALK[number // 2 % len(SIDE_TALK)], pause_s=20.0)
        else:
            scene.add("over it", *QUESTIONS[number // 2 % len(QUESTIONS)], pause_s=4.0)
    ((events, sound),) = converse(engine, [scene])
    low, silent, after_decision, cut = [], [], [], 0
    for before, spoken in pairwise(scene.spoken):
        if spoken.kind == "question" or "first_audio" not in turn_of(before, events):
            continue
        lowered = _after(events, spoken, lambda e: e["event"] == "sound" and e["sound"] == "low")
        low += [1000 * (lowered - spoken.start_s)] if lowered else []
        ended = _after(events, spoken, lambda e: e["event"] == "interrupted" or e.get("sound") == "held")
        if spoken.kind == "side talk":
            cut += any(e["event"] == "interrupted" and spoken.start_s < e["t"] < spoken.end_s + 2 for e in events)
        elif ended:
            silent.append(1000 * (ended - spoken.start_s))
            heard = np.flatnonzero(np.abs(sound[int(ended * 24_000) : int((ended + 0.3) * 24_000)]) > 1e-4)
            gap = next((n for n, (a, b) in enumerate(pairwise(heard)) if b - a > 1200), len(heard) - 1)
            after_decision.append(1000 * (heard[gap] + 1) / 24_000 if len(heard) and heard[0] < 480 else 0.0)
    print(quantiles("lowered after the first sound over it", low))
    print(quantiles("silent after the first sound of a question over it", silent))
    print(quantiles("silent after that was decided", after_decision))
    total, beyond = latencies(scene, events, ("over it",))
    print(quantiles("from the last sound of a question over it to the new answer", total))
    print(quantiles("the same, beyond the silence that is waited for", beyond))
    print(f"side talk that cut the answer: {cut} of {sum(spoken.kind == 'side talk' for spoken in scene.spoken)}")


def _after(events: Events, spoken: Spoken, is_it: Any) -> float | None:
    return next((e["t"] for e in events if is_it(e) and spoken.start_s < e["t"] < spoken.end_s + 1.5), None)


def early(engine: Any, num_turns: int) -> None:
    """The monitor is asked after every chunk of what is said over a story; by when, and how often, it is sure."""
    from vita.chat.messages import Message
    from vita.synth.questions import fact
    from vita.synth.side_talk import side_talk
    from vita.synth.sounds import SOUND_KINDS, sound
    from vita.synth.voices import reserved_voice, say
    from vita.tokens import State

    rng, noise = random.Random(4), np.random.default_rng(4)
    said: list[tuple[str, np.ndarray]] = []
    for number in range(num_turns):
        lang = ("en", "zh")[number % 2]
        said += [("question", loud(say(fact(rng, lang).question, reserved_voice(rng, lang))))]
        said += [("side talk", loud(say(side_talk(rng, lang).question, reserved_voice(rng, lang))))]
        said += [("sound", sound(SOUND_KINDS[number % len(SOUND_KINDS)], 2.0, noise))]
    story = [Message.user("Tell me a story."), Message.assistant("Once upon a time there was", State.TYPED_QUERY)]
    tracks: list[tuple[str, list[tuple[float, float]]]] = []  # (kind, (ms, probability of a question) after each chunk)
    for kind, samples in said:
        context, track = engine.open(messages=story), []
        listening = context.listen()
        whole = np.concatenate([np.zeros(4800, np.float32), samples])  # the pre-roll
        for start in range(0, len(whole), 2560):
            listening.push(whole[start : start + 2560])
            if listening.seconds >= 0.6:
                track.append((1000 * (listening.seconds - 0.3), listening.probe()[State.SPOKEN_QUERY]))
        listening.cancel()
        tracks.append((kind, track))
    print(f"{'threshold':>9}{'questions, p50':>16}{'p95':>10}{'found':>7}{'side talk paused':>18}{'sounds paused':>15}")
    for threshold in (0.55, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.98):
        firsts = {kind: [next((ms for ms, p in track if p >= threshold), None) for k, track in tracks if k == kind]
                  for kind in ("question", "side talk", "sound")}  # fmt: skip
        found = [ms for ms in firsts["question"] if ms is not None]
        p50, p95 = np.percentile(found, [50, 95])
        rates = [np.mean([ms is not None for ms in firsts[kind]]) for kind in firsts]
        print(f"{threshold:9.2f}{p50:13.0f} ms{p95:7.0f} ms{rates[0]:7.2f}{rates[1]:18.2f}{rates[2]:15.2f}")


def sessions(engine: Any, num: int) -> None:
    """Each has three questions, not at the same moments."""
    scenes = [Scene(random.Random(number)) for number in range(num)]
    for number, scene in enumerate(scenes):
        scene.add_sound("side talk", np.full(160, 1e-5, np.float32), pause_s=0.7 * number)
        for turn in range(3):
            scene.add("question", *QUESTIONS[(turn + number) % len(QUESTIONS)], pause_s=2.5)
    pairs = [latencies(scene, events) for scene, (events, _) in _by_scene(engine, scenes)]
    print(quantiles(f"{num} sessions, from the last sound", np.concatenate([total for total, _ in pairs])))
    print(quantiles(f"{num} sessions, beyond the wait", np.concatenate([beyond for _, beyond in pairs])))


def _by_scene(engine: Any, scenes: list[Scene]) -> list[tuple[Scene, tuple[Events, np.ndarray]]]:
    """Conversations end in the order of their lengths."""
    return list(zip(sorted(scenes, key=lambda scene: scene.num_samples), converse(engine, scenes), strict=True))


def memory() -> None:
    """The resident set of a fresh process that has answered once with one context, and then with a second one."""
    from soak import resident_mb

    from vita.api import load
    from vita.chat.messages import Audio
    from vita.synth.voices import reserved_voice, say

    asked = Audio(loud(say(QUESTIONS[0][0], reserved_voice(random.Random(0), "en"))))
    engine = load("pocket", device="cpu", dtype="float32").engine
    contexts, used = [], []
    for _ in range(2):
        contexts.append(engine.open())
        contexts[-1].append(asked)
        contexts[-1].reply().result()
        used.append(resident_mb())
    print(f"one role {used[0]:.0f} MB, two roles {used[1]:.0f} MB: ratio {used[1] / used[0]:.3f}")


if __name__ == "__main__":
    main()
