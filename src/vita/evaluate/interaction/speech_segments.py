"""Where somebody speaks in a recording, by Silero VAD, as the public benchmarks find it.

The rule is that of `get_speech_timestamps` of the package silero-vad with its default settings (the tests compare the
two); that function is not called, since importing the package changes the number of threads of the process.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from vita.duplex.voice_activity import WINDOW_SAMPLES, SileroVoiceActivity, VoiceActivity
from vita.media import SAMPLE_RATE_HZ

Segment = tuple[float, float]
"""Start and end in seconds."""
THRESHOLD, STAY_THRESHOLD = 0.5, 0.35
MIN_SPEECH_S, MIN_SILENCE_S, PAD_S = 0.25, 0.1, 0.03


def speech_segments(samples: np.ndarray, activity: VoiceActivity | None = None) -> list[Segment]:
    """The segments of float32 [num_samples], 16 kHz."""
    activity = activity or SileroVoiceActivity()
    padded = np.pad(samples, (0, -len(samples) % WINDOW_SAMPLES)).astype(np.float32)
    probabilities = [activity.probability(window) for window in padded.reshape(-1, WINDOW_SAMPLES)]
    return from_probabilities(probabilities, len(samples))


def from_probabilities(probabilities: Sequence[float], num_samples: int) -> list[Segment]:
    """The segments, from the probability of speech in each window of 512 samples."""
    min_silence, shortest = MIN_SILENCE_S * SAMPLE_RATE_HZ, MIN_SPEECH_S * SAMPLE_RATE_HZ
    found: list[tuple[int, int]] = []
    start = quiet_from = None
    for number, probability in enumerate(probabilities):
        at = number * WINDOW_SAMPLES
        if probability >= THRESHOLD:
            quiet_from = None
            start = at if start is None else start
        elif probability < STAY_THRESHOLD and start is not None:
            quiet_from = at if quiet_from is None else quiet_from
            if at - quiet_from >= min_silence:
                if quiet_from - start > shortest:
                    found.append((start, quiet_from))
                start = quiet_from = None
    if start is not None and num_samples - start > shortest:
        found.append((start, num_samples))
    return [(a / SAMPLE_RATE_HZ, b / SAMPLE_RATE_HZ) for a, b in _padded(found, num_samples)]


def _padded(found: list[tuple[int, int]], num_samples: int) -> list[tuple[int, int]]:
    """Each a little longer on both sides; in a gap too short for that, half of it each."""
    pad = int(PAD_S * SAMPLE_RATE_HZ)
    bounds = [list(segment) for segment in found]
    for number, segment in enumerate(bounds):
        if number == 0:
            segment[0] = max(0, segment[0] - pad)
        if number == len(bounds) - 1:
            segment[1] = min(num_samples, segment[1] + pad)
            continue
        following = bounds[number + 1]
        gap = following[0] - segment[1]
        extra = gap // 2 if gap < 2 * pad else pad
        segment[1] += extra
        following[0] -= extra
    return [(start, end) for start, end in bounds]


def merged(segments: Iterable[Segment], gap_s: float) -> list[Segment]:
    """Those that are at most `gap_s` apart, joined."""
    found: list[Segment] = []
    for start, end in sorted(segments):
        if found and start - found[-1][1] <= gap_s:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found
