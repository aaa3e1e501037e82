"""Long recordings with labels for the pocket model: questions, and while it answers all that is to change nothing.

Called by `long.py` where no data is given. Reserved voices; both languages in turn.
"""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np

from vita.evaluate import pocket_cases
from vita.evaluate.interaction.duplex_data import PEAK, question, speech
from vita.evaluate.interaction.state_cases import far_away
from vita.speech.wav import write
from vita.synth import held_out
from vita.synth.sounds import SAMPLE_RATE_HZ, sound
from vita.synth.voices import reserved_voice
from vita.synth.world import LANGUAGES

SECONDS = 240
_DISTURBANCES = ("side talk", "backchannel", "background", "sound")
_STORY_S = 16.0


def make_recordings(root: Path, count: int, seed: int = 2026, seconds: int = SECONDS) -> None:
    """`count` recordings of about `seconds`, as far as they are not there."""
    root.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        path = root / f"made-{number}.wav"
        if not path.exists():
            samples, lines = make_recording(random.Random(f"long {seed} {number}"), seconds)
            path.with_suffix(".txt").write_text("".join(lines), encoding="utf-8")
            write(path, samples, SAMPLE_RATE_HZ)


def make_recording(rng: random.Random, seconds: int) -> tuple[np.ndarray, list[str]]:
    """Rounds of: a story is asked for, something disturbs it, a question ends it (in half of them), silence."""
    parts: list[np.ndarray] = []
    lines: list[str] = []
    at = 0

    def wait(pause_s: float) -> None:
        nonlocal at
        parts.append(np.zeros(int(pause_s * SAMPLE_RATE_HZ), np.float32))
        at += len(parts[-1])

    def hear(samples: np.ndarray, label: str) -> None:
        nonlocal at
        lines.append(f"{at / SAMPLE_RATE_HZ:.3f}\t{(at + len(samples)) / SAMPLE_RATE_HZ:.3f}\t{label}\n")
        parts.append(samples)
        at += len(samples)

    wait(1.0)
    while at < seconds * SAMPLE_RATE_HZ:
        lang = rng.choice(LANGUAGES)
        speaker = reserved_voice(rng, lang)
        hear(speech(question("story", rng, lang), speaker), f"question/{lang}")
        wait(rng.uniform(3.0, 4.0))
        kind = rng.choice(_DISTURBANCES)
        hear(_disturbance(kind, rng, lang), kind if kind == "sound" else f"{kind}/{lang}")
        wait(rng.uniform(2.5, 3.5))
        if rng.random() < 0.5:
            turn = rng.choice((pocket_cases.fact_turn, pocket_cases.sum_turn))(rng, lang)
            hear(speech(turn.question, speaker), f"question/{lang}")
            wait(5.0)
        else:
            wait(_STORY_S)
    return np.concatenate(parts), lines


def _disturbance(kind: str, rng: random.Random, lang: str) -> np.ndarray:
    if kind == "sound":
        generator = np.random.default_rng(rng.getrandbits(32))
        name = generator.choice([one for one in pocket_cases.SOUNDS if one != "silence"])
        return sound(str(name), generator.uniform(1.0, 3.0), generator)
    if kind == "backchannel":
        return speech(rng.choice(held_out.BACKCHANNEL[lang]), reserved_voice(rng, lang))
    talk = speech(rng.choice(held_out.SIDE_TALK[lang]), reserved_voice(rng, lang))
    return far_away(talk, rng.uniform(-24.0, -14.0)) if kind == "background" else talk / PEAK * np.float32(0.25)
