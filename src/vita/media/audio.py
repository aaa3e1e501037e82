"""Any sound to mono float32 at 16 kHz in [-1, 1]. Called by chat, the data pipeline and the server.

libsndfile reads what it can, FFmpeg the rest (and the sound track of a video). Both are read block by block, so that
a file that is too long is refused before it is decoded to its end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import soundfile
import soxr

from vita.errors import LimitError, MediaError
from vita.media.container import audio_stream, decoding, open_container, packets
from vita.media.fetch import DEFAULT_POLICY, FetchPolicy
from vita.media.limits import DEFAULT_LIMITS, MediaLimits
from vita.media.source import Opened, Source, open_source

if TYPE_CHECKING:
    from av import Packet

SAMPLE_RATE_HZ = 16_000
_RATES_HZ = (1_000, 768_000)
_BLOCK_VALUES = 262_144
_MISSING = re.compile(r"^\s*(?:data|SSND|riff|Riff size|Data Size)\s*: (\d+) \(should be (\d+)\)", re.MULTILINE)
"""Sizes that a header announces and sizes that are there, in libsndfile's log."""
_PADDING_BYTES = 16
_UNKNOWN_BYTES = 0x7F000000
"""From here on a size means that the writer did not know it: sound that was streamed."""
_FULL_SCALE = {"u8": 2**7, "s16": 2**15, "s32": 2**31, "s64": 2**63, "flt": 1, "dbl": 1}


def load_audio(
    source: Source, *, limits: MediaLimits = DEFAULT_LIMITS, policy: FetchPolicy = DEFAULT_POLICY
) -> np.ndarray:
    """The sound of a file, byte string or URL: float32 [num_samples], mono (mean of the channels), 16 kHz, in [-1, 1].

    Raises:
        MediaError: unreadable, damaged, without a sound track, without samples, or with NaN or infinite samples.
        LimitError: too many bytes or seconds.
    """
    with open_source(source, limits=limits, policy=policy) as opened:
        try:
            file = _sndfile(opened)
        except soundfile.SoundFileError:
            return _load_with_ffmpeg(opened, limits)
        with file:
            return _load_with_sndfile(file, opened.name, limits)


def _sndfile(opened: Opened) -> soundfile.SoundFile:
    """By its descriptor where it lies on the disk: libsndfile then reads without asking Python for each piece."""
    try:
        descriptor = opened.file.fileno()
    except OSError:  # bytes in memory
        return soundfile.SoundFile(opened.file)
    return soundfile.SoundFile(descriptor, closefd=False)


