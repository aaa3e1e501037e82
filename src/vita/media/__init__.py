"""The media room: paths, bytes, data URLs and http(s) URLs to sound, pictures and clips, with limits. No torch.

limits.py     how large anything may be
source.py     whatever the user gave -> an open, bounded file
fetch.py      downloads and the policy on what may be fetched
transport.py  the guarded urllib machinery under it
audio.py      sound -> mono float32 16 kHz
image.py      picture -> RGB
sampling.py   which frames of a video are looked at
video.py      video -> Clip
video_file.py frames of a video file by number, by seeking
animation.py  frames of a GIF, WebP or PNG by number
container.py  opening files with FFmpeg
"""

from __future__ import annotations

from vita.media.audio import SAMPLE_RATE_HZ, check_samples, load_audio, resample_audio
from vita.media.fetch import FetchPolicy
from vita.media.image import load_image, to_rgb
from vita.media.limits import MediaLimits
from vita.media.sampling import sample_frame_indices
from vita.media.source import Source
from vita.media.video import Clip, load_video

__all__ = [
    "SAMPLE_RATE_HZ",
    "Clip",
    "FetchPolicy",
    "MediaLimits",
    "Source",
    "check_samples",
    "load_audio",
    "load_image",
    "load_video",
    "resample_audio",
    "sample_frame_indices",
    "to_rgb",
]
