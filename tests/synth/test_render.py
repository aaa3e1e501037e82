"""Pictures: what is drawn is where the marks say, in the colour that the scene says, at any size."""

from __future__ import annotations

import colorsys
import itertools
import random

import numpy as np
import pytest
from PIL import Image, ImageDraw

from vita.synth import canvas, render
from vita.synth.pictures import clip_images, turn_images
from vita.synth.render import draw_box, has_glyph, render_marked, with_minus
from vita.synth.scenes import Scene, Thing, characters, random_clip, random_scene, random_things, thing_slots
from vita.synth.turns import Turn
from vita.synth.world import COLOURS, SHAPES

SIZES = [(224, 224), (400, 120), (90, 300), (640, 480), (64, 64)]


def colour_at(image: Image.Image, x: float, y: float) -> str:
    """The name of the colour around a point (fractions), by hue."""
    column, row = int(x * image.width), int(y * image.height)
    patch = np.asarray(image, np.float32)[max(row - 2, 0) : row + 3, max(column - 2, 0) : column + 3]
    hue = colorsys.rgb_to_hsv(*(patch.mean((0, 1)) / 255))[0]
    hues = {name: colorsys.rgb_to_hsv(*(v / 255 for v in rgb))[0] for name, rgb in canvas.COLOUR_RGB.items()}
    return min(hues, key=lambda name: min(abs(hue - hues[name]), 1 - abs(hue - hues[name])))


@pytest.mark.parametrize("size", [None, *SIZES])
def test_every_shape_has_its_colour_where_its_mark_is(size: tuple[int, int] | None) -> None:
    rng = random.Random(1)
    for _ in range(25):
        scene = Scene(kind="shapes", things=random_things(rng))
        image, marks = render_marked(scene, rng, size)
        assert size is None or image.size == size
        things = dict(thing_slots(scene.things))
        assert [mark[4] for mark in marks] == list(things)
        for left, top, right, bottom, slot in marks:
            thing = things[slot]
            assert ((left + right) / 2, (top + bottom) / 2) == pytest.approx((thing.x, thing.y))
            assert colour_at(image, thing.x, thing.y) == thing.colour


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("colour", COLOURS)
def test_a_shape_fills_its_mark_and_nothing_else(shape: str, colour: str) -> None:
    thing = Thing(shape=shape, colour=colour, x=0.5, y=0.5, size=0.4)
    image, ((left, top, right, bottom, _),) = render_marked(
        Scene(kind="shapes", things=(thing,)), random.Random(3), (200, 200)
    )
    hue = np.asarray(image.convert("HSV"), np.int32)
    coloured = np.argwhere(hue[..., 1] > 120)
    low, high = coloured.min(0) / 200, coloured.max(0) / 200
    assert low == pytest.approx([top, left], abs=0.06)
    assert high == pytest.approx([bottom, right], abs=0.06)


@pytest.mark.parametrize("kind", ["text", "sum", "chart"])
@pytest.mark.parametrize("size", [None, *SIZES[:4]])
def test_every_character_has_a_mark_inside_the_picture(kind: str, size: tuple[int, int] | None) -> None:
    rng = random.Random(2)
    for _ in range(15):
        scene = random_scene(rng, kind)
        image, marks = render_marked(scene, rng, size)
        assert [mark[4] for mark in marks] == [slot for slot, *_ in characters(scene)]
        boxes = np.asarray([mark[:4] for mark in marks])
        assert (boxes > -0.01).all(), scene
        assert (boxes < 1.01).all(), scene
        assert (boxes[:, 2:] >= boxes[:, :2]).all()
        assert image.mode == "RGB"


def test_ink_is_where_the_marks_of_print_are() -> None:
    rng = random.Random(4)
    for _ in range(20):
        scene = Scene(kind="text", text="hello")
        image, marks = render_marked(scene, rng, (300, 200))
        grey = np.asarray(image.convert("L"), np.float32)
        left, top = marks[0][0] * 300, marks[0][1] * 200
        right, bottom = marks[-1][2] * 300, marks[-1][3] * 200
        inside = grey[int(top) : int(bottom) + 1, int(left) : int(right) + 1]
        outside = np.concatenate([grey[:, : max(int(left) - 4, 1)].ravel(), grey[: max(int(top) - 4, 1)].ravel()])
        contrast = max(inside.max() - np.median(outside), np.median(outside) - inside.min())
        assert contrast > 60
        assert contrast > 2 * outside.std()


def test_characters_of_a_line_stand_side_by_side() -> None:
    _, marks = render_marked(Scene(kind="text", text="abc def"), random.Random(0), (400, 200))
    lefts = [mark[0] for mark in marks]
    assert lefts == sorted(lefts)
    assert all(a[2] == pytest.approx(b[0]) for a, b in itertools.pairwise(marks))


