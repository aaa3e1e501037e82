"""Which frames of a video are looked at. Called by `video.py`; tested against the reference's own table.

Rule of the reference (reference data, section 8): about one frame a second, at most 16 and at least 4.
"""

from __future__ import annotations

import math

import numpy as np

from vita.errors import ConfigError, MediaError


def sample_frame_indices(
    fps: float,
    num_frames: int,
    *,
    max_frames: int = 16,
    min_frames: int = 4,
    frames_per_second: float = 1,
    start_s: float | None = None,
    end_s: float | None = None,
    allow_slow: bool = False,
) -> list[int]:
    """Indices of the sampled frames, ascending, with repeats where the video is too short.

    Every `round(fps / frames_per_second)`-th frame (half to even) of the segment; if those are more than `max_frames`
    or fewer than `min_frames`, that many of them, evenly spread and rounded down.

    Args:
        fps: frames per second of the video.
        num_frames: frames in the video.
        max_frames: most indices returned.
        min_frames: fewest indices returned.
        frames_per_second: how densely to sample.
        start_s, end_s: segment, in seconds cut to whole ones; negative counts as 0, swapped ends are put right, and an
            empty segment is one second long.
        allow_slow: a video slower than half of `frames_per_second` gives every frame instead of an error.

    Raises:
        MediaError: no frame (in the segment), an unusable rate, or a rate so slow that the stride is 0.
        ConfigError: limits that cannot be met.
    """
    _check_density(max_frames, min_frames, frames_per_second)
    if not (math.isfinite(fps) and fps > 0):
        raise MediaError("the video has no usable frame rate", got=fps, expected="frames per second above 0")
    stride = round(fps / frames_per_second)
    if stride == 0 and not allow_slow:
        raise MediaError(
            "the video is too slow to be sampled", got=f"{fps:g} frames/s", expected=f"above {frames_per_second / 2:g}"
        )
    first, last = _segment(fps, num_frames, start_s, end_s)
    candidates = range(first, last + 1, max(stride, 1))
    if not candidates:
        where = "" if start_s is None and end_s is None else f" between {start_s} s and {end_s} s"
        raise MediaError(f"the video has no frame{where}", got=f"{num_frames} frames at {fps:g} frames/s")
    num_wanted = min(max(len(candidates), min_frames), max_frames)
    if num_wanted == len(candidates):
        return list(candidates)
    return [candidates[position] for position in np.linspace(0, len(candidates) - 1, num=num_wanted, dtype=int)]


def _check_density(max_frames: int, min_frames: int, frames_per_second: float) -> None:
    if not 1 <= min_frames <= max_frames:
        raise ConfigError(
            "min_frames and max_frames do not fit", got=f"{min_frames} and {max_frames}", expected="1 <= min <= max"
        )
    if not (math.isfinite(frames_per_second) and frames_per_second > 0):
        raise ConfigError("frames_per_second is not usable", got=frames_per_second, expected="a number above 0")


def _segment(fps: float, num_frames: int, start_s: float | None, end_s: float | None) -> tuple[int, int]:
    """First and last frame of the segment, both included; last < first if it is empty."""
    if start_s is None and end_s is None:
        return 0, num_frames - 1
    start = max(int(start_s or 0), 0)
    if end_s is None:
        return int(start * fps), num_frames - 1
    end = max(int(end_s), 0)
    start, end = min(start, end), max(start, end)
    if start == end:
        end = start + 1
    return int(start * fps), int(min(end * fps, num_frames - 1))
