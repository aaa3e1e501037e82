"""Mel filterbank features with Kaldi's conventions: whole clips and streams. No torch.

80 bins, 25 ms povey window, 10 ms shift, pre-emphasis 0.97, no dither, power spectrum, natural logarithm floored at
float32 epsilon, waveform scaled by 32768. Called by the processor, the engine's listening stream and the data code.
Shape legend: T mel frames, F mel bins.
"""

from __future__ import annotations

import kaldi_native_fbank as knf
import numpy as np

from vita.errors import MediaError

SAMPLE_RATE_HZ = 16000
NUM_BINS = 80
WINDOW_MS = 25
SHIFT_MS = 10
WAVEFORM_SCALE = 32768


def num_frames(num_samples: int, sample_rate_hz: int = SAMPLE_RATE_HZ) -> int:
    """Mel frames of a clip: only windows that lie wholly inside it count."""
    window, shift = sample_rate_hz * WINDOW_MS // 1000, sample_rate_hz * SHIFT_MS // 1000
    return 0 if num_samples < window else 1 + (num_samples - window) // shift


def mel_features(samples: np.ndarray, *, sample_rate_hz: int = SAMPLE_RATE_HZ, num_bins: int = NUM_BINS) -> np.ndarray:
    """Log mel energies of a clip.

    Args:
        samples: mono float [num_samples] in [-1, 1], at `sample_rate_hz`.
        sample_rate_hz: rate that window, shift and mel range are computed for.
        num_bins: mel bins.

    Returns:
        float32 [T, num_bins].

    Raises:
        MediaError: not one channel, or shorter than one window of 25 ms.
    """
    stream = MelStream(sample_rate_hz=sample_rate_hz, num_bins=num_bins)
    features_TF = stream.push(samples)
    if not len(features_TF):
        duration_ms = 1000 * len(samples) / sample_rate_hz
        raise MediaError("sound is too short", got=f"{duration_ms:.1f} ms", expected=f"at least {WINDOW_MS} ms")
    return features_TF


class MelStream:
    """Features of a sound that is still arriving; equal to those of the whole clip, bit for bit."""

    def __init__(self, *, sample_rate_hz: int = SAMPLE_RATE_HZ, num_bins: int = NUM_BINS) -> None:
        self.sample_rate_hz, self.num_bins = sample_rate_hz, num_bins
        self._extractor = knf.OnlineFbank(_options(sample_rate_hz, num_bins))
        self._num_read = 0

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Takes mono float samples [num_samples], any number of them; gives the frames now complete, [T, num_bins]."""
        samples = np.asarray(samples)
        if samples.ndim != 1:
            raise MediaError("sound must have one channel", got=f"shape {samples.shape}", expected="[num_samples]")
        scaled = samples.astype(np.float32) * WAVEFORM_SCALE
        self._extractor.accept_waveform(self.sample_rate_hz, scaled.tolist())
        first, self._num_read = self._num_read, self._extractor.num_frames_ready
        features_TF = np.empty((self._num_read - first, self.num_bins), np.float32)
        for row, frame in enumerate(range(first, self._num_read)):
            features_TF[row] = self._extractor.get_frame(frame)
        return features_TF


def _options(sample_rate_hz: int, num_bins: int) -> knf.FbankOptions:
    options = knf.FbankOptions()
    frame = options.frame_opts
    frame.samp_freq, frame.frame_length_ms, frame.frame_shift_ms = sample_rate_hz, WINDOW_MS, SHIFT_MS
    frame.dither, frame.preemph_coeff, frame.remove_dc_offset = 0.0, 0.97, True
    frame.window_type, frame.round_to_power_of_two, frame.snip_edges = "povey", True, True
    options.mel_opts.num_bins, options.mel_opts.low_freq, options.mel_opts.high_freq = num_bins, 20.0, 0.0
    options.use_energy, options.energy_floor = False, 0.0
    options.use_log_fbank, options.use_power = True, True
    return options
