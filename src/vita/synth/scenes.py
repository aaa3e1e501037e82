"""What a picture or a clip of the pocket world contains, before it is drawn: scenes, clips and their slot labels.

A slot label says what one vision token must carry: kind, shape, colour, place, position, character. Shapes stand in
the slot of their place (a second shape of one place nine slots further); characters stand in reading order, each box
of a chart in six slots of its own, in arrow order: no eye has to count the letters of the boxes before. The place of a
character is the number of its box, its x the index in it. Drawn by `render`, asked about by `questions`, learned by
`vita.train`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from vita.synth.world import COLOURS, PLACES, SHAPES, texts

NUM_SLOTS = 24
FRAME_SLOTS = 9
BOX_SLOTS = 6
"""Of each box of a chart; the letters of its label beyond them are not seen."""
CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789+-=?!.,' "
SUM_FORMS = ("{}{}{}", "{}{}{}", "{}{}{}=", "{}{}{}=?", "{} {} {}", "{} {} {}", "{} {} {} =", "{} {} {} = ?")
MINUS_SHARE = 0.4
GRID = 8
KINDS = ("empty", "shape", "char", "box")
FACTORS = ("kind", "shape", "colour", "place", "x", "y", "char")
GROUP_SIZES = (len(KINDS), len(SHAPES) + 1, len(COLOURS) + 1, len(PLACES) + 1, GRID + 1, GRID + 1, len(CHARACTERS) + 1)


@dataclass(frozen=True, kw_only=True)
class Thing:
    """One shape.

    shape, colour: of SHAPES and COLOURS.
    x, y: its centre, as fractions of width and height.
    size: its width, as a fraction of the picture's shorter side.
    """

    shape: str
    colour: str
    x: float
    y: float
    size: float = 0.2

    @property
    def place(self) -> str:
        """The name of the ninth of the picture in which the centre lies."""
        column, row = min(int(self.x * 3), 2), min(int(self.y * 3), 2)
        return PLACES[row * 3 + column]


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One picture.

    kind: "shapes", "text", "sum" or "chart".
    things: the shapes.
    text: the print, or the sum as it is printed.
    boxes: the labels of a flow chart, in arrow order.
    """

    kind: str
    things: tuple[Thing, ...] = ()
    text: str = ""
    boxes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ClipScene:
    """One clip of one shape.

    event: a direction, "appears", "disappears" or "changes" (its colour).
    shape, colour, final_colour: what it shows, at the start and at the end.
    frames: what each sampled frame shows.
    """

    event: str
    shape: str
    colour: str
    final_colour: str
    frames: tuple[Scene, ...]


def slot_labels(scene: Scene, num_slots: int = NUM_SLOTS) -> np.ndarray:
    """[num_slots, 7] int64: the class of each factor (FACTORS order) in each slot; 0 is "none"."""
    labels = np.zeros((num_slots, len(FACTORS)), np.int64)
    if scene.kind == "shapes":
        for slot, thing in thing_slots(scene.things):
            if slot < num_slots:
                labels[slot] = (
                    1,
                    SHAPES.index(thing.shape) + 1,
                    COLOURS.index(thing.colour) + 1,
                    PLACES.index(thing.place) + 1,
                    min(int(thing.x * GRID), GRID - 1) + 1,
                    min(int(thing.y * GRID), GRID - 1) + 1,
                    0,
                )
        return labels
    for slot, kind, box, index, character in characters(scene):
        if slot < num_slots:
            labels[slot] = (kind, 0, 0, box + 1, min(index, GRID - 1) + 1, 0, CHARACTERS.index(character) + 1)
    return labels


def thing_slots(things: Sequence[Thing]) -> list[tuple[int, Thing]]:
    """(slot, thing) pairs: the slot of its place, or nine further when that is taken (sorted by x, then y)."""
    taken, pairs = set(), []
    for thing in sorted(things, key=lambda t: (t.x, t.y)):
        slot = PLACES.index(thing.place)
        while slot in taken:
            slot += len(PLACES)
        taken.add(slot)
        pairs.append((slot, thing))
    return pairs


def characters(scene: Scene) -> list[tuple[int, int, int, int, str]]:
    """(slot, kind, box, index in the box, character) in reading or arrow order; print without boxes is one box.

    The first character of a chart's box has kind "box".
    """
    if scene.kind != "chart":
        return [(i, 2, 0, i, c) for i, c in enumerate(scene.text)]
    return [
        (box * BOX_SLOTS + i, 3 if i == 0 else 2, box, i, c)
        for box, text in enumerate(scene.boxes)
        for i, c in enumerate(text[:BOX_SLOTS])
    ]


def random_things(rng: random.Random, count: int | None = None) -> tuple[Thing, ...]:
    """1-4 shapes that do not touch, anywhere in the picture, any size that fits."""
    count = count or rng.choice((1, 2, 2, 3, 3, 3, 4, 4, 4))
    few_colours = rng.random() < 0.3
    palette = rng.sample(COLOURS, 2) if few_colours else COLOURS
    kinds = rng.sample(SHAPES, 2) if rng.random() < 0.25 else SHAPES
    by_place = rng.random() < 0.5
    things: list[Thing] = []
    for _ in range(200):
        if len(things) == count:
            break
        size = rng.uniform(0.1, 0.38 if count < 3 else 0.3)
        half = size / 2
        if by_place:
            size = min(size, 0.3)
            half = size / 2
            x, y = ((rng.randrange(3) + 0.5) / 3 + rng.gauss(0, 0.03) for _ in range(2))
        else:
            x, y = rng.uniform(half, 1 - half), rng.uniform(half, 1 - half)
        clear = all(max(abs(x - t.x), abs(y - t.y)) > (half + t.size / 2) * 1.05 for t in things)
        # a centre on the border between two places has no honest name
        border = min(abs(v * 3 - k) for v in (x, y) for k in (1, 2)) < 0.09
        if clear and not border and half * 0.8 < min(x, y) and max(x, y) < 1 - half * 0.8:
            things.append(Thing(shape=rng.choice(kinds), colour=rng.choice(palette), x=x, y=y, size=size))
    return tuple(things)


