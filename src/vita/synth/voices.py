"""The synthetic speakers of the pocket world: espeak-ng variants, and flite and festival where they are installed.

RESERVED voices are for testing alone: `training_voice` never draws them.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile
import soxr

from vita.errors import DependencyError
from vita.speech.espeak import Espeak, variants
from vita.synth.sounds import SAMPLE_RATE_HZ

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
_FLITE = ("kal", "kal16", "awb", "rms")


@dataclass(frozen=True, kw_only=True)
class Speaker:
    """One way of speaking.

    engine: "espeak", "flite" or "festival".
    voice: its name, for espeak-ng with the language: "en-us+m3".
    rate_wpm: words a minute (not festival).
    pitch, range: 0-99 (espeak-ng alone).
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
    return shutil.which("flite") is not None


@lru_cache(maxsize=1)
def festival_voices() -> tuple[str, ...]:
    """The reserved festival voices that are installed."""
    if shutil.which("festival") is None or shutil.which("text2wave") is None:
        return ()
    listed = subprocess.run(
        ["festival", "--batch", "(print (voice.list))"], capture_output=True, text=True, check=False
    )
    return tuple(sorted(RESERVED_FESTIVAL & set(listed.stdout.strip().strip("()").split())))


def training_voice(rng: random.Random, lang: str) -> Speaker:
    """A random speaker for training; never a reserved one. The same draws whether flite is installed or not."""
    if lang == "en" and rng.random() < 0.06:
        return Speaker(engine="flite", voice=rng.choice(_FLITE), rate_wpm=int(rng.gauss(175, 20)))
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
    if speaker.engine == "flite":
        return _flite(text, speaker)
    if speaker.engine == "festival":
        return _festival(text, speaker)
    samples, rate_hz = _espeak().synthesize(
        text, voice=speaker.voice, rate_wpm=speaker.rate_wpm, pitch=speaker.pitch, range=speaker.range
    )
    return soxr.resample(np.asarray(samples, np.float32) / 32768.0, rate_hz, SAMPLE_RATE_HZ, quality="HQ")


def phonemes(text: str, lang: str) -> str:
    """IPA of `text` as espeak-ng reads it."""
    return _espeak().phonemes(text, {"en": "en-us", "zh": "cmn"}[lang])


def _flite(text: str, speaker: Speaker) -> np.ndarray:
    if not has_flite():
        raise DependencyError("flite is not installed", fix="install it, or choose an espeak-ng speaker")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "out.wav"
        stretch = f"duration_stretch={175 / speaker.rate_wpm:.2f}"
        subprocess.run(
            ["flite", "-voice", speaker.voice, "--setf", stretch, "-t", text, "-o", str(path)],
            check=True,
            capture_output=True,
        )
        samples, rate_hz = soundfile.read(path, dtype="float32")
    return soxr.resample(samples, rate_hz, SAMPLE_RATE_HZ)


def _festival(text: str, speaker: Speaker) -> np.ndarray:
    if speaker.voice not in festival_voices():
        raise DependencyError(f"the festival voice {speaker.voice} is not installed", fix="install it")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "out.wav"
        subprocess.run(
            ["text2wave", "-eval", f"(voice_{speaker.voice})", "-o", str(path)],
            input=text.encode(),
            check=True,
            capture_output=True,
        )
        samples, rate_hz = soundfile.read(path, dtype="float32")
    return soxr.resample(samples, rate_hz, SAMPLE_RATE_HZ)
