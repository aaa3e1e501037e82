"""One training turn of the pocket world as text: what is asked (typed words), what the right answer is, what it is about."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from vita.synth import phrases
from vita.synth.grammar import expand, tidy
from vita.synth.scenes import ClipScene, Scene, random_clip, random_scene
from vita.synth.world import COLOURS, COUNTED_ZH, NUMBERS, PLACES, SHAPES, name_of, texts, world
from vita.tokens import State

LONG_KINDS = ("introduce", "count", "story")
SMALL_TALK = ("greeting", "name", "ability", "thanks", "goodbye")


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


def spoken_or_typed_number(value: int, lang: str, rng: random.Random) -> str:
    """Mostly the word, sometimes digits."""
    return number(value, lang) if rng.random() < 0.75 else str(value)


def fact(rng: random.Random, lang: str) -> Turn:
    """One of the sixty facts."""
    entry = rng.choice(world()["facts"])
    ways = texts("facts")[entry["id"]][lang]
    if rng.random() < 0.5:
        question = rng.choice(ways["ask"])
    else:
        question = rng.choice(texts("lead_ins")[lang]["wrap_np"]).replace("{x}", rng.choice(ways["about"]))
    return Turn(kind="fact", lang=lang, question=question, answer=entry[lang]["answer"])


def sum_(rng: random.Random, lang: str) -> Turn:
    """A sum (sometimes a difference) up to 20."""
    if rng.random() < 0.12:
        a = rng.randint(0, 20)
        b = rng.randint(0, a)
        table, value = phrases.MINUS, a - b
    else:
        a = rng.randint(0, 20)
        b = rng.randint(0, 20 - a)
        table, value = phrases.SUM, a + b
    if rng.random() < 0.1:
        sign = "+" if table is phrases.SUM else "-"
        question = rng.choice(("{}{}{}", "{} {} {}", "{}{}{}=")).format(a, sign, b)
        question = (
            rng.choice(("", "", "what is ") if lang == "en" else ("", "", "算一下"))
            + question
            + ("等于几" if lang == "zh" else "")
        )
    else:
        names = {"a": spoken_or_typed_number(a, lang, rng), "b": spoken_or_typed_number(b, lang, rng)}
        question = expand(rng.choice(table[lang]), rng, names)
    return Turn(kind="sum", lang=lang, question=question, answer=number(value, lang))


def small_talk(rng: random.Random, lang: str) -> Turn:
    """Greetings, the name, what it can do, thanks, goodbye, stop."""
    kind = rng.choice((*SMALL_TALK, "stop"))
    entry = texts("small_talk")[lang][kind]
    return Turn(kind=kind, lang=lang, question=rng.choice(entry["ask"]), answer=entry["answer"][0])


def long_answer(rng: random.Random, lang: str) -> Turn:
    """Count to twenty, introduce yourself, tell a story."""
    kind = rng.choice(LONG_KINDS)
    entry = texts("small_talk")[lang][kind]
    if kind != "story":
        return Turn(kind=kind, lang=lang, question=rng.choice(entry["ask"]), answer=entry["answer"][0])
    if rng.random() < 0.4:
        return Turn(kind=kind, lang=lang, question=rng.choice(entry["ask"]), answer=entry["titles"][0]["text"])
    title = rng.choice(entry["titles"])
    return Turn(kind=kind, lang=lang, question=rng.choice(title["ask"]), answer=title["text"])


def thing_name(shape: str, colour: str, lang: str) -> str:
    """ "red circle" or its Chinese."""
    if lang == "en":
        return f"{colour} {shape}"
    return f"{name_of('colours', colour, 'zh')}的{name_of('shapes', shape, 'zh')}"


def _slots(lang: str, **english: str) -> dict[str, str]:
    table = {"shape": "shapes", "shapes": "shapes", "colour": "colours", "place": "positions"}
    slots = {}
    for key, value in english.items():
        slots[key] = name_of(table[key], value, lang) if key in table else value
        if key == "shapes" and lang == "en":
            slots[key] = value + ("es" if value == "cross" else "s")
    return slots


def _unique(scene: Scene, attribute: str) -> list[str]:
    values = [getattr(t, attribute) for t in scene.things]
    return [v for v in values if values.count(v) == 1]


def _ask(kind: str, lang: str, rng: random.Random, **slots: str) -> str:
    """A phrasing of `kind` that the given slots can fill."""
    filled = _slots(lang, **slots)
    for _ in range(50):
        try:
            return expand(rng.choice(phrases.PICTURE[kind][lang]), rng, filled)
        except KeyError:
            continue
    raise AssertionError(f"no phrasing of {kind} fits {sorted(slots)}")


def _colour_of_shape(scene: Scene, rng: random.Random, lang: str) -> tuple[str, str] | None:
    shapes = _unique(scene, "shape")
    if not shapes:
        return None
    shape = rng.choice(shapes)
    colour = next(t.colour for t in scene.things if t.shape == shape)
    return _ask("colour_of_shape", lang, rng, shape=shape), name_of("colours", colour, lang)


def _shape_of_colour(scene: Scene, rng: random.Random, lang: str) -> tuple[str, str] | None:
    colours = _unique(scene, "colour")
    if not colours:
        return None
    colour = rng.choice(colours)
    shape = next(t.shape for t in scene.things if t.colour == colour)
    return _ask("shape_of_colour", lang, rng, colour=colour), name_of("shapes", shape, lang)


def _count_all(scene: Scene, rng: random.Random, lang: str) -> tuple[str, str]:
    return _ask("count_all", lang, rng), counted(len(scene.things), lang)


def _present(rng: random.Random, present: list[str], every: tuple[str, ...]) -> str:
    return rng.choice(present) if rng.random() < 0.9 else rng.choice(every)


def _count_shape(scene: Scene, rng: random.Random, lang: str) -> tuple[str, str]:
    shape = _present(rng, [t.shape for t in scene.things], SHAPES)
    return _ask("count_shape", lang, rng, shapes=shape, shape=shape), counted(
        sum(t.shape == shape for t in scene.things), lang
    )


def _count_colour(scene: Scene, rng: random.Random, lang: str) -> tuple[str, str]:
    colour = _present(rng, [t.colour for t in scene.things], COLOURS)
    return _ask("count_colour", lang, rng, colour=colour), counted(sum(t.colour == colour for t in scene.things), lang)


def _where(scene: Scene, rng: random.Random, lang: str) -> tuple[str, str] | None:
    thing = rng.choice(scene.things)
    same_shape = [t for t in scene.things if t.shape == thing.shape]
    same_colour = [t for t in scene.things if t.colour == thing.colour]
    both = [t for t in same_shape if t.colour == thing.colour]
    if len(both) > 1:
        return None
    slots = {"shape": thing.shape, "colour": thing.colour}
    for _ in range(20):
        template = rng.choice(phrases.PICTURE["where"][lang])
        question = expand(template, rng, _slots(lang, **slots))
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
    question = _ask("exists", lang, rng, shape=shape, shapes=shape, colour=colour)
    has_shape, has_colour = name_of("shapes", shape, lang) in question, name_of("colours", colour, lang) in question
    found = any((t.shape == shape or not has_shape) and (t.colour == colour or not has_colour) for t in scene.things)
    return question, (phrases.YES if found else phrases.NO)[lang]


def _at_place(scene: Scene, rng: random.Random, lang: str) -> tuple[str, str] | None:
    places = _unique(scene, "place")
    if not places:
        return None
    place = rng.choice(places)
    thing = next(t for t in scene.things if t.place == place)
    return _ask("at_place", lang, rng, place=thing.place), article(thing_name(thing.shape, thing.colour, lang), lang)


def article(name: str, lang: str) -> str:
    """ "a red circle", "an orange star"; nothing in Chinese."""
    if lang == "zh":
        return name
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _only(scene: Scene, rng: random.Random, lang: str) -> tuple[str, str] | None:
    if len(scene.things) != 1:
        return None
    thing = scene.things[0]
    if rng.random() < 0.5:
        return _ask("only_colour", lang, rng), name_of("colours", thing.colour, lang)
    return _ask("only_shape", lang, rng), name_of("shapes", thing.shape, lang)


def _describe(scene: Scene, rng: random.Random, lang: str) -> tuple[str, str]:
    question = _ask("describe", lang, rng)
    things = sorted(scene.things, key=lambda t: (PLACES.index(t.place), t.x))
    if lang == "en":
        return question, " and ".join(
            f"{article(thing_name(t.shape, t.colour, 'en'), 'en')} at the {t.place}" for t in things
        )
    return question, "，".join(
        f"{name_of('positions', t.place, 'zh')}有{thing_name(t.shape, t.colour, 'zh')}" for t in things
    )


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
SHAPE_WEIGHTS = (6, 6, 4, 4, 4, 7, 5, 2, 1, 3)


def shape_question(scene: Scene, rng: random.Random, lang: str, kind: str | None = None) -> Turn:
    """A question on a picture of shapes; kinds that the scene cannot answer unambiguously are drawn again."""
    while True:
        drawn = kind or rng.choices(list(SHAPE_QUESTIONS), SHAPE_WEIGHTS)[0]
        result = SHAPE_QUESTIONS[drawn](scene, rng, lang)
        if result is not None:
            return Turn(kind=drawn, lang=lang, question=result[0], answer=result[1], scene=scene)
        kind = None


def print_question(scene: Scene, rng: random.Random, lang: str) -> Turn:
    """Read it (letter by letter), or the result of a sum."""
    if scene.kind == "sum" and rng.random() < 0.75:
        return Turn(
            kind="result",
            lang=lang,
            question=_ask("result", lang, rng),
            answer=number(sum_value(scene.text), lang),
            scene=scene,
        )
    return Turn(kind="read", lang=lang, question=_ask("read", lang, rng), answer=scene.text, spell=True, scene=scene)


def sum_value(text: str) -> int:
    """The value of "3+4", "12-5=" or "3 + 4=?"."""
    text = text.rstrip("=? ").replace(" ", "")
    sign = "+" if "+" in text else "-"
    a, b = text.split(sign)
    return int(a) + int(b) if sign == "+" else int(a) - int(b)


def chart_code(boxes: tuple[str, ...]) -> str:
    """A flow chart as a few lines of Python."""
    return "def run():\n" + "\n".join(f"    {box if not box.isdigit() else 'step' + box}()" for box in boxes)


def chart_question(scene: Scene, rng: random.Random, lang: str) -> Turn:
    """What comes after a box, the first, the last, the order, the code."""
    kind = rng.choices(("next_box", "first_box", "last_box", "describe", "code"), (8, 1, 1, 1.5, 1.5))[0]
    if kind == "next_box":
        index = rng.randrange(len(scene.boxes) - 1)
        question, answer = _ask(kind, lang, rng, label=scene.boxes[index]), scene.boxes[index + 1]
    elif kind == "describe":
        question, answer = _ask(kind, lang, rng), (" then " if lang == "en" else "，然后").join(scene.boxes)
    elif kind == "code":
        question, answer = _ask(kind, lang, rng), chart_code(scene.boxes)
    else:
        question, answer = _ask(kind, lang, rng), scene.boxes[0 if kind == "first_box" else -1]
    return Turn(kind=kind, lang=lang, question=question, answer=answer, spell=True, scene=scene)


def clip_question(clip: ClipScene, rng: random.Random, lang: str) -> Turn:
    """A question that this clip can answer."""
    moves = clip.event in ("left", "right", "up", "down")
    kinds = ["event", "event", "final_colour", "clip_shape"] + (["direction"] * 5 if moves else [])
    kinds += ["final_colour"] * 3 + ["clip_colour"] if clip.event == "changes" else []
    kind = rng.choice(kinds)
    template = rng.choice(phrases.CLIP[kind][lang])
    question = expand(template, rng, _slots(lang, shape=clip.shape))
    if kind == "direction":
        answer = name_of("directions", clip.event, lang)
    elif kind == "event":
        answer = event_sentence(clip.event, lang)
    elif kind == "clip_shape":
        answer = name_of("shapes", clip.shape, lang)
    else:
        answer = name_of("colours", clip.final_colour if kind == "final_colour" else clip.colour, lang)
    return Turn(kind=kind, lang=lang, question=question, answer=answer, clip=clip)


def event_sentence(event: str, lang: str) -> str:
    """What happens in the clip, in a few words."""
    if event in ("appears", "disappears"):
        return {"en": f"it {event}", "zh": {"appears": "它出现了", "disappears": "它消失了"}[event]}[lang]
    if event == "changes":
        return {"en": "it changes color", "zh": "它变色了"}[lang]
    return {"en": f"it moves {event}", "zh": f"它{name_of('directions', event, 'zh')}移动"}[lang]


def decorate(question: str, lang: str, rng: random.Random) -> str:
    """Now and then a lead-in before or a tail after the question."""
    ways = texts("lead_ins")[lang]
    if rng.random() < 0.18:
        question = f"{rng.choice(ways['before'])} {question}"
    if rng.random() < 0.06:
        question = f"{question} {rng.choice(ways['after'])}"
    return tidy(question)


def picture_turn(rng: random.Random, lang: str, scene: Scene | None = None) -> Turn:
    """A question on a picture of any kind."""
    scene = scene or random_scene(rng)
    ask = {"shapes": shape_question, "text": print_question, "sum": print_question, "chart": chart_question}[scene.kind]
    return ask(scene, rng, lang)


def clip_turn(rng: random.Random, lang: str) -> Turn:
    """A question on a clip."""
    return clip_question(random_clip(rng), rng, lang)


TASKS: dict[str, Callable[[random.Random, str], Turn]] = {
    "fact": fact,
    "sum": sum_,
    "small_talk": small_talk,
    "long": long_answer,
    "picture": picture_turn,
    "clip": clip_turn,
}
