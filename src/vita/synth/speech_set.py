"""Spoken turns for training: what is said, by whom, over which sounds. Shards of mel frames are cached on disk.

A shard is determined by (seed, number): `shard_turns` gives its texts at once, `load_shard` adds the mel frames, which
are synthesised on first use. Interrupted synthesis loses at most the shard in progress. `vita.train` is the caller.
"""

from __future__ import annotations

import hashlib
import random
import re
import sys
from collections import Counter
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np

from vita.errors import DataError, DependencyError
from vita.models.filterbank import mel_features
from vita.synth import side_talk
from vita.synth.questions import clip_turn, decorate, fact, long_answer, picture_turn, small_talk, sum_
from vita.synth.sounds import SAMPLE_RATE_HZ, SOUND_KINDS, mix, sound
from vita.synth.turns import Turn, number
from vita.synth.voices import Speaker, own_voice, say, training_voice
from vita.synth.world import texts

SHARD_SIZE = 2000
SUBSTITUTES = ("+m3", "+f2", "+m1", "+f4")
"""Variants of espeak-ng, one of which speaks for a voice that cannot."""
# kind of spoken turn -> share
MIXTURE = {
    "fact": 0.17,
    "sum": 0.11,
    "picture": 0.2,
    "clip": 0.07,
    "small_talk": 0.035,
    "long": 0.045,
    "correction": 0.015,
    "side_talk": 0.15,
    "own_voice": 0.02,
    "babble": 0.015,
    "backchannel": 0.02,
    "salad": 0.11,
    "sound": 0.04,
}


@dataclass(frozen=True)
class SpokenTurn:
    """A turn and how it is said; `speaker` is None for sounds, `others` are the voices that talk across it."""

    turn: Turn
    speaker: Speaker | None
    others: tuple[tuple[str, Speaker], ...] = ()
    sound_seed: int = 0


@dataclass(frozen=True)
class SpeechShard:
    """Turns and their mel frames: clip i is `mels[offsets[i]:offsets[i + 1]]`, float16 [frames, 80]."""

    turns: list[SpokenTurn]
    mels: np.ndarray
    offsets: np.ndarray

    def mel(self, index: int) -> np.ndarray:
        """[frames, 80] float16 of one clip."""
        return self.mels[self.offsets[index] : self.offsets[index + 1]]


def spoken_form(text: str, lang: str) -> str:
    """What is heard of a typed text: numbers and signs as words, no punctuation."""
    text = re.sub(r"(?<=\d)\s*-\s*(?=\d)", " minus " if lang == "en" else "减", text.lower())
    text = re.sub(
        r"\d+", lambda m: f" {_number_words(m[0], lang)} " if lang == "en" else _number_words(m[0], lang), text
    )
    for sign, english, chinese in (("+", " plus ", "加"), ("=", " equals ", "等于")):
        text = text.replace(sign, english if lang == "en" else chinese)
    return " ".join(side_talk.plain(text).split()) if lang == "en" else side_talk.plain(text).replace("  ", " ").strip()


def _number_words(digits: str, lang: str) -> str:
    if int(digits) <= 20:
        return number(int(digits), lang)
    return (" " if lang == "en" else "").join(number(int(d), lang) for d in digits)


def spoken_turn(rng: random.Random) -> SpokenTurn:
    """Draw one spoken turn from MIXTURE."""
    kind = rng.choices(list(MIXTURE), list(MIXTURE.values()))[0]
    lang = rng.choice(("en", "zh"))
    if kind == "sound":
        return SpokenTurn(
            Turn(kind="sound", lang=lang, question="", answer="", noise=True), None, (), rng.getrandbits(32)
        )
    makers = {
        "fact": fact,
        "sum": sum_,
        "picture": picture_turn,
        "clip": clip_turn,
        "small_talk": small_talk,
        "long": long_answer,
        "side_talk": side_talk.side_talk,
        "babble": side_talk.side_talk,
        "own_voice": side_talk.own_voice_text,
        "backchannel": side_talk.backchannel,
        "salad": side_talk.word_salad,
    }
    if kind == "correction":
        turn = correction(rng, lang)
    else:
        turn = makers[kind](rng, lang)
    question = (
        decorate(turn.question, lang, rng) if kind in ("fact", "sum", "picture", "clip", "long") else turn.question
    )
    turn = Turn(**{**turn.__dict__, "question": spoken_form(question, lang)})
    if kind == "own_voice":
        return SpokenTurn(turn, own_voice(lang))
    others: list[tuple[str, Speaker]] = []
    if kind == "babble":
        for _ in range(rng.choice((1, 2, 3))):
            other_lang = rng.choice(("en", "zh"))
            others.append((side_talk.side_talk(rng, other_lang).question, training_voice(rng, other_lang)))
        turn = Turn(**{**turn.__dict__, "kind": "babble"})
    return SpokenTurn(turn, training_voice(rng, lang), tuple(others))


