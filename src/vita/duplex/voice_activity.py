"""Is somebody speaking? The first gate: Silero VAD, window by window, or a script for tests. Called by `session.py`."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np

from vita.errors import DependencyError
from vita.media.audio import SAMPLE_RATE_HZ

WINDOW_SAMPLES = 512
WINDOW_S = WINDOW_SAMPLES / SAMPLE_RATE_HZ


class VoiceActivity(Protocol):
    """Judges one stream of sound; keeps its state from window to window."""

    def probability(self, window: np.ndarray) -> float:
        """The probability of speech in the next window: float32 [512], 16 kHz."""
        ...


class SileroVoiceActivity:
    """Silero VAD (MIT licence), from the package silero-vad, whose model file is run by PyTorch on the CPU."""

    def __init__(self) -> None:
        import torch

        # The package itself is not imported: it sets the number of threads of the whole process.
        package = find_spec("silero_vad")
        if package is None or package.origin is None:
            raise DependencyError("silero-vad is not installed", fix="pip install silero-vad")
        self._model = torch.jit.load(str(Path(package.origin).parent / "data" / "silero_vad.jit"), map_location="cpu")
        self._model.eval()
        self._torch = torch
        for _ in range(3):  # the first runs compile
            self.probability(np.zeros(WINDOW_SAMPLES, np.float32))
        self._model.reset_states()

    def probability(self, window: np.ndarray) -> float:
        """See VoiceActivity."""
        with self._torch.inference_mode():
            return float(self._model(self._torch.from_numpy(window)[None], SAMPLE_RATE_HZ))


class ScriptedVoiceActivity:
    """Says what a function of the window says; by default, that whatever is not silent is speech."""

    def __init__(
        self, judge: Callable[[np.ndarray], float] = lambda window: float(np.abs(window).max() > 1e-3)
    ) -> None:
        self._judge = judge

    def probability(self, window: np.ndarray) -> float:
        """See VoiceActivity."""
        return self._judge(window)
