"""Scenes and what the slots of the vision connector must say about them."""

from __future__ import annotations

import random

import numpy as np
import pytest

from vita.synth.scenes import (
    BOX_SLOTS,
    CHARACTERS,
    FACTORS,
    FRAME_SLOTS,
    GRID,
    GROUP_SIZES,
    NUM_SLOTS,
    ClipScene,
    Scene,
    Thing,
    characters,
    jitter,
    random_clip,
    random_scene,
    random_things,
    slot_labels,
    thing_slots,
    worded_boxes,
)
from vita.synth.world import COLOURS, PLACES, SHAPES

KIND, SHAPE, COLOUR, PLACE, X, Y, CHAR = range(7)


def thing(x: float, y: float, shape: str = "star", colour: str = "blue", size: float = 0.1) -> Thing:
    return Thing(shape=shape, colour=colour, x=x, y=y, size=size)


@pytest.mark.parametrize("index", range(9))
def test_a_thing_stands_in_the_slot_of_its_place(index: int) -> None:
    column, row = index % 3, index // 3
    one = thing((column + 0.5) / 3, (row + 0.5) / 3)
    assert one.place == PLACES[index]
    labels = slot_labels(Scene(kind="shapes", things=(one,)))
    assert labels.shape == (NUM_SLOTS, len(FACTORS))
    assert np.flatnonzero(labels.any(1)).tolist() == [index]
    found = labels[index]
    assert (found[KIND], SHAPES[found[SHAPE] - 1], COLOURS[found[COLOUR] - 1]) == (1, "star", "blue")
    assert (PLACES[found[PLACE] - 1], found[CHAR]) == (PLACES[index], 0)
    assert (found[X], found[Y]) == (int(one.x * 8) + 1, int(one.y * 8) + 1)


def test_things_of_one_place_stand_nine_slots_apart_from_left_to_right() -> None:
    left, middle, right = thing(0.05, 0.2), thing(0.15, 0.1), thing(0.28, 0.05)
    pairs = thing_slots((right, left, middle))
    assert pairs == [(0, left), (9, middle), (18, right)]
    labels = slot_labels(Scene(kind="shapes", things=(right, left, middle)))
    assert np.flatnonzero(labels[:, KIND]).tolist() == [0, 9, 18]


def test_a_thing_without_a_slot_is_left_out() -> None:
    low = [thing(x, 0.9) for x in (0.7, 0.8, 0.9)]
    assert [slot for slot, _ in thing_slots(low)] == [8, 17, 26]
    labels = slot_labels(Scene(kind="shapes", things=tuple(low)))
    assert np.flatnonzero(labels[:, KIND]).tolist() == [8, 17]
    frame = slot_labels(Scene(kind="shapes", things=tuple(low)), FRAME_SLOTS)
    assert (frame.shape[0], np.flatnonzero(frame[:, KIND]).tolist()) == (FRAME_SLOTS, [8])


def test_print_stands_in_reading_order_and_is_cut_at_the_last_slot() -> None:
    labels = slot_labels(Scene(kind="text", text="no 7"))
    assert [CHARACTERS[c - 1] for c in labels[:4, CHAR]] == list("no 7")
    assert labels[:4, KIND].tolist() == [2, 2, 2, 2]
    assert not labels[4:].any()
    assert not labels[:, [SHAPE, COLOUR, Y]].any()
    assert labels[:4, PLACE].tolist() == [1, 1, 1, 1]
    assert labels[:4, X].tolist() == [1, 2, 3, 4]
    text = "abcdefghijklmnopqrstuvwxyz"
    cut = slot_labels(Scene(kind="text", text=text))
    assert cut[:, X].max() == GRID
    assert "".join(CHARACTERS[c - 1] for c in cut[:, CHAR]) == text[:NUM_SLOTS]


def test_each_box_of_a_chart_has_slots_of_its_own() -> None:
    scene = Scene(kind="chart", boxes=("go", "a", "in"))
    assert characters(scene) == [
        (0, 3, 0, 0, "g"),
        (1, 2, 0, 1, "o"),
        (6, 3, 1, 0, "a"),
        (12, 3, 2, 0, "i"),
        (13, 2, 2, 1, "n"),
    ]
    labels = slot_labels(scene)
    filled = [0, 1, 6, 12, 13]
    assert np.flatnonzero(labels.any(1)).tolist() == filled
    assert labels[filled, PLACE].tolist() == [1, 1, 2, 3, 3]
    assert labels[filled, X].tolist() == [1, 2, 1, 1, 2]
    assert labels[filled, KIND].tolist() == [3, 2, 3, 3, 2]
    assert "".join(CHARACTERS[c - 1] for c in labels[filled, CHAR]) == "goain"


def test_a_long_label_leaves_the_slots_of_the_next_box_alone() -> None:
    labels = slot_labels(Scene(kind="chart", boxes=("hedgehog", "ab", "c", "d")))
    letters = "".join(CHARACTERS[c - 1] if c else "_" for c in labels[:, CHAR])
    assert letters == "hedgehab____c_____d_____"
    assert len(letters) == NUM_SLOTS


