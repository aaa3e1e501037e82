"""Draws scenes of the pocket world with Pillow: any size, aspect ratio, background, font and amount of noise."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vita.synth.canvas import COLOUR_RGB, RGB, background, photograph, random_size, shade_of
from vita.synth.scenes import BOX_SLOTS, Scene, Thing, thing_slots

Face = ImageFont.FreeTypeFont | ImageFont.ImageFont
Mark = tuple[float, float, float, float, int]
"""Where an object or a character was drawn: left, top, right, bottom (fractions of the picture) and its slot."""
FONT_FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts", "/Library/Fonts", "C:/Windows/Fonts")
BOX_FORMS, BOX_SHARES = ("square", "rounded", "oval"), (0.6, 0.2, 0.2)
"""Of the boxes of a chart."""
_LATIN_FAMILIES = ("dejavu", "liberation", "freefont", "lato", "arial", "times", "courier", "verdana", "georgia")


@lru_cache(maxsize=1)
def font_files() -> tuple[str, ...]:
    """Upright Latin fonts of this machine; Pillow's own font is always there besides."""
    found = []
    for folder in FONT_FOLDERS:
        for path in sorted(Path(folder).rglob("*.[to]tf")) if Path(folder).is_dir() else ():
            name = str(path).lower()
            if any(f in name for f in _LATIN_FAMILIES) and not any(
                w in name for w in ("italic", "oblique", "hairline", "thin")
            ):
                found.append(str(path))
    return tuple(found)


@lru_cache(maxsize=512)
def font(file: str | None, size: int) -> Face:
    """A font of `size` pixels; None is Pillow's built-in one."""
    return ImageFont.truetype(file, size) if file else ImageFont.load_default(size)


def polygon(shape: str, cx: float, cy: float, radius: float, angle: float) -> list[tuple[float, float]]:
    """Corners of a square, triangle, star or cross of half-width `radius` pixels, turned by `angle` radians."""
    if shape == "square":
        corners = [(-0.92, -0.92), (0.92, -0.92), (0.92, 0.92), (-0.92, 0.92)]
    elif shape == "triangle":
        corners = [(0, -1), (0.98, 0.85), (-0.98, 0.85)]
    elif shape == "star":
        corners = []
        for k in range(10):
            r = 1.05 if k % 2 == 0 else 0.44
            corners.append((r * math.sin(k * math.pi / 5), -r * math.cos(k * math.pi / 5)))
    else:
        w = 0.33
        corners = [
            (-w, -1),
            (w, -1),
            (w, -w),
            (1, -w),
            (1, w),
            (w, w),
            (w, 1),
            (-w, 1),
            (-w, w),
            (-1, w),
            (-1, -w),
            (-w, -w),
        ]
    sin, cos = math.sin(angle), math.cos(angle)
    return [(cx + radius * (x * cos - y * sin), cy + radius * (x * sin + y * cos)) for x, y in corners]


def draw_thing(
    draw: ImageDraw.ImageDraw, thing: Thing, size: tuple[int, int], fill: RGB, angle: float, outline: RGB | None
) -> None:
    """One shape on the canvas of `size` (width, height)."""
    width, height = size
    radius = thing.size * min(width, height) / 2
    cx, cy = thing.x * width, thing.y * height
    stroke = max(1, int(radius / 12)) if outline else 0
    if thing.shape == "circle":
        draw.ellipse((cx - radius, cy - radius, cx + radius, cy + radius), fill=fill, outline=outline, width=stroke)
    else:
        corners = polygon(thing.shape, cx, cy, radius, angle)
        draw.polygon(corners, fill=fill)
        if outline:
            draw.line([*corners, corners[0], corners[1]], fill=outline, width=stroke, joint="curve")


def fit_text(draw: ImageDraw.ImageDraw, text: str, file: str | None, width: float, height: float) -> Face:
    """The largest font in which `text` fits width x height pixels."""
    size = max(8, int(height))
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font(file, size))
    scale = min(width / max(right - left, 1), height / max(bottom - top, 1), 1.0)
    return font(file, max(7, int(size * scale)))


class Pen:
    """Draws on one picture and notes where each slot's object went."""

    def __init__(self, image: Image.Image) -> None:
        self.draw, self.size, self.marks = ImageDraw.Draw(image), image.size, []

    def write_centred(
        self, text: str, centre: tuple[float, float], face: Face, ink: RGB, slots: Sequence[int] | None = None
    ) -> None:
        """Print centred on a point; every character is a mark, or as many as there are slots (by default 0, 1, ...)."""
        left, top, right, bottom = self.draw.textbbox((0, 0), text, font=face)
        x, y = centre[0] - (left + right) / 2, centre[1] - (top + bottom) / 2
        self.draw.text((x, y), text, font=face, fill=ink)
        for i, slot in zip(range(len(text)), range(len(text)) if slots is None else slots, strict=False):
            begin, end = self.draw.textlength(text[:i], font=face), self.draw.textlength(text[: i + 1], font=face)
            self.mark(x + begin, y + top, x + end, y + bottom, slot)

    def mark(self, left: float, top: float, right: float, bottom: float, slot: int) -> None:
        """Note a place, given in pixels."""
        width, height = self.size
        self.marks.append((left / width, top / height, right / width, bottom / height, slot))


