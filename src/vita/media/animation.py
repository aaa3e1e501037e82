"""Animated pictures (GIF, WebP, PNG) as clips. Called by `video.py`.

Read by Pillow and not by FFmpeg, which knows no animated WebP and does not clear frames as GIF asks for.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import PIL.Image

from vita.errors import LimitError, MediaError
from vita.media.image import check_pixels, open_picture, to_rgb
from vita.media.limits import MediaLimits
from vita.media.source import Opened

_DEFAULT_FRAME_S = 0.1
"""How long a frame stays that does not say: what browsers do."""


class PictureFrames:
    """The frames of an animated picture, in the interface that `video.py` reads from.

    fps: mean rate. num_frames: frames in the file.
    """

    def __init__(self, name: str, picture: PIL.Image.Image, limits: MediaLimits) -> None:
        self._name, self._picture, self._limits = name, picture, limits
        self.num_frames = getattr(picture, "n_frames", 1)
        if self.num_frames == 1 and picture.format != "GIF":
            raise MediaError(f"{name} is a still picture", expected="a video or animation", fix="give it as an image")
        if self.num_frames > limits.max_frames:
            raise LimitError(
                f"{name} has too many frames",
                got=self.num_frames,
                expected=f"at most {limits.max_frames}",
                fix="cut it or raise max_frames",
            )
        self._starts_s = self._measure()
        self.fps = self.num_frames / self._starts_s[-1]

    def read(self, indices: list[int]) -> Iterator[tuple[PIL.Image.Image, float]]:
        """The frames of ascending `indices` with the time each appears, in seconds."""
        for index in indices:
            self._show(index)
            yield to_rgb(self._picture), self._starts_s[index]

    def _show(self, index: int) -> None:
        self._picture.seek(index)
        check_pixels(self._name, self._picture.size, self._limits)
        self._picture.load()

    def _measure(self) -> list[float]:
        """When each frame starts, and when the last one ends, in seconds."""
        starts_s = [0.0]
        for index in range(self.num_frames):
            self._show(index)
            duration_s = float(self._picture.info.get("duration", 0)) / 1000
            starts_s.append(starts_s[-1] + (duration_s if duration_s > 0 else _DEFAULT_FRAME_S))
            if starts_s[-1] > self._limits.max_video_s:
                raise LimitError(
                    f"{self._name} is too long",
                    got="more",
                    expected=f"at most {self._limits.max_video_s:g} s",
                    fix="cut it or raise max_video_s",
                )
        return starts_s


@contextmanager
def open_animation(opened: Opened, limits: MediaLimits) -> Iterator[PictureFrames | None]:
    """The frames of a GIF, WebP or PNG, None if the file is none of these."""
    opened.file.seek(0)
    head = opened.file.read(12)
    if head.startswith((b"GIF8", b"\x89PNG")) or (head.startswith(b"RIFF") and head[8:] == b"WEBP"):
        with open_picture(opened, limits) as picture:
            yield PictureFrames(opened.name, picture, limits)
    else:
        yield None
