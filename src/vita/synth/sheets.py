"""Sheets of small print: many boxes of letters in one picture, from which the eye learns to read print of any size.

A flow chart holds a handful of small characters; a sheet holds dozens, so that a picture teaches ten times as much.
Nobody is asked about a sheet. Used by `vita.train.seeing`.
"""

from __future__ import annotations

import random

import numpy as np
from PIL import Image

from vita.synth.canvas import background, photograph, random_size
from vita.synth.render import BOX_FORMS, BOX_SHARES, Pen, draw_box, fit_text, font_files, ink_on
from vita.synth.scenes import CHARACTERS
from vita.synth.world import texts

CharMark = tuple[float, float, float, float, str]
"""Where a character was drawn: left, top, right, bottom (fractions of the picture) and which it is, in lower case."""
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_PER_CELL = 0.9


def render_sheet(rng: random.Random) -> tuple[Image.Image, list[CharMark]]:
    """A picture of 3-7 x 3-7 cells, most with a letter, a digit or a short word in a box, and its characters."""
    width, height = random_size(rng)
    base, dark = background(rng, width, height)
    image = Image.fromarray(base.astype(np.uint8))
    pen, ink = Pen(image), ink_on(dark, rng)
    columns, rows = rng.randint(3, 7), rng.randint(3, 7)
    cell_w, cell_h = width / columns, height / rows
    words = [w for w in texts("words")["print"] if 2 <= len(w) <= 5 and set(w) <= set(CHARACTERS)]
    boxed, upper, share = rng.random() < 0.75, rng.random() < 0.5, rng.choice((0.0, 0.3, 0.7, 1.0))
    stroke, marks = rng.choice((1, 2, 2, 3)), []
    files = [rng.choice((None, None, *font_files())) for _ in range(2)]
    for row in range(rows):
        for column in range(columns):
            if rng.random() > _PER_CELL:
                continue
            draw = rng.random()
            label = rng.choice(words) if draw < share else rng.choice(_LETTERS if draw < 0.9 else "0123456789+-=?")
            hw, hh = cell_w * rng.uniform(0.3, 0.46), cell_h * rng.uniform(0.3, 0.46)
            x, y = (column + 0.5) * cell_w, (row + 0.5) * cell_h
            text = label.upper() if upper else label
            face = fit_text(pen.draw, text, rng.choice(files), hw * 1.65, hh * rng.uniform(0.9, 1.5))
            if pen.draw.textlength(text, font=face) > cell_w:  # in the smallest print there is
                continue
            if boxed:
                draw_box(
                    pen.draw, (x - hw, y - hh, x + hw, y + hh), None, ink, stroke, rng.choices(BOX_FORMS, BOX_SHARES)[0]
                )
            pen.marks.clear()
            pen.write_centred(text, (x, y), face, ink)
            marks += [(*mark[:4], character) for mark, character in zip(pen.marks, label, strict=True)]
    return photograph(image, rng), marks
