"""Speakers: which ones training may use, and that speaking gives the same sound each time."""

from __future__ import annotations

import random

import numpy as np
import pytest

from vita.speech import programs
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
    assert {s.engine for s in drawn} == {"espeak", "flite", "rhvoice", "pico"}
    assert not {variant(s) for s in drawn} & KEPT_FOR_TESTING
    assert {s.voice for s in drawn if s.engine == "flite"} == {"kal", "kal16", "awb", "rms"}
    assert {s.voice for s in drawn if s.engine == "rhvoice"} == {"alan", "bdl", "clb"}
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

    monkeypatch.setattr(programs, "installed", lambda engine: True)
    with_all = drawn()
    monkeypatch.setattr(programs, "installed", lambda engine: False)
    assert drawn() == with_all


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


def test_recorded_voices_sound_as_from_a_smaller_throat_at_a_higher_pitch(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str, str, float]] = []

    def run(text: str, engine: str, voice: str, slower: float) -> tuple[np.ndarray, int]:
        asked.append((text, engine, voice, slower))
        return 0.5 * np.sin(2 * np.pi * 300 * np.arange(int(8000 * slower)) / 8000).astype(np.float32), 8000

    monkeypatch.setattr(programs, "run", run)
    for pitch, factor in ((50, 1.0), (100, 2**0.5), (20, 2**-0.3)):
        wave = voices.say("hello", Speaker(engine="rhvoice", voice="clb", rate_wpm=140, pitch=pitch))
        assert len(wave) == pytest.approx(1.25 * SAMPLE_RATE_HZ, abs=3)
        tone = np.argmax(np.abs(np.fft.rfft(wave))) * SAMPLE_RATE_HZ / len(wave)
        assert tone == pytest.approx(300 * factor, abs=2)
        assert asked.pop() == ("hello", "rhvoice", "clb", pytest.approx(1.25 * factor))


def test_phonemes() -> None:
    assert "k" in voices.phonemes("cat", "en")
    assert voices.phonemes("猫", "zh") != voices.phonemes("狗", "zh")
