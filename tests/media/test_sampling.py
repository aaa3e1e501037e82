"""Properties of the choice of frames that hold for every rate, length and density."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vita.errors import ConfigError, MediaError
from vita.media import sample_frame_indices

FPS = st.floats(0.51, 240, allow_nan=False)
LENGTHS = st.integers(1, 20_000)


@settings(deadline=None)
@given(fps=FPS, num_frames=LENGTHS, max_frames=st.integers(1, 64), data=st.data())
def test_count_order_and_range(fps: float, num_frames: int, max_frames: int, data: st.DataObject) -> None:
    min_frames = data.draw(st.integers(1, max_frames))
    indices = sample_frame_indices(fps, num_frames, max_frames=max_frames, min_frames=min_frames)
    assert min_frames <= len(indices) <= max_frames
    assert indices == sorted(indices)
    assert indices[0] == 0
    assert indices[-1] < num_frames
    assert all(type(index) is int for index in indices)


@settings(deadline=None)
@given(fps=FPS, num_frames=LENGTHS)
def test_frames_lie_on_the_grid_of_whole_strides(fps: float, num_frames: int) -> None:
    """Every index is a multiple of the stride; a middling length takes each, a longer one the first and last."""
    stride = round(fps)
    indices = sample_frame_indices(fps, num_frames)
    on_grid = list(range(0, num_frames, stride))
    assert set(indices) <= set(on_grid)
    if 4 <= len(on_grid) <= 16:
        assert indices == on_grid
    if len(on_grid) > 16:
        assert len(set(indices)) == len(indices) == 16
        assert indices[-1] == on_grid[-1]


@settings(deadline=None)
@given(fps=FPS, num_frames=LENGTHS, start_s=st.integers(-5, 300), end_s=st.integers(-5, 300))
def test_segments(fps: float, num_frames: int, start_s: int, end_s: int) -> None:
    """A segment's frames lie in it; its ends may be swapped; it is refused exactly where it starts after the end."""
    low, high = sorted((max(start_s, 0), max(end_s, 0)))
    if int(low * fps) >= num_frames:
        with pytest.raises(MediaError, match="no frame between"):
            sample_frame_indices(fps, num_frames, start_s=start_s, end_s=end_s)
        return
    indices = sample_frame_indices(fps, num_frames, start_s=start_s, end_s=end_s)
    assert indices == sample_frame_indices(fps, num_frames, start_s=end_s, end_s=start_s)
    assert indices[0] == int(low * fps)
    assert indices[-1] <= min(max(high, low + 1) * fps, num_frames - 1)


@settings(deadline=None)
@given(fps=FPS, num_frames=LENGTHS)
def test_the_whole_video_is_a_segment_too(fps: float, num_frames: int) -> None:
    whole = sample_frame_indices(fps, num_frames)
    assert sample_frame_indices(fps, num_frames, start_s=0) == whole
    assert sample_frame_indices(fps, num_frames, end_s=math.ceil(num_frames / fps)) == whole


def test_slow_videos() -> None:
    """The reference has no frame of a slideshow of a picture every three seconds; the loaders take every picture."""
    with pytest.raises(MediaError, match="too slow"):
        sample_frame_indices(1 / 3, 10)
    assert sample_frame_indices(1 / 3, 10, allow_slow=True) == list(range(10))


@pytest.mark.parametrize("fps", [0.0, -1.0, math.nan, math.inf])
def test_unusable_rates(fps: float) -> None:
    with pytest.raises(MediaError, match="frame rate"):
        sample_frame_indices(fps, 10)


def test_no_frames() -> None:
    with pytest.raises(MediaError, match="no frame"):
        sample_frame_indices(30, 0)


@pytest.mark.parametrize("density", [{"max_frames": 0}, {"min_frames": 0}, {"max_frames": 3}, {"frames_per_second": 0}])
def test_unusable_density(density: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        sample_frame_indices(30, 300, **density)
