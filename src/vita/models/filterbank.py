"""Mel filterbank features with Kaldi's conventions (its feature-fbank): whole clips and streams.

80 bins, 25 ms povey window, 10 ms shift, pre-emphasis 0.97, no dither, power spectrum, natural logarithm floored at
float32 epsilon, waveform scaled by 32768. Called by the processor, the engine's listening stream and the data code.
Shape legend: T mel frames, W samples of a window, P frequencies, F mel bins.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from vita.errors import MediaError

SAMPLE_RATE_HZ = 16000
NUM_BINS = 80
WINDOW_MS = 25
SHIFT_MS = 10
WAVEFORM_SCALE = 32768
PREEMPHASIS = 0.97
LOW_HZ = 20.0
_FLOOR = np.finfo(np.float32).eps
_BLOCK_FRAMES = 512


def num_frames(num_samples: int, sample_rate_hz: int = SAMPLE_RATE_HZ) -> int:
    """Mel frames of a clip: only windows that lie wholly inside it count."""
    window, shift = sample_rate_hz * WINDOW_MS // 1000, sample_rate_hz * SHIFT_MS // 1000
    return 0 if num_samples < window else 1 + (num_samples - window) // shift


def mel_features(
    samples: np.ndarray,
    *,
    sample_rate_hz: int = SAMPLE_RATE_HZ,
    num_bins: int = NUM_BINS,
    compiled: bool = False,
) -> np.ndarray:
    """Log mel energies of a clip.

    Args:
        samples: mono float [num_samples] in [-1, 1], at `sample_rate_hz`.
        sample_rate_hz: rate that window, shift and mel range are computed for.
        num_bins: mel bins.
        compiled: by compiled loops (numba): the same numbers, sooner, after a few seconds for the first clip.

    Returns:
        float32 [T, num_bins].

    Raises:
        MediaError: not one channel, or shorter than one window of 25 ms.
    """
    stream = MelStream(sample_rate_hz=sample_rate_hz, num_bins=num_bins, compiled=compiled)
    features_TF = stream.push(samples)
    if not len(features_TF):
        duration_ms = 1000 * len(samples) / sample_rate_hz
        raise MediaError("sound is too short", got=f"{duration_ms:.1f} ms", expected=f"at least {WINDOW_MS} ms")
    return features_TF


class MelStream:
    """Features of a sound that is still arriving; equal to those of the whole clip, bit for bit."""

    def __init__(
        self, *, sample_rate_hz: int = SAMPLE_RATE_HZ, num_bins: int = NUM_BINS, compiled: bool = False
    ) -> None:
        self.sample_rate_hz, self.num_bins = sample_rate_hz, num_bins
        self._log_mel = _compiled_log_mel if compiled else _log_mel
        self._waiting = np.empty(0, np.float32)  # from the first sample of the next frame on

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Takes mono float samples [num_samples], any number of them; gives the frames now complete, [T, num_bins]."""
        samples = np.asarray(samples)
        if samples.ndim != 1:
            raise MediaError("sound must have one channel", got=f"shape {samples.shape}", expected="[num_samples]")
        scaled = samples.astype(np.float32) * np.float32(WAVEFORM_SCALE)
        waiting = np.concatenate([self._waiting, scaled]) if len(self._waiting) else scaled
        count = num_frames(len(waiting), self.sample_rate_hz)
        window, shift = self.sample_rate_hz * WINDOW_MS // 1000, self.sample_rate_hz * SHIFT_MS // 1000
        self._waiting = waiting[count * shift :].copy()
        features_TF = np.empty((count, self.num_bins), np.float32)
        if count:
            for start in range(0, count, _BLOCK_FRAMES):
                stop = min(start + _BLOCK_FRAMES, count)
                block = waiting[start * shift : (stop - 1) * shift + window]
                features_TF[start:stop] = self._log_mel(block, self.sample_rate_hz, self.num_bins)
        return features_TF


