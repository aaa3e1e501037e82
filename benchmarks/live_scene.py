"""What the benchmarks of live conversations share: what people say, a room with a little noise, time that counts work.

Used by `live.py` and `soak.py`.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from vita.clock import VirtualClock
from vita.duplex.voice_activity import VoiceActivity
from vita.synth.voices import reserved_voice, say

T = TypeVar("T")
RATE_HZ = 16_000
SPEAK_S = 0.010
QUESTIONS = [
    ("How many legs does a spider have?", "en"), ("What is the capital of France?", "en"), ("天空是什么颜色？", "zh"),
    ("How many days are there in a week?", "en"), ("中国的首都是哪里？", "zh"),
]  # fmt: skip
SIDE_TALK = [
    ("I told him that the train was late again.", "en"), ("She went to the shop to buy some bread.", "en"),
    ("她昨天去了商店买东西。", "zh"), ("妈妈，晚饭做好了。", "zh"),
]  # fmt: skip
STORIES = [("Tell me a story.", "en"), ("给我讲个故事。", "zh")]


class Processor:
    """One thread that computes: whoever asks while it is busy waits for it."""

    free_s = 0.0

    def take(self, now_s: float, cost_s: float) -> float:
        """When work that takes `cost_s` is done."""
        self.free_s = max(now_s, self.free_s) + cost_s
        return self.free_s


class CpuTimeClock(VirtualClock):
    """Virtual time on which work on the model takes the CPU time of one thread, and speaking a clause SPEAK_S."""

    def __init__(self, processor: Processor | None = None) -> None:
        super().__init__()
        self._processor = processor or Processor()

    def charge(self, cost_s: float) -> None:
        """The processor is busy for so long with something that nobody waits for."""
        self._processor.take(self.now_s(), cost_s)

    async def run(self, kind: str, work: Callable[[], T]) -> T:
        """See Clock."""
        if kind == "speak":
            result = work()
            await self.sleep_until(self.now_s() + SPEAK_S)
            return result
        started_s = time.thread_time()
        result = work()
        await self.sleep_until(self._processor.take(self.now_s(), time.thread_time() - started_s))
        return result


class CountedActivity:
    """Voice activity whose work is charged as well."""

    def __init__(self, activity: VoiceActivity, clock: CpuTimeClock) -> None:
        self._activity, self._clock = activity, clock

    def probability(self, window: np.ndarray) -> float:
        """See VoiceActivity."""
        started_s = time.thread_time()
        probability = self._activity.probability(window)
        self._clock.charge(time.thread_time() - started_s)
        return probability


@dataclass(frozen=True)
class Spoken:
    """One utterance of a scene: its kind, and the first and last sound of it (seconds of input)."""

    kind: str
    start_s: float
    end_s: float


@dataclass
class Scene:
    """Sound that grows utterance by utterance, and what is in it."""

    rng: random.Random
    parts: list[np.ndarray] = field(default_factory=lambda: [np.zeros(RATE_HZ, np.float32)])
    spoken: list[Spoken] = field(default_factory=list)
    noises: list[tuple[int, np.ndarray]] = field(default_factory=list)
    num_samples: int = RATE_HZ

    def add(self, kind: str, text: str, lang: str, pause_s: float) -> None:
        """Somebody says this, and then nobody says anything for a while."""
        self.add_sound(kind, loud(say(text, reserved_voice(self.rng, lang))), pause_s)

    def add_sound(self, kind: str, sound: np.ndarray, pause_s: float) -> None:
        """The same for any sound: float32 [num_samples]."""
        heard = np.flatnonzero(np.abs(sound) > 0.01 * np.abs(sound).max())
        at_s = self.num_samples / RATE_HZ
        self.spoken.append(Spoken(kind, at_s + heard[0] / RATE_HZ, at_s + heard[-1] / RATE_HZ))
        self.parts += [sound, np.zeros(int(pause_s * RATE_HZ), np.float32)]
        self.num_samples += len(self.parts[-2]) + len(self.parts[-1])

    def add_noise(self, noise: np.ndarray, snr_db: float) -> None:
        """Noise from half a second before the last utterance to a second after it, so far below it."""
        at, end = round(self.spoken[-1].start_s * RATE_HZ), round(self.spoken[-1].end_s * RATE_HZ)
        voice = np.concatenate(self.parts)[at:end]
        noise = np.resize(noise, len(voice) + RATE_HZ * 3 // 2)
        gain = np.sqrt(np.mean(voice**2) / np.mean(noise**2) / 10 ** (snr_db / 10))
        self.noises.append((at - RATE_HZ // 2, (gain * noise).astype(np.float32)))

    def samples(self) -> np.ndarray:
        """All of it, with the noise of a room: float32 [num_samples]."""
        whole = np.concatenate(self.parts)
        for at, noise in self.noises:
            whole[at : at + len(noise)] += noise[: len(whole) - at]
        return whole + np.random.default_rng(0).normal(0, 0.0005, len(whole)).astype(np.float32)


def loud(sound: np.ndarray) -> np.ndarray:
    """At the loudness of a voice nearby."""
    return (0.4 * sound / np.abs(sound).max()).astype(np.float32)


def turn_of(spoken: Spoken, events: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The events of the turn that began with this utterance, by name, the first of each; empty: it made no turn."""
    starts = (e for e in events if e["event"] == "speech_start")
    found = next((e for e in starts if spoken.start_s - 0.3 < e["voice_s"] < spoken.end_s), None)
    return {} if found is None else {e["event"]: e for e in reversed(events) if e.get("turn") == found["turn"]}