def ink_on(dark: bool, rng: random.Random) -> RGB:
    """A colour of print that a dark or a light background leaves legible: mostly grey, now and then coloured."""
    low, high = (190, 255) if dark else (0, 70)
    if rng.random() < 0.7:
        grey = rng.randint(low, high)
        ink = (grey, grey, grey)
    else:
        ink = (rng.randint(low, high), rng.randint(low, high), rng.randint(low, high))
    if not dark and rng.random() < 0.25:
        ink = shade_of(rng.choice(("red", "blue", "green", "purple")), rng)
    return ink


def _cased(text: str, rng: random.Random) -> str:
    return rng.choice((text, text.upper(), text.upper(), text.title()))


@lru_cache(maxsize=512)
def has_glyph(file: str | None, character: str) -> bool:
    """Whether a font can print a character; what it cannot, it prints as it does one that no font has."""
    printed = []
    for text in (character, "\U0010ffff"):
        image = Image.new("L", (64, 64))
        ImageDraw.Draw(image).text((16, 16), text, font=font(file, 32), fill=255)
        printed.append(image.tobytes())
    return printed[0] != printed[1]


def with_minus(text: str, file: str | None, rng: random.Random) -> str:
    """A sum whose "-" is, half the time, a real minus or a dash, where the font has it."""
    sign = rng.choice(("-", "-", "\N{MINUS SIGN}", "\N{EN DASH}"))
    return text.replace("-", sign) if has_glyph(file, sign) else text


def _draw_print(pen: Pen, scene: Scene, ink: RGB, rng: random.Random) -> None:
    draw, (width, height) = pen.draw, pen.size
    file = rng.choice((None, None, *font_files()))
    text = _cased(scene.text, rng) if scene.kind == "text" else with_minus(scene.text, file, rng)
    # short print may be small; long print needs the width to be legible after the resize to a square
    share = rng.uniform(max(0.25, min(0.9, len(text) * 0.085)), 0.93)
    face = fit_text(draw, text, file, width * share, height * rng.uniform(0.18, 0.6))
    left, top, right, bottom = draw.textbbox((0, 0), text, font=face)
    free_x, free_y = max(0.0, width - (right - left)) / 2, max(0.0, height - (bottom - top)) / 2
    spread = rng.choice((0.0, 0.5, 0.9))
    centre = (width / 2 + rng.uniform(-1, 1) * free_x * spread, height / 2 + rng.uniform(-1, 1) * free_y * spread)
    pen.write_centred(text, centre, face, ink)


def _box_centres(count: int, rng: random.Random) -> tuple[list[tuple[float, float]], float, float]:
    """Centres in arrow order (fractions), half width and half height of a box."""
    layout = rng.choices(("row", "column", "grid"), (0.42, 0.38, 0.2))[0]
    if layout == "grid" and count > 2:
        cells = [(0.27, 0.27), (0.73, 0.27), (0.73, 0.73), (0.27, 0.73)][:count]
        if rng.random() < 0.3:
            cells = [(0.27, 0.27), (0.73, 0.27), (0.27, 0.73), (0.73, 0.73)][:count]
        return cells, rng.uniform(0.1, 0.16), rng.uniform(0.08, 0.14)
    along = [(k + 0.5) / count for k in range(count)]
    half = 0.5 / count * rng.uniform(0.5, 0.78)
    other, thickness = rng.uniform(0.35, 0.65), rng.uniform(0.07, 0.16)
    if rng.random() < 0.15:
        along = along[::-1]
    if layout == "column":
        return [(other, a) for a in along], rng.uniform(0.1, 0.35), min(half, 0.14)
    return [(a, other) for a in along], half, thickness


def draw_box(
    draw: ImageDraw.ImageDraw,
    corners: tuple[float, float, float, float],
    fill: RGB | None,
    ink: RGB,
    stroke: int,
    form: str = "square",
) -> None:
    """One box of a chart, of BOX_FORMS; corners are left, top, right, bottom in pixels."""
    if form == "oval":
        draw.ellipse(corners, fill=fill, outline=ink, width=stroke)
    elif form == "rounded":
        radius = (corners[3] - corners[1]) * 0.2
        draw.rounded_rectangle(corners, radius=radius, fill=fill, outline=ink, width=stroke)
    else:
        draw.rectangle(corners, fill=fill, outline=ink, width=stroke)


