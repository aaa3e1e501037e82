"""What the state token is tested on: six kinds of turns, by language and signal-to-noise ratio.

Made by the package (reserved voices, phrasings of its own) or read from a folder of recordings. Called by `states.py`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vita.chat.messages import Audio, Message, Text
from vita.errors import DataError
from vita.evaluate import pocket_cases
from vita.media import load_audio
from vita.synth.sounds import SAMPLE_RATE_HZ, mix, sound
from vita.synth.voices import reserved_voice, say
from vita.synth.world import LANGUAGES
from vita.tokens import State

SPOKEN_KINDS = ("spoken query", "side talk", "background speech")
KINDS = (*SPOKEN_KINDS, "sound", "silence", "typed")
EXPECTED = dict.fromkeys(KINDS, State.NOISE) | {"spoken query": State.SPOKEN_QUERY, "typed": State.TYPED_QUERY}
RATIOS_DB = (None, 20.0, 10.0, 5.0, 0.0)
NOISES = ("traffic", "hiss", "hum")
_DEFAULT = 20
_QUIETER_DB = (-24.0, -14.0)


@dataclass(frozen=True, kw_only=True)
class StateCase:
    """One turn.

    name: the same in every run.
    kind: of KINDS.
    lang: "en", "zh", or "-" where there is no language.
    condition: "clean", "10 dB", ...; "-" where there is no speech.
    message: what the model gets.
    """

    name: str
    kind: str
    lang: str
    condition: str
    message: Message


def made_cases(count: int, seed: int = 2026) -> Iterator[StateCase]:
    """`count` turns of every kind, language and ratio; of sounds and silence twice as many, in one condition."""
    for kind in SPOKEN_KINDS:
        for lang in LANGUAGES:
            for ratio_db in RATIOS_DB:
                condition = "clean" if ratio_db is None else f"{ratio_db:.0f} dB"
                rng = random.Random(f"states {seed} {kind} {lang}")  # the same words and voices at every ratio
                for number in range(count):
                    wave = _with_noise(_speech(kind, lang, rng), ratio_db, rng.getrandbits(32))
                    yield _case(kind, lang, condition, number, Audio(wave))
    for kind in ("sound", "silence"):
        rng = random.Random(f"states {seed} {kind}")
        for number in range(2 * count):
            yield _case(kind, "-", "-", number, Audio(_no_speech(kind, rng)))
    for lang in LANGUAGES:
        rng = random.Random(f"states {seed} typed {lang}")
        for number in range(count):
            turn = rng.choice((pocket_cases.fact_turn, pocket_cases.sum_turn))(rng, lang)
            yield _case("typed", lang, "-", number, Text(turn.question + ("?" if lang == "en" else "？")))


def recorded_cases(folder: Path, limit: int | None) -> Iterator[StateCase]:
    """KIND/LANGUAGE/*.wav (or .flac, ...) of a folder, in the order of their names; spaces in KIND as "_".

    Raises DataError for a folder that holds none.
    """
    found = 0
    for kind in KINDS[:-1]:
        for parent in sorted(path for path in (folder / kind.replace(" ", "_")).glob("*") if path.is_dir()):
            files = sorted(path for path in parent.iterdir() if path.suffix in (".wav", ".flac", ".ogg", ".mp3"))
            for path in files[:limit]:
                found += 1
                sound = Audio(load_audio(path))
                yield StateCase(
                    name=path.relative_to(folder).as_posix(), kind=kind, lang=parent.name, condition="recorded",
                    message=Message("user", (sound,)),
                )  # fmt: skip
    if not found:
        names = ", ".join(kind.replace(" ", "_") for kind in KINDS[:-1])
        raise DataError(f"{folder} holds no turns", expected=f"KIND/LANGUAGE/*.wav, KIND of {names}")


def _case(kind: str, lang: str, condition: str, number: int, part: Audio | Text) -> StateCase:
    name = f"{kind}/{lang}/{condition}/{number}"
    return StateCase(name=name, kind=kind, lang=lang, condition=condition, message=Message("user", (part,)))


def _speech(kind: str, lang: str, rng: random.Random) -> np.ndarray:
    if kind == "background speech":
        return _background_speech(lang, rng)
    makers = (pocket_cases.fact_turn, pocket_cases.sum_turn)
    turn = rng.choice(makers)(rng, lang) if kind == "spoken query" else pocket_cases.side_talk_turn(rng, lang)
    audio = pocket_cases.spoken_case("states", turn, rng).audio
    assert audio is not None
    return audio


def _background_speech(lang: str, rng: random.Random) -> np.ndarray:
    """One to three people far away: quieter, and without the high frequencies that a wall takes."""
    voices = [
        say(pocket_cases.side_talk_turn(rng, lang).question, reserved_voice(rng, lang))
        for _ in range(rng.randint(1, 3))
    ]
    wave = np.zeros(max(map(len, voices)) + SAMPLE_RATE_HZ // 2, np.float32)
    for voice in voices:
        start = rng.randint(0, len(wave) - len(voice))
        wave[start : start + len(voice)] += voice
    return far_away(wave, rng.uniform(*_QUIETER_DB))


def far_away(wave: np.ndarray, level_db: float) -> np.ndarray:
    """Speech as from another room: its peak at `level_db` of full scale, falling by 12 dB an octave above 1 kHz."""
    spectrum = np.fft.rfft(wave)
    frequency = np.fft.rfftfreq(len(wave), 1 / SAMPLE_RATE_HZ)
    wave = np.fft.irfft(spectrum / (1 + (frequency / 1000) ** 2), n=len(wave))
    return (wave / (np.abs(wave).max() + 1e-9) * 10 ** (level_db / 20)).astype(np.float32)


def _with_noise(wave: np.ndarray, ratio_db: float | None, seed: int) -> np.ndarray:
    if ratio_db is None:
        return wave
    rng = np.random.default_rng(seed)
    return mix(wave, sound(str(rng.choice(NOISES)), len(wave) / SAMPLE_RATE_HZ, rng), ratio_db)


def _no_speech(kind: str, rng: random.Random) -> np.ndarray:
    generator = np.random.default_rng(rng.getrandbits(32))
    kinds = [name for name in pocket_cases.SOUNDS if name != "silence"]
    name = "silence" if kind == "silence" else str(generator.choice(kinds))
    return sound(name, generator.uniform(1.0, 4.0), generator)


def all_cases(folder: Path | None, limit: int | None) -> list[StateCase]:
    """Those of a folder, or else made ones."""
    return list(recorded_cases(folder, limit) if folder else made_cases(limit or _DEFAULT))
