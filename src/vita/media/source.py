"""From whatever the user gave (path, bytes, data URL, http(s) URL) to an open, seekable, bounded binary file.

Called by the loaders of this room: `audio.py`, `image.py`, `video.py`.
"""

from __future__ import annotations

import base64
import binascii
import io
import os
import re
import stat
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Union

from vita.errors import LimitError, MediaError
from vita.media.fetch import DEFAULT_POLICY, FetchPolicy, fetch, short_url
from vita.media.limits import DEFAULT_LIMITS, MediaLimits

Source = Union[str, "os.PathLike[str]", bytes, bytearray, memoryview]
"""A path, a data: URL, an http(s) URL or the bytes of a file."""

_SCHEME = re.compile(r"^([a-zA-Z][a-zA-Z0-9+.-]+):(//|)")
_URL_SCHEMES = ("http", "https")


@dataclass(frozen=True)
class Opened:
    """A source that is open for reading.

    name: how error messages call it.
    file: seekable, at its start, not empty.
    """

    name: str
    file: BinaryIO


@contextmanager
def open_source(
    source: Source, *, limits: MediaLimits = DEFAULT_LIMITS, policy: FetchPolicy = DEFAULT_POLICY
) -> Iterator[Opened]:
    """Open a source; closed again at the end of the block.

    Raises:
        MediaError: missing, a directory, empty, unreadable, bad base64, a scheme that is not read, not reachable.
        LimitError: more bytes or more time than `limits` grants.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        data = bytes(source)
        name = f"the byte string of {len(data)} bytes"
        if len(data) > limits.max_bytes:
            raise _too_large(name, len(data), limits.max_bytes, "max_bytes")
        yield _in_memory(name, data)
        return
    if not isinstance(source, (str, os.PathLike)):
        raise MediaError(
            "this cannot be opened as media", got=type(source).__name__, expected="a path, bytes, data: or http(s) URL"
        )
    scheme = _scheme(source) if isinstance(source, str) else None
    if scheme is not None:
        yield _open_url(str(source), scheme, limits, policy)
        return
    if not policy.paths:
        raise MediaError("paths are not read here", got=_short(source), fix="give a data: or http(s) URL")
    with _open_path(Path(source), limits) as file:
        yield Opened(str(source), file)


def _scheme(text: str) -> str | None:
    """The scheme of a URL in lower case, None for a path. Without // only file:, data: and http(s): count."""
    match = _SCHEME.match(text)
    if not match:
        return None
    scheme = match[1].lower()
    return scheme if match[2] or scheme in ("file", "data", *_URL_SCHEMES) else None


def _open_url(url: str, scheme: str, limits: MediaLimits, policy: FetchPolicy) -> Opened:
    if scheme == "data":
        data = _decode_data_url(url, limits)
        return _in_memory(f"the data URL ({url[5:40].partition(',')[0]})", data)
    if scheme not in _URL_SCHEMES:
        raise MediaError(
            f"URLs of the scheme {scheme}: are not read",
            got=short_url(url) if "//" in url else _short(url),
            expected="http:, https: or data:",
            fix="give a plain path for a local file, or download it first",
        )
    if not policy.urls:
        raise MediaError("URLs are not followed here", got=short_url(url), fix="send the file as a data: URL")
    return Opened(short_url(url), io.BytesIO(fetch(url, limits=limits, policy=policy)))


def _in_memory(name: str, data: bytes) -> Opened:
    if not data:
        raise MediaError(f"{name} is empty (0 bytes)", fix="give the contents of a media file")
    return Opened(name, io.BytesIO(data))


def _decode_data_url(url: str, limits: MediaLimits) -> bytes:
    """The payload of data:[type][;base64],payload."""
    header, comma, payload = url[len("data:") :].partition(",")
    if not comma:
        raise MediaError("the data URL has no comma", got=_short(url), expected="data:TYPE;base64,PAYLOAD")
    is_base64 = header.lower().rstrip().endswith(";base64")
    if len(payload) > limits.max_download_bytes * (4 if is_base64 else 9) // 3 + 4:
        raise _too_large("the data URL", len(payload) * 3 // 4, limits.max_download_bytes, "max_download_bytes")
    if not is_base64:
        data = urllib.parse.unquote_to_bytes(payload)
    else:
        try:
            data = base64.b64decode("".join(urllib.parse.unquote(payload).split()), validate=True)
        except (binascii.Error, ValueError) as error:
            raise MediaError(
                "the data URL is not valid base64", got=str(error), fix="encode the file again, padding included"
            ) from None
    if len(data) > limits.max_download_bytes:
        raise _too_large("the data URL", len(data), limits.max_download_bytes, "max_download_bytes")
    return data


class _NamelessFile(io.FileIO):
    """A file that does not tell its name: codecs shall judge a file by its contents, never by its extension."""

    @property
    def name(self) -> str:  # type: ignore[override]
        raise AttributeError("name")

    @name.setter
    def name(self, value: object) -> None:
        """FileIO sets it; it is not kept."""


def _open_path(path: Path, limits: MediaLimits) -> BinaryIO:
    """A regular, non-empty file within the limit on bytes, open for reading."""
    name = _short(path)
    try:
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            raise MediaError(f"{name} is a directory", expected="a media file", fix="name one of the files in it")
        if not stat.S_ISREG(status.st_mode):
            raise MediaError(f"{name} is not a regular file", expected="a media file", fix="copy it to a file first")
        if status.st_size == 0:
            raise MediaError(f"{name} is empty (0 bytes)", fix="record or download it again")
        if status.st_size > limits.max_bytes:
            raise _too_large(name, status.st_size, limits.max_bytes, "max_bytes")
        return io.BufferedReader(_NamelessFile(path, "rb"))
    except FileNotFoundError:
        raise MediaError(f"{name} does not exist", got="no such file", fix="check the path") from None
    except PermissionError:
        raise MediaError(f"{name} may not be read", got="permission denied", fix="check its permissions") from None
    except (OSError, ValueError) as error:  # too long a name, a NUL in it, not a directory on the way, ...
        reason = error.strerror if isinstance(error, OSError) else error
        raise MediaError(f"{name} cannot be opened", got=reason, fix="check the path") from None


def _too_large(name: str, num_bytes: int, max_bytes: int, limit_name: str) -> LimitError:
    return LimitError(
        f"{name} is too large",
        got=f"{num_bytes} bytes",
        expected=f"at most {max_bytes} bytes",
        fix=f"give a smaller file or raise {limit_name}",
    )


def _short(text: object) -> str:
    """A path or string for an error message, not too long (somebody may pass a file's contents as a path)."""
    shown = str(text).replace("\0", "\\0")
    return shown if len(shown) <= 200 else f"{shown[:80]}... ({len(shown)} characters)"
