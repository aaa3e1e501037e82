"""Intervals and tests against published or hand-computed values."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vita.evaluate import statistics


@pytest.mark.parametrize(
    ("right", "count", "low", "high"),
    [
        (10, 10, 0.7225, 1.0),  # n / (n + z^2)
        (0, 10, 0.0, 0.2775),
        (81, 263, 0.2553, 0.3662),  # Newcombe (1998), table I, method 3
        (15, 148, 0.0624, 0.1605),
        (1, 29, 0.0061, 0.1718),
        (0, 0, 0.0, 1.0),
    ],
)
def test_wilson(right: int, count: int, low: float, high: float) -> None:
    assert statistics.wilson(right, count) == pytest.approx((low, high), abs=6e-5)


@pytest.mark.parametrize(
    ("events", "low", "high"),
    [(0, 0.0, 3.69), (1, 0.025, 5.57), (5, 1.62, 11.67), (10, 4.80, 18.39), (20, 12.22, 30.89)],  # exact Poisson
)
def test_rate_interval_is_near_the_exact_one(events: int, low: float, high: float) -> None:
    found = statistics.rate_interval(events, 1.0)
    assert found == pytest.approx((low, high), abs=0.08)
    assert statistics.rate_interval(events, 4.0) == pytest.approx([bound / 4 for bound in found])


def test_a_rate_without_hours_is_unknown() -> None:
    assert statistics.rate_interval(0, 0.0) == (0.0, math.inf)


def test_bootstrap_of_a_mean_is_near_the_normal_interval() -> None:
    values = np.random.default_rng(1).normal(3.0, 2.0, 400)
    low, high = statistics.bootstrap(values, statistics.mean)
    half = statistics.Z * values.std() / math.sqrt(400)
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.05)
    assert statistics.bootstrap(values, statistics.mean) == (low, high)
    assert all(map(math.isnan, statistics.bootstrap([], statistics.mean)))


def test_statistics_of_many_resamples_at_once() -> None:
    pairs = np.array([[[1, 4], [2, 4]], [[0, 0], [0, 0]]], float)
    assert statistics.ratio(pairs)[0] == 3 / 8
    assert np.isnan(statistics.ratio(pairs)[1])
    assert statistics.quantile(0.5)(np.array([[1, 3, 2], [5, 5, 9]])).tolist() == [2, 5]


@pytest.mark.parametrize(
    ("first", "second", "p"), [(0, 0, 1.0), (5, 5, 1.0), (0, 5, 0.0625), (10, 2, 2 * 79 / 4096), (1, 0, 1.0)]
)
def test_mcnemar(first: int, second: int, p: float) -> None:
    assert statistics.mcnemar(first, second) == pytest.approx(p)


def test_paired_bootstrap_sees_a_difference_that_the_cases_share() -> None:
    rng = np.random.default_rng(2)
    first = rng.normal(0, 10, 100)
    (low, high), p = statistics.paired_bootstrap(first, first + 0.5 + rng.normal(0, 0.1, 100), statistics.mean)
    assert 0.45 < low < 0.5 < high < 0.55
    assert p == pytest.approx(2 / statistics.RESAMPLES)
    (low, high), p = statistics.paired_bootstrap(first, first, statistics.mean)
    assert (low, high, p) == (0.0, 0.0, 1.0)
    (low, high), p = statistics.paired_bootstrap(first, rng.permutation(first), statistics.mean)
    assert low < 0 < high
    assert p > 0.3
