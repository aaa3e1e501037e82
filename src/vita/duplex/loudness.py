"""How loud it is, every 8 ms: sooner than voice activity it hears that a sound begins, and that one has ended.

It cannot tell a voice from a knock: an answer is lowered for a moment, until voice activity has judged, and no more.
And it knows more exactly where the last sound of a turn ended. Used by `microphone.py`.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from vita.media.audio import SAMPLE_RATE_HZ

BLOCK = 128
_FLOOR_BLOCKS = 200  # the quietest of the last 1.6 s is what is always there
_QUIETEST = 6e-4
_ONSET, _LOUD = 5.0, 2.5  # times the floor: 14 and 8 dB


class Loudness:
    """Follows one stream of sound.

    end: samples judged.
    loud_s: where the last block ended that was louder than what is always there.
    is_onset: the last two blocks were clearly louder.
    """

    def __init__(self) -> None:
        self.end = 0
        self.loud_s = 0.0
        self.is_onset = False
        self._levels: deque[float] = deque(maxlen=_FLOOR_BLOCKS)
        self._last = 0.0

    def push(self, block: np.ndarray) -> None:
        """The next block: float32 [128], 16 kHz."""
        level = float(np.sqrt(np.mean(np.square(block))))
        floor = max(_QUIETEST, min(self._levels, default=_QUIETEST))
        self.end += BLOCK
        if level > _LOUD * floor:
            self.loud_s = self.end / SAMPLE_RATE_HZ
        self.is_onset = min(level, self._last) > _ONSET * floor
        self._levels.append(level)
        self._last = level
