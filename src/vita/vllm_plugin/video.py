"""Video files for vLLM, by our own choice of frames. Imported by the settings, which name it to vLLM."""

# pyright: reportMissingImports=false

from __future__ import annotations

from typing import Any

import numpy as np
from vllm.multimodal.video import VIDEO_LOADER_REGISTRY, VideoLoader

from vita.media import load_video

VIDEO_READER = "vita"


@VIDEO_LOADER_REGISTRY.register(VIDEO_READER)
class VitaVideoReader(VideoLoader):
    """The frames that `vita ask --video` looks at."""

    @classmethod
    def load_bytes(cls, data: bytes, num_frames: int = -1, **kwargs: Any) -> tuple[np.ndarray, dict[str, Any]]:
        """Bytes of a file -> frames uint8 [F, height, width, 3] and what they are; `num_frames` is not asked for."""
        clip = load_video(data)
        about = {"fps": clip.fps, "times_s": clip.times_s.tolist(), "video_backend": VIDEO_READER}
        return np.stack([np.asarray(frame) for frame in clip.frames]), about
