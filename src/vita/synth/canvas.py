"""What a picture is drawn on and how it is taken: size, background, shades of colours, a poor camera.

Used by `render`.
"""

from __future__ import annotations

import math
import random

import numpy as np
from PIL import Image, ImageFilter

RGB = tuple[int, int, int]
COLOUR_RGB: dict[str, RGB] = {
    "red": (220, 35, 35),
    "green": (40, 165, 60),
    "blue": (40, 75, 220),
    "yellow": (240, 215, 30),
    "purple": (140, 50, 175),
    "orange": (248, 138, 25),
}


def random_size(rng: random.Random) -> tuple[int, int]:
    """(width, height): mostly squarish and small, now and then wide, tall or large."""
    long = rng.choice((200, 224, 256, 256, 320, 320, 400, 480, 640))
    ratio = rng.choice((1.0, 1.0, 1.0, 4 / 3, 3 / 4, 16 / 9, 1.5, 2 / 3, 0.56, 2.0, 0.5))
    return (long, max(90, int(long / ratio))) if ratio >= 1 else (max(90, int(long * ratio)), long)


def background(rng: random.Random, width: int, height: int) -> tuple[np.ndarray, bool]:
    """([height, width, 3] float32, dark): plain, graded or textured, light or dark, hardly coloured."""
    dark = rng.random() < 0.3
    level = (lambda: rng.uniform(5, 60)) if dark else (lambda: rng.uniform(195, 255))

    def shade() -> np.ndarray:
        base, tint = level(), rng.choice((0, 0, 8, 16))
        return np.clip([base + rng.uniform(-tint, tint) for _ in range(3)], 0, 255).astype(np.float32)

    first = shade()
    draw = rng.random()
    if draw < 0.45:
        return np.broadcast_to(first, (height, width, 3)).copy(), dark
    if draw < 0.8:
        angle = rng.uniform(0, 2 * math.pi)
        ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
        ramp = (xs / width - 0.5) * math.cos(angle) + (ys / height - 0.5) * math.sin(angle) + 0.5
        return first + (shade() - first) * np.clip(ramp, 0, 1)[..., None], dark
    coarse = (
        np.random.default_rng(rng.getrandbits(32))
        .normal(0, 1, (rng.randint(3, 12), rng.randint(3, 12)))
        .astype(np.float32)
    )
    texture = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    return np.clip(first + texture[..., None] * rng.uniform(4, 14), 0, 255), dark


def shade_of(colour: str, rng: random.Random) -> RGB:
    """A shade of a named colour."""
    r, g, b = COLOUR_RGB[colour]
    light = rng.uniform(0.82, 1.1)
    return tuple(int(min(max(c * light + rng.uniform(-14, 14), 0), 255)) for c in (r, g, b))  # type: ignore[return-value]


def photograph(image: Image.Image, rng: random.Random) -> Image.Image:
    """Blur, noise and exposure of a poor camera, now and then."""
    if rng.random() < 0.15:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.0)))
    if rng.random() < 0.35:
        noise = np.random.default_rng(rng.getrandbits(32)).normal(
            0, rng.uniform(2, 14), (image.height, image.width, 1 if rng.random() < 0.5 else 3)
        )
        image = Image.fromarray(np.clip(np.asarray(image) * rng.uniform(0.85, 1.1) + noise, 0, 255).astype(np.uint8))
    return image
