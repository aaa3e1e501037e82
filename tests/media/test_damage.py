"""Damaged files end in a MediaError or in media, never in anything else."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import cache

import numpy as np
import PIL.Image
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vita.errors import MediaError
from vita.media import load_audio, load_image, load_video

from . import make

PICTURE = make.picture_of(1, (40, 30))
FILES: dict[str, tuple[Callable, Callable[[], bytes]]] = {
    **{
        form: (load_image, lambda form=form: make.encoded_image(PICTURE, form))
        for form in ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "ICO", "JPEG2000", "PPM", "TGA", "PCX", "DDS")
    },
    "PNG-16": (load_image, lambda: make.encoded_image(PIL.Image.new("I;16", (40, 30)), "PNG")),
    "JPEG-exif": (load_image, lambda: make.encoded_image(PICTURE, "JPEG", exif=exif())),
    "GIF-clip": (load_video, lambda: make.animation("GIF", 4)),
    "WEBP-clip": (load_video, lambda: make.animation("WEBP", 4)),
    "mp4": (load_video, lambda: make.encoded_video(num_frames=12, options={"g": "4"})),
    "webm": (load_video, lambda: make.encoded_video("libvpx", "webm", num_frames=12, options={"g": "4"})),
    "avi": (load_video, lambda: make.encoded_video("mpeg4", "avi", num_frames=12, options={"g": "4"})),
    "wav": (load_audio, lambda: make.wav(make.tone(0.1, 8_000), 8_000, "FLOAT")),
    "flac": (load_audio, lambda: make.wav(make.tone(0.1, 8_000), 8_000, form="FLAC")),
    "ogg": (load_audio, lambda: make.wav(make.tone(0.1, 8_000), 8_000, "VORBIS", "OGG")),
    "mp3": (load_audio, lambda: make.wav(make.tone(0.1, 16_000), 16_000, "MPEG_LAYER_III", "MP3")),
    "m4a": (load_audio, lambda: make.encoded_audio("aac", "ipod", 0.2, 16_000)),
}


def exif() -> PIL.Image.Exif:
    tags = PIL.Image.Exif()
    tags[0x0112], tags[0x010E] = 6, "a picture"
    return tags


@cache
def intact(name: str) -> bytes:
    """The file before it is damaged."""
    return FILES[name][1]()


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("name", FILES)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(data=st.data())
def test_damaged_files(name: str, data: st.DataObject) -> None:
    """Some bytes changed (mostly in the header), some cut off."""
    damaged = bytearray(intact(name))
    for _ in range(data.draw(st.integers(0, 6))):
        reach = data.draw(st.sampled_from([64, 400, len(damaged)]))
        damaged[data.draw(st.integers(0, min(reach, len(damaged)) - 1))] = data.draw(st.integers(0, 255))
    damaged = damaged[: data.draw(st.integers(1, len(damaged)))] if data.draw(st.booleans()) else damaged
    with contextlib.suppress(MediaError):
        loaded = FILES[name][0](bytes(damaged))
        assert isinstance(loaded, np.ndarray) or getattr(loaded, "size", None) or loaded.frames