def _frames(samples: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    """A view of contiguous float32 samples as windows [T, W] that overlap."""
    window, shift = sample_rate_hz * WINDOW_MS // 1000, sample_rate_hz * SHIFT_MS // 1000
    step = samples.itemsize
    return np.ndarray((1 + (len(samples) - window) // shift, window), np.float32, samples, strides=(shift * step, step))


def _log_mel(samples: np.ndarray, sample_rate_hz: int, num_bins: int) -> np.ndarray:
    """Log mel energies [T, num_bins] of all frames of samples [num_samples], the scaled waveform.

    Every frame's numbers are computed by themselves, in the same order however many frames there are: sums run over
    whole rows, and no matrix product is used, whose rounding depends on the number of rows.
    """
    frames_TW = _frames(samples, sample_rate_hz)
    frames_TW = frames_TW - frames_TW.mean(axis=1, keepdims=True)
    emphasised_TW = np.empty_like(frames_TW)
    np.multiply(frames_TW[:, :-1], np.float32(-PREEMPHASIS), out=emphasised_TW[:, 1:])
    emphasised_TW[:, 1:] += frames_TW[:, 1:]
    emphasised_TW[:, 0] = frames_TW[:, 0] * np.float32(1 - PREEMPHASIS)
    emphasised_TW *= _povey_window(frames_TW.shape[1])
    filters = _mel_filters(sample_rate_hz, num_bins, frames_TW.shape[1])
    spectrum_TP = torch.fft.rfft(torch.from_numpy(emphasised_TW), n=filters.fft_size).numpy()
    power_PT = np.ascontiguousarray((spectrum_TP.real**2 + spectrum_TP.imag**2).T)[filters.order]
    rising, falling = np.zeros((2, len(filters.intervals), len(frames_TW)), np.float32)
    for rows, count in filters.rounds:
        rising[:count] += power_PT[rows] * filters.rising[rows]
        falling[:count] += power_PT[rows] * filters.falling[rows]
    energy_FT = np.zeros((num_bins + 2, len(frames_TW)), np.float32)
    energy_FT[filters.intervals + 1] = rising
    energy_FT[filters.intervals] += falling
    return np.log(np.maximum(energy_FT[1:-1], _FLOOR)).T


def _compiled_log_mel(samples: np.ndarray, sample_rate_hz: int, num_bins: int) -> np.ndarray:
    """See `_log_mel`."""
    from vita.models.compiled_mel import kernels

    windows, energies = kernels()
    frames_TW = _frames(samples, sample_rate_hz)
    (count, window), shift = frames_TW.shape, sample_rate_hz * SHIFT_MS // 1000
    filters = _mel_filters(sample_rate_hz, num_bins, window)
    windows_TW = np.empty((count, filters.fft_size), np.float32)
    windows(samples, shift, frames_TW.mean(axis=1), PREEMPHASIS, _povey_window(window), windows_TW)
    spectrum_TP = torch.fft.rfft(torch.from_numpy(windows_TW)).numpy()
    energy_TF = np.empty((count, num_bins + 2), np.float32)
    energies(spectrum_TP, filters.edges, filters.rising_all, energy_TF)
    return np.log(np.maximum(energy_TF[:, 1:-1], _FLOOR))


@dataclass(frozen=True)
class _MelFilters:
    """Triangular filters, equally spaced in mel: filter k rises over interval k and falls over interval k + 1.

    The first frequencies of all intervals come first, then the second ones of those that have two, and so on, so that
    each of these rounds is one sum over many intervals.

    fft_size: points of the transform.
    order: the P frequencies that lie inside an interval, round by round.
    rounds: the slice of them that is a round, and how many intervals it has: the first ones of `intervals`.
    intervals: the numbers of the intervals that hold a frequency, those that hold most first.
    rising, falling: float32 [P, 1], weight of each frequency in the filter that rises and that falls over its interval.
    edges: int64 [num_bins + 2], the first frequency of each interval, by its number, and the end of the last one.
    rising_all: float32 [fft_size / 2], `rising` of all frequencies in their own order.
    """

    fft_size: int
    order: np.ndarray
    rounds: tuple[tuple[slice, int], ...]
    intervals: np.ndarray
    rising: np.ndarray
    falling: np.ndarray
    edges: np.ndarray
    rising_all: np.ndarray


@lru_cache(maxsize=8)
def _mel_filters(sample_rate_hz: int, num_bins: int, window: int) -> _MelFilters:
    fft_size = 1 << (window - 1).bit_length()
    mels = _mel(np.arange(fft_size // 2) * sample_rate_hz / fft_size)
    low, high = _mel(np.array([LOW_HZ, sample_rate_hz / 2]))
    places = (mels - low) / (high - low) * (num_bins + 1)
    numbers = np.floor(places).astype(np.int64)
    intervals, firsts, widths = np.unique(numbers[places > 0], return_index=True, return_counts=True)
    firsts += int((places > 0).argmax())
    widest = np.argsort(-widths, kind="stable")
    order, rounds = np.empty(0, np.int64), []
    for number in range(widths.max()):
        members = firsts[widest][widths[widest] > number] + number
        rounds.append((slice(len(order), len(order) + len(members)), len(members)))
        order = np.concatenate([order, members])
    rising_all = (places - numbers).astype(np.float32)
    rising, edges = rising_all[order, None], np.searchsorted(numbers, np.arange(num_bins + 2))
    falling = np.float32(1) - rising
    return _MelFilters(fft_size, order, tuple(rounds), intervals[widest], rising, falling, edges, rising_all)


def _mel(frequency_hz: np.ndarray) -> np.ndarray:
    return 1127 * np.log1p(frequency_hz / 700)


@lru_cache(maxsize=8)
def _povey_window(window: int) -> np.ndarray:
    """Kaldi's window: a Hann window to the power of 0.85, float32."""
    return ((0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / (window - 1))) ** 0.85).astype(np.float32)
