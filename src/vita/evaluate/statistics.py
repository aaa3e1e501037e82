"""How sure a figure is, and whether two runs really differ. Plain numbers in, plain numbers out.

Called by `tables.py` and `comparison.py`. References: Wilson (1927) for shares, Byar's approximation (Breslow & Day
1987) for rates, Efron's percentile bootstrap for everything else, McNemar's exact test for paired answers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

Z = 1.959964
"""Of a normal distribution: 95 % lie within so many standard deviations."""
RESAMPLES = 2000
Interval = tuple[float, float]
Statistic = Callable[[np.ndarray], np.ndarray]
"""Values [..., num_cases] (or [..., num_cases, 2]) to one figure each [...]."""


def wilson(right: int, count: int) -> Interval:
    """95 % interval of a share; (0, 1) without cases."""
    if count == 0:
        return 0.0, 1.0
    share, spread = right / count, Z * Z / count
    middle = (share + spread / 2) / (1 + spread)
    half = Z / (1 + spread) * math.sqrt(share * (1 - share) / count + spread / (4 * count))
    return max(0.0, middle - half), min(1.0, middle + half)


def rate_interval(events: int, amount: float) -> Interval:
    """95 % interval of a rate of rare events, `events` in `amount` hours; (0, inf) without hours."""
    if amount <= 0:
        return 0.0, math.inf

    def bound(count: float, sign: int) -> float:
        return count * (1 - 1 / (9 * count) + sign * Z / (3 * math.sqrt(count))) ** 3

    return (bound(events, -1) if events else 0.0) / amount, bound(events + 1, +1) / amount


def bootstrap(values: Sequence[float] | np.ndarray, statistic: Statistic, seed: int = 0) -> Interval:
    """95 % interval of a statistic of cases by resampling them; of no cases (nan, nan)."""
    array = np.asarray(values, np.float64)
    if len(array) == 0:
        return math.nan, math.nan
    low, high = np.nanpercentile(statistic(array[_draws(len(array), seed)]), [2.5, 97.5])
    return float(low), float(high)


def mean(values: np.ndarray) -> np.ndarray:
    """Over cases: [..., num_cases] -> [...]."""
    return values.mean(-1)


def ratio(pairs: np.ndarray) -> np.ndarray:
    """Sum over sum, as of errors over words: [..., num_cases, 2] -> [...]; nan where the second sum is 0."""
    sums = pairs.sum(-2)
    return np.divide(sums[..., 0], sums[..., 1], out=np.full(sums.shape[:-1], np.nan), where=sums[..., 1] != 0)


def quantile(share: float) -> Statistic:
    """The quantile of cases, with interpolation: [..., num_cases] -> [...]."""
    return lambda values: np.quantile(values, share, axis=-1)


def mcnemar(only_first: int, only_second: int) -> float:
    """Two-sided exact p value, from how many cases only the first run had right, and only the second."""
    count, fewer = only_first + only_second, min(only_first, only_second)
    if count == 0:
        return 1.0
    tail = sum(math.comb(count, k) for k in range(fewer + 1)) / 2**count
    return min(1.0, 2 * tail)


def paired_bootstrap(
    first: Sequence[float] | np.ndarray, second: Sequence[float] | np.ndarray, statistic: Statistic, seed: int = 0
) -> tuple[Interval, float]:
    """Second minus first on the same cases: 95 % interval, and a two-sided p value (twice the smaller tail)."""
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if len(a) == 0:
        return (math.nan, math.nan), 1.0
    draws = _draws(len(a), seed)
    differences = statistic(b[draws]) - statistic(a[draws])
    low, high = np.nanpercentile(differences, [2.5, 97.5])
    tail = min(np.mean(differences <= 0), np.mean(differences >= 0))
    return (float(low), float(high)), float(min(1.0, 2 * max(tail, 1 / RESAMPLES)))


def _draws(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, count, (RESAMPLES, count))
