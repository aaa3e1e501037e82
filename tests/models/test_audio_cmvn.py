"""CMVN statistics: both file formats, malformed files, and what applying them does."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from vita.errors import CheckpointError
from vita.models.cmvn import Cmvn, cmvn_from_sums, read_cmvn

FEATURES = np.random.default_rng(0).normal(5.0, 2.0, (500, 6))
SUMS, SQUARES = FEATURES.sum(0), (FEATURES**2).sum(0)


def write_json(path: Path) -> Path:
    stats = {"mean_stat": SUMS.tolist(), "var_stat": SQUARES.tolist(), "frame_num": len(FEATURES)}
    path.write_text(json.dumps(stats), encoding="utf-8")
    return path


def write_kaldi(path: Path) -> Path:
    rows = [[*SUMS, len(FEATURES)], [*SQUARES, 0]]
    lines = [" ".join(repr(float(value)) for value in row) for row in rows]
    path.write_text(" [\n  " + "\n  ".join(lines) + " ]\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("write", [write_json, write_kaldi])
def test_both_formats(tmp_path: Path, write: object) -> None:
    mean, istd = read_cmvn(write(tmp_path / "global_cmvn"))
    np.testing.assert_allclose(mean, FEATURES.mean(0))
    np.testing.assert_allclose(istd, 1 / FEATURES.std(0))
    module = Cmvn(6)
    module.load_statistics(mean, istd)
    normalised = module(torch.from_numpy(FEATURES))
    assert normalised.dtype == torch.float32
    torch.testing.assert_close(normalised.mean(0), torch.zeros(6), atol=1e-4, rtol=0)
    torch.testing.assert_close(normalised.std(0, correction=0), torch.ones(6), atol=1e-4, rtol=0)


def test_without_statistics_it_is_the_identity() -> None:
    x = torch.randn(3, 6)
    torch.testing.assert_close(Cmvn(6)(x), x, atol=0, rtol=0)


def test_a_constant_bin_is_floored() -> None:
    _, istd = cmvn_from_sums(np.array([20.0]), np.array([40.0]), 10)
    assert istd[0] == pytest.approx(1e10)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no matrix",
        "[ 1 2 3 ]",
        "[ 1 x\n 2 0 ]",
        "[ ]",
        "{",
        '{"mean_stat": [1]}',
        '{"mean_stat": [1, 2], "var_stat": [1], "frame_num": 3}',
        '{"mean_stat": [1], "var_stat": [1], "frame_num": 0}',
        '{"mean_stat": null, "var_stat": [1], "frame_num": 1}',
    ],
)
def test_malformed_files_are_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "broken_cmvn").write_text(text, encoding="utf-8")
    with pytest.raises(CheckpointError, match="broken_cmvn"):
        read_cmvn(tmp_path / "broken_cmvn")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="absent"):
        read_cmvn(tmp_path / "absent")


def test_statistics_of_another_width_are_refused() -> None:
    with pytest.raises(CheckpointError, match="misshapen"):
        Cmvn(5).load_statistics(np.zeros(6), np.ones(6))
