"""Frames of videos: the right ones, from every container, by seeking or not, upright."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest

from vita.errors import LimitError, MediaError
from vita.media import Clip, MediaLimits, load_video, sample_frame_indices
from vita.media import video as video_module
from vita.media.container import open_container
from vita.media.source import open_source
from vita.media.video_file import NotSeekableError, SeekingFrames, SequentialFrames

from . import make

GOP = {"g": "10", "keyint_min": "10", "sc_threshold": "0"}
CONTAINERS = {
    "mp4-h264": ("libx264", "mp4", GOP),
    "mp4-h264-open-gop": ("libx264", "mp4", {"g": "10", "x264-params": "open-gop=1:bframes=3"}),
    "mp4-h264-intra": ("libx264", "mp4", {"g": "1"}),
    "mp4-h264-one-key": ("libx264", "mp4", {"g": "1000"}),
    "mp4-hevc": ("libx265", "mp4", {"g": "10", "x265-params": "log-level=none:pools=1:frame-threads=1:bframes=3"}),
    "mov-mpeg4": ("mpeg4", "mov", {"g": "10", "bf": "2"}),
    "webm-vp8": ("libvpx", "webm", {"g": "10", "deadline": "realtime"}),
    "webm-vp8-hidden-frames": ("libvpx", "webm", {"g": "12", "auto-alt-ref": "1", "lag-in-frames": "10"}),
    "webm-vp9": ("libvpx-vp9", "webm", {"g": "10", "deadline": "realtime", "cpu-used": "8"}),
    "mkv-h264": ("libx264", "matroska", GOP),
    "avi-mpeg4": ("mpeg4", "avi", {"g": "10"}),
    "avi-mpeg4-b-frames": ("mpeg4", "avi", {"g": "10", "bf": "2"}),
    "avi-mjpeg": ("mjpeg", "avi", {}),
    "ts-h264": ("libx264", "mpegts", GOP),
    "raw-h264": ("libx264", "h264", GOP),
    "flv-h264": ("libx264", "flv", GOP),
}


def shown(clip: Clip) -> list[int]:
    """Which generated frames a clip holds."""
    return [make.number_of(frame) for frame in clip.frames]


@pytest.mark.parametrize("name", CONTAINERS)
def test_containers(name: str) -> None:
    """The sampled frames and their times."""
    codec, container, options = CONTAINERS[name]
    clip = load_video(make.encoded_video(codec, container, options=options))
    fps = 25 if name == "raw-h264" else 10  # a raw stream does not tell its rate
    expected = sample_frame_indices(fps, 50)
    assert shown(clip) == expected
    assert clip.fps == pytest.approx(fps)
    np.testing.assert_allclose(clip.times_s, np.array(expected) / fps, atol=0.002)
    assert all(frame.mode == "RGB" and frame.size == (96, 64) for frame in clip.frames)


@pytest.mark.parametrize("name", [name for name in CONTAINERS if name != "raw-h264"])
def test_seeking_is_sequential_decoding(name: str) -> None:
    """Every frame of the file, in several choices, has the same pixels and time either way."""
    codec, container, options = CONTAINERS[name]
    data = make.encoded_video(codec, container, options=options)
    limits = MediaLimits()
    with open_source(data) as opened:
        whole = SequentialFrames(opened, limits)
        decoded = list(whole.read(list(range(whole.num_frames))))
        assert len(decoded) == whole.num_frames == 50
        for indices in ([0, 9, 10, 11, 25, 49], [49], [7, 8, 31], list(range(50)), list(range(1, 50, 3))):
            with open_container(opened, "video") as file:
                frames = SeekingFrames(opened, file, limits)
                assert (frames.num_frames, frames.fps) == (whole.num_frames, pytest.approx(whole.fps, rel=0.05))
                for index, (image, time_s) in zip(indices, frames.read(indices), strict=True):
                    assert np.array_equal(np.asarray(image), np.asarray(decoded[index][0])), index
                    assert time_s == pytest.approx(decoded[index][1], abs=1e-6)


def test_only_what_is_needed_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """16 of 1,000 frames, a key frame every 10: far fewer than 1,000 are decoded, and nothing before the segment."""
    options = {**GOP, "preset": "ultrafast"}
    data = make.encoded_video("libx264", "mp4", num_frames=1_000, size=(32, 32), options=options)
    decoded = []
    decode_from = SeekingFrames._decode_from

    def spy(self: SeekingFrames, *args: object):
        for frame in decode_from(self, *args):
            decoded.append(frame.pts)
            yield frame

    monkeypatch.setattr(SeekingFrames, "_decode_from", spy)
    assert len(load_video(data).frames) == 16
    assert len(decoded) < 200
    decoded.clear()
    load_video(data, start_s=90, end_s=93)
    assert len(decoded) < 40


def test_segment() -> None:
    assert shown(load_video(make.encoded_video(options=GOP), start_s=1, end_s=4)) == [10, 20, 30, 40]
    with pytest.raises(MediaError, match="no frame between 10 s and 12 s"):
        load_video(make.encoded_video(), start_s=10, end_s=12)


def test_density() -> None:
    data = make.encoded_video(options=GOP)
    assert shown(load_video(data, max_frames=3, min_frames=2)) == [0, 20, 40]
    assert len(load_video(data, max_frames=32, frames_per_second=2).frames) == 10


@pytest.mark.parametrize("clockwise", [90, 180, 270])
def test_rotated(clockwise: int) -> None:
    """A phone held upright stores a lying picture and how to turn it."""
    frame = load_video(make.turned(make.encoded_video(num_frames=3), clockwise)).frames[0]
    assert frame.size == ((96, 64) if clockwise == 180 else (64, 96))
    green = np.asarray(frame)[:, :, 1] > 120  # was the upper left quarter
    rows, columns = np.nonzero(green)
    corner = {90: (True, False), 180: (False, False), 270: (False, True)}[clockwise]
    assert (rows.mean() < frame.height / 2, columns.mean() < frame.width / 2) == corner


def test_variable_rate() -> None:
    """Frames are numbered as they come; their times are the true ones, the rate the mean."""
    times_ms = [*range(0, 2_000, 100), *range(2_000, 6_000, 500), *range(6_000, 8_000, 100)]
    data = make.encoded_video(
        "libx264", "matroska", num_frames=len(times_ms), times_ms=times_ms, options={"g": "8"}, fps=10
    )
    clip = load_video(data)
    expected = sample_frame_indices(clip.fps, len(times_ms))
    assert clip.fps == pytest.approx(len(times_ms) / 8, rel=0.1)
    assert shown(clip) == expected
    np.testing.assert_allclose(clip.times_s, [times_ms[index] / 1000 for index in expected], atol=0.002)


def test_browser_recording_without_index_and_length() -> None:
    """What a browser's recorder writes: a live WebM, no duration and no cues."""
    data = make.encoded_video("libvpx", "webm", options={"g": "10", "deadline": "realtime"}, muxer={"live": "1"})
    assert b"\x1c\x53\xbb\x6b" not in data  # the cues
    assert shown(load_video(data)) == [0, 10, 20, 30, 40]


