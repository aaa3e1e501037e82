"""Samples to the mel features of a model's audio tower: our filterbank, or Whisper's log-mel by transformers.

Called by the processor and by the engine's listening stream. Shape legend: T mel frames, F mel bins.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from vita.errors import MediaError
from vita.models.configuration_audio import WHISPER_HOP, VitaAudioConfig
from vita.models.filterbank import SAMPLE_RATE_HZ, WINDOW_MS, mel_features

if TYPE_CHECKING:
    from transformers import WhisperFeatureExtractor


def audio_features(samples: np.ndarray, config: VitaAudioConfig, *, compiled: bool = False) -> np.ndarray:
    """Mel features of a clip, float32 [config.num_frames(len(samples)), F].

    Whisper's are those of each window by itself. Of the last window only the frames that hear the sound are given: all
    behind them are the same, and `WhisperTower` knows which. `compiled` is for our filterbank, see `mel_features`.
    """
    if config.encoder == "whale":
        return mel_features(samples, compiled=compiled)
    num_frames = config.num_frames(len(samples))
    if not num_frames:
        duration_ms = 1000 * len(samples) / SAMPLE_RATE_HZ
        raise MediaError("sound is too short", got=f"{duration_ms:.1f} ms", expected=f"at least {WINDOW_MS} ms")
    extractor, size = _extractor(config.input_dim, config.window_samples), config.window_samples
    windows = [samples[start : start + size] for start in range(0, len(samples), size)]
    extracted: Any = extractor(windows, sampling_rate=SAMPLE_RATE_HZ, return_tensors="np")
    return np.ascontiguousarray(np.concatenate(extracted.input_features, axis=1).T[:num_frames], np.float32)


@lru_cache(maxsize=4)
def _extractor(num_bins: int, window_samples: int) -> WhisperFeatureExtractor:
    from transformers import WhisperFeatureExtractor

    seconds = window_samples // SAMPLE_RATE_HZ
    return WhisperFeatureExtractor(feature_size=num_bins, hop_length=WHISPER_HOP, chunk_length=seconds)
