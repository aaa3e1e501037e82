"""Generates the sounds, pictures and videos that the tests of vita.media read."""

from __future__ import annotations

import io
import struct
import tempfile
import zlib
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import PIL.Image

TONE_HZ = 440.0
GREEN, GROUND = (60, 200, 40), (60, 40, 40)
_NUM_BITS = 10
"""Bars in every frame that write its number in black and bright."""


def tone(seconds: float, rate_hz: int, *, hz: float = TONE_HZ, amplitude: float = 0.5) -> np.ndarray:
    """A sine, float64 [num_samples]."""
    return amplitude * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz)


def encoded_audio(
    codec: str,
    container: str,
    seconds: float,
    rate_hz: int,
    *,
    layout: str = "mono",
    muxer: dict[str, str] | None = None,
) -> bytes:
    """A tone in a format that needs FFmpeg, the same in every channel."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container, options=muxer or {}) as output:
        stream = output.add_stream(codec, rate=rate_hz, layout=layout)
        stream.bit_rate = 96_000 * stream.codec_context.layout.nb_channels
        add_tone(output, stream, seconds)
    return buffer.getvalue()


def add_tone(output: av.container.OutputContainer, stream: av.AudioStream, seconds: float) -> None:
    """Encodes a tone into an open container."""
    context = stream.codec_context
    samples = tone(seconds, context.sample_rate).astype(np.float32)
    planes = np.ascontiguousarray(np.tile(samples, (context.layout.nb_channels, 1)))
    frame = av.AudioFrame.from_ndarray(planes, format="fltp", layout=context.layout.name)
    frame.sample_rate = context.sample_rate
    frame.pts = 0
    resampler = av.AudioResampler(format=context.format, layout=context.layout, rate=context.sample_rate)
    frame_size = context.frame_size or 1024
    fifo = av.AudioFifo()
    for converted in resampler.resample(frame):
        fifo.write(converted)
    while part := fifo.read(frame_size) or fifo.read(0, partial=True):
        output.mux(stream.encode(part))
    output.mux(stream.encode(None))


def picture_of(index: int, size: tuple[int, int]) -> PIL.Image.Image:
    """Frame `index`: its number as bars below the middle, and a green upper left quarter that shows which way is up."""
    image = PIL.Image.new("RGB", size, GROUND)
    image.paste(GREEN, (0, 0, size[0] // 2, size[1] // 2))
    for bit, (left, right) in enumerate(_bars(size[0])):
        image.paste((255, 40, 255) if index >> bit & 1 else "black", (left, size[1] // 2, right, size[1] * 3 // 4))
    return image


def number_of(frame: PIL.Image.Image) -> int:
    """Which frame this is, read from its bars."""
    row = np.asarray(frame)[frame.height * 5 // 8, :, 0]
    return sum(int(row[(left + right) // 2] > 128) << bit for bit, (left, right) in enumerate(_bars(frame.width)))


def _bars(width: int) -> list[tuple[int, int]]:
    return [(width * bit // _NUM_BITS, width * (bit + 1) // _NUM_BITS) for bit in range(_NUM_BITS)]


def encoded_video(
    codec: str = "libx264",
    container: str = "mp4",
    *,
    num_frames: int = 50,
    fps: int = 10,
    size: tuple[int, int] = (96, 64),
    options: dict[str, str] | None = None,
    muxer: dict[str, str] | None = None,
    audio: str | None = None,
    times_ms: Sequence[int] | None = None,
) -> bytes:
    """A video whose frames can be told apart; `times_ms` makes the rate variable, `audio` adds a sound track."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container, options=muxer or {}) as output:
        stream = output.add_stream(codec, rate=fps, options={"threads": "1", **(options or {})})
        stream.width, stream.height = size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        if times_ms is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        sound = output.add_stream(audio, rate=48_000, layout="mono") if audio else None
        for index in range(num_frames):
            frame = av.VideoFrame.from_image(picture_of(index, size))
            if times_ms is not None:
                frame.pts, frame.time_base = times_ms[index], Fraction(1, 1000)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        if sound is not None:
            add_tone(output, sound, num_frames / fps)
    return buffer.getvalue()


def empty_track(kind: str) -> bytes:
    """A WebM that announces a picture and a sound track but has data for only one of them."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="webm") as output:
        stream = output.add_stream("libvpx", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        sound = output.add_stream("libopus", rate=48_000, layout="mono")
        if kind == "video":
            add_tone(output, sound, 0.2)
        else:
            output.mux(stream.encode(av.VideoFrame.from_image(picture_of(0, (32, 32)))))
            output.mux(stream.encode(None))
    return buffer.getvalue()


def turned(mp4: bytes, clockwise: int) -> bytes:
    """The same MP4 with the note that it is to be turned: the matrix a, b, u, c, d, v, x, y, w in its track header."""
    a, b, c, d = {90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}[clockwise]
    matrix = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    start = mp4.index(b"tkhd") + 44
    assert mp4[start : start + 36] == struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    return mp4[:start] + matrix + mp4[start + 36 :]


def index_first(mp4: bytes) -> bytes:
    """The same MP4 with its index before its frames, as for streaming; the muxer does this to files only."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        with av.open(io.BytesIO(mp4)) as file, av.open(str(path), "w", options={"movflags": "+faststart"}) as output:
            stream = output.add_stream_from_template(file.streams.video[0])
            for packet in file.demux(video=0):
                if packet.dts is not None:
                    packet.stream = stream
                    output.mux(packet)
        return path.read_bytes()


def animation(form: str, num_frames: int, *, duration_ms: int = 100, size: tuple[int, int] = (48, 32)) -> bytes:
    """An animated GIF, WEBP or PNG."""
    frames = [picture_of(index, size) for index in range(num_frames)]
    options = {"lossless": True} if form == "WEBP" else {}
    return encoded_image(frames[0], form, save_all=True, append_images=frames[1:], duration=duration_ms, **options)


def encoded_image(image: PIL.Image.Image, form: str, **options: object) -> bytes:
    """A picture as the bytes of a file."""
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def png_bomb(edge: int) -> bytes:
    """A valid all-black 1-bit PNG of edge x edge pixels in a few kilobytes."""
    packer = zlib.compressobj(1)
    rows = bytes((edge // 8 + 1) * 100)
    packed = b"".join(packer.compress(rows) for _ in range(edge // 100)) + packer.flush()

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", edge, edge, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def sparse_wav(path: Path, seconds: int, rate_hz: int) -> Path:
    """A wav of silence that takes hardly any room on the disk: 8 bits, one channel."""
    num_bytes = seconds * rate_hz
    header = b"RIFF" + struct.pack("<I", 36 + num_bytes) + b"WAVEfmt "
    header += struct.pack("<IHHIIHH", 16, 1, 1, rate_hz, rate_hz, 1, 8) + b"data" + struct.pack("<I", num_bytes)
    with open(path, "wb") as file:
        file.write(header)
        file.truncate(len(header) + num_bytes)
    return path


def wav(samples: np.ndarray, rate_hz: int, subtype: str = "PCM_16", form: str = "WAV") -> bytes:
    """Samples [num_samples] or [num_samples, channels] as a file that libsndfile writes."""
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate_hz, subtype=subtype, format=form)
    return buffer.getvalue()
