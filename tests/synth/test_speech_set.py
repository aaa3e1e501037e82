"""Spoken turns: what is drawn, how a text is said, and shards that survive an interruption."""

from __future__ import annotations

import random
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.synth.test_questions import numbers_in, word
from vita.errors import DataError, DependencyError
from vita.models.filterbank import num_frames
from vita.synth import speech_set
from vita.synth.sounds import SAMPLE_RATE_HZ
from vita.synth.speech_set import MIXTURE, SpokenTurn, load_shard, shard_turns, speak, spoken_form, synthesise_shard
from vita.synth.turns import Turn
from vita.synth.voices import RESERVED_ESPEAK, Speaker, own_voice, training_variants
from vita.tokens import State

SIDE = {"statement", "to_other", "phone", "narration"}
NOISES = {*SIDE, "own_voice", "babble", "backchannel", "salad", "sound"}


@pytest.fixture(scope="module")
def turns() -> list[SpokenTurn]:
    return shard_turns(0, 1, 4000)


@pytest.mark.parametrize(
    ("text", "lang", "heard"),
    [
        ("What is 3+4?", "en", "what is three plus four"),
        ("12 - 5 =", "en", "twelve minus five equals"),
        ("12-5", "en", "twelve minus five"),
        ("add 30 and 7, please!", "en", "add three zero and seven please"),
        ("it's a t-shirt", "en", "it's a t-shirt"),
        ("算一下3+4", "zh", "算一下三加四"),
        ("算一下12-5等于几", "zh", "算一下十二减五等于几"),
        ("12加8等于几？", "zh", "十二加八等于几"),
        ("请问，红色的圆形在哪里？", "zh", "请问 红色的圆形在哪里"),
        ("", "en", ""),
    ],
)
def test_spoken_form(text: str, lang: str, heard: str) -> None:
    assert spoken_form(text, lang) == heard


def test_spoken_turns_are_in_spoken_form(turns: list[SpokenTurn]) -> None:
    for item in turns:
        text = item.turn.question
        assert not set("0123456789?!.,+=？，。") & set(text), text
        assert text == text.strip().lower()
        assert bool(text) == (item.turn.kind != "sound")


def test_kinds_are_drawn_by_their_shares(turns: list[SpokenTurn]) -> None:
    def family(turn: Turn) -> str:
        if turn.kind in SIDE:
            return "side_talk"
        if turn.clip is not None:
            return "clip"
        return "picture" if turn.scene is not None else turn.kind

    found = Counter(family(item.turn) for item in turns)
    for kind in ("fact", "sum", "picture", "clip", "correction", "side_talk", "own_voice", "salad", "sound", "babble"):
        assert found[kind] / len(turns) == pytest.approx(MIXTURE[kind], abs=0.02), kind
    assert sum(MIXTURE.values()) == pytest.approx(1.0)
    languages = Counter(item.turn.lang for item in turns)
    assert languages["en"] / len(turns) == pytest.approx(0.5, abs=0.03)


def test_what_is_no_question_has_no_answer(turns: list[SpokenTurn]) -> None:
    for item in turns:
        noise = item.turn.kind in NOISES
        assert item.turn.noise == noise, item.turn
        assert bool(item.turn.answer) != noise
        assert item.turn.state(spoken=True) is (State.NOISE if noise else State.SPOKEN_QUERY)


def test_speakers_belong_to_the_kind_and_are_never_reserved(turns: list[SpokenTurn]) -> None:
    for item in turns:
        assert (item.speaker is None) == (item.turn.kind == "sound")
        if item.turn.kind == "own_voice":
            assert item.speaker == own_voice(item.turn.lang)
        assert (1 <= len(item.others) <= 3) == (item.turn.kind == "babble")
        for speaker in (item.speaker, *(speaker for _, speaker in item.others)):
            if speaker is not None:
                assert speaker.voice.partition("+")[2] not in RESERVED_ESPEAK
                assert speaker.voice != "slt"


def test_a_correction_is_answered_by_its_second_question() -> None:
    rng = random.Random(2)
    for lang in ("en", "zh"):
        turn = speech_set.correction(rng, lang)
        middles = speech_set.texts("lead_ins")[lang]["correct"]
        assert any(middle in turn.question for middle in middles)
        assert turn.answer
        assert not turn.noise


def test_shards_differ_by_seed_and_number_alone() -> None:
    first, again = (shard_turns(3, 1, 50) for _ in range(2))
    assert first == again
    assert shard_turns(3, 1, 20) == first[:20]
    assert first != shard_turns(3, 2, 50) != shard_turns(4, 1, 50)
    prints = {speech_set.fingerprint(t) for t in (first, again, first[:20], shard_turns(3, 2, 50))}
    assert len(prints) == 3


