"""How sure a figure is: standard errors and intervals, from arrays alone.

A standard error that cannot be known (one row, one class) is nan, and its interval is (None, None).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Weights = NDArray[np.uint8]
Blocks = NDArray[np.int64]
Statistic = Callable[[Weights], float]  # (units,) weights → the metric of the units, each taken so often
Interval = tuple[float | None, float | None]

RESAMPLES = 200  # enough for a standard error (Efron & Tibshirani 1993, section 6.4), too few for percentiles
FEWEST_RESAMPLES = 50
DRAWS = 4_000_000  # weights drawn in all: beyond 20,000 rows there are fewer resamples
POISSON = np.searchsorted(
    np.cumsum([math.exp(-1) / math.factorial(k) for k in range(9)]) * 65536, np.arange(65536), side="right"
).astype(np.uint8)  # the Poisson(1) quantile of every 16-bit number: ten times as fast as drawing from Poisson


def quantile_of(confidence: float) -> float:
    """Return how many standard errors a two-sided interval reaches to each side.

    >>> round(quantile_of(0.95), 3)
    1.96
    """
    return NormalDist().inv_cdf(0.5 + confidence / 2)


def normal(value: float, error: float, confidence: float, within: tuple[float, float]) -> Interval:
    """Return the interval value ± z·error, cut to the metric's range; (None, None) without an error."""
    if not (math.isfinite(value) and math.isfinite(error)):
        return None, None
    reach = quantile_of(confidence) * error
    return max(value - reach, within[0]), min(value + reach, within[1])


def wilson(share: float, rows: int, confidence: float) -> Interval:
    """Return the interval of a share of `rows` rows (Wilson 1927, the score interval)."""
    if rows < 1 or not math.isfinite(share):
        return None, None
    z2 = quantile_of(confidence) ** 2
    middle = (share + z2 / (2 * rows)) / (1 + z2 / rows)
    reach = math.sqrt(z2 * (share * (1 - share) / rows + z2 / (4 * rows**2))) / (1 + z2 / rows)
    return max(middle - reach, 0.0), min(middle + reach, 1.0)


def mean_error(values: Floats) -> float:
    """Return the standard error of the mean of (n,) values (central limit theorem); nan below two values."""
    return float(np.std(values, ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.nan


def auc_parts(positive: NDArray[np.bool_], score: Floats) -> tuple[float, Floats]:
    """Return the AUC of (n,) scores, and each row's part in its error: the variance is the sum of the squares.

    DeLong, DeLong & Clarke-Pearson 1988, in O(n log n) as Sun & Xu 2014; a difference of two models on the same rows
    has the difference of their parts. The AUC is nan with one class, the parts are nan with one row of a class.
    """
    rows = np.argsort(score, kind="stable")
    labels, ordered = positive[rows], score[rows]
    high, low = ordered[labels], ordered[~labels]
    if not len(high) or not len(low):
        return math.nan, np.full(len(score), np.nan)
    of_high = _share_below(low, high)
    of_low = 1 - _share_below(high, low)
    auc = float(of_high.mean())
    parts = np.full(len(score), np.nan)
    if len(high) > 1 and len(low) > 1:
        parts[rows[labels]] = (of_high - auc) / math.sqrt(len(high) * (len(high) - 1))
        parts[rows[~labels]] = (of_low - auc) / math.sqrt(len(low) * (len(low) - 1))
    return auc, parts


def _share_below(ordered: Floats, values: Floats) -> Floats:
    """The share of `ordered` that lies below each value, an equal one counted half."""
    ranks = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
    return ranks / (2.0 * len(ordered))


def parts_error(parts: Floats) -> float:
    """Return the standard error that `auc_parts` add up to."""
    return math.sqrt(dot(parts, parts))


def blocked_error(parts: Floats, blocks: Blocks) -> float:
    """Return the standard error that `auc_parts` add up to where rows of one block are not independent.

    The parts are summed by block before they are squared, times g / (g - 1) for g blocks: the cluster-robust variance
    (Obuchowski 1997 for the AUC; Liang and Zeger 1986); nan below two blocks.
    """
    sums = np.bincount(blocks, parts).astype(np.float64)
    count = len(np.unique(blocks))
    return math.sqrt(dot(sums, sums) * count / (count - 1)) if count > 1 else math.nan


def dot(left: Floats | Weights, right: Floats) -> float:
    """Return the sum of products of two (n,) arrays.

    Not by BLAS, which splits it over threads: a hundred times slower on a busy machine, and other bits elsewhere.
    """
    return float((left * right).sum())


def resample_error(statistic: Statistic, units: int, seed: int) -> float:
    """Return the standard error of a statistic of `units` rows or queries, by bootstrap with Poisson(1) weights.

    Efron 1979; Poisson weights as in Chamandy et al. 2012. Resamples in which the statistic is undefined are left
    out; nan when they are most, or when there are fewer than two units.
    """
    if units < 2:
        return math.nan
    random = np.random.default_rng(seed)
    count = resamples(units)
    found = np.empty(count)
    for number in range(count):
        draws = random.integers(0, 65536, units, dtype=np.uint16)
        found[number] = statistic(POISSON[draws])
    defined = found[np.isfinite(found)]
    return float(np.std(defined, ddof=1)) if len(defined) > count // 2 else math.nan


def resamples(units: int) -> int:
    """Return how many resamples are drawn of so many rows or queries."""
    return max(FEWEST_RESAMPLES, min(RESAMPLES, DRAWS // max(units, 1)))
