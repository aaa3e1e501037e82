"""Questions on pictures of shapes: colour, shape, number, place, presence, description; each with its right answer.

A question is asked only of a scene that answers it without doubt: "the circle" needs a single circle. Called by
`questions` and `vita.train`.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from vita.synth import picture_phrases
from vita.synth.grammar import expand
from vita.synth.scenes import Scene
from vita.synth.turns import Turn, article, ask, counted, fillings, thing_name
from vita.synth.world import COLOURS, PLACES, SHAPES, name_of


def _unique(scene: Scene, attribute: str) -> list[str]:
    values = [getattr(t, attribute) for t in scene.things]
    return [v for v in values if values.count(v) == 1]


def _colour_of_shape(scene: Scene, rng: random.Random, lang: str) -> tuple[str, str] | None:
    shapes = _unique(scene, "shape")
    if not shapes:
        return None
    shape = rng.choice(shapes)
    colour = next(t.colour for t in scene.things if t.shape == shape)
    return ask("colour_of_shape", lang, rng, shape=shape), name_of("colours", colour, lang)


def _shape_of_colour(scene: Scene, rng: random.Random, lang: str) -> tuple[str, str] | None:
    colours = _unique(scene, "colour")
    if not colours:
        return None
    colour = rng.choice(colours)
    shape = next(t.shape for t in scene.things if t.colour == colour)
    return ask("shape_of_colour", lang, rng, colour=colour), name_of("shapes", shape, lang)


def _count_all(scene: Scene, rng: random.Random, lang: str) -> tuple[str, str]:
    return ask("count_all", lang, rng), counted(len(scene.things), lang)


def _present(rng: random.Random, present: list[str], every: tuple[str, ...]) -> str:
    return rng.choice(present) if rng.random() < 0.9 else rng.choice(every)


def _count_shape(scene: Scene, rng: random.Random, lang: str) -> tuple[str, str]:
    shape = _present(rng, [t.shape for t in scene.things], SHAPES)
    return ask("count_shape", lang, rng, shapes=shape, shape=shape), counted(
        sum(t.shape == shape for t in scene.things), lang
    )


def _count_colour(scene: Scene, rng: random.Random, lang: str) -> tuple[str, str]:
    colour = _present(rng, [t.colour for t in scene.things], COLOURS)
    return ask("count_colour", lang, rng, colour=colour), counted(sum(t.colour == colour for t in scene.things), lang)


def _where(scene: Scene, rng: random.Random, lang: str) -> tuple[str, str] | None:
    thing = rng.choice(scene.things)
    same_shape = [t for t in scene.things if t.shape == thing.shape]
    same_colour = [t for t in scene.things if t.colour == thing.colour]
    both = [t for t in same_shape if t.colour == thing.colour]
    if len(both) > 1:
        return None
    slots = {"shape": thing.shape, "colour": thing.colour}
    for _ in range(20):
        template = rng.choice(picture_phrases.PICTURE["where"][lang])
        question = expand(template, rng, fillings(lang, **slots))
        has_shape = slots and name_of("shapes", thing.shape, lang) in question
        has_colour = name_of("colours", thing.colour, lang) in question
        if (
            (has_shape and has_colour)
            or (has_shape and len(same_shape) == 1)
            or (has_colour and not has_shape and len(same_colour) == 1)
        ):
            return question, name_of("positions", thing.place, lang)
    return None


def _exists(scene: Scene, rng: random.Random, lang: str) -> tuple[str, str]:
    shape, colour = rng.choice(SHAPES), rng.choice(COLOURS)
    if rng.random() < 0.55:
        thing = rng.choice(scene.things)
        shape, colour = thing.shape, thing.colour
    elif rng.random() < 0.6:
        shape = rng.choice(scene.things).shape
    question = ask("exists", lang, rng, shape=shape, shapes=shape, colour=colour)
    has_shape, has_colour = name_of("shapes", shape, lang) in question, name_of("colours", colour, lang) in question
    found = any((t.shape == shape or not has_shape) and (t.colour == colour or not has_colour) for t in scene.things)
    return question, (picture_phrases.YES if found else picture_phrases.NO)[lang]


def _at_place(scene: Scene, rng: random.Random, lang: str) -> tuple[str, str] | None:
    places = _unique(scene, "place")
    if not places:
        return None
    place = rng.choice(places)
    thing = next(t for t in scene.things if t.place == place)
    return ask("at_place", lang, rng, place=thing.place), article(thing_name(thing.shape, thing.colour, lang), lang)


def _only(scene: Scene, rng: random.Random, lang: str) -> tuple[str, str] | None:
    if len(scene.things) != 1:
        return None
    thing = scene.things[0]
    if rng.random() < 0.5:
        return ask("only_colour", lang, rng), name_of("colours", thing.colour, lang)
    return ask("only_shape", lang, rng), name_of("shapes", thing.shape, lang)


def _describe(scene: Scene, rng: random.Random, lang: str) -> tuple[str, str]:
    return ask("describe", lang, rng), description(scene, lang)


def description(scene: Scene, lang: str) -> str:
    """What is in a picture of shapes, place after place."""
    things = sorted(scene.things, key=lambda t: (PLACES.index(t.place), t.x))
    if lang == "en":
        return " and ".join(f"{article(thing_name(t.shape, t.colour, 'en'), 'en')} at the {t.place}" for t in things)
    return "，".join(f"{name_of('positions', t.place, 'zh')}有{thing_name(t.shape, t.colour, 'zh')}" for t in things)


SHAPE_QUESTIONS: dict[str, Callable[[Scene, random.Random, str], tuple[str, str] | None]] = {
    "colour_of_shape": _colour_of_shape,
    "shape_of_colour": _shape_of_colour,
    "count_all": _count_all,
    "count_shape": _count_shape,
    "count_colour": _count_colour,
    "where": _where,
    "exists": _exists,
    "at_place": _at_place,
    "only": _only,
    "describe": _describe,
}
SHAPE_WEIGHTS = (6, 6, 4, 4, 5, 7, 5, 4, 1, 7)


def shape_question(scene: Scene, rng: random.Random, lang: str, kind: str | None = None) -> Turn:
    """A question on a picture of shapes; kinds that the scene cannot answer unambiguously are drawn again."""
    while True:
        drawn = kind or rng.choices(list(SHAPE_QUESTIONS), SHAPE_WEIGHTS)[0]
        result = SHAPE_QUESTIONS[drawn](scene, rng, lang)
        if result is not None:
            return Turn(kind=drawn, lang=lang, question=result[0], answer=result[1], scene=scene)
        kind = None
