"""The table of bad (and of merely odd) input: what goes in, and the one line that comes out."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from vita.errors import ConfigError, LimitError, MediaError
from vita.media import MediaLimits, load_audio, load_image, load_video
from vita.media.source import Source

from . import make

LOADERS: dict[str, Callable] = {"audio": load_audio, "image": load_image, "video": load_video}
Maker = Callable[[Path], Source]


@dataclass(frozen=True)
class Row:
    """One kind of bad input: who reads it, what it is, which error, and parts of its line (what, fix)."""

    kinds: tuple[str, ...]
    source: Maker
    error: type[MediaError]
    what: str
    fix: str


EVERY = ("audio", "image", "video")


def written(data: bytes | Callable[[], bytes], name: str) -> Maker:
    """A maker of a file of this name."""

    def make_file(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(data() if callable(data) else data)
        return path

    return make_file


def fixed(source: Source) -> Maker:
    """A maker that needs no folder."""
    return lambda _folder: source


def fifo(folder: Path) -> Path:
    os.mkfifo(folder / "pipe.wav")
    return folder / "pipe.wav"


def front_indexed_mp4(part: float) -> bytes:
    """An MP4 whose index comes first, cut off after a part of its frames."""
    return cut(make.index_first(make.encoded_video(options={"g": "10", "crf": "10"})), part)


def cut(data: bytes, part: float) -> bytes:
    return data[: int(len(data) * part)]


def nan_wav() -> bytes:
    samples = np.zeros(800)
    samples[400] = np.nan
    return make.wav(samples, 16_000, "FLOAT")


TEXT = b"This is no media file at all.\n" * 50
BAD = {
    "missing": Row(EVERY, lambda folder: folder / "none.mp4", MediaError, "does not exist", "check the path"),
    "missing, as text": Row(EVERY, fixed("none.mp4"), MediaError, "none.mp4 does not exist", "check the path"),
    "directory": Row(EVERY, lambda folder: folder, MediaError, "is a directory", "name one of the files"),
    "empty file": Row(EVERY, written(b"", "a.wav"), MediaError, "is empty (0 bytes)", "again"),
    "empty bytes": Row(EVERY, fixed(b""), MediaError, "is empty (0 bytes)", "give the contents"),
    "named pipe": Row(EVERY, fifo, MediaError, "is not a regular file", "copy it to a file"),
    "file as a directory": Row(
        EVERY, lambda folder: written(TEXT, "a")(folder) / "b", MediaError, "cannot be opened", "check the path"
    ),
    "contents as a path": Row(EVERY, fixed("x" * 100_000), MediaError, "(100000 characters)", "check the path"),
    "NUL in a path": Row(EVERY, fixed("a\0b.wav"), MediaError, "cannot be opened", "check the path"),
    "no source": Row(EVERY, fixed(None), MediaError, "NoneType", "a path, bytes, data: or http(s) URL"),
    "text as sound": Row(("audio",), written(TEXT, "a.wav"), MediaError, "no sound file that can be read", "convert"),
    "text as picture": Row(("image",), written(TEXT, "a.png"), MediaError, "no picture that can be read", "convert"),
    "text as video": Row(("video",), written(TEXT, "a.mp4"), MediaError, "no video file that can be read", "convert"),
    "text file": Row(("audio", "video"), written(TEXT, "a.txt"), MediaError, "file that can be read", "convert"),
    "0-sample wav": Row(
        ("audio",), written(lambda: make.wav(np.zeros(0), 16_000), "a.wav"), MediaError, "0 samples", "record it again"
    ),
    "NaN samples": Row(("audio",), fixed(nan_wav()), MediaError, "NaN or infinite", "export it again"),
    "rate of 10 Hz": Row(
        ("audio",), fixed(make.wav(np.zeros(50), 10)), MediaError, "unusable sample rate (got 10 Hz", "convert it"
    ),
    "changing rate": Row(
        ("audio",),
        fixed(make.encoded_audio("aac", "adts", 1, 16_000) + make.encoded_audio("aac", "adts", 1, 48_000)),
        MediaError,
        "changes its sample rate on the way (got 48000 Hz after 16000 Hz",
        "convert it",
    ),
    "sound track without data": Row(
        ("audio",), fixed(make.empty_track("audio")), MediaError, "holds no sound: 0 samples", "record it again"
    ),
    "video track without data": Row(
        ("video",), fixed(make.empty_track("video")), MediaError, "holds no video frame", "record it again"
    ),
    "8-hour wav": Row(
        ("audio",),
        lambda folder: make.sparse_wav(folder / "long.wav", 8 * 3600, 8_000),
        LimitError,
        "28800.0 s, expected at most 600 s",
        "raise max_audio_s",
    ),
    "video without sound": Row(
        ("audio",), fixed(make.encoded_video(num_frames=2)), MediaError, "holds no sound", "check the file"
    ),
    "GIF as sound": Row(("audio",), fixed(make.animation("GIF", 2)), MediaError, "holds no sound", "check the file"),
    "truncated mp4": Row(
        ("audio", "video"),
        written(lambda: cut(make.encoded_video(audio="aac"), 0.6), "clip.mp4"),
        MediaError,
        "clip.mp4 is an MP4 file that is cut short",
        "download it again",
    ),
    "truncated mp4, index first": Row(
        ("video",), written(lambda: front_indexed_mp4(0.7), "clip.mp4"), MediaError, "clip.mp4 is cut short", "again"
    ),
    "truncated mkv": Row(
        ("video",),
        written(lambda: cut(make.encoded_video("libx264", "matroska", options={"crf": "10"}), 0.6), "clip.mkv"),
        MediaError,
        "clip.mkv is cut short",
        "again",
    ),
    "truncated avi": Row(
        ("video",),
        written(lambda: cut(make.encoded_video("mpeg4", "avi"), 0.8), "clip.avi"),
        MediaError,
        "clip.avi is cut short",
        "again",
    ),
    "truncated m4a": Row(
        ("audio",),
        written(lambda: cut(make.encoded_audio("aac", "ipod", 3, 16_000), 0.6), "a.m4a"),
        MediaError,
        "cut short",
        "again",
    ),
    **{
        f"truncated {form.lower()}": Row(
            ("audio",),
            fixed(cut(make.wav(np.zeros(16_000), 16_000, form=form), 0.6)),
            MediaError,
            "is cut short",
            "copy or download it again",
        )
        for form in ("WAV", "AIFF", "W64", "RF64", "AU")
    },
    "audio-only mp4": Row(
        ("video",),
        fixed(make.encoded_audio("aac", "mp4", 0.3, 16_000)),
        MediaError,
        "no moving picture",
        "give it as audio",
    ),
    "picture as video": Row(
        ("video",),
        fixed(make.encoded_image(make.picture_of(0, (32, 32)), "JPEG")),
        MediaError,
        "is a still picture",
        "give it as an image",
    ),
    "png as video": Row(
        ("video",),
        fixed(make.encoded_image(make.picture_of(0, (32, 32)), "PNG")),
        MediaError,
        "is a still picture",
        "give it as an image",
    ),
    "png bomb": Row(
        ("image", "video"),
        fixed(make.png_bomb(30_000)),
        LimitError,
        "900000000 pixels, expected at most 80000000 pixels",
        "raise max_pixels",
    ),
    "truncated png": Row(
        ("image",),
        written(lambda: cut(make.encoded_image(make.picture_of(0, (64, 64)), "PNG"), 0.7), "a.png"),
        MediaError,
        "a.png is a damaged picture",
        "again",
    ),
    "truncated jpeg": Row(
        ("image",),
        fixed(cut(make.encoded_image(make.picture_of(0, (64, 64)), "JPEG"), 0.8)),
        MediaError,
        "is a damaged picture",
        "again",
    ),
    "file: URL": Row(EVERY, fixed("file:///etc/passwd"), MediaError, "file: are not read", "give a plain path"),
    "file: without slashes": Row(EVERY, fixed("FILE:/etc/passwd"), MediaError, "file: are not", "give a plain path"),
    "ftp: URL": Row(EVERY, fixed("ftp://host/a.png"), MediaError, "ftp: are not read", "download it first"),
    "concat: URL": Row(EVERY, fixed("concat://a|b"), MediaError, "concat: are not read", "download it first"),
    "http without host": Row(EVERY, fixed("http:///a.png"), MediaError, "cannot be reached", "check the URL"),
    "http with a bad port": Row(EVERY, fixed("http://h:port/a"), MediaError, "cannot be reached", "check the URL"),
    "bad base64": Row(EVERY, fixed("data:image/png;base64,%%%"), MediaError, "not valid base64", "encode the file"),
    "half base64": Row(EVERY, fixed("data:;base64,QUJ"), MediaError, "not valid base64", "encode the file"),
    "data URL without comma": Row(EVERY, fixed("data:image/png"), MediaError, "no comma", "data:TYPE;base64,"),
    "empty data URL": Row(EVERY, fixed("data:audio/wav;base64,"), MediaError, "(audio/wav;base64) is empty", "give"),
}


@pytest.mark.parametrize(("name", "kind"), [(name, kind) for name, row in BAD.items() for kind in row.kinds])
def test_bad_input(name: str, kind: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """One line that says what and how to mend it, at once, and nothing printed by a codec."""
    row = BAD[name]
    source = row.source(tmp_path)
    start_s = time.process_time()
    with pytest.raises(MediaError) as caught:
        LOADERS[kind](source)
    assert time.process_time() - start_s < 1.0
    line = str(caught.value)
    assert type(caught.value) is row.error, line
    assert row.what in line
    assert row.fix in line
    assert "\n" not in line
    assert len(line) < 500
    assert capfd.readouterr() == ("", "")


ODD = {
    "animated GIF as image": ("image", lambda: make.animation("GIF", 3), (48, 32)),
    "animated GIF as video": ("video", lambda: make.animation("GIF", 3), 4),
    "CMYK JPEG": ("image", lambda: make.encoded_image(PIL.Image.new("CMYK", (9, 7)), "JPEG"), (9, 7)),
    "16-bit PNG": ("image", lambda: make.encoded_image(PIL.Image.new("I;16", (9, 7)), "PNG"), (9, 7)),
    "palette PNG": ("image", lambda: make.encoded_image(PIL.Image.new("P", (9, 7)), "PNG"), (9, 7)),
    "1 x 1 image": ("image", lambda: make.encoded_image(PIL.Image.new("L", (1, 1)), "PNG"), (1, 1)),
    "1 x 10,000 image": ("image", lambda: make.encoded_image(PIL.Image.new("L", (1, 10_000)), "PNG"), (1, 10_000)),
    "1-frame video": ("video", lambda: make.encoded_video(num_frames=1), 4),
    "1-sample wav": ("audio", lambda: make.wav(np.zeros(1), 16_000), 1),
    "wav called .xyz": ("audio", lambda: make.wav(np.zeros(160), 16_000), 160),
    "picture called .wav": ("image", lambda: make.encoded_image(PIL.Image.new("L", (5, 6)), "WEBP"), (5, 6)),
}


@pytest.mark.parametrize("extension", ["", ".xyz", ".wav", ".txt", ".raw", ".png"])
@pytest.mark.parametrize("name", ODD)
def test_odd_input_is_read(name: str, extension: str, tmp_path: Path) -> None:
    """By its contents, whatever it is called."""
    kind, data, expected = ODD[name]
    path = tmp_path / f"file{extension}"
    path.write_bytes(data())
    loaded = LOADERS[kind](path)
    size = loaded.size if kind == "image" else len(loaded.frames) if kind == "video" else len(loaded)
    assert size == expected


def test_playlists_open_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A playlist that names another file must not make FFmpeg read it: it may come from a stranger."""
    (tmp_path / "secret.ts").write_bytes(make.encoded_video("libx264", "mpegts"))
    monkeypatch.chdir(tmp_path)
    playlists = (
        f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{tmp_path}/secret.ts\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile secret.ts\n",
    )
    for text in playlists:
        with pytest.raises(MediaError, match="no video file that can be read"):
            load_video(text.encode())


