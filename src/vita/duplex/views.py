"""What the user shows: camera frames of the last seconds, and still pictures, until a turn takes them.

Used by `session.py`.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from vita.chat.messages import Image, Part, Video
from vita.media.video import Clip

if TYPE_CHECKING:
    import PIL.Image

_MIN_FRAMES = 4


class Views:
    """Keeps the frames of the last `video_s` seconds, at most `max_frames`, and the pictures that no turn took yet."""

    def __init__(self, video_s: float, max_frames: int) -> None:
        self._video_s = video_s
        self._frames: deque[tuple[float, PIL.Image.Image]] = deque(maxlen=max_frames)
        self._pictures: list[PIL.Image.Image] = []

    def add_frame(self, at_s: float, frame: PIL.Image.Image) -> None:
        """What the camera sees."""
        self._frames.append((at_s, frame))

    def add_picture(self, picture: PIL.Image.Image) -> None:
        """A still picture, for the next turn."""
        self._pictures.append(picture)

    def remove_picture(self, picture: PIL.Image.Image) -> None:
        """Forget a still picture, if no turn took it."""
        self._pictures = [other for other in self._pictures if other is not picture]

    def take(self, now_s: float) -> tuple[Part, ...]:
        """The views of a turn that begins now: the pictures, or else the last seconds as a video."""
        pictures, self._pictures = self._pictures, []
        if pictures:
            return tuple(Image(picture) for picture in pictures)
        frames = [(at_s, frame) for at_s, frame in self._frames if at_s > now_s - self._video_s]
        if not frames:
            return ()
        frames = [frames[n * len(frames) // _MIN_FRAMES] for n in range(_MIN_FRAMES)] if len(frames) < 4 else frames
        times_s = np.array([at_s - frames[0][0] for at_s, _ in frames])
        fps = (len(frames) - 1) / times_s[-1] if times_s[-1] > 0 else 1.0
        return (Video(Clip([frame for _, frame in frames], times_s, fps)),)

    def give_back(self, views: tuple[Part, ...]) -> None:
        """The turn was noise: its pictures are for the next one."""
        self._pictures = [view.image for view in views if isinstance(view, Image)] + self._pictures
