"""Side talk and other sounds of speech that are no question to the model."""

from __future__ import annotations

import random
import re

import pytest

from vita.synth import side_talk
from vita.synth.questions import long_answer
from vita.synth.world import texts
from vita.tokens import State

LANGUAGES = ["en", "zh"]


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_slot_of_every_sentence_can_be_filled(lang: str) -> None:
    rng = random.Random(0)
    for kind in side_talk.SIDE_KINDS:
        for sentence in texts("side_talk")[lang][kind]:
            told = side_talk.fill(sentence, lang, rng)
            assert not set("{}<>") & set(told), sentence
            assert told == told.strip() != ""


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize(
    "make", [side_talk.side_talk, side_talk.backchannel, side_talk.own_voice_text, side_talk.word_salad]
)
def test_none_of_it_is_answered(make, lang: str) -> None:
    rng = random.Random(1)
    turns = [make(rng, lang) for _ in range(200)]
    assert all((turn.noise, turn.answer, turn.lang) == (True, "", lang) for turn in turns)
    assert all(turn.state(spoken=True) is State.NOISE for turn in turns)
    assert all(turn.question.strip() for turn in turns)
    assert len({turn.question for turn in turns}) > 5
    again = random.Random(1)
    assert turns == [make(again, lang) for _ in range(200)]


@pytest.mark.parametrize("lang", LANGUAGES)
def test_side_talk_is_of_every_kind_and_now_and_then_two_sentences(lang: str) -> None:
    rng = random.Random(2)
    turns = [side_talk.side_talk(rng, lang) for _ in range(500)]
    assert {turn.kind for turn in turns} == set(side_talk.SIDE_KINDS)
    longest = max(len(side_talk.fill(s, lang, rng)) for k in side_talk.SIDE_KINDS for s in texts("side_talk")[lang][k])
    assert max(len(turn.question) for turn in turns) > longest


@pytest.mark.parametrize("lang", LANGUAGES)
def test_its_own_voice_says_pieces_of_its_own_answers(lang: str) -> None:
    rng = random.Random(3)
    answers = {side_talk.plain(long_answer(random.Random(s), lang).answer).replace(" ", "") for s in range(60)}
    told = [side_talk.own_voice_text(rng, lang).question for _ in range(200)]
    pieces = sum(any(text.replace(" ", "") in answer for answer in answers) for text in told)
    assert 0.5 < pieces / len(told) < 0.9
    assert not any(re.search(r"[.,;:!?。，！？]", text) for text in told)


def test_plain() -> None:
    assert side_talk.plain("Hi, it's 3+4!").split() == ["hi", "it's", "3+4"]
    assert side_talk.plain("你好，世界。") == "你好 世界 "


@pytest.mark.parametrize("lang", LANGUAGES)
def test_word_salad_is_made_of_known_words(lang: str) -> None:
    rng, words = random.Random(4), texts("words")
    for _ in range(100):
        text = side_talk.word_salad(rng, lang).question
        if lang == "en":
            assert set(text.split()) <= {part for word in words["speech"] + words["print"] for part in word.split()}
        else:
            assert set(text) <= set("".join(words["zh_chars_words"]))


def test_spliced_text_is_the_beginning_of_one_sentence_and_the_end_of_another() -> None:
    rng, first, second = random.Random(5), "a b c d", "1 2 3"
    told = {side_talk.spliced(first, second, rng) for _ in range(500)}
    heads, tails = ["a", "a b", "a b c", "a b c d"], ["1 2 3", "2 3", "3"]
    assert told == {f"{head} {tail}" for head in heads for tail in tails}


@pytest.mark.parametrize(
    ("long", "short"),
    [
        ("sorry i cannot talk we do not know", "sorry i can't talk we don't know"),
        ("i am sure that they will not see what it is", "i'm sure that they won't see what it is"),
        ("let us go you are late and there is no bus", "let's go you're late and there's no bus"),
        ("hamlet is dead and the tail is cut", "hamlet is dead and the tail is cut"),
    ],
)
def test_english_is_contracted_as_it_is_said(long: str, short: str) -> None:
    assert side_talk.contracted(long) == short


def test_side_talk_comes_with_and_without_contractions() -> None:
    rng = random.Random(6)
    told = [f" {side_talk.side_talk(rng, 'en').question} " for _ in range(2000)]
    assert sum(" i'm " in text for text in told) > 5 < sum(" i am " in text for text in told)
    assert sum("n't " in text for text in told) > 5 < sum(" not " in text for text in told)
