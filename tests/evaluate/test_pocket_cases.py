"""The test split: the same cases each time, by reserved voices, right by the rules of the training questions."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import numpy as np
import pytest

from tests.synth.test_questions import right_clip_answer, sum_value
from tests.synth.test_shape_questions import right_answer
from vita.evaluate import pocket_cases
from vita.evaluate.pocket_cases import PICTURE_KINDS, PRINT_KINDS, Case, cases
from vita.synth.sounds import SAMPLE_RATE_HZ
from vita.synth.voices import RESERVED_ESPEAK, Speaker
from vita.synth.world import NUMBERS, PLACES, name_of
from vita.tokens import State

Said = list[tuple[str, Speaker]]


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Said:
    """What is spoken, and by whom; a tone stands for the speech."""
    spoken: Said = []

    def say(text: str, speaker: Speaker) -> np.ndarray:
        spoken.append((text, speaker))
        return (0.3 * np.sin(np.arange(8000) / 5)).astype(np.float32)

    monkeypatch.setattr(pocket_cases, "say", say)
    return spoken


def test_cases_are_the_same_each_time(said: Said) -> None:
    def content(case: Case) -> tuple[Any, ...]:
        frames = [] if case.clip is None else [frame.tobytes() for frame in case.clip.frames]
        image = None if case.image is None else case.image.tobytes()
        audio = None if case.audio is None else case.audio.tobytes()
        return case.group, case.lang, case.kind, case.answer, case.state, case.question, image, frames, audio

    first, again = ([content(case) for case in cases(1)] for _ in range(2))
    assert first == again
    other = [content(case) for case in cases(1, seed=1)]
    assert [c[:2] for c in other] == [c[:2] for c in first]
    assert sum(a != b for a, b in zip(first, other, strict=True)) > 0.9 * len(first)
    # more cases only add to a group
    longer = [content(case) for case in cases(2)]
    groups = {case[:2]: case for case in reversed(longer)}
    assert all(groups[case[:2]] == case for case in first)


def test_every_group_has_its_number_of_cases(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pocket_cases, "has_flite", lambda: True)
    monkeypatch.setattr(pocket_cases, "festival_voices", lambda: ("ked_diphone",))
    found = list(cases(3))
    counts = Counter((case.group, case.lang) for case in found)
    assert set(counts.values()) == {3}
    assert len({case.name for case in found}) == len(found)
    strangers = {("spoken facts, flite slt", "en"), ("spoken facts, festival ked_diphone", "en")}
    assert {key for key in counts if key[0].startswith("spoken facts, f")} == strangers
    monkeypatch.setattr(pocket_cases, "has_flite", lambda: False)
    monkeypatch.setattr(pocket_cases, "festival_voices", lambda: ())
    assert {(c.group, c.lang) for c in cases(1)} == set(counts) - strangers


def test_only_reserved_voices_speak(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pocket_cases, "has_flite", lambda: True)
    monkeypatch.setattr(pocket_cases, "festival_voices", lambda: ("ked_diphone",))
    spoken_cases = [case for case in cases(8) if case.audio is not None and case.group != "sounds"]
    assert len(said) == len(spoken_cases)
    variants = {speaker.voice.partition("+")[2] for _, speaker in said if speaker.engine == "espeak"}
    assert variants == RESERVED_ESPEAK
    assert {speaker.voice for _, speaker in said if speaker.engine == "flite"} == {"slt"}
    assert {speaker.voice for _, speaker in said if speaker.engine == "festival"} == {"ked_diphone"}
    chinese = [any("\u4e00" <= c <= "\u9fff" for c in text) for text, _ in said]
    assert all(zh == speaker.voice.startswith("cmn") for zh, (_, speaker) in zip(chinese, said, strict=True))


def test_states_and_media_belong_to_the_group(said: Said) -> None:
    for case in cases(2):
        typed = case.group.startswith("typed") or case.group.endswith(", typed")
        silent = case.group in ("side talk", "sounds", "backchannels, spoken")
        wanted = State.TYPED_QUERY if typed else State.NOISE if silent else State.SPOKEN_QUERY
        assert case.state is wanted
        assert (case.question is None) != typed
        assert (case.audio is None) == typed
        shown = ("picture", "print", "at place", "description", "chart as code")
        assert (case.image is not None) == any(word in case.group for word in shown)
        assert (case.clip is not None) == ("clips" in case.group)
        assert bool(case.answer) != silent
        assert (case.said is None) == (typed or case.group == "sounds")
        if case.audio is not None:
            assert case.audio.dtype == np.float32
            assert 0.5 * SAMPLE_RATE_HZ <= len(case.audio) <= 5 * SAMPLE_RATE_HZ
            assert np.abs(case.audio).max() <= 1


def test_noise_is_mixed_in_at_10_db(said: Said) -> None:
    noisy = [case for case in cases(3) if case.group.endswith("10 dB")]
    assert len(noisy) == 24
    frequency = SAMPLE_RATE_HZ / (2 * np.pi * 5)
    for case in noisy:
        assert case.audio is not None
        power = np.abs(np.fft.rfft(case.audio)) ** 2
        near = np.abs(np.fft.rfftfreq(len(case.audio), 1 / SAMPLE_RATE_HZ) - frequency) < 60
        ratio = power[near].sum() / power[~near].sum()
        assert 6 < 10 * np.log10(ratio) < 16


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("kind", PICTURE_KINDS)
def test_answers_on_pictures_are_right(kind: str, lang: str) -> None:
    rng = random.Random(0)
    turns = [pocket_cases._shapes(kind, rng, lang) for _ in range(60)]
    assert [turn.answer for turn in turns] == [right_answer(turn) for turn in turns]
    assert len({turn.answer for turn in turns}) > 1


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_answers_on_print_sums_and_clips_are_right(lang: str) -> None:
    rng = random.Random(1)
    for _ in range(40):
        read, result, box = (pocket_cases._print(kind, rng, lang) for kind in PRINT_KINDS)
        assert read.scene is not None
        assert result.scene is not None
        assert box.scene is not None
        assert read.answer == read.scene.text
        assert result.answer == NUMBERS[lang][sum_value(result.scene.text)]
        asked = [b for b in box.scene.boxes if b in box.question.replace("box", "").split()] or [
            b for b in box.scene.boxes if b in box.question
        ]
        assert box.answer in [box.scene.boxes[box.scene.boxes.index(b) + 1] for b in asked if b != box.scene.boxes[-1]]
        clip = pocket_cases._clip(rng, lang)
        assert clip.answer == right_clip_answer(clip)


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_kinds_that_are_only_reported_are_right(lang: str) -> None:
    rng = random.Random(2)
    for _ in range(20):
        place = pocket_cases._shapes("at_place", rng, lang)
        assert place.scene is not None
        named = max((p for p in PLACES if name_of("positions", p, lang) in place.question), key=len)
        (thing,) = [t for t in place.scene.things if t.place == named]
        assert name_of("shapes", thing.shape, lang) in place.answer
        assert name_of("colours", thing.colour, lang) in place.answer
        code = pocket_cases._print("code", rng, lang)
        assert code.scene is not None
        assert len(code.answer.splitlines()) == len(code.scene.boxes) + 1
        compile(code.answer, "chart", "exec")
