"""The names and facts of the pocket world, read once from the JSON files beside this module."""

from __future__ import annotations

import json
from functools import cache, lru_cache
from importlib import resources
from typing import Any

LANGUAGES = ("en", "zh")
SHAPES = ("circle", "square", "triangle", "star", "cross")
COLOURS = ("red", "green", "blue", "yellow", "purple", "orange")
PLACES = ("top left", "top", "top right", "left", "center", "right", "bottom left", "bottom", "bottom right")
DIRECTIONS = ("left", "right", "up", "down")
NUMBERS = {
    "en": [
        "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
        "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
    ],
    "zh": [
        "零", "一", "二", "三", "四", "五", "六", "七", "八", "九", "十", "十一", "十二", "十三", "十四", "十五",
        "十六", "十七", "十八", "十九", "二十",
    ],
}  # fmt: skip
COUNTED_ZH = ("零个", "一个", "两个", "三个", "四个", "五个", "六个", "七个", "八个", "九个", "十个")


@lru_cache(maxsize=1)
def world() -> dict[str, Any]:
    """Facts, colours, shapes, positions and directions, with their English and Chinese names."""
    return _read("world.json")


@cache
def texts(name: str) -> dict[str, Any]:
    """One of the text collections: facts, side_talk, small_talk, words, lead_ins, picture_phrases."""
    return _read(f"text/{name}.json")


def name_of(kind: str, english: str, lang: str) -> str:
    """The name of a colour, shape, position or direction (given in English) in `lang`."""
    return next(entry[lang] for entry in world()[kind] if entry["en"] == english)


def _read(path: str) -> dict[str, Any]:
    return json.loads(resources.files("vita.synth").joinpath(path).read_text(encoding="utf-8"))
