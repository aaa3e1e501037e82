"""A user's own questions and answers as spoken training data: `vita data synth` is the caller.

Each question gets a sound that says it (the record's field `spoken`: the mixture asks it typed or aloud, by rate). As
in the paper, noise clips are sentences of the *answers*: they are spoken but ask nothing. Sounds may be mixed with
recordings of noise. Everything follows from the rows, the rules and the seed; finished sounds are not made again.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from tqdm import tqdm

from vita.data.parallel import OrderedMap
from vita.errors import ConfigError, DataError, VitaError
from vita.media.audio import SAMPLE_RATE_HZ, load_audio
from vita.synth.sounds import mix
from vita.synth.voices import ENGINES, Speaker, say, training_voice
from vita.tokens import AUDIO_PLACEHOLDER, IMAGE_PLACEHOLDER, VIDEO_PLACEHOLDER

MANIFEST, SOUNDS = "data.jsonl", "audio"
_CHINESE = re.compile(r"[\u3400-\u9fff]")
_SENTENCE = re.compile(r"[^.!?。！？\n]+[.!?。！？]*")
_SPOKEN_LENGTHS = range(4, 200)


@dataclass(frozen=True, kw_only=True)
class SpeechRules:
    """How questions and noise are spoken.

    voices: who speaks; by default another of the synthetic training voices each time.
    noise_share: noise clips for each question.
    noise_replies: what the model says to a noise clip, one drawn for each; an empty text is a bare end of turn.
    recordings: sounds to mix in.
    snrs_db: signal-to-noise ratios in dB, one drawn for each mixed clip.
    mixed_share: share of the clips that are mixed, where there are recordings.
    seed: decides all draws.
    """

    voices: tuple[Speaker, ...] = ()
    noise_share: float = 0.2
    noise_replies: tuple[str, ...] = ("",)
    recordings: tuple[Path, ...] = ()
    snrs_db: tuple[float, ...] = (0.0, 5.0, 10.0, 20.0)
    mixed_share: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.noise_share >= 0:
            raise ConfigError("the share of noise clips is out of range", got=self.noise_share, expected="0 or more")
        if not 0 <= self.mixed_share <= 1:
            raise ConfigError("the share of mixed clips is out of range", got=self.mixed_share, expected="0 .. 1")
        if not self.noise_replies or not self.snrs_db:
            raise ConfigError("at least one reply to noise and one signal-to-noise ratio are needed")


@dataclass(frozen=True)
class Clip:
    """One sound to make: what is said by whom, and what is mixed in (from `offset` of the recording on)."""

    text: str
    speaker: Speaker
    recording: Path | None = None
    snr_db: float = 0.0
    offset: float = 0.0

    @property
    def name(self) -> str:
        """The file's name: another one for any other sound."""
        return hashlib.sha256(repr(astuple(self)).encode()).hexdigest()[:20] + ".wav"


def read_rows(path: Path) -> list[dict[str, Any]]:
    """JSON Lines of {"question", "answer"} and, where wanted, id, lang ("en" or "zh"), set, image, video.

    Raises DataError that names the line.
    """
    rows = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path}", got=error) from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{path.name} line {number}"
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DataError(f"{where} is no JSON", got=error) from error
        texts = [row.get(key) for key in ("question", "answer")] if isinstance(row, dict) else [None]
        if not all(isinstance(text, str) and text.strip() for text in texts):
            raise DataError(f"{where} is incomplete", expected='{"question": "...", "answer": "..."}')
        rows.append({"id": f"{path.stem}-{number}", **row})
    return rows


def plan_set(rows: Sequence[dict[str, Any]], rules: SpeechRules) -> Iterator[tuple[dict[str, Any], Clip]]:
    """Every record of the manifest and the sound that it needs: the questions, then the noise clips."""
    for row in rows:
        rng = random.Random(f"{rules.seed} question {row['id']}")
        clip = _clip(row["question"].strip(), row.get("lang"), rules, rng)
        placeholders = [
            name for name, key in ((IMAGE_PLACEHOLDER, "image"), (VIDEO_PLACEHOLDER, "video")) if row.get(key)
        ]
        value = "\n".join([*placeholders, row["question"].strip()])
        item = {key: row[key] for key in ("set", "id", "image", "video") if key in row}
        yield {**item, "conversations": _turns(value, row["answer"]), "spoken": [f"{SOUNDS}/{clip.name}"]}, clip
    sentences = sorted({sentence for row in rows for sentence in answer_sentences(row["answer"])})
    if not sentences:
        return
    for number in range(round(rules.noise_share * len(rows))):
        rng = random.Random(f"{rules.seed} noise {number}")
        clip = _clip(rng.choice(sentences), None, rules, rng)
        turns = _turns(AUDIO_PLACEHOLDER, rng.choice(rules.noise_replies))
        item = {"id": f"noise-{number}", "conversations": turns, "audio": f"{SOUNDS}/{clip.name}", "inserted_id": 1}
        yield item, clip