def _arrow(
    draw: ImageDraw.ImageDraw,
    start: tuple[float, float],
    end: tuple[float, float],
    ink: RGB,
    stroke: int,
    *,
    open_: bool,
) -> None:
    draw.line((start, end), fill=ink, width=stroke)
    angle = math.atan2(end[1] - start[1], end[0] - start[0])
    head = max(5.0, 0.35 * math.dist(start, end)) if math.dist(start, end) < 40 else 13.0
    wings = [(end[0] - head * math.cos(angle + s), end[1] - head * math.sin(angle + s)) for s in (0.5, -0.5)]
    if open_:
        draw.line([wings[0], end, wings[1]], fill=ink, width=stroke)
    else:
        draw.polygon([end, *wings], fill=ink)


def _draw_chart(pen: Pen, scene: Scene, ink: RGB, dark: bool, rng: random.Random) -> None:
    draw, (width, height) = pen.draw, pen.size
    centres, half_w, half_h = _box_centres(len(scene.boxes), rng)
    pixels = [(x * width, y * height) for x, y in centres]
    hw, hh = half_w * width, half_h * height
    fill: RGB | None = None
    if rng.random() < 0.4:
        low, high = (30, 90) if dark else (205, 250)
        fill = (rng.randint(low, high), rng.randint(low, high), rng.randint(low, high))
    stroke, open_ = rng.choice((1, 2, 2, 3)), rng.random() < 0.3
    for a, b in pairwise(pixels):
        _arrow(draw, _edge(a, b, hw, hh), _edge(b, a, hw, hh), ink, stroke, open_=open_)
    file, upper = rng.choice((None, None, *font_files())), rng.random() < 0.6
    labels = [box.upper() if upper else box for box in scene.boxes]
    form = rng.choices(BOX_FORMS, BOX_SHARES)[0]
    # what stands in an oval must leave its corners free
    wide, high = (1.4, (0.8, 1.2)) if form == "oval" else (1.65, (1.0, 1.5))
    faces = [fit_text(draw, label, file, hw * wide, hh * rng.uniform(*high)) for label in labels]
    face = min(faces, key=lambda f: getattr(f, "size", 10))
    for box, ((x, y), label) in enumerate(zip(pixels, labels, strict=True)):
        corners = (x - hw, y - hh, x + hw, y + hh)
        draw_box(draw, corners, fill, ink, stroke, form)
        pen.write_centred(label, (x, y), face, ink, range(box * BOX_SLOTS, (box + 1) * BOX_SLOTS))


def _edge(a: tuple[float, float], b: tuple[float, float], hw: float, hh: float) -> tuple[float, float]:
    """Where the line from the centre of box a towards b leaves box a (a pixel outside)."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    scale = min((hw + 2) / abs(dx) if dx else math.inf, (hh + 2) / abs(dy) if dy else math.inf)
    return a[0] + dx * scale, a[1] + dy * scale


def render(
    scene: Scene, rng: random.Random, size: tuple[int, int] | None = None, style_seed: int | None = None
) -> Image.Image:
    """Draw `scene`; see `render_marked`."""
    return render_marked(scene, rng, size, style_seed)[0]


def render_marked(
    scene: Scene, rng: random.Random, size: tuple[int, int] | None = None, style_seed: int | None = None
) -> tuple[Image.Image, list[Mark]]:
    """Draw `scene` and say where everything went.

    Args:
        scene: what is in the picture.
        rng: source of all variation that may differ between the frames of a clip (noise).
        size: (width, height) in pixels; drawn at random (aspect ratios 1:2 to 2:1) when None.
        style_seed: fixes background, shades and angles, so that the frames of a clip match.
    """
    style = random.Random(style_seed if style_seed is not None else rng.getrandbits(32))
    width, height = size or random_size(style)
    base, dark = background(style, width, height)
    image = Image.fromarray(base.astype(np.uint8))
    pen = Pen(image)
    if scene.kind == "shapes":
        angles = [style.gauss(0, 0.13) for _ in range(4)]
        outline_draw, shades = style.random(), {c: shade_of(c, style) for c in COLOUR_RGB}
        outline: RGB | None = None if outline_draw < 0.75 else ((235, 235, 235) if dark else (25, 25, 25))
        for angle, (slot, thing) in zip(angles, thing_slots(scene.things), strict=False):
            draw_thing(pen.draw, thing, (width, height), shades[thing.colour], angle, outline)
            radius = thing.size * min(width, height) / 2
            x, y = thing.x * width, thing.y * height
            pen.mark(x - radius, y - radius, x + radius, y + radius, slot)
    else:
        ink = ink_on(dark, style)
        if scene.kind == "chart":
            _draw_chart(pen, scene, ink, dark, style)
        else:
            _draw_print(pen, scene, ink, style)
    return photograph(image, rng), pen.marks
