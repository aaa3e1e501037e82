"""The synthetic speakers of the pocket world: espeak-ng variants, and voices of recorded people where there are any.

RESERVED voices are for testing alone: `training_voice` never draws them.
"""

from __future__ import annotations

import random
import subprocess
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import soxr

from vita.speech import programs
from vita.speech.espeak import Espeak, variants
from vita.synth.sounds import SAMPLE_RATE_HZ

ENGINES = ("espeak", *programs.PROGRAMS)
RESERVED_ESPEAK = frozenset(
    [
        "m7", "m8", "f5", "Alicia", "Andrea", "aunty", "edward", "Gene2", "Hugo", "iven3", "Marco", "michel", "mike2",
        "steph3", "Nguyen", "adam", "caleb", "klatt2", "klatt4",
    ]
)  # fmt: skip
RESERVED_FLITE = frozenset({"slt"})
RESERVED_FESTIVAL = frozenset({"ked_diphone", "cmu_us_slt_arctic_hts"})
_UNHUMAN = frozenset(
    [
        "whisper", "whisperf", "croak", "Demonic", "fast", "UniRobot", "Tweaky", "Storm", "anikaRobot", "robosoft",
        "robosoft2", "robosoft3", "robosoft4", "robosoft5", "robosoft6", "robosoft7", "robosoft8",
    ]
)  # fmt: skip
_ACCENTS = {"en": ("en-us", "en-us", "en-us", "en-gb", "en-gb-x-rp", "en-gb-scotland"), "zh": ("cmn",)}
RECORDED = (
    *(("flite", voice) for voice in ("kal", "kal16", "awb", "rms")),
    *(("rhvoice", voice) for voice in ("alan", "bdl", "clb")),
    *(("pico", voice) for voice in ("en-US", "en-GB")),
)
"""(engine, voice) of people who were recorded; espeak-ng's voices are formulas."""
RECORDED_SHARE = 0.25
"""Of the English that training hears."""
_SIZE_STEPS = 100
"""Steps of pitch to a throat of half the size."""


@dataclass(frozen=True, kw_only=True)
class Speaker:
    """One way of speaking.

    engine: of ENGINES.
    voice: its name, for espeak-ng with the language: "en-us+m3".
    rate_wpm: words a minute (not festival).
    pitch: 0-99; recorded voices sound as they are at 50, and as from a smaller throat above it.
    range: 0-99 (espeak-ng alone).
    """

    engine: str
    voice: str
    rate_wpm: int = 175
    pitch: int = 50
    range: int = 50


@lru_cache(maxsize=1)
def training_variants() -> tuple[str, ...]:
    """espeak-ng variants that training may use."""
    return tuple(sorted(v for v in variants() if v not in RESERVED_ESPEAK and v not in _UNHUMAN))


@lru_cache(maxsize=1)
def has_flite() -> bool:
    """Whether the flite command is installed."""
    return programs.installed("flite")


@lru_cache(maxsize=1)
def festival_voices() -> tuple[str, ...]:
    """The reserved festival voices that are installed."""
    if not programs.installed("festival"):
        return ()
    listed = subprocess.run(
        ["festival", "--batch", "(print (voice.list))"], capture_output=True, text=True, check=False
    )
    return tuple(sorted(RESERVED_FESTIVAL & set(listed.stdout.strip().strip("()").split())))


def training_voice(rng: random.Random, lang: str) -> Speaker:
    """A random speaker for training; never a reserved one. The same draws whatever is installed."""
    if lang == "en" and rng.random() < RECORDED_SHARE:
        engine, voice = rng.choice(RECORDED)
        rate, pitch = int(rng.gauss(175, 20)), int(min(max(rng.gauss(55, 18), 20), 95))
        return Speaker(engine=engine, voice=voice, rate_wpm=rate, pitch=pitch)
    variant = rng.choice(training_variants()) if rng.random() < 0.96 else ""
    voice = rng.choice(_ACCENTS[lang]) + (f"+{variant}" if variant else "")
    rate = int(min(max(rng.gauss(172, 28), 115), 245))
    return Speaker(
        engine="espeak",
        voice=voice,
        rate_wpm=rate,
        pitch=int(min(max(rng.gauss(50, 16), 5), 95)),
        range=rng.randint(25, 80),
    )


def reserved_voice(rng: random.Random, lang: str) -> Speaker:
    """A random reserved espeak-ng speaker, for the test split."""
    accent = rng.choice(("en-us", "en-us", "en-gb")) if lang == "en" else "cmn"
    return Speaker(
        engine="espeak", voice=f"{accent}+{rng.choice(sorted(RESERVED_ESPEAK))}", rate_wpm=rng.randint(150, 190)
    )


def own_voice(lang: str) -> Speaker:
    """The assistant's default voice: what it says is noise to itself."""
    return Speaker(engine="espeak", voice={"en": "en-us", "zh": "cmn"}[lang])


@lru_cache(maxsize=1)
def _espeak() -> Espeak:
    return Espeak()


def say(text: str, speaker: Speaker) -> np.ndarray:
    """`text` as [num_samples] float32 mono at 16 kHz.

    Raises DependencyError where the speaker's engine is not there, or ends before it has spoken.
    """
    if speaker.engine != "espeak":
        # a smaller speaker: said more slowly and played faster
        faster = 2 ** ((speaker.pitch - 50) / _SIZE_STEPS)
        samples, rate_hz = programs.run(text, speaker.engine, speaker.voice, faster * 175 / speaker.rate_wpm)
        return soxr.resample(samples, rate_hz * faster, SAMPLE_RATE_HZ)
    samples, rate_hz = _espeak().synthesize(
        text, voice=speaker.voice, rate_wpm=speaker.rate_wpm, pitch=speaker.pitch, range=speaker.range
    )
    return soxr.resample(np.asarray(samples, np.float32) / 32768.0, rate_hz, SAMPLE_RATE_HZ, quality="HQ")


def phonemes(text: str, lang: str) -> str:
    """IPA of `text` as espeak-ng reads it."""
    return _espeak().phonemes(text, {"en": "en-us", "zh": "cmn"}[lang])
