"""Compiled mel features are those of the filterbank to the last bit, whatever the length of the sound."""

from __future__ import annotations

import numpy as np
import pytest

from vita.errors import MediaError
from vita.models.compiled_mel import compiled_mel_features
from vita.models.filterbank import mel_features

pytest.importorskip("numba")


@pytest.mark.parametrize("num_samples", [400, 559, 560, 2799, 2800, 2960, 16_000, 80_000])
def test_the_numbers_are_those_of_the_filterbank(num_samples: int) -> None:
    """One frame, a block of frames, one more, many; loud, quiet and silent."""
    rng = np.random.default_rng(num_samples)
    sound = (rng.normal(0, 0.2, num_samples) * np.sin(np.arange(num_samples) / 3000)).astype(np.float32)
    sound[num_samples // 2 : num_samples // 2 + 900] = 0
    for samples in (sound, sound * np.float32(1e-4), sound.astype(np.float64)):
        wanted, found = mel_features(samples), compiled_mel_features(samples)
        assert found.dtype == wanted.dtype
        assert np.array_equal(found, wanted)


@pytest.mark.parametrize("samples", [np.zeros(399, np.float32), np.zeros((2, 16_000), np.float32)])
def test_the_same_sounds_are_refused(samples: np.ndarray) -> None:
    with pytest.raises(MediaError) as wanted:
        mel_features(samples)
    with pytest.raises(MediaError) as found:
        compiled_mel_features(samples)
    assert str(found.value) == str(wanted.value)