def test_trimmed_by_an_edit_list() -> None:
    """Frames before the start of the edit are in the file but are not part of the video."""
    source = io.BytesIO(make.encoded_video(options={"g": "50", "bf": "0"}))
    trimmed = io.BytesIO()
    import av

    with av.open(source) as file, av.open(trimmed, "w", format="mp4") as output:
        stream = output.add_stream_from_template(file.streams.video[0])
        shift = round(1 / (10 * file.streams.video[0].time_base)) * 15
        for packet in file.demux(video=0):
            if packet.dts is not None:
                packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, stream
                output.mux(packet)
    clip = load_video(trimmed.getvalue())
    assert shown(clip) == [15, 25, 35, 45]
    np.testing.assert_allclose(clip.times_s, [0, 1, 2, 3], atol=0.002)


def test_one_frame() -> None:
    clip = load_video(make.encoded_video(num_frames=1))
    assert shown(clip) == [0, 0, 0, 0]
    assert clip.times_s.tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG"])
def test_animations(form: str) -> None:
    clip = load_video(make.animation(form, 30))
    assert shown(clip) == [0, 0, 10, 20]
    assert clip.fps == pytest.approx(10)
    np.testing.assert_allclose(clip.times_s, [0, 0, 1, 2])


def test_slideshow() -> None:
    """A picture every three seconds: every picture, where the reference fails."""
    assert shown(load_video(make.animation("GIF", 6, duration_ms=3_000))) == list(range(6))


def test_gif_of_one_frame_without_duration() -> None:
    assert shown(load_video(make.animation("GIF", 1, duration_ms=0))) == [0] * 4


def test_cover_of_a_song_is_no_video(tmp_path: Path) -> None:
    """An attached picture does not make a clip of a sound file."""
    data = make.encoded_audio("flac", "flac", 0.2, 16_000)
    png = make.encoded_image(make.picture_of(0, (32, 32)), "PNG")
    block = struct.pack(">II", 3, 9) + b"image/png" + struct.pack(">IIIII", 0, 32, 32, 24, 0)
    block += struct.pack(">I", len(png)) + png
    covered = data[:42] + b"\x06" + struct.pack(">I", len(block))[1:] + block + data[42:]
    with open_source(covered) as opened, open_container(opened, "video") as container:
        assert container.streams.video
    with pytest.raises(MediaError, match="holds no moving picture"):
        load_video(covered)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (MediaLimits(max_video_s=3), "too long"),
        (MediaLimits(max_frames=20), "too many frames"),
        (MediaLimits(max_pixels=1_000), "too many pixels"),
        (MediaLimits(max_bytes=200), "too large"),
    ],
)
@pytest.mark.parametrize("container", ["mp4", "webm", "h264", "GIF", "WEBP"])
def test_limits(container: str, limits: MediaLimits, message: str) -> None:
    if container.isupper():
        data = make.animation(container, 50)
    else:
        data = make.encoded_video("libvpx" if container == "webm" else "libx264", container)
    if container == "h264" and message == "too long":
        limits = MediaLimits(max_video_s=1)  # 2 s at the 25 frames/s that a raw stream is taken to have
    with pytest.raises(LimitError, match=message):
        load_video(data, limits=limits)


def test_falls_back_to_sequential_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that does not seek where it should gives the same clip, only later."""
    data = make.encoded_video(options=GOP)
    expected = load_video(data)

    def broken(*_: object) -> None:
        raise NotSeekableError

    monkeypatch.setattr(SeekingFrames, "_packets_from", broken)
    used = []
    monkeypatch.setattr(video_module, "SequentialFrames", lambda *args: used.append(1) or SequentialFrames(*args))
    clip = load_video(data)
    assert used
    assert shown(clip) == shown(expected)
    np.testing.assert_allclose(clip.times_s, expected.times_s)