def answer_sentences(answer: str) -> list[str]:
    """The sentences of an answer that can be said in one breath."""
    found = [sentence.strip() for sentence in _SENTENCE.findall(answer)]
    return [sentence for sentence in found if len(sentence) in _SPOKEN_LENGTHS and re.search(r"\w", sentence)]


def make_set(
    rows: Sequence[dict[str, Any]], rules: SpeechRules, out: Path, *, workers: int = 1, progress: bool = False
) -> tuple[int, int, float]:
    """Speak everything and write out/data.jsonl and out/audio/*.wav (mono, 16 kHz, 16 bits).

    Returns the number of questions and of noise clips, and the seconds of sound. Raises VitaError if a clip fails.
    """
    (out / SOUNDS).mkdir(parents=True, exist_ok=True)
    planned = list(plan_set(rows, rules))
    tasks = ((clip, out / SOUNDS / clip.name) for _, clip in planned)
    results = OrderedMap(_make_clip, tasks, workers=workers, on_crash=_crashed)
    seconds = 0.0
    for result in tqdm(results, total=len(planned), unit="clip", disable=not progress):
        if isinstance(result, VitaError):
            raise result
        seconds += result
    partial = out / f"{MANIFEST}.partial"
    lines = [json.dumps(item, ensure_ascii=False) + "\n" for item, _ in planned]
    partial.write_text("".join(lines), encoding="utf-8")
    os.replace(partial, out / MANIFEST)
    return len(rows), len(planned) - len(rows), seconds


def parse_voice(name: str) -> Speaker:
    """A speaker by name: "flite:awb", or a voice of espeak-ng with or without variant ("en-gb", "cmn+f2")."""
    engine, colon, voice = name.partition(":")
    if colon and engine not in ENGINES:
        raise ConfigError("unknown speech engine", got=engine, expected=", ".join(ENGINES))
    return Speaker(engine=engine, voice=voice) if colon else Speaker(engine="espeak", voice=name)


def speech_of(clip: Clip) -> np.ndarray:
    """The sound of a clip: float32 [num_samples], mono, 16 kHz."""
    speech = say(clip.text, clip.speaker)
    if clip.recording is None:
        return speech
    noise = _recording(clip.recording)
    return mix(speech, np.roll(noise, -int(clip.offset * len(noise))), clip.snr_db)


def _clip(text: str, lang: str | None, rules: SpeechRules, rng: random.Random) -> Clip:
    lang = lang or ("zh" if _CHINESE.search(text) else "en")
    if lang not in ("en", "zh"):
        raise DataError(f"unknown language of {text[:40]!r}", got=lang, expected="en or zh")
    voices = [voice for voice in rules.voices if _speaks_chinese(voice) == (lang == "zh")]
    if rules.voices and not voices:
        raise ConfigError(
            f"none of the given voices speaks {lang}", fix="add --voice " + {"en": "en-us", "zh": "cmn"}[lang]
        )
    speaker = rng.choice(voices) if voices else training_voice(rng, lang)
    if rules.recordings and rng.random() < rules.mixed_share:
        return Clip(text, speaker, rng.choice(rules.recordings), rng.choice(rules.snrs_db), rng.random())
    return Clip(text, speaker)


def _speaks_chinese(speaker: Speaker) -> bool:
    return speaker.engine == "espeak" and speaker.voice.startswith(("cmn", "zh", "yue"))


def _turns(question: str, answer: str) -> list[dict[str, str]]:
    return [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]


def _make_clip(task: tuple[Clip, Path]) -> float | VitaError:
    """Seconds of the sound, made unless it is there; or the error."""
    clip, path = task
    try:
        if not path.is_file():
            partial = path.with_suffix(".partial")
            soundfile.write(partial, speech_of(clip), SAMPLE_RATE_HZ, subtype="PCM_16", format="WAV")
            os.replace(partial, path)
        return soundfile.info(path).duration
    except VitaError as error:
        return error


def _crashed(task: tuple[Clip, Path]) -> VitaError:
    return DataError(f"the voice {task[0].speaker.voice} crashed on {task[0].text[:60]!r}")


@functools.lru_cache(maxsize=64)
def _recording(path: Path) -> np.ndarray:
    return load_audio(path)