def test_worded_boxes_are_short_and_can_be_read() -> None:
    rng = random.Random(9)
    for _ in range(200):
        boxes = worded_boxes(rng)
        assert 2 <= len(boxes) <= 4
        assert all(2 <= len(box) <= 5 <= BOX_SLOTS and set(box) <= set(CHARACTERS) for box in boxes)


def test_labels_are_classes_of_their_groups() -> None:
    rng = random.Random(3)
    labels = np.stack([slot_labels(random_scene(rng)) for _ in range(400)])
    assert (labels >= 0).all()
    assert (labels.max((0, 1)) < np.asarray(GROUP_SIZES)).all()
    # every class comes up: nothing is left unlearned, but for four signs that no print of ours has
    for factor, size in enumerate(GROUP_SIZES):
        missing = set(range(size)) - set(labels[..., factor].ravel().tolist())
        assert missing == ({CHARACTERS.index(c) + 1 for c in "!.,'"} if factor == CHAR else set()), FACTORS[factor]


def test_shapes_lie_inside_apart_and_clearly_in_one_place() -> None:
    rng = random.Random(4)
    counts = set()
    for _ in range(400):
        things = random_things(rng)
        counts.add(len(things))
        for index, one in enumerate(things):
            assert one.x - one.size * 0.4 > 0
            assert one.x + one.size * 0.4 < 1
            assert min(abs(v - edge) for v in (one.x, one.y) for edge in (1 / 3, 2 / 3)) >= 0.03
            for other in things[:index]:
                assert max(abs(one.x - other.x), abs(one.y - other.y)) > (one.size + other.size) / 2
    assert counts == {1, 2, 3, 4}


def test_the_asked_for_number_of_shapes_is_given() -> None:
    rng = random.Random(5)
    given = [len(random_things(rng, 1)) for _ in range(100)]
    assert given == [1] * 100


@pytest.mark.parametrize("kind", ["shapes", "text", "sum", "chart"])
def test_scenes_of_a_kind_hold_what_the_kind_says(kind: str) -> None:
    rng = random.Random(6)
    for _ in range(200):
        scene = random_scene(rng, kind)
        assert scene.kind == kind
        assert bool(scene.things) == (kind == "shapes")
        assert bool(scene.text) == (kind in ("text", "sum"))
        assert bool(scene.boxes) == (kind == "chart")
        assert set("".join((scene.text, *scene.boxes))) <= set(CHARACTERS)
        assert len(set(scene.boxes)) == len(scene.boxes) != 1
        assert len(characters(scene)) <= NUM_SLOTS


def test_every_kind_of_scene_is_drawn() -> None:
    rng = random.Random(7)
    drawn = [random_scene(rng).kind for _ in range(1000)]
    shares = {kind: drawn.count(kind) / 1000 for kind in set(drawn)}
    assert shares == pytest.approx({"shapes": 0.5, "text": 0.22, "sum": 0.12, "chart": 0.16}, abs=0.05)


def seen_event(clip: ClipScene) -> str:
    """What happens, from the frames alone."""
    shown = [frame.things[0] for frame in clip.frames if frame.things]
    if not clip.frames[0].things:
        return "appears"
    if not clip.frames[-1].things:
        return "disappears"
    if shown[0].colour != shown[-1].colour:
        return "changes"
    dx, dy = shown[-1].x - shown[0].x, shown[-1].y - shown[0].y
    assert max(abs(dx), abs(dy)) > 2 * min(abs(dx), abs(dy)), "the direction is in doubt"
    if abs(dx) > abs(dy):
        return "right" if dx > 0 else "left"
    return "down" if dy > 0 else "up"


def test_clips_show_what_they_say() -> None:
    rng = random.Random(8)
    events, lengths = set(), set()
    for _ in range(500):
        clip = random_clip(rng)
        events.add(clip.event)
        lengths.add(len(clip.frames))
        assert seen_event(clip) == clip.event
        shown = [frame.things[0] for frame in clip.frames if frame.things]
        assert {t.shape for t in shown} == {clip.shape}
        assert (shown[0].colour, shown[-1].colour) == (clip.colour, clip.final_colour)
        moved = [(t.x, t.y) for t in shown]
        if clip.event in ("left", "right", "up", "down"):
            axis, sign = {"left": (0, -1), "right": (0, 1), "up": (1, -1), "down": (1, 1)}[clip.event]
            steps = np.diff([place[axis] for place in moved]) * sign
            assert (steps >= 0).all()
            assert steps.sum() > 0.1
        else:
            assert len(set(moved)) == 1
    assert events == {"left", "right", "up", "down", "appears", "disappears", "changes"}
    assert lengths == set(range(4, 13))


def test_a_clip_has_as_many_frames_as_asked() -> None:
    assert len(random_clip(random.Random(0), num_frames=7).frames) == 7


def test_jitter_moves_a_hair() -> None:
    one = thing(0.5, 0.5)
    moved = [jitter(one, random.Random(seed)) for seed in range(50)]
    assert all(0 < max(abs(m.x - 0.5), abs(m.y - 0.5)) < 0.03 for m in moved)
    assert {(m.shape, m.colour, m.size) for m in moved} == {("star", "blue", 0.1)}


def test_the_same_seed_gives_the_same_scenes() -> None:
    first, again = ([random_scene(random.Random(s)) for s in range(30)] for _ in range(2))
    assert first == again
    assert len(set(first)) == 30
