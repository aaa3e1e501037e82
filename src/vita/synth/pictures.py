"""What a turn shows, drawn: its picture or the frames of its clip. `vita.train` and `vita.evaluate` are the callers."""

from __future__ import annotations

import random

from PIL import Image

from vita.synth.render import render
from vita.synth.scenes import ClipScene, jitter
from vita.synth.turns import Turn


def clip_images(clip: ClipScene, rng: random.Random) -> list[Image.Image]:
    """The frames of a clip: one style, a slightly trembling camera."""
    style = rng.getrandbits(32)
    frames = []
    for frame in clip.frames:
        shaken = frame.__class__(kind="shapes", things=tuple(jitter(t, rng) for t in frame.things))
        frames.append(render(shaken, rng, style_seed=style))
    return frames


def turn_images(turn: Turn, rng: random.Random) -> list[Image.Image]:
    """What a turn shows: one picture, the frames of a clip, or nothing."""
    if turn.clip is not None:
        return clip_images(turn.clip, rng)
    return [render(turn.scene, rng)] if turn.scene is not None else []
