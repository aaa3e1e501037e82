"""The test split asks in words that training can never make.

Not by sampling alone: every phrasing of the training grammars is spelled out, with every lead-in, every tail and every
word lost (as `train.samples.typed_form` loses them), and compared with every phrasing of the test split.
"""

from __future__ import annotations

import random
import re

import pytest

from tests.synth import phrasings
from vita.synth import held_out
from vita.synth.grammar import tidy
from vita.synth.questions import TASKS, decorate
from vita.synth.side_talk import SIDE_KINDS
from vita.synth.speech_set import spoken_form, spoken_turn
from vita.synth.world import texts, world
from vita.train.samples import FILLERS

LANGUAGES = ["en", "zh"]


def held_out_questions(lang: str) -> set[str]:
    """Every phrasing of the test split, slots left open; facts with the world's own names."""
    tables = [*held_out.PICTURE.values(), *held_out.CLIP.values(), held_out.SUM]
    facts = {wrap.replace("{x}", fact[lang]["about"]) for fact in world()["facts"] for wrap in held_out.FACT[lang]}
    long = {text for table in held_out.LONG.values() for text in table[lang]}
    return {text for table in tables for text in phrasings.all_of(table[lang])} | facts | long


def training_questions(lang: str) -> set[str]:
    return (
        phrasings.asked_in_training(lang)
        | set(phrasings.facts_in_training(lang))
        | phrasings.small_talk_in_training(lang)
    )


def with_a_word_lost(text: str, lang: str) -> set[str]:
    """The text, and the text without any one of its words (Chinese: characters)."""
    words = text.split(" ") if lang == "en" else re.findall(r"<\w+>|.", text)
    joint = " " if lang == "en" else ""
    return {text} | {tidy(joint.join(words[:i] + words[i + 1 :])) for i in range(len(words)) if len(words) > 1}


def can_be_made(question: str, core: set[str], lang: str) -> str | None:
    """The training phrasing that becomes `question` by decoration and a lost word, if there is one."""
    ways, space = texts("lead_ins")[lang], " " if lang == "en" else ""
    if lang == "zh":
        question = question.replace("> ", ">")  # what fills a slot is Chinese: no space stays behind it
    heads = {"", *(text + space for b in ways["before"] for text in with_a_word_lost(b, lang) if text)}
    tails = {"", *(space + text for a in ways["after"] for text in with_a_word_lost(a, lang) if text)}
    for head in heads:
        if question.startswith(head):
            rest = question[len(head) :]
            for tail in tails:
                if rest.endswith(tail) and rest[: len(rest) - len(tail)] in core:
                    return f"{head}|{rest[: len(rest) - len(tail)]}|{tail}"
    return None


@pytest.mark.parametrize("lang", LANGUAGES)
def test_training_cannot_make_a_phrasing_of_the_test_split(lang: str) -> None:
    core = {text for question in training_questions(lang) for text in with_a_word_lost(question, lang)}
    found = {question: made for question in held_out_questions(lang) if (made := can_be_made(question, core, lang))}
    assert found == {}


def test_no_filler_of_training_is_a_word_of_the_test_split() -> None:
    """So that putting fillers into a training question cannot make a question of the test split."""
    words = {word for question in held_out_questions("en") for word in question.split()}
    assert words & {"the", "which", "what"}
    assert words.isdisjoint(FILLERS)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_search_finds_what_training_can_make(lang: str) -> None:
    """The test above can fail: decorated training questions are found."""
    core = {text for question in training_questions(lang) for text in with_a_word_lost(question, lang)}
    rng, made = random.Random(0), 0
    questions = sorted(training_questions(lang))
    for _ in range(100):
        text = decorate(rng.choice(questions), lang, rng)
        made += can_be_made(text, core, lang) is not None
        shorter = rng.choice(sorted(with_a_word_lost(text, lang)))
        made += can_be_made(shorter, core, lang) is not None
    assert made == 200


@pytest.mark.parametrize("lang", LANGUAGES)
def test_training_questions_drawn_are_none_of_the_test_split(lang: str) -> None:
    """The same by sampling the generators themselves, shapes and numbers filled in."""
    patterns = "|".join(
        re.sub(r"<\w+>", ".{1,12}", re.escape(q).replace(r"\<", "<").replace(r"\>", ">")) if "<" in q else re.escape(q)
        for q in held_out_questions(lang)
    )
    known, rng = re.compile(patterns), random.Random(1)
    makers = list(TASKS.values())
    drawn = {decorate(rng.choice(makers)(rng, lang).question, lang, rng) for _ in range(3000)}
    drawn |= {turn.question for turn in (spoken_turn(rng).turn for _ in range(3000)) if turn.lang == lang}
    assert len(drawn) > 3000
    assert {text for text in drawn if known.fullmatch(text)} == set()


@pytest.mark.parametrize("lang", LANGUAGES)
def test_side_talk_of_the_test_split_is_its_own(lang: str) -> None:
    table = texts("side_talk")
    slots = {name: "|".join(map(re.escape, words)) for name, words in table["slots"][lang].items()}
    sentences = [s for kind in SIDE_KINDS for s in table[lang][kind]]
    pattern = re.compile(
        "|".join(re.sub(r"\\\{(\w+)\\\}", lambda m: f"(?:{slots[m[1]]})", re.escape(s)) for s in sentences)
    )
    assert all(pattern.fullmatch(re.sub(r"\{(\w+)\}", lambda m: table["slots"][lang][m[1]][0], s)) for s in sentences)
    assert [text for text in held_out.SIDE_TALK[lang] if pattern.fullmatch(text)] == []
    assert not set(held_out.BACKCHANNEL[lang]) & set(texts("small_talk")[lang]["backchannel"])


@pytest.mark.parametrize("lang", LANGUAGES)
def test_no_phrasing_is_there_twice(lang: str) -> None:
    for table in (*held_out.PICTURE.values(), *held_out.CLIP.values(), *held_out.LONG.values(), held_out.FACT):
        assert len(set(table[lang])) == len(table[lang]) > 0
    assert all(spoken_form(text, lang) == text for text in held_out.SIDE_TALK[lang])
