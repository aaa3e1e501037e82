"""How large a medium is, without keeping it: from its header (`measure`), or by decoding it all (`examine`).

Called by the checks, which decode; by the statistics and by packing, which do not. No torch here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import soundfile

from vita.data.records import MediaFolders, Record
from vita.errors import MediaError
from vita.media.audio import SAMPLE_RATE_HZ, load_audio
from vita.media.image import load_image, open_picture
from vita.media.limits import DEFAULT_LIMITS, MediaLimits
from vita.media.source import open_source
from vita.media.video import load_video
from vita.tokens import AUDIO_PLACEHOLDER, IMAGE_PLACEHOLDER, VIDEO_PLACEHOLDER

_TURNED = (5, 6, 7, 8)
_ORIENTATION = 0x0112
_LEAST_SHARE = 0.95


@dataclass(frozen=True, kw_only=True)
class MediumSize:
    """Size of one medium; what does not apply is 0.

    width, height: pixels of a picture or of a frame.
    num_frames: frames of a clip that are looked at.
    num_samples: samples of a sound at 16 kHz.
    seconds: duration of a clip (as far as it is looked at) or sound.
    """

    width: int = 0
    height: int = 0
    num_frames: int = 0
    num_samples: int = 0
    seconds: float = 0.0

    @property
    def aspect_ratio(self) -> float:
        """Longer edge over shorter one; 0 for a sound."""
        return max(self.width, self.height) / max(1, min(self.width, self.height))


def media_paths(record: Record, folders: MediaFolders) -> list[tuple[str, Path]]:
    """(placeholder, path) of every medium of a record: pictures, then clips, then sounds. Raises DataError."""
    by_kind = {
        IMAGE_PLACEHOLDER: folders.image_paths(record),
        VIDEO_PLACEHOLDER: folders.video_paths(record),
        AUDIO_PLACEHOLDER: folders.audio_paths(record),
    }
    return [(placeholder, path) for placeholder, paths in by_kind.items() for path in paths]


def measure(placeholder: str, path: Path, *, limits: MediaLimits = DEFAULT_LIMITS) -> MediumSize:
    """The size of a medium; of a picture and of most sounds only the header is read. Raises MediaError."""
    if placeholder == IMAGE_PLACEHOLDER:
        with open_source(path, limits=limits) as opened, open_picture(opened, limits) as picture:
            width, height = picture.size
            if picture.getexif().get(_ORIENTATION) in _TURNED:
                width, height = height, width
            return MediumSize(width=width, height=height)
    if placeholder == VIDEO_PLACEHOLDER:
        return examine(placeholder, path, limits=limits)
    with open_source(path, limits=limits) as opened:
        try:
            info = soundfile.info(opened.file)
        except soundfile.SoundFileError:
            return examine(placeholder, path, limits=limits)
    return _sound_size(math.ceil(info.frames * SAMPLE_RATE_HZ / info.samplerate))


def examine(placeholder: str, path: Path, *, limits: MediaLimits = DEFAULT_LIMITS) -> MediumSize:
    """The size of a medium that was decoded to its end.

    Raises MediaError as the loaders do, and for a sound that is shorter than its header says.
    """
    if placeholder == IMAGE_PLACEHOLDER:
        width, height = load_image(path, limits=limits).size
        return MediumSize(width=width, height=height)
    if placeholder == VIDEO_PLACEHOLDER:
        clip = load_video(path, limits=limits)
        width, height = clip.frames[0].size
        return MediumSize(width=width, height=height, num_frames=len(clip.frames), seconds=float(clip.times_s[-1]))
    num_samples = len(load_audio(path, limits=limits))
    declared = _declared_samples(path)
    if declared is not None and num_samples < _LEAST_SHARE * declared:
        raise MediaError(
            f"{path} is cut short",
            got=f"{num_samples / SAMPLE_RATE_HZ:.2f} s of data",
            expected=f"{declared / SAMPLE_RATE_HZ:.2f} s as its header says",
            fix="copy or download it again",
        )
    return _sound_size(num_samples)


def _sound_size(num_samples: int) -> MediumSize:
    return MediumSize(num_samples=num_samples, seconds=num_samples / SAMPLE_RATE_HZ)


def _declared_samples(path: Path) -> float | None:
    """Samples at 16 kHz that the header of a sound declares; None where it does not say.

    libsndfile corrects the length of a WAV file that is cut short, so the size of its data chunk is read here.
    """
    try:
        info = soundfile.info(path)
    except soundfile.SoundFileError:
        return None
    frames: float = info.frames
    if info.format in ("WAV", "WAVEX"):
        num_bytes, frame_bytes = _wav_data_bytes(path)
        if num_bytes is None or not frame_bytes:
            return None
        frames = num_bytes / frame_bytes
    return frames * SAMPLE_RATE_HZ / info.samplerate


def _wav_data_bytes(path: Path) -> tuple[int | None, int]:
    """Bytes that the data chunk of a WAV file declares (None for a stream of unknown length), bytes of a frame."""
    frame_bytes = 0
    with path.open("rb") as file:
        file.seek(12)
        while len(head := file.read(8)) == 8:
            name, size = head[:4], int.from_bytes(head[4:], "little")
            if name == b"data":
                return (None if size in (0, 0xFFFFFFFF) else size), frame_bytes
            body = file.read(size + size % 2)
            if name == b"fmt ":
                frame_bytes = int.from_bytes(body[12:14], "little")
    return None, frame_bytes
