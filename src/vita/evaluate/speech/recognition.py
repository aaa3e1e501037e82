"""`vita eval asr`: word errors in English, character errors in Chinese, by set and by signal-to-noise ratio."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vita.errors import DependencyError
from vita.evaluate import pocket_cases
from vita.evaluate.measuring import Run
from vita.evaluate.rows import Row
from vita.evaluate.speech.datasets import Utterance, utterances
from vita.evaluate.speech.normalise import tokens
from vita.evaluate.speech.transcribe import transcripts
from vita.evaluate.tables import Measure, Section, by_group
from vita.media import SAMPLE_RATE_HZ, load_audio
from vita.synth.sounds import mix, sound
from vita.synth.world import LANGUAGES

BATCH = 16
NOISES = ("traffic", "hiss", "hum")
_DEFAULT = 30


@dataclass(frozen=True, kw_only=True)
class Spoken:
    """An utterance at a ratio of signal to noise; made ones carry their sound."""

    utterance: Utterance
    ratio_db: float | None
    made: np.ndarray | None = None

    @property
    def name(self) -> str:
        """The same in every run."""
        return f"{self.group}/{self.utterance.name}"

    @property
    def group(self) -> str:
        """A line of the table."""
        noise = "" if self.ratio_db is None else f", {self.ratio_db:g} dB"
        return self.utterance.subset + noise

    def samples(self) -> np.ndarray:
        """Float32 [num_samples], 16 kHz."""
        one = self.utterance
        heard = load_audio(one.path) if self.made is None else self.made
        if one.start_s is not None and one.end_s is not None:
            heard = heard[round(one.start_s * SAMPLE_RATE_HZ) : round(one.end_s * SAMPLE_RATE_HZ)]
        if self.ratio_db is None:
            return heard
        rng = np.random.default_rng(abs(hash_of(one.name)))
        return mix(heard, sound(str(rng.choice(NOISES)), len(heard) / SAMPLE_RATE_HZ, rng), self.ratio_db)


def hash_of(name: str) -> int:
    """The same in every run, unlike `hash`."""
    return random.Random(f"noise {name}").getrandbits(32)


def measure(run: Run) -> list[Row]:
    """Transcribe every utterance, without noise and at every ratio that is asked for."""
    settings = run.settings
    made: dict[str, np.ndarray] = {}
    if settings.data is None:
        found = list(_made(settings.limit or _DEFAULT, made))
    else:
        found = utterances(settings.data, settings.limit)
    cases = [
        Spoken(utterance=one, ratio_db=ratio_db, made=made.get(one.name))
        for ratio_db in (None, *settings.snr)
        for one in found
    ]
    run.say(f"{len(cases)} utterances")
    return run.measure(cases, lambda case: case.name, lambda batch: hear(run, batch), batch=BATCH)


def hear(run: Run, cases: Sequence[Spoken]) -> list[Row]:
    """Utterances transcribed at once, and scored."""
    said = transcripts(run.assistant, [case.samples() for case in cases], [case.utterance.lang for case in cases])
    return [score(case, text) for case, text in zip(cases, said, strict=True)]


def score(case: Spoken, text: str) -> Row:
    """Errors and words of one utterance."""
    one = case.utterance
    errors, count = count_errors(tokens(one.text, one.lang), tokens(text, one.lang))
    detail = {"reference": one.text, "heard": text}
    scores = {"errors": [float(errors), float(count)], "exact": errors == 0}
    return Row(task="asr", case=case.name, group=case.group, lang=one.lang, scores=scores, detail=detail)


def count_errors(reference: Sequence[str], heard: Sequence[str]) -> tuple[int, int]:
    """Substitutions, deletions and insertions, by jiwer, and the number of words."""
    try:
        import jiwer
    except ImportError as error:
        raise DependencyError("word errors need jiwer", fix="pip install 'vita-omni[eval]'") from error
    if not reference:
        return len(heard), 0
    found = jiwer.process_words(" ".join(reference), " ".join(heard))
    return found.substitutions + found.deletions + found.insertions, len(reference)


def sections(rows: Sequence[Row]) -> list[Section]:
    """One line a set, language and ratio."""
    measures = [Measure("errors", "WER (en) / CER (zh)", "ratio", 4), Measure("exact", "utterances without error")]
    text = "Errors over words of English or characters of Chinese, intervals by resampling utterances."
    return [Section(title="Speech recognition", text=text, tables=[by_group(rows, measures, title="set")])]


def _made(count: int, made: dict[str, np.ndarray]) -> list[Utterance]:
    """The pocket world's own: questions and side talk of the test split, by reserved voices."""
    found = []
    makers = (pocket_cases.fact_turn, pocket_cases.sum_turn, pocket_cases.side_talk_turn)
    for lang in LANGUAGES:
        rng = random.Random(f"asr {lang}")
        for number in range(count):
            case = pocket_cases.spoken_case("asr", rng.choice(makers)(rng, lang), rng)
            assert case.audio is not None
            assert case.said is not None
            made[f"{lang}-{number}"] = case.audio
            found.append(Utterance(name=f"{lang}-{number}", subset="pocket", lang=lang, path=Path(), text=case.said))
    return found