def test_speaking_sounds_talk_and_babble() -> None:
    noise = Turn(kind="sound", lang="en", question="", answer="", noise=True)
    sounds = [speak(SpokenTurn(noise, None, (), seed), Counter()) for seed in (1, 1, 2)]
    assert np.array_equal(sounds[0], sounds[1])
    assert not np.array_equal(sounds[0][:8000], sounds[2][:8000])
    assert all(0.5 * SAMPLE_RATE_HZ <= len(wave) <= 4 * SAMPLE_RATE_HZ for wave in sounds)
    turn = Turn(kind="babble", lang="en", question="dinner is ready", answer="", noise=True)
    speaker, other = Speaker(engine="espeak", voice="en-us+m3"), Speaker(engine="espeak", voice="cmn+f2")
    alone = speak(SpokenTurn(turn, speaker), Counter())
    across = speak(SpokenTurn(turn, speaker, (("你好", other),)), Counter())
    assert len(across) == len(alone)
    assert np.corrcoef(across, alone)[0, 1] == pytest.approx(0.707, abs=0.1)


def test_a_speaker_that_fails_is_replaced_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def say(text: str, speaker: Speaker) -> np.ndarray:
        asked.append((text, speaker.voice))
        if speaker.voice.endswith("broken"):
            raise DependencyError("the espeak-ng process ended")
        return np.full(2000, 0.1, np.float32)

    monkeypatch.setattr(speech_set, "say", say)
    turn = Turn(kind="babble", lang="zh", question="你好", answer="", noise=True)
    broken = Speaker(engine="espeak", voice="cmn+broken")
    synthesise_shard([SpokenTurn(turn, broken, (("good morning", broken),))], tmp_path / "shard.npz")
    assert asked[1::2] == [("你好", "cmn+m1"), ("good morning", "en-us+m3")]
    assert {f"+{name}" for name in training_variants()} > set(speech_set.SUBSTITUTES)
    told = capsys.readouterr().err
    assert told == "shard.npz: cmn+broken (the espeak-ng process ended) replaced by another of espeak-ng's in 2 texts\n"


def test_a_shard_is_the_same_each_time_it_is_made(tmp_path: Path) -> None:
    one, two = (load_shard(tmp_path / name, 0, 0, 8) for name in "ab")
    assert np.array_equal(one.mels, two.mels)
    assert np.array_equal(one.offsets, two.offsets)
    assert (one.mels.dtype, one.mels.shape[1]) == (np.float16, 80)
    assert one.turns == two.turns == shard_turns(0, 0, 8)
    for index, item in enumerate(one.turns):
        assert len(one.mel(index)) == num_frames(max(len(speak(item, Counter())), 1600))
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["speech-0-0000.npz"]


def test_a_stored_shard_is_not_spoken_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load_shard(tmp_path, 0, 0, 3)

    def fail(*_: object) -> np.ndarray:
        raise AssertionError("spoken again")

    monkeypatch.setattr(speech_set, "speak", fail)
    again = load_shard(tmp_path, 0, 0, 3)
    assert np.array_equal(first.mels, again.mels)
    assert first.turns == again.turns


def test_synthesis_that_is_interrupted_leaves_no_shard_and_starts_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speech_set, "speak", lambda *_: np.full(4000, 0.1, np.float32))
    save = np.savez

    def die(path: Path, **arrays: np.ndarray) -> None:
        save(path, **arrays)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", die)
        with pytest.raises(KeyboardInterrupt):
            load_shard(tmp_path, 0, 0, 2)
    assert not list(tmp_path.glob("speech-0-0000.npz"))
    assert len(load_shard(tmp_path, 0, 0, 2).offsets) == 3


def test_a_shard_of_other_turns_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speech_set, "speak", lambda *_: np.full(4000, 0.1, np.float32))
    load_shard(tmp_path, 0, 0, 2)
    with pytest.raises(DataError, match="spoken from other turns"):
        load_shard(tmp_path, 0, 0, 3)
    path = tmp_path / "speech-0-0000.npz"
    path.rename(tmp_path / "speech-1-0000.npz")
    with pytest.raises(DataError, match="spoken from other turns"):
        load_shard(tmp_path, 1, 0, 2)
    with np.load(tmp_path / "speech-1-0000.npz") as stored:
        mels, offsets = stored["mels"], stored["offsets"]
    np.savez(path, mels=mels, offsets=offsets)  # does not say what was spoken
    with pytest.raises(DataError, match="spoken from other turns"):
        load_shard(tmp_path, 0, 0, 2)


def test_a_very_short_sound_still_gives_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speech_set, "speak", lambda *_: np.zeros(10, np.float32))
    shard = load_shard(tmp_path, 0, 0, 1)
    assert len(shard.mel(0)) == num_frames(1600)


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_sums_are_still_right_as_they_are_spoken(turns: list[SpokenTurn], lang: str) -> None:
    sums = [item.turn for item in turns if (item.turn.kind, item.turn.lang) == ("sum", lang)]
    assert len(sums) > 100
    for turn in sums:
        a, b = numbers_in(turn.question, lang)[-2:]
        minus = re.search(r"minus|take away|subtract|减|-", turn.question)
        value = abs(a - b) if minus else a + b
        assert turn.answer == word(value, lang), turn.question
