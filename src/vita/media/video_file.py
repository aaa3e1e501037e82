"""Frames of a video file by number, decoding as little as possible. Called by `video.py`.

The packets are listed first (nothing is decoded): their time stamps, sorted, number the frames. Each wanted frame is
then decoded from the key frame before it. Where stamps are missing or a file does not seek to the frame asked for,
everything is decoded from the start instead: slower, same frames.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import PIL.Image

from vita.errors import LimitError, MediaError
from vita.media.container import decoding, open_container, packets, video_stream
from vita.media.image import check_pixels
from vita.media.limits import MediaLimits
from vita.media.source import Opened

if TYPE_CHECKING:
    from av import Packet, VideoFrame, VideoStream
    from av.container import InputContainer

_TURNS = {90: PIL.Image.Transpose.ROTATE_90, 180: PIL.Image.Transpose.ROTATE_180, 270: PIL.Image.Transpose.ROTATE_270}


class NotSeekableError(Exception):
    """Frames of this file cannot be found by their time stamps; decode it from the start. Never reaches a user."""


@dataclass(frozen=True)
class _Key:
    """A key frame: its presentation and decoding time stamps."""

    pts: int
    dts: int | None


class SeekingFrames:
    """Frames of an open video by number; see the top of the file.

    fps: mean rate. num_frames: frames in the file.
    """

    def __init__(self, opened: Opened, container: InputContainer, limits: MediaLimits) -> None:
        self._name, self._container, self._limits = opened.name, container, limits
        self._stream = video_stream(container, opened.name)
        _check_header(self._name, container, self._stream, limits)
        self._pts, self._keys = self._list_packets()
        self.num_frames = len(self._pts)
        last_s = self._time_s(self._pts[-1])
        self.fps = _mean_rate(self._stream, self.num_frames, last_s)
        check_length(self._name, self.num_frames, last_s, limits)

    def read(self, indices: list[int]) -> Iterator[tuple[PIL.Image.Image, float]]:
        """The frames of ascending, different `indices`, with the time of each in seconds from the first frame."""
        frames: Iterator[VideoFrame] = iter(())
        position: int | None = None
        wanted = {self._pts[index] for index in indices}
        for index in indices:
            pts = self._pts[index]
            key = self._keys[max(bisect.bisect_right(self._keys, pts, key=lambda key: key.pts) - 1, 0)]
            if position is None or key.pts > position:
                frames = self._decode_from(key, wanted)
            frame = next((frame for frame in frames if frame.pts is None or frame.pts >= pts), None)
            if frame is None or frame.pts != pts:
                raise NotSeekableError
            position = pts
            yield to_picture(frame, self._name, self._limits), self._time_s(pts)

    def _time_s(self, pts: int) -> float:
        return float((pts - self._pts[0]) * (self._stream.time_base or 0))

    def _list_packets(self) -> tuple[list[int], list[_Key]]:
        """Sorted time stamps of the frames that will be shown, and the key frames."""
        stamps: list[int] = []
        keys: list[_Key] = []
        is_vp8 = self._stream.codec_context.name == "vp8"
        for packet in packets(self._container, self._stream, self._name):
            if not packet.size or packet.is_discard or (is_vp8 and not bytes(packet)[0] & 0x10):
                continue  # the flush; outside of the edit list; a VP8 frame that is only referred to
            if packet.pts is None:
                raise NotSeekableError
            stamps.append(packet.pts)
            if packet.is_keyframe:
                keys.append(_Key(packet.pts, packet.dts))
            check_length(self._name, len(stamps), 0.0, self._limits)
        if not stamps:
            raise no_frames(self._name)
        if not keys or len(set(stamps)) < len(stamps):
            raise NotSeekableError
        return sorted(stamps), sorted(keys, key=lambda key: key.pts)

    def _decode_from(self, key: _Key, wanted: set[int]) -> Iterator[VideoFrame]:
        """Frames from that key frame on; of H.264 those that nothing refers to are skipped, a third of the work."""
        decoder = self._stream.codec_context
        for packet in self._packets_from(key):
            if decoder.name == "h264":  # in HEVC a frame marked so may still be referred to by a higher layer
                decoder.skip_frame = "DEFAULT" if packet.pts is None or packet.pts in wanted else "NONREF"
            yield from packet.decode()

    def _packets_from(self, key: _Key) -> Iterator[Packet]:
        """Packets from that key frame on, or from one before it. Formats seek by either stamp."""
        for target in (key.pts, key.dts):
            if target is None:
                continue
            self._container.seek(target, stream=self._stream)
            following = self._container.demux(self._stream)
            first = next(following, None)
            if first is not None and first.is_keyframe and first.pts is not None and first.pts <= key.pts:
                return itertools.chain((first,), following)
        raise NotSeekableError


class SequentialFrames:
    """Frames of a video by number where time stamps are no help: decoded from the start, once to count, once to read.

    fps: mean rate. num_frames: frames in the file.
    """

    def __init__(self, opened: Opened, limits: MediaLimits) -> None:
        self._opened, self._limits = opened, limits
        stamps_s: list[float | None] = []
        with open_container(opened, "video") as container, decoding(opened.name):
            stream = video_stream(container, opened.name)
            _check_header(opened.name, container, stream, limits)
            for frame in _decode_all(container, stream, opened.name):
                stamps_s.append(frame.time)
                check_length(opened.name, len(stamps_s), 0.0, limits)
            if not stamps_s:
                raise no_frames(opened.name)
            known_s = [stamp_s for stamp_s in stamps_s if stamp_s is not None]
            is_timed = len(known_s) == len(stamps_s) and known_s == sorted(set(known_s))
            self.num_frames = len(stamps_s)
            self.fps = _mean_rate(stream, self.num_frames, known_s[-1] - known_s[0] if is_timed else 0.0)
        first_s = known_s[0] if is_timed else 0.0
        self._times_s = [(known_s[i] - first_s) if is_timed else i / self.fps for i in range(self.num_frames)]
        check_length(opened.name, self.num_frames, self._times_s[-1], limits)

    def read(self, indices: list[int]) -> Iterator[tuple[PIL.Image.Image, float]]:
        """The frames of ascending, different `indices`, with the time of each in seconds from the first frame."""
        wanted = set(indices)
        with open_container(self._opened, "video") as container:
            stream = video_stream(container, self._opened.name)
            for index, frame in enumerate(_decode_all(container, stream, self._opened.name)):
                if index in wanted:
                    yield to_picture(frame, self._opened.name, self._limits), self._times_s[index]
                if index == indices[-1]:
                    return


def _decode_all(container: InputContainer, stream: VideoStream, name: str) -> Iterator[VideoFrame]:
    for packet in packets(container, stream, name):
        yield from packet.decode()


def to_picture(frame: VideoFrame, name: str, limits: MediaLimits) -> PIL.Image.Image:
    """A decoded frame in RGB, turned as the file asks for."""
    check_pixels(name, (frame.width, frame.height), limits)
    turn = _TURNS.get(round(frame.rotation / 90) * 90 % 360)  # counter-clockwise, as Pillow counts
    image = frame.to_image()
    return image if turn is None else image.transpose(turn)


def check_length(name: str, num_frames: int, seconds: float, limits: MediaLimits) -> None:
    """Refuse a video of more frames or seconds than the limits."""
    if num_frames > limits.max_frames:
        raise LimitError(
            f"{name} has too many frames",
            got=f"{num_frames} or more",
            expected=f"at most {limits.max_frames}",
            fix="cut it or raise max_frames",
        )
    if seconds > limits.max_video_s:
        raise LimitError(
            f"{name} is too long",
            got=f"{seconds:.1f} s",
            expected=f"at most {limits.max_video_s:g} s",
            fix="cut it or raise max_video_s",
        )


def no_frames(name: str) -> MediaError:
    """The error for a video track without a frame."""
    return MediaError(f"{name} holds no video frame", got="0 frames", expected="at least 1", fix="record it again")


def _check_header(name: str, container: InputContainer, stream: VideoStream, limits: MediaLimits) -> None:
    """Refuse by what the header says, before anything is read."""
    check_pixels(name, (stream.codec_context.width, stream.codec_context.height), limits)
    check_length(name, stream.frames, (container.duration or 0) / 1_000_000, limits)


def _mean_rate(stream: VideoStream, num_frames: int, last_s: float) -> float:
    """Frames per second: as the file says, unless its time stamps tell of another rate or it does not say."""
    declared = float(stream.average_rate or 0)
    measured = (num_frames - 1) / last_s if last_s > 0 else 0.0
    if declared > 0 and (measured == 0 or 0.9 < declared / measured < 1.1):
        return declared
    return measured or 1.0