def resample_audio(
    samples: np.ndarray, sample_rate_hz: int, *, limits: MediaLimits = DEFAULT_LIMITS, name: str = "the sound"
) -> np.ndarray:
    """Samples that are in memory already to mono float32 [num_samples] at 16 kHz in [-1, 1].

    Args:
        samples: [num_samples] or [num_samples, channels]; floats in [-1, 1] or signed integers of full scale.
        sample_rate_hz: their rate.
        limits: the most seconds.
        name: how error messages call them.
    """
    samples = np.asarray(samples)
    if samples.ndim not in (1, 2) or samples.dtype.kind not in "fi" or 0 in samples.shape[1:]:
        raise MediaError(
            f"{name} is not an array of samples",
            got=f"{samples.dtype} {list(samples.shape)}",
            expected="float or signed integer [num_samples] or [num_samples, channels]",
        )
    full_scale = 1 if samples.dtype.kind == "f" else -int(np.iinfo(samples.dtype).min)
    sink = _Mono16k(name, sample_rate_hz, limits)
    columns = samples[:, None] if samples.ndim == 1 else samples
    block_frames = max(1, _BLOCK_VALUES // columns.shape[1])
    for start in range(0, len(columns), block_frames):
        sink.push(columns[start : start + block_frames] / full_scale)
    return sink.finish()


def check_samples(samples: np.ndarray) -> np.ndarray:
    """A piece of sound that is mono at 16 kHz already: float32 [num_samples], none to any number of them.

    Raises MediaError for another shape, for integers, and for NaN or infinite samples.
    """
    samples = np.asarray(samples)
    if samples.ndim != 1 or samples.dtype.kind != "f":
        raise MediaError(
            "a piece of sound is not mono float samples",
            got=f"{samples.dtype} {list(samples.shape)}",
            expected="float [num_samples] in [-1, 1], at 16 kHz",
            fix="convert it with vita.media.resample_audio",
        )
    if not np.isfinite(samples).all():
        raise MediaError("a piece of sound has NaN or infinite samples")
    return samples.astype(np.float32)


class _Mono16k:
    """Collects blocks of any rate and channel count; mixes, resamples, checks and bounds them as they come."""

    def __init__(self, name: str, sample_rate_hz: int, limits: MediaLimits) -> None:
        if not _RATES_HZ[0] <= sample_rate_hz <= _RATES_HZ[1]:
            raise MediaError(
                f"{name} has an unusable sample rate",
                got=f"{sample_rate_hz} Hz",
                expected=f"{_RATES_HZ[0]} to {_RATES_HZ[1]} Hz",
                fix="convert it to 16000 Hz",
            )
        self._name, self._rate_hz, self._limits = name, sample_rate_hz, limits
        self._num_read = 0
        self._parts: list[np.ndarray] = []
        self._resampler = None
        if sample_rate_hz != SAMPLE_RATE_HZ:
            self._resampler = soxr.ResampleStream(sample_rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ")

    def push(self, block: np.ndarray) -> None:
        """Take [num_samples, channels] of floats, full scale 1, or of int16."""
        self._num_read += len(block)
        _check_seconds(self._name, self._num_read / self._rate_hz, self._limits, "more than ")
        if block.dtype == np.int16:
            self._take(_mix(block) * np.float32(1 / _FULL_SCALE["s16"]))
            return
        if not np.isfinite(block).all():
            raise MediaError(
                f"{self._name} has samples that are NaN or infinite",
                got=f"in the first {self._num_read / self._rate_hz:.1f} s",
                expected="finite samples",
                fix="export it again",
            )
        # The first clip keeps absurd values from overflowing in the filter; the one to [-1, 1] comes after it.
        self._take(_mix(np.clip(block, -1e6, 1e6)))

    def _take(self, mono: np.ndarray) -> None:
        self._parts.append(mono if self._resampler is None else self._resampler.resample_chunk(mono))

    def finish(self) -> np.ndarray:
        """The whole sound."""
        if self._num_read == 0:
            raise _no_samples(self._name)
        if self._resampler is not None:
            self._parts.append(self._resampler.resample_chunk(np.zeros(0, np.float32), last=True))
        samples = self._parts[0] if len(self._parts) == 1 else np.concatenate(self._parts)
        return np.clip(samples, -1.0, 1.0, out=samples)


def _mix(block: np.ndarray) -> np.ndarray:
    """[num_samples, channels] -> float32 [num_samples], a new array of the channels' mean."""
    return (block[:, 0] if block.shape[1] == 1 else block.mean(axis=1, dtype=np.float64)).astype(np.float32)


def _load_with_sndfile(file: soundfile.SoundFile, name: str, limits: MediaLimits) -> np.ndarray:
    sink = _Mono16k(name, file.samplerate, limits)
    _check_seconds(name, file.frames / file.samplerate, limits)
    _check_whole(file.extra_info, name)
    block_frames = max(1, _BLOCK_VALUES // file.channels)
    stored = "int16" if file.subtype == "PCM_16" else "float32"  # as they lie in the file: the same numbers, sooner
    try:
        is_more = True
        while is_more:
            block = file.read(block_frames, dtype=stored, always_2d=True)
            sink.push(block)
            is_more = len(block) == block_frames
    except soundfile.SoundFileError as error:
        raise MediaError(f"{name} is damaged", got=error, fix="export it again") from None
    return sink.finish()


def _check_whole(log: str, name: str) -> None:
    """libsndfile shortens a file that ends too early, and says so in its log only."""
    for announced, there in (map(int, sizes) for sizes in _MISSING.findall(log)):
        if there + _PADDING_BYTES < announced < _UNKNOWN_BYTES:
            raise MediaError(
                f"{name} is cut short",
                got=f"{there} bytes of sound",
                expected=f"{announced}, as it says itself",
                fix="copy or download it again",
            )


def _load_with_ffmpeg(opened: Opened, limits: MediaLimits) -> np.ndarray:
    sink: _Mono16k | None = None
    rate_hz = 0
    with open_container(opened, "sound") as container, decoding(opened.name):
        stream = audio_stream(container, opened.name)
        if stream.duration and stream.time_base:
            _check_seconds(opened.name, float(stream.duration * stream.time_base), limits)
        for packet in packets(container, stream, opened.name):
            for block, block_rate_hz in _blocks(packet):
                if sink is None:
                    sink, rate_hz = _Mono16k(opened.name, block_rate_hz, limits), block_rate_hz
                elif block_rate_hz != rate_hz:
                    got = f"{block_rate_hz} Hz after {rate_hz} Hz"
                    raise MediaError(f"{opened.name} changes its sample rate on the way", got=got, fix="convert it")
                sink.push(block)
    if sink is None:
        raise _no_samples(opened.name)
    return sink.finish()


def _blocks(packet: Packet) -> Iterator[tuple[np.ndarray, int]]:
    """The decoded samples of a packet, [num_samples, channels] with full scale 1, each with its rate."""
    for frame in packet.decode():
        array = frame.to_ndarray()  # planar: [channels, samples]; packed: [1, samples * channels]
        block = array.T if frame.format.is_planar else array.reshape(-1, frame.layout.nb_channels)
        kind = frame.format.name.removesuffix("p")
        block = block.astype(np.float64) - (128 if kind == "u8" else 0)
        yield block / _FULL_SCALE[kind], frame.sample_rate


def _check_seconds(name: str, seconds: float, limits: MediaLimits, at_least: str = "") -> None:
    """Refuse what is longer than the limit."""
    if seconds > limits.max_audio_s:
        raise LimitError(
            f"{name} is too long",
            got=f"{at_least}{seconds:.1f} s",
            expected=f"at most {limits.max_audio_s:g} s",
            fix="cut it or raise max_audio_s",
        )


def _no_samples(name: str) -> MediaError:
    return MediaError(f"{name} holds no sound: 0 samples", expected="at least 1", fix="record it again")
