"""Mean and variance of mel features for an audio tower that has none yet, from the sounds that it will learn from.

Called by `tuning.py` before a CTC stage.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np

from vita.checkpoints.loading import load_model
from vita.data.loading import load_media
from vita.data.mixture import Mixture
from vita.models.cmvn import Cmvn, cmvn_from_sums
from vita.models.filterbank import mel_features
from vita.tokens import AUDIO_PLACEHOLDER
from vita.train.export import read_tensors, stored_dtype, write_model

SOUNDS = 500
"""So many sounds are counted."""


def has_statistics(folder: Path) -> bool:
    """Whether the tower of a checkpoint has statistics: else they are the identity."""
    stored = read_tensors(folder, "audio_tower.cmvn.")
    return any(bool((stored[f"audio_tower.cmvn.{name}"] != value).any()) for name, value in (("mean", 0), ("istd", 1)))


def write_statistics(source: Path, mixture: Mixture, folder: Path) -> str:
    """Writes the checkpoint `source` with statistics of the mixture's first sounds to `folder`; a line about them."""
    sums, squares, count, seconds = 0.0, 0.0, 0, 0.0
    for draw, _ in itertools.islice(mixture.draws(mixture.start()), min(SOUNDS, mixture.num_records)):
        media = load_media(mixture.record(draw), mixture.sources[draw.source].folders)
        for sound in media[AUDIO_PLACEHOLDER]:
            mel_TF = mel_features(sound.samples).astype(np.float64)  # type: ignore[union-attr]
            sums, squares = sums + mel_TF.sum(0), squares + np.square(mel_TF).sum(0)
            count, seconds = count + len(mel_TF), seconds + 0.01 * len(mel_TF)
    model = load_model(source, stored_dtype(source))
    cmvn = model.audio_tower.cmvn
    assert isinstance(cmvn, Cmvn)
    cmvn.load_statistics(*cmvn_from_sums(np.asarray(sums), np.asarray(squares), count))
    write_model(source, model, folder)
    return f"mean and variance of the mel features are those of {seconds:.0f} s of sound"
