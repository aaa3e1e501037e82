"""Is somebody speaking? The first gate: Silero VAD, window by window, or a script for tests. Called by `session.py`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from vita.errors import DependencyError
from vita.media.audio import SAMPLE_RATE_HZ

WINDOW_SAMPLES = 512
WINDOW_S = WINDOW_SAMPLES / SAMPLE_RATE_HZ
_OVERLAP_SAMPLES = 64
"""Of the window before, which the model is shown again."""
_loading = threading.Lock()


class VoiceActivity(Protocol):
    """Judges one stream of sound; keeps its state from window to window."""

    def probability(self, window: np.ndarray) -> float:
        """The probability of speech in the next window: float32 [512], 16 kHz."""
        ...


class SileroVoiceActivity:
    """Silero VAD (MIT licence), from the package silero-vad, whose model file is run by PyTorch on the CPU.

    The model is loaded once for all; of a stream there are only what it remembers and the end of the last window.
    """

    def __init__(self) -> None:
        import torch

        with _loading:
            self._model = _silero()
        self._torch = torch
        self._state, self._before = torch.zeros(0), torch.zeros(_OVERLAP_SAMPLES)

    def probability(self, window: np.ndarray) -> float:
        """See VoiceActivity."""
        with self._torch.inference_mode():
            samples = self._torch.cat([self._before, self._torch.from_numpy(window)])
            self._before = samples[-_OVERLAP_SAMPLES:]
            found, self._state = self._model(samples[None], self._state)
            return float(found)


@cache
def _silero() -> Any:
    """The model for 16 kHz: (samples float32 [1, 64 + 512], its state) -> (probability [1, 1], state)."""
    import torch

    # The package itself is not imported: it sets the number of threads of the whole process.
    package = find_spec("silero_vad")
    if package is None or package.origin is None:
        raise DependencyError("silero-vad is not installed", fix="pip install silero-vad")
    both = torch.jit.load(str(Path(package.origin).parent / "data" / "silero_vad.jit"), map_location="cpu")
    model, state = both.eval()._model, torch.zeros(0)
    with torch.inference_mode():
        for _ in range(3):  # the first runs compile
            _, state = model(torch.zeros(1, _OVERLAP_SAMPLES + WINDOW_SAMPLES), state)
    return model


class ScriptedVoiceActivity:
    """Says what a function of the window says; by default, that whatever is not silent is speech."""

    def __init__(
        self, judge: Callable[[np.ndarray], float] = lambda window: float(np.abs(window).max() > 1e-3)
    ) -> None:
        self._judge = judge

    def probability(self, window: np.ndarray) -> float:
        """See VoiceActivity."""
        return self._judge(window)
