"""How large a piece of media may be before it is refused. Passed to every loader; a server lowers the defaults."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from vita.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class MediaLimits:
    """Ceilings that are checked before (or while) the costly work is done, never after it.

    max_bytes: bytes of a file on disk or of a byte string.
    max_download_bytes: bytes of the body of a URL or of a decoded data URL; these are held in memory.
    max_pixels: width x height of a picture or of one video frame. The default stays below Pillow's own ceiling.
    max_audio_s: seconds of sound.
    max_video_s: seconds of video; only a handful of frames of it are decoded.
    max_frames: frames that a video file may hold (not: how many are sampled).
    timeout_s: seconds for a whole download, redirects and body included.
    """

    max_bytes: int = 2 * 1024**3
    max_download_bytes: int = 256 * 1024**2
    max_pixels: int = 80_000_000
    max_audio_s: float = 600.0
    max_video_s: float = 2 * 3600.0
    max_frames: int = 500_000
    timeout_s: float = 30.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value < math.inf:
                raise ConfigError(
                    f"media limit {field.name} is not usable", got=repr(value), expected="a positive finite number"
                )


DEFAULT_LIMITS = MediaLimits()
