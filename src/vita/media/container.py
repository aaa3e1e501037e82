"""Opening sound and video files with FFmpeg (PyAV), safely: one file only, no nested resources, no silent truncation.

Called by `audio.py` (what libsndfile does not read) and `video_file.py`. PyAV is imported on first use.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vita.errors import MediaError
from vita.media.source import Opened

if TYPE_CHECKING:
    from av import AudioStream, Packet, VideoStream
    from av.container import InputContainer
    from av.error import FFmpegError

_BUFFER_BYTES = 256 * 1024
_DECLARES_LENGTH = ("mov", "matroska", "avi", "asf")
"""Formats whose header tells how long the file is, so that one that ends earlier is known to be cut short."""


@contextmanager
def open_container(opened: Opened, kind: str) -> Iterator[InputContainer]:
    """The file as an FFmpeg container.

    No protocol is allowed, so that playlists are refused: FFmpeg would open whatever files or addresses they name.

    Args:
        opened: the file.
        kind: "sound" or "video", for the error message.
    """
    import av
    import av.error

    opened.file.seek(0)
    try:
        container = av.open(
            opened.file,
            "r",
            container_options={"protocol_whitelist": "none"},
            metadata_errors="replace",
            buffer_size=_BUFFER_BYTES,
        )
    except av.error.FFmpegError as error:
        raise _unreadable(opened, kind, error) from None
    with container:
        yield container


@contextmanager
def decoding(name: str) -> Iterator[None]:
    """Turns FFmpeg's errors while demuxing, seeking and decoding into a MediaError."""
    import av.error

    try:
        yield
    except av.error.FFmpegError as error:
        raise MediaError(
            f"{name} is damaged or cut short", got=error.strerror, fix="export or download it again"
        ) from None


def audio_stream(container: InputContainer, name: str) -> AudioStream:
    """The first sound track."""
    for stream in container.streams.audio:
        if stream.codec_context is not None:
            return stream
    raise MediaError(f"{name} holds no sound", got=_contents(container), expected="a sound track", fix="check the file")


def video_stream(container: InputContainer, name: str) -> VideoStream:
    """The first moving picture; the cover of a song is none."""
    from av.stream import Disposition

    if container.format.name.endswith("_pipe"):
        raise MediaError(f"{name} is a still picture", expected="a video", fix="give it as an image")
    for stream in container.streams.video:
        if stream.codec_context is not None and not stream.disposition & Disposition.attached_pic:
            return stream
    fix = "give it as audio" if container.streams.audio else "check the file"
    raise MediaError(f"{name} holds no moving picture", got=_contents(container), expected="a video track", fix=fix)


def packets(container: InputContainer, stream: VideoStream | AudioStream, name: str) -> Iterator[Packet]:
    """The packets of one stream, the flushing one last.

    Raises:
        MediaError: at the end, if the file ends before its header says that it does.
    """
    end_s = gap_s = 0.0
    is_torn = False
    for packet in container.demux():
        if packet.size and packet.pts is not None and packet.time_base is not None:
            packet_end_s = float((packet.pts + (packet.duration or 0)) * packet.time_base)
            gap_s = max(gap_s, packet_end_s - end_s) if end_s else gap_s
            end_s = max(end_s, packet_end_s)
            is_torn = packet.is_corrupt
        if packet.stream_index == stream.index:
            yield packet
    if not container.format.name.startswith(_DECLARES_LENGTH):
        return
    declared_s = (container.duration or 0) / 1_000_000 + (container.start_time or 0) / 1_000_000
    if is_torn or declared_s > end_s + max(0.5, 1.5 * gap_s, 0.02 * declared_s):
        raise MediaError(
            f"{name} is cut short",
            got=f"{end_s:.1f} s of data",
            expected=f"{declared_s:.1f} s as its header says",
            fix="copy or download it again",
        )


def _unreadable(opened: Opened, kind: str, error: FFmpegError) -> MediaError:
    opened.file.seek(0)
    if opened.file.read(8)[4:] == b"ftyp":
        return MediaError(
            f"{opened.name} is an MP4 file that is cut short or damaged",
            got="no readable index",
            fix="copy, export or download it again",
        )
    return MediaError(
        f"{opened.name} is no {kind} file that can be read",
        got=error.strerror,
        fix="check that it plays elsewhere, or convert it",
    )


def _contents(container: InputContainer) -> str:
    streams = container.streams  # not stream.type: PyAV before 17 crashes on that of a stream it has no decoder for
    kinds = {"video": streams.video, "audio": streams.audio, "subtitles": streams.subtitles, "data": streams.data}
    return f"{container.format.name}: " + (", ".join(kind for kind, found in kinds.items() if found) or "no stream")