def test_boxes_of_a_chart_stand_in_arrow_order_along_the_layout() -> None:
    """Rows, columns and grids all come up; the centres of neighbours are apart."""
    layouts = set()
    for seed in range(60):
        _, marks = render_marked(Scene(kind="chart", boxes=("a", "b", "c", "d")), random.Random(seed), (300, 300))
        centres = np.asarray([((m[0] + m[2]) / 2, (m[1] + m[3]) / 2) for m in marks])
        steps = np.diff(centres, axis=0)
        assert (np.abs(steps).max(1) > 0.15).all()
        spread = np.ptp(centres, axis=0) > 0.15
        layouts.add((bool(spread[0]), bool(spread[1])))
    assert layouts == {(True, False), (False, True), (True, True)}


def test_boxes_are_squares_rounded_or_ovals() -> None:
    """The ink in a box's corner and in the middle of its upper edge."""
    inked = {}
    for form in render.BOX_FORMS:
        image = Image.new("RGB", (100, 60), "white")
        draw_box(ImageDraw.Draw(image), (10, 10, 90, 50), None, (0, 0, 0), 2, form)
        grey = np.asarray(image.convert("L"))
        inked[form] = bool(grey[10:12, 10:12].min() < 128), bool(grey[10:12, 48:52].min() < 128)
        # how far from the corner the upper edge begins
        inked[form] += (int(np.argmax(grey[10] < 128)),)
    assert inked["square"] == (True, True, 10)
    assert inked["rounded"][:2] == inked["oval"][:2] == (False, True)
    assert 10 < inked["rounded"][2] < inked["oval"][2]


def test_a_minus_is_printed_in_several_ways_where_the_font_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(0)
    own = {with_minus("12 - 5", None, rng) for _ in range(50)}
    assert own == {"12 - 5"}, "Pillow's font has neither dash nor minus"
    monkeypatch.setattr(render, "has_glyph", lambda file, character: True)
    every = {with_minus("12 - 5", None, rng) for _ in range(50)}
    assert every == {"12 - 5", "12 \N{EN DASH} 5", "12 \N{MINUS SIGN} 5"}


def test_a_font_knows_what_it_can_print() -> None:
    assert has_glyph(None, "-")
    assert not has_glyph(None, "\N{MINUS SIGN}")


def test_the_same_seed_draws_the_same_picture() -> None:
    scene = Scene(kind="chart", boxes=("a", "b", "c"))
    pictures = [render.render(scene, random.Random(seed)).tobytes() for seed in (1, 1, 2)]
    assert pictures[0] == pictures[1]
    assert pictures[0] != pictures[2]


def test_a_style_seed_fixes_everything_but_the_noise() -> None:
    scene = Scene(kind="shapes", things=(Thing(shape="square", colour="red", x=0.2, y=0.2),))
    pictures = [render.render(scene, random.Random(seed), style_seed=9) for seed in range(12)]
    assert len({picture.size for picture in pictures}) == 1
    stack = np.asarray([np.asarray(picture, np.float32) for picture in pictures])
    clean = np.median(stack, axis=0)
    # most frames are unchanged by the camera, so the median is the picture of the style
    assert sum(bool(np.abs(frame - clean).max() < 3) for frame in stack) >= 4
    other = render.render(scene, random.Random(0), style_seed=10)
    assert other.size != pictures[0].size or np.abs(np.asarray(other, np.float32) - clean).max() > 3


def test_frames_of_a_clip_match_and_move_with_it() -> None:
    rng = random.Random(5)
    clip = next(c for c in iter(lambda: random_clip(rng, 5), None) if c.event == "right")
    frames = clip_images(clip, rng)
    assert len(frames) == len(clip.frames)
    assert len({frame.size for frame in frames}) == 1
    for image, frame in zip(frames, clip.frames, strict=True):
        assert colour_at(image, frame.things[0].x, frame.things[0].y) == clip.colour


def test_what_a_turn_shows() -> None:
    rng = random.Random(6)
    clip, scene = random_clip(rng, 4), random_scene(rng)
    shown = [
        len(turn_images(Turn(kind="k", lang="en", question="", answer="", scene=s, clip=c), rng))
        for s, c in ((None, None), (scene, None), (None, clip))
    ]
    assert shown == [0, 1, 4]


def test_backgrounds_are_light_or_dark_and_never_strongly_coloured() -> None:
    rng = random.Random(7)
    darkness = set()
    for _ in range(60):
        pixels, dark = canvas.background(rng, 40, 30)
        assert pixels.shape == (30, 40, 3)
        assert 0 <= pixels.min() <= pixels.max() <= 255
        assert np.ptp(pixels, axis=-1).max() < 70
        assert (pixels.mean() < 128) == dark
        darkness.add(dark)
    assert darkness == {True, False}


def test_sizes_and_aspect_ratios_vary() -> None:
    rng = random.Random(8)
    ratios = [width / height for width, height in (canvas.random_size(rng) for _ in range(500))]
    assert min(ratios) < 0.6
    assert max(ratios) > 1.7
    assert 0.2 < sum(abs(ratio - 1) < 0.05 for ratio in ratios) / 500 < 0.4


def test_pictures_are_drawn_without_any_font_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render, "font_files", lambda: ())
    rng = random.Random(9)
    _, marks = render_marked(Scene(kind="text", text="open"), rng)
    assert len(marks) == 4
