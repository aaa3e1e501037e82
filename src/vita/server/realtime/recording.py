"""Recordings of realtime sessions, for debugging: what went over the wire, on one clock. Off unless a folder was given.

One folder for each connection: `input.wav` and `output.wav` (a further `input-2.wav` when the format changes), as sound
was sent, and `events.jsonl`: one event a line, with who sent it and `t` in seconds since the connection began, which is
where both sounds begin. Sound and pictures are not in the events. All of it together is bounded. Used by
`connection.py`.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import json
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from vita.errors import ConfigError
from vita.server.realtime.client_events import parsed
from vita.server.realtime.configuration import AudioFormat
from vita.server.realtime.sound import samples_of

_logger = logging.getLogger("vita.server")
_PAUSE_S = 0.25
"""Sound that comes so much later than the one before it was not just held up on its way."""
_LEFT_OUT = ("audio", "image_url")
_CUTS = ("input_audio_buffer.speech_started", "output_audio_buffer.cleared", "vita.output_audio_buffer.cleared")
"""Events at which a client falls silent."""


class Recorder:
    """Makes recordings in one folder.

    Args:
        folder: made if it is not there; only its owner may read it.
        max_bytes: of all that is in it; then nothing more is written.
        now_s: the time.
    """

    def __init__(self, folder: Path, max_bytes: int, now_s: Callable[[], float] = time.monotonic) -> None:
        self._folder, self._now_s, self._numbers = folder, now_s, itertools.count(1)
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._left = max_bytes - sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        except OSError as error:
            raise ConfigError(f"cannot record to {folder}", got=error, fix="give another folder") from None

    def begin(self) -> Recording | None:
        """A recording of a connection that begins now; None where there is no room for it."""
        name = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{os.getpid()}-{next(self._numbers):04d}"
        try:
            (self._folder / name).mkdir(mode=0o700)
            return Recording(self._folder / name, self._spend, self._now_s)
        except OSError:
            _logger.exception("a session cannot be recorded")
            return None

    def _spend(self, num_bytes: int) -> bool:
        """Whether there is room for so many."""
        if num_bytes > self._left:
            return False
        self._left -= num_bytes
        return True


class Recording:
    """One connection. Nothing that goes wrong here is a matter of the session: it is logged, and the recording ends.

    Args:
        folder: new, for its files.
        spend: whether so many bytes more may be written.
        now_s: the time.
    """

    def __init__(self, folder: Path, spend: Callable[[int], bool], now_s: Callable[[], float]) -> None:
        self._folder, self._spend, self._now_s, self._start_s = folder, spend, now_s, now_s()
        self._lines = open(folder / "events.jsonl", "w", encoding="utf-8")  # noqa: SIM115  (closed by `close`)
        self._tracks: dict[str, _Track] = {}
        self._formats: dict[str, AudioFormat] = {"input": AudioFormat(), "output": AudioFormat()}
        self._is_open = True

    def received(self, text: str) -> None:
        """A message of the client."""
        event = parsed(text)
        if not isinstance(event, dict):
            event = {"type": None, "text": text[:200]}
        sound = event.get("audio") if event.get("type") == "input_audio_buffer.append" else None
        self._note("client", event, "input", sound)

    def sent(self, kind: str, fields: dict[str, Any]) -> None:
        """An event of the server."""
        if kind in ("session.created", "session.updated"):
            for name, settings in fields["session"]["audio"].items():
                self._formats[name] = AudioFormat.model_validate(settings["format"])
        if kind in _CUTS:
            self._guarded(self._cut)
        sound = fields.get("delta") if kind == "response.output_audio.delta" else None
        shown = fields if sound is None else {**fields, "delta": _size(sound)}
        self._note("server", {"type": kind, **shown}, "output", sound)

    def close(self, ending: str) -> None:
        """The connection has ended so."""
        self._note("server", {"type": None, "ending": ending})
        self._end()

    def _note(self, sender: str, event: dict[str, Any], track: str = "", sound: Any = None) -> None:
        self._guarded(lambda: self._write(sender, event, track, sound))

    def _write(self, sender: str, event: dict[str, Any], track: str, sound: Any) -> None:
        at_s = self._now_s() - self._start_s
        line = json.dumps({"t": round(at_s, 3), "from": sender, **_without_media(event)}, ensure_ascii=False) + "\n"
        self._spent(len(line.encode()))
        self._lines.write(line)
        if isinstance(sound, str):
            self._add(track, at_s, sound)

    def _add(self, name: str, at_s: float, sound: str) -> None:
        try:
            data = base64.b64decode(sound, validate=True)
            samples = samples_of(data[: len(data) - len(data) % 2], self._formats[name])
        except (binascii.Error, ValueError):
            return  # the client is told
        rate_hz, track = self._formats[name].rate_hz, self._tracks.get(name)
        if track is None or track.rate_hz != rate_hz:
            number = 1 if track is None else track.number + 1
            path = self._folder / (f"{name}.wav" if number == 1 else f"{name}-{number}.wav")
            track = self._tracks[name] = _Track(path, rate_hz, number, previous=track)
        start_s = at_s - (len(samples) / rate_hz if name == "input" else 0.0)
        self._spent(2 * (track.pause_before(start_s) + len(samples)))
        track.add(start_s, samples)

    def _cut(self) -> None:
        if "output" in self._tracks:
            self._tracks["output"].cut(self._now_s() - self._start_s)

    def _spent(self, num_bytes: int) -> None:
        if not self._spend(num_bytes):
            raise OSError("the folder for recordings holds as much as it may")

    def _guarded(self, write: Callable[[], None]) -> None:
        if not self._is_open:
            return
        try:
            write()
        except (OSError, soundfile.LibsndfileError) as error:
            _logger.warning("a recording ends: %s", error)
            self._end()

    def _end(self) -> None:
        if self._is_open:
            self._is_open = False
            self._lines.close()
            for track in self._tracks.values():
                track.close()


class _Track:
    """A sound file that grows."""

    def __init__(self, path: Path, rate_hz: int, number: int, previous: _Track | None) -> None:
        self.rate_hz, self.number = rate_hz, number
        if previous is not None:
            previous.close()
        self._file = soundfile.SoundFile(path, "w+", rate_hz, 1, "PCM_16", format="WAV")
        self._length = 0

    def pause_before(self, start_s: float) -> int:
        """Samples of silence between what there is and sound that begins then."""
        missing = round(start_s * self.rate_hz) - self._length
        return missing if missing > _PAUSE_S * self.rate_hz else 0

    def add(self, start_s: float, samples: np.ndarray) -> None:
        """Sound that begins then, or right after what there is."""
        silence = np.zeros(self.pause_before(start_s), np.float32)
        for block in (silence, samples):
            self._file.write(block)
            self._length += len(block)

    def cut(self, at_s: float) -> None:
        """What lies behind this moment was not played."""
        length = min(self._length, round(at_s * self.rate_hz))
        self._file.truncate(length)
        self._file.seek(length)
        self._length = length

    def close(self) -> None:
        """Nothing more comes."""
        self._file.close()


def _without_media(found: Any) -> Any:
    if isinstance(found, dict):
        return {
            name: _size(value) if name in _LEFT_OUT and isinstance(value, str) else _without_media(value)
            for name, value in found.items()
        }
    return [_without_media(one) for one in found] if isinstance(found, list) else found


def _size(text: str) -> str:
    return f"({len(text)} characters)"
