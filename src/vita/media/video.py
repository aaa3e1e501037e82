"""Any video or animation to a handful of RGB frames. Called by chat, the data pipeline and the server.

The frames are chosen by `sampling.py` and read by `video_file.py` (FFmpeg) or `animation.py` (Pillow).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import PIL.Image

from vita.media.animation import open_animation
from vita.media.container import decoding, open_container
from vita.media.fetch import DEFAULT_POLICY, FetchPolicy
from vita.media.limits import DEFAULT_LIMITS, MediaLimits
from vita.media.sampling import sample_frame_indices
from vita.media.source import Opened, Source, open_source
from vita.media.video_file import NotSeekableError, SeekingFrames, SequentialFrames


@dataclass(frozen=True)
class Clip:
    """The sampled frames of a video.

    frames: RGB pictures, upright, in order; a short video repeats some.
    times_s: float64 [num_frames], when each is shown, from the first frame of the video.
    fps: mean frames per second of the video that they were taken from.
    """

    frames: list[PIL.Image.Image]
    times_s: np.ndarray
    fps: float


class _Frames(Protocol):
    fps: float
    num_frames: int

    def read(self, indices: list[int]) -> Iterator[tuple[PIL.Image.Image, float]]: ...


def load_video(
    source: Source,
    *,
    limits: MediaLimits = DEFAULT_LIMITS,
    policy: FetchPolicy = DEFAULT_POLICY,
    max_frames: int = 16,
    min_frames: int = 4,
    frames_per_second: float = 1,
    start_s: float | None = None,
    end_s: float | None = None,
) -> Clip:
    """The frames of a video (or animated GIF, WebP, PNG) that the model looks at, by the rule of `sampling.py`.

    Args:
        source: path, bytes, data: or http(s) URL.
        limits: ceilings on bytes, pixels, seconds and frames of the file.
        policy: which sources are allowed.
        max_frames, min_frames, frames_per_second: how many frames.
        start_s, end_s: only this segment; whole seconds.

    Raises:
        MediaError: unreadable, cut short, damaged, a still picture, without a video track or without a frame.
        LimitError: too many bytes, pixels, seconds or frames.
    """
    choose = functools.partial(
        sample_frame_indices,
        max_frames=max_frames,
        min_frames=min_frames,
        frames_per_second=frames_per_second,
        start_s=start_s,
        end_s=end_s,
        allow_slow=True,
    )
    with open_source(source, limits=limits, policy=policy) as opened:
        with open_animation(opened, limits) as animation:
            if animation is not None:
                return _sample(animation, choose)
        return _sample_file(opened, limits, choose)


def _sample_file(opened: Opened, limits: MediaLimits, choose: Callable[[float, int], list[int]]) -> Clip:
    with decoding(opened.name):
        try:
            with open_container(opened, "video") as container:
                return _sample(SeekingFrames(opened, container, limits), choose)
        except NotSeekableError:
            return _sample(SequentialFrames(opened, limits), choose)


def _sample(frames: _Frames, choose: Callable[[float, int], list[int]]) -> Clip:
    indices = choose(frames.fps, frames.num_frames)
    distinct = sorted(set(indices))
    read = dict(zip(distinct, frames.read(distinct), strict=True))
    return Clip(
        frames=[read[index][0] for index in indices],
        times_s=np.array([read[index][1] for index in indices], dtype=np.float64),
        fps=frames.fps,
    )
