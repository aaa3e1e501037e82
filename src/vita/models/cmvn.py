"""Global mean and variance normalisation of mel features: reading the statistics and applying them.

Statistics come as JSON (mean_stat, var_stat, frame_num) or as Kaldi text ("[ sums count squares 0 ]"); used by the
audio tower, the checkpoint converter and the CTC pre-training.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from vita.errors import CheckpointError

VARIANCE_FLOOR = 1e-20


def read_cmvn(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Mean and inverse standard deviation (float64, one value per bin) from a JSON or Kaldi text file."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
        sums, squares, count = _parse_json(text) if text.lstrip().startswith("{") else _parse_kaldi(text)
    except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"CMVN statistics {path} cannot be read: {error}", expected="JSON with mean_stat, or Kaldi text"
        ) from error
    if sums.shape != squares.shape or sums.ndim != 1 or not sums.size or count <= 0:
        raise CheckpointError(f"CMVN statistics {path} are malformed", got=f"{sums.shape}, {squares.shape}, {count}")
    return cmvn_from_sums(sums, squares, count)


def cmvn_from_sums(sums: np.ndarray, squares: np.ndarray, count: float) -> tuple[np.ndarray, np.ndarray]:
    """Mean and inverse standard deviation from the sums of the values and of their squares over `count` frames."""
    mean = np.asarray(sums, np.float64) / count
    variance = np.asarray(squares, np.float64) / count - mean * mean
    return mean, 1.0 / np.sqrt(np.maximum(variance, VARIANCE_FLOOR))


def _parse_json(text: str) -> tuple[np.ndarray, np.ndarray, float]:
    stats = json.loads(text)
    sums, squares = (np.asarray(stats[key], np.float64) for key in ("mean_stat", "var_stat"))
    return sums, squares, float(stats["frame_num"])


def _parse_kaldi(text: str) -> tuple[np.ndarray, np.ndarray, float]:
    body = text.strip()
    if not (body.startswith("[") and body.endswith("]")):
        raise ValueError("no [ ... ] matrix in it")
    values = np.array(body[1:-1].split(), np.float64)
    if values.size < 4 or values.size % 2:
        raise ValueError(f"{values.size} values are not two rows of the same length")
    sums, squares = values.reshape(2, -1)
    return sums[:-1], squares[:-1], float(sums[-1])


class Cmvn(nn.Module):
    """(features - mean) * istd per mel bin, in float32; the identity until `load_statistics`."""

    mean: Tensor
    istd: Tensor

    def __init__(self, num_bins: int, *, normalize_variance: bool = True) -> None:
        super().__init__()
        self.normalize_variance = normalize_variance
        self.register_buffer("mean", torch.zeros(num_bins))
        self.register_buffer("istd", torch.ones(num_bins))

    def load_statistics(self, mean: np.ndarray, istd: np.ndarray) -> None:
        """Copies the statistics of `read_cmvn` into the buffers."""
        if mean.shape != tuple(self.mean.shape) or istd.shape != tuple(self.istd.shape):
            raise CheckpointError("CMVN statistics misshapen", got=mean.shape, expected=tuple(self.mean.shape))
        with torch.no_grad():
            self.mean.copy_(torch.from_numpy(mean))
            self.istd.copy_(torch.from_numpy(istd))

    def forward(self, features: Tensor) -> Tensor:
        """features [..., bins] -> float32 [..., bins]."""
        centred = features.float() - self.mean.float()
        return centred * self.istd.float() if self.normalize_variance else centred