def test_limits_on_bytes(tmp_path: Path) -> None:
    limits = MediaLimits(max_bytes=100, max_download_bytes=50)
    path = written(bytes(101), "a.wav")(tmp_path)
    for source in (path, bytes(101), "data:;base64," + "A" * 68, "data:," + "a" * 51, "data:," + "a" * 500):
        with pytest.raises(LimitError, match=r"is too large .* at most \d+ bytes\); give a smaller file"):
            load_audio(source, limits=limits)


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), "1", None, True])
def test_unusable_limits(value: object) -> None:
    with pytest.raises(ConfigError, match="max_pixels"):
        MediaLimits(max_pixels=value)  # type: ignore[arg-type]


def test_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(b"x", "a.wav")(tmp_path)

    def deny(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr("vita.media.source._NamelessFile", deny)
    with pytest.raises(MediaError, match="permission denied"):
        load_audio(path)


def test_data_urls() -> None:
    data = make.encoded_image(PIL.Image.new("RGB", (3, 2)), "PNG")
    import base64
    import urllib.parse

    encoded = base64.b64encode(data).decode()
    for url in (
        f"data:image/png;base64,{encoded}",
        f"DATA:;base64,{encoded[:20]}\n{encoded[20:]}",
        f"data:image/png;base64,{urllib.parse.quote(encoded, safe='')}",
        f"data:,{urllib.parse.quote(data, safe='')}",
    ):
        assert load_image(url).size == (3, 2)
