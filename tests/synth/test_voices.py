"""Speakers: which ones training may use, and that speaking gives the same sound each time."""

from __future__ import annotations

import random
import subprocess
from typing import Any

import numpy as np
import pytest
import soundfile

from vita.errors import DependencyError
from vita.speech.espeak import variants
from vita.synth import voices
from vita.synth.sounds import SAMPLE_RATE_HZ
from vita.synth.voices import Speaker

KEPT_FOR_TESTING = {
    "m7", "m8", "f5", "Alicia", "Andrea", "aunty", "edward", "Gene2", "Hugo", "iven3", "Marco", "michel", "mike2",
    "steph3", "Nguyen", "adam", "caleb", "klatt2", "klatt4",
}  # fmt: skip


def variant(speaker: Speaker) -> str:
    return speaker.voice.partition("+")[2]


def test_the_reserved_voices_are_those_of_the_acceptance_test_and_exist() -> None:
    assert voices.RESERVED_ESPEAK == KEPT_FOR_TESTING
    assert set(variants()) >= KEPT_FOR_TESTING
    assert {"slt"} == voices.RESERVED_FLITE
    assert {"ked_diphone", "cmu_us_slt_arctic_hts"} == voices.RESERVED_FESTIVAL


def test_training_variants_leave_out_reserved_and_unhuman_voices() -> None:
    allowed = set(voices.training_variants())
    assert not allowed & KEPT_FOR_TESTING
    assert not {"whisper", "robosoft", "Demonic"} & allowed
    assert len(allowed) > 50
    assert allowed < set(variants())


def test_training_never_draws_a_reserved_voice() -> None:
    rng = random.Random(0)
    drawn = [voices.training_voice(rng, lang) for _ in range(10_000) for lang in ("en", "zh")]
    assert {s.engine for s in drawn} == {"espeak", "flite"}
    assert not {variant(s) for s in drawn} & KEPT_FOR_TESTING
    flite = {s.voice for s in drawn if s.engine == "flite"}
    assert flite == {"kal", "kal16", "awb", "rms"}
    assert {variant(s) for s in drawn if s.engine == "espeak"} == {"", *voices.training_variants()}
    languages = {s.voice.partition("+")[0] for s in drawn if s.engine == "espeak"}
    assert languages == {"en-us", "en-gb", "en-gb-x-rp", "en-gb-scotland", "cmn"}


def test_speakers_differ_in_rate_and_pitch_within_limits() -> None:
    rng = random.Random(1)
    drawn = [s for _ in range(2000) if (s := voices.training_voice(rng, "en")).engine == "espeak"]
    for values, low, high in (
        ([s.rate_wpm for s in drawn], 115, 245),
        ([s.pitch for s in drawn], 5, 95),
        ([s.range for s in drawn], 25, 80),
    ):
        assert low <= min(values) < max(values) <= high
        assert np.std(values) > 10


def test_draws_do_not_depend_on_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shard is found again by its number: another machine must draw the same speakers."""

    def drawn() -> list[Speaker]:
        rng = random.Random(2)
        return [voices.training_voice(rng, "en") for _ in range(300)]

    monkeypatch.setattr(voices, "has_flite", lambda: True)
    with_flite = drawn()
    monkeypatch.setattr(voices, "has_flite", lambda: False)
    assert drawn() == with_flite


def test_the_test_split_draws_reserved_voices_alone() -> None:
    rng = random.Random(3)
    for lang, languages in (("en", {"en-us", "en-gb"}), ("zh", {"cmn"})):
        drawn = [voices.reserved_voice(rng, lang) for _ in range(400)]
        assert {variant(s) for s in drawn} == KEPT_FOR_TESTING
        assert {s.voice.partition("+")[0] for s in drawn} == languages


@pytest.mark.parametrize(("lang", "text"), [("en", "what color is the sky"), ("zh", "天空是什么颜色")])
def test_speaking_is_deterministic(lang: str, text: str) -> None:
    speaker = Speaker(engine="espeak", voice=voices.own_voice(lang).voice + "+m3", rate_wpm=160, pitch=40, range=60)
    first, again = voices.say(text, speaker), voices.say(text, speaker)
    assert np.array_equal(first, again)
    assert (first.dtype, first.ndim) == (np.float32, 1)
    assert 0.5 < len(first) / SAMPLE_RATE_HZ < 4
    assert 0.05 < np.abs(first).max() <= 1.01
    faster = voices.say(text, Speaker(engine="espeak", voice=speaker.voice, rate_wpm=240, pitch=40, range=60))
    assert len(faster) < 0.85 * len(first)


def test_flite_is_asked_for_the_voice_and_resampled(monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    def run(command: list[str], **options: Any) -> None:
        assert options["check"]
        commands.append(command)
        wave = 0.5 * np.sin(2 * np.pi * 440 * np.arange(8000) / 8000)
        soundfile.write(command[command.index("-o") + 1], wave, 8000)

    monkeypatch.setattr(voices, "has_flite", lambda: True)
    monkeypatch.setattr(subprocess, "run", run)
    wave = voices.say("hello", Speaker(engine="flite", voice="awb", rate_wpm=140))
    assert len(wave) == SAMPLE_RATE_HZ
    assert np.argmax(np.abs(np.fft.rfft(wave))) == 440
    command = commands[0]
    assert command[command.index("-voice") + 1] == "awb"
    assert command[command.index("--setf") + 1] == "duration_stretch=1.25"


def test_a_missing_flite_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voices, "has_flite", lambda: False)
    with pytest.raises(DependencyError, match="flite is not installed"):
        voices.say("hello", Speaker(engine="flite", voice="awb"))


def test_phonemes() -> None:
    assert "k" in voices.phonemes("cat", "en")
    assert voices.phonemes("猫", "zh") != voices.phonemes("狗", "zh")
