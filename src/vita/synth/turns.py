"""Turn: what is asked about the pocket world and what the right answer is; and how things and numbers are named.

Made by `questions` and `side_talk`, said by `speech_set`, learned from by `vita.train`.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from vita.synth import picture_phrases
from vita.synth.grammar import expand
from vita.synth.scenes import ClipScene, Scene
from vita.synth.world import COUNTED_ZH, NUMBERS, name_of
from vita.tokens import State


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One user turn and the reply to it.

    kind: fact, sum, ..., a picture or clip question's name, or a kind of side talk.
    question: what is said or typed, lower case, no punctuation.
    answer: the reply without its state token; "" for noise.
    spell: the answer is learned letter by letter (print read off a picture).
    scene, clip: what the question is about, if anything.
    noise: the turn is no question to the model.
    """

    kind: str
    lang: str
    question: str
    answer: str
    spell: bool = False
    scene: Scene | None = None
    clip: ClipScene | None = None
    noise: bool = False

    def state(self, spoken: bool) -> State:
        """The state token that the reply begins with."""
        if not spoken:
            return State.TYPED_QUERY
        return State.NOISE if self.noise else State.SPOKEN_QUERY


def number(value: int, lang: str) -> str:
    """The word of a number from 0 to 20."""
    return NUMBERS[lang][value]


def counted(value: int, lang: str) -> str:
    """How many, as an answer."""
    return NUMBERS["en"][value] if lang == "en" else COUNTED_ZH[value]


def thing_name(shape: str, colour: str, lang: str) -> str:
    """ "red circle" or its Chinese."""
    if lang == "en":
        return f"{colour} {shape}"
    return f"{name_of('colours', colour, 'zh')}的{name_of('shapes', shape, 'zh')}"


def article(name: str, lang: str) -> str:
    """ "a red circle", "an orange star"; nothing in Chinese."""
    if lang == "zh":
        return name
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def fillings(lang: str, **english: str) -> dict[str, str]:
    """What the slots of a phrasing are filled with, by the English names of shape, colour and place."""
    table = {"shape": "shapes", "shapes": "shapes", "colour": "colours", "place": "positions"}
    slots = {}
    for key, value in english.items():
        slots[key] = name_of(table[key], value, lang) if key in table else value
        if key == "shapes" and lang == "en":
            slots[key] = value + ("es" if value == "cross" else "s")
    return slots


def ask(kind: str, lang: str, rng: random.Random, **slots: str) -> str:
    """A phrasing of `kind` that the given slots can fill."""
    filled = fillings(lang, **slots)
    for _ in range(50):
        try:
            return expand(rng.choice(picture_phrases.PICTURE[kind][lang]), rng, filled)
        except KeyError:
            continue
    raise AssertionError(f"no phrasing of {kind} fits {sorted(slots)}")
