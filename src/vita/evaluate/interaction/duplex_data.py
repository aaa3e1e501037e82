"""A small set in the layout of Full-Duplex-Bench that the pocket model can be asked: reserved voices, both languages.

Long answers are asked for, as only those can be interrupted: stories, counting, an introduction. Called by
`duplex_bench.py` where no data is given.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from vita.evaluate import pocket_cases
from vita.evaluate.interaction.state_cases import far_away
from vita.speech.wav import write
from vita.synth import held_out
from vita.synth.questions import LONG_KINDS
from vita.synth.sounds import SAMPLE_RATE_HZ
from vita.synth.voices import Speaker, reserved_voice, say
from vita.synth.world import LANGUAGES, texts

CONTEXT_TO_INTERRUPT_S, CONTEXT_TO_OVERLAP_S, AFTER_S = 7.0, 4.0, 15.0
PEAK = 0.4
Maker = Callable[[random.Random, str, Path], None]


def make_set(root: Path, count: int, seed: int = 2026) -> None:
    """`count` samples of each subset, as far as they are not there, alternating between the languages."""
    for subset, make in _MAKERS.items():
        for number in range(1, count + 1):
            folder = root / subset / str(number)
            if not (folder / "input.wav").exists():
                folder.mkdir(parents=True, exist_ok=True)
                lang = LANGUAGES[number % len(LANGUAGES)]
                make(random.Random(f"duplex {seed} {subset} {number}"), lang, folder)


def question(kind: str, rng: random.Random, lang: str) -> str:
    """A request for a long answer."""
    return rng.choice(held_out.LONG[kind][lang])


def speech(text: str, speaker: Speaker) -> np.ndarray:
    """Float32 [num_samples], without the silence around it."""
    wave = say(text, speaker)
    loud = np.flatnonzero(np.abs(wave) > 0.01 * np.abs(wave).max())
    return (wave[loud[0] : loud[-1] + 1] / np.abs(wave).max() * PEAK).astype(np.float32)


def join(*parts: np.ndarray | float) -> np.ndarray:
    """Sounds and pauses (seconds), one after the other."""
    pieces = [np.zeros(int(p * SAMPLE_RATE_HZ), np.float32) if isinstance(p, float) else p for p in parts]
    return np.concatenate(pieces)


def _pause_handling(rng: random.Random, lang: str, folder: Path) -> None:
    """A question with a pause in its middle; the recording ends with it."""
    turn = rng.choice((pocket_cases.fact_turn, pocket_cases.sum_turn))(rng, lang)
    words = turn.question.split(" ") if lang == "en" else list(turn.question)
    at, space, speaker = max(1, len(words) // 2), " " if lang == "en" else "", reserved_voice(rng, lang)
    first, second = (speech(space.join(part), speaker) for part in (words[:at], words[at:]))
    pause_s = rng.uniform(1.0, 2.0)
    start_s = 0.3 + len(first) / SAMPLE_RATE_HZ
    labels = [{"text": "[PAUSE]", "timestamp": [start_s, start_s + pause_s], "lang": lang}]
    _write(folder, "pause.json", labels, input=join(0.3, first, pause_s, second, 0.1))


def _turn_taking(rng: random.Random, lang: str, folder: Path) -> None:
    asked = speech(question(rng.choice(LONG_KINDS), rng, lang), reserved_voice(rng, lang))
    end_s = 0.3 + len(asked) / SAMPLE_RATE_HZ
    labels = [{"text": "", "timestamp": [end_s, end_s + 6.0], "lang": lang}]
    _write(folder, "turn_taking.json", labels, input=join(0.3, asked, 6.0))


def _interruption(rng: random.Random, lang: str, folder: Path) -> None:
    speaker = reserved_voice(rng, lang)
    other = rng.choice([kind for kind in LONG_KINDS if kind != "story"])
    context, interrupt = question("story", rng, lang), question(other, rng, lang)
    first, second = speech(context, speaker), speech(interrupt, speaker)
    start_s = 0.3 + len(first) / SAMPLE_RATE_HZ + CONTEXT_TO_INTERRUPT_S
    labels = {
        "context": context,
        "interrupt": interrupt,
        "lang": lang,
        "answer": texts("small_talk")[lang][other]["answer"],
    }
    labels |= {"timestamp": [start_s, start_s + len(second) / SAMPLE_RATE_HZ]}
    sound = join(0.3, first, CONTEXT_TO_INTERRUPT_S, second, AFTER_S - CONTEXT_TO_INTERRUPT_S)
    _write(folder, "interrupt.json", [labels], input=sound)


def _overlap(over: Callable[[random.Random, str, Speaker], tuple[str, np.ndarray]]) -> Maker:
    """A story is asked for; four seconds after the request something else is heard."""

    def make(rng: random.Random, lang: str, folder: Path) -> None:
        speaker = reserved_voice(rng, lang)
        context = question("story", rng, lang)
        first = speech(context, speaker)
        text, event = over(rng, lang, speaker)
        clean = join(0.3, first, AFTER_S)
        start = int(0.3 * SAMPLE_RATE_HZ) + len(first) + int(CONTEXT_TO_OVERLAP_S * SAMPLE_RATE_HZ)
        sound = clean.copy()
        sound[start : start + len(event)] += event
        times = [start / SAMPLE_RATE_HZ, (start + len(event)) / SAMPLE_RATE_HZ]
        labels = {"context_text": context, "current_turn_text": text, "timestamps": times, "lang": lang}
        _write(folder, "metadata.json", labels, input=sound, clean_input=clean)

    return make


def _asks(rng: random.Random, lang: str, speaker: Speaker) -> tuple[str, np.ndarray]:
    text = question(rng.choice([kind for kind in LONG_KINDS if kind != "story"]), rng, lang)
    return text, speech(text, speaker)


def _nods(rng: random.Random, lang: str, speaker: Speaker) -> tuple[str, np.ndarray]:
    text = rng.choice(held_out.BACKCHANNEL[lang])
    return text, speech(text, speaker)


def _talks_to_other(rng: random.Random, lang: str, speaker: Speaker) -> tuple[str, np.ndarray]:
    text = rng.choice(held_out.SIDE_TALK[lang])
    return text, 0.6 * speech(text, speaker)


def _somebody_else(rng: random.Random, lang: str, speaker: Speaker) -> tuple[str, np.ndarray]:
    text = rng.choice(held_out.SIDE_TALK[lang])
    return text, far_away(speech(text, reserved_voice(rng, lang)), rng.uniform(-24.0, -14.0))


def _write(folder: Path, name: str, labels: Any, **sounds: np.ndarray) -> None:
    (folder / name).write_text(json.dumps(labels, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    for sound, samples in sorted(sounds.items()):
        write(folder / f"{sound}.wav", samples, SAMPLE_RATE_HZ)


_MAKERS: dict[str, Maker] = {
    "synthetic_pause_handling": _pause_handling,
    "candor_turn_taking": _turn_taking,
    "synthetic_user_interruption": _interruption,
    "user_interruption": _overlap(_asks),
    "user_backchannel": _overlap(_nods),
    "talking_to_other": _overlap(_talks_to_other),
    "background_speech": _overlap(_somebody_else),
}