def correction(rng: random.Random, lang: str) -> Turn:
    """A question that corrects the one before it: the second is answered."""
    first, second = fact(rng, lang), rng.choice((fact, sum_))(rng, lang)
    middle = rng.choice(texts("lead_ins")[lang]["correct"])
    space = " " if lang == "en" else ""
    return Turn(
        kind="correction",
        lang=lang,
        question=f"{first.question}{space}{middle}{space}{second.question}",
        answer=second.answer,
    )


def speak(item: SpokenTurn, replaced: Counter[str]) -> np.ndarray:
    """The waveform of a spoken turn: float32 mono 16 kHz.

    A speaker that cannot say it (some crash espeak-ng on some texts; others may not be installed) is replaced,
    and counted in `replaced` by its name and the reason.
    """
    if item.speaker is None:
        generator = np.random.default_rng(item.sound_seed)
        wave = sound(str(generator.choice(SOUND_KINDS)), generator.uniform(0.5, 4.0), generator)
        if generator.random() < 0.3:
            extra = sound(str(generator.choice(SOUND_KINDS)), len(wave) / SAMPLE_RATE_HZ, generator)
            wave = np.clip(wave + np.resize(extra, wave.shape), -1, 1).astype(np.float32)
        return wave
    wave = _say(item.turn.question, item.speaker, item.turn.lang, replaced)
    for text, speaker in item.others:
        wave = mix(wave, _say(text, speaker, "en" if text.isascii() else "zh", replaced), 0.0)
    return wave


def _say(text: str, speaker: Speaker, lang: str, replaced: Counter[str]) -> np.ndarray:
    try:
        return say(text, speaker)
    except DependencyError as error:
        replaced[f"{speaker.voice} ({error})"] += 1
        variant = SUBSTITUTES[len(text) % len(SUBSTITUTES)]
        return say(text, Speaker(engine="espeak", voice=own_voice(lang).voice + variant))


def shard_turns(seed: int, number: int, size: int = SHARD_SIZE) -> list[SpokenTurn]:
    """The turns of a shard, without their sound."""
    rng = random.Random(f"speech {seed} {number}")
    return [spoken_turn(rng) for _ in range(size)]


def load_shard(folder: Path, seed: int, number: int, size: int = SHARD_SIZE) -> SpeechShard:
    """A shard with its mel frames, synthesised now unless it is in `folder`.

    Raises DataError for a file that was made of other turns (by another version of the texts, or of another size).
    """
    turns = shard_turns(seed, number, size)
    path = folder / f"speech-{seed}-{number:04d}.npz"
    if not path.is_file():
        synthesise_shard(turns, path)
    with np.load(path) as stored:
        same = "turns" in stored and str(stored["turns"]) == fingerprint(turns)
        if not same or len(stored["offsets"]) != len(turns) + 1:
            raise DataError(f"{path} was spoken from other turns", fix="delete the folder, it is made again")
        return SpeechShard(turns, stored["mels"], stored["offsets"])


def fingerprint(turns: list[SpokenTurn]) -> str:
    """Changes when a word, a speaker or the order of the turns does."""
    digest = hashlib.sha256()
    for item in turns:
        said = [(item.turn.question, item.speaker), *item.others]
        voices = [(text, () if speaker is None else astuple(speaker)) for text, speaker in said]
        digest.update(repr((item.turn.kind, item.turn.lang, item.sound_seed, voices)).encode())
    return digest.hexdigest()


def synthesise_shard(turns: list[SpokenTurn], path: Path) -> None:
    """Speak every turn and write the mel frames; atomic. Says which voices had to be replaced, and how often."""
    mels, offsets, replaced = [], [0], Counter[str]()
    for item in turns:
        wave = speak(item, replaced)
        if len(wave) < 1600:
            wave = np.pad(wave, (0, 1600 - len(wave)))
        mels.append(mel_features(wave).astype(np.float16))
        offsets.append(offsets[-1] + len(mels[-1]))
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial.npz")
    spoken = np.asarray(fingerprint(turns))
    np.savez(partial, mels=np.concatenate(mels), offsets=np.asarray(offsets, np.int64), turns=spoken)
    partial.replace(path)
    for voice, count in replaced.items():
        print(f"{path.name}: {voice} replaced by another of espeak-ng's in {count} texts", file=sys.stderr)
