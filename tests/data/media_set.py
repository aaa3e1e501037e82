"""A small mixed data set on disk, for the tests of this folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import soundfile

from vita.data.mixture import Source

NUM_RECORDS = 30


def write_media_set(folder: Path) -> Path:
    """30 records, in turn: text of growing length; a picture; a sound; a question that can also be asked aloud."""
    for number in range(3):
        PIL.Image.new("RGB", (40 + 30 * number, 40), (50 * number, 9, 9)).save(folder / f"{number}.png")
        soundfile.write(folder / f"{number}.wav", np.sin(np.arange(4000 * (number + 1)) / 20).astype(np.float32), 16000)
    path = folder / "data.jsonl"
    rows = [json.dumps(row_of(number)) + "\n" for number in range(NUM_RECORDS)]
    path.write_text("".join(rows), encoding="utf-8")
    return path


def row_of(number: int) -> dict[str, Any]:
    """Record `number` of the set."""
    kind, medium = number % 4, number % 3
    question = ("say it", "<image>\nwhat is it", "<audio>", "<image>\nhow many")[kind]
    reply = "red " * (number + 1)
    row = {"id": f"s{number}", "conversations": [{"from": "human", "value": question}, {"from": "gpt", "value": reply}]}
    if kind in (1, 3):
        row["image"] = f"{medium}.png"
    if kind == 2:
        row["audio"] = f"{medium}.wav"
    if kind == 3:
        row["spoken"] = [f"{medium}.wav"]
    return row


def sources_of(path: Path, **options: Any) -> list[Source]:
    """The set, and once more with another weight."""
    return [Source.open(path, weight=2, **options), Source.open(path, weight=1)]