def random_scene(rng: random.Random, kind: str | None = None) -> Scene:
    """A picture of the pocket world; `kind` as in Scene, drawn when None."""
    kind = kind or rng.choices(("shapes", "text", "sum", "chart"), (0.5, 0.22, 0.12, 0.16))[0]
    if kind == "shapes":
        return Scene(kind=kind, things=random_things(rng))
    if kind == "sum":
        return Scene(kind=kind, text=random_sum(rng))
    if kind == "chart":
        return Scene(kind=kind, boxes=random_boxes(rng))
    return Scene(kind=kind, text=random_print(rng))


def random_sum(rng: random.Random) -> str:
    """A sum or a difference of numbers to twenty, put as people put it."""
    form = rng.choice(SUM_FORMS)
    a = rng.randint(0, 20)
    if rng.random() < MINUS_SHARE:
        return form.format(a, "-", rng.randint(0, a))
    return form.format(a, "+", rng.randint(0, 20 - a))


def random_print(rng: random.Random) -> str:
    """A word, a made-up word, a number, or two short words."""
    words = texts("words")["print"]
    draw = rng.random()
    if draw < 0.5:
        return rng.choice(words)
    if draw < 0.66:
        return "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(rng.randint(1, 8)))
    if draw < 0.9:
        return str(rng.randint(0, 10 ** rng.randint(1, 5)))
    return " ".join(rng.choice([w for w in words if len(w) <= 5]) for _ in range(2))


def random_boxes(rng: random.Random) -> tuple[str, ...]:
    """2-4 different labels: mostly single letters, else digits or short words."""
    count = rng.choice((2, 3, 3, 4, 4))
    draw = rng.random()
    if draw < 0.7:
        return tuple(rng.sample("abcdefghijklmnopqrstuvwxyz", count))
    if draw < 0.78:
        return tuple(rng.sample("123456789", count))
    return tuple(rng.sample(short_words(), count))


@lru_cache(maxsize=1)
def short_words() -> tuple[str, ...]:
    """The words of print that have two to five letters."""
    return tuple(sorted({word for word in texts("words")["print"] if 2 <= len(word) <= 5}))


def worded_boxes(rng: random.Random) -> tuple[str, ...]:
    """2-4 labels of two to five letters, one in four made up: what the eye reads worst."""
    return tuple(
        rng.choice(short_words())
        if rng.random() < 0.75
        else "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(rng.randint(2, 5)))
        for _ in range(rng.choice((2, 3, 3, 4, 4)))
    )


def random_clip(rng: random.Random, num_frames: int | None = None) -> ClipScene:
    """One shape that moves, appears, disappears or changes colour; frames as the sampler would pick them."""
    num_frames = num_frames or (4 if rng.random() < 0.75 else rng.randint(5, 12))
    event = rng.choice(
        ("left", "right", "up", "down", "left", "right", "up", "down", "appears", "disappears", "changes", "changes")
    )
    shape, colour, size = rng.choice(SHAPES), rng.choice(COLOURS), rng.uniform(0.14, 0.36)
    final = rng.choice([c for c in COLOURS if c != colour]) if event == "changes" else colour
    low, high = size / 2, 1 - size / 2
    x, y = (rng.uniform(low, high) for _ in range(2))
    start, end = (x, y), (x, y)
    if event in ("left", "right", "up", "down"):
        a = rng.uniform(low, low + 0.4 * (high - low))
        b = rng.uniform(max(a + 0.25, low + 0.6 * (high - low)), high) if a + 0.25 < high else high
        if event in ("left", "up"):
            a, b = b, a
        drift = rng.gauss(0, 0.02)
        if event in ("left", "right"):
            start, end = (a, y), (b, min(max(y + drift, low), high))
        else:
            start, end = (x, a), (min(max(x + drift, low), high), b)
    switch = rng.uniform(0.2, 0.8) * (num_frames - 1)
    frames = []
    hold = rng.choice((0.0, 0.0, 0.15))
    for i in range(num_frames):
        progress = min(max((i / (num_frames - 1) - hold) / (1 - 2 * hold), 0.0), 1.0)
        thing = Thing(
            shape=shape,
            colour=final if event == "changes" and i > switch else colour,
            x=start[0] + (end[0] - start[0]) * progress,
            y=start[1] + (end[1] - start[1]) * progress,
            size=size,
        )
        hidden = (event == "appears" and i <= switch) or (event == "disappears" and i > switch)
        frames.append(Scene(kind="shapes", things=() if hidden else (thing,)))
    return ClipScene(event=event, shape=shape, colour=colour, final_colour=final, frames=tuple(frames))


def jitter(thing: Thing, rng: random.Random) -> Thing:
    """The same thing a hair elsewhere (a trembling camera)."""
    return replace(thing, x=thing.x + rng.gauss(0, 0.004), y=thing.y + rng.gauss(0, 0.004))
