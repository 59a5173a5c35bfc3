"""What a metric will be once the labels come: from scores and from what the labels probably are.

Every metric here is a sum over rows, a sum over pairs of rows, or a ratio of such sums: its expectation has a closed
form (of a ratio: that of the expectations, right up to 1/n). Its slopes by each row's probabilities give how much the
labels and the probabilities themselves leave open (the delta method; Hájek's projection of a U-statistic).

    >>> p = np.array([0.1, 0.9])
    >>> round(expect("brier", np.column_stack([1 - p, p]), p, 0.5)[0], 4)
    0.09
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from mlops_tui.core import measures
from mlops_tui.core.intervals import Floats

Expected = tuple[float, Floats]
"""A metric's expected value, and its slope by each row's probability of each class, (n, k)."""


def expect(metric: str, probability: Floats, score: Floats, threshold: float) -> Expected:
    """Return the expected metric of (n,) binary or (n, k) scores whose labels have the (n, k) probabilities.

    The value is nan where no label could make the metric defined; raises KeyError for a metric that is not here.
    """
    if score.ndim == 2:
        return _of_classes(metric, probability, score)
    p = probability[:, 1]
    match metric:
        case "auc":
            return _by_ones(concordance(score, p))
        case "average_precision":
            return _by_ones(average_precision(score, p))
        case "f1":
            return _by_ones(f1(score >= threshold, p))
        case "log_loss" | "brier":
            return _mean_loss(metric, probability, np.column_stack([1 - score, score]))
    raise KeyError(metric)


def label_variance(probability: Floats, slopes: Floats) -> float:
    """Return how much labels drawn by the (n, k) probabilities leave open in a metric of such slopes: its variance."""
    centred = slopes - (probability * slopes).sum(axis=1, keepdims=True)
    return float((probability * centred**2).sum())


def _of_classes(metric: str, probability: Floats, score: Floats) -> Expected:
    classes = score.shape[1]
    if metric == "log_loss":
        return _mean_loss(metric, probability, score)
    chosen = score.argmax(axis=1)
    right = np.eye(classes)[chosen]
    if metric == "accuracy":
        slopes = right / len(score)
        return float((slopes * probability).sum()), slopes
    occurs = -np.expm1(np.log1p(-np.clip(probability, 0, 1 - 1e-12)).sum(axis=0))
    match metric:
        case "auc":
            each = [concordance(score[:, one], probability[:, one]) for one in range(classes)]
        case "f1":
            each = [f1(chosen == one, probability[:, one]) for one in range(classes)]
            occurs = np.where(right.any(axis=0), 1.0, occurs)
        case _:
            raise KeyError(metric)
    # a class that neither occurs nor is predicted does not count in the mean over classes
    weight = np.array([share if math.isfinite(value) else 0.0 for share, (value, _) in zip(occurs, each, strict=True)])
    weight = weight / max(float(weight.sum()), 1e-12)
    values, slopes = np.array([value for value, _ in each]), np.column_stack([slope for _, slope in each])
    return float((weight * values)[weight > 0].sum()), np.where(weight > 0, weight * slopes, 0.0)


def _by_ones(found: tuple[float, Floats]) -> Expected:
    value, slope = found
    return value, np.column_stack([np.zeros_like(slope), slope])


def _mean_loss(metric: str, probability: Floats, given: Floats) -> Expected:
    """The mean of a loss that each row has for each label; `given` are the probabilities that the model gives."""
    losses = -np.log(np.clip(given, measures.TINY, 1.0)) if metric == "log_loss" else (1 - given) ** 2
    slopes: Floats = losses / max(len(given), 1)
    return float((slopes * probability).sum()) if len(given) else math.nan, slopes


def concordance(score: Floats, p: Floats) -> tuple[float, Floats]:
    """Return the expected AUC of (n,) scores, and its slope by each row's probability `p` of being a 1; O(n log n).

    The expected concordant pairs (equal scores count half) over the expected pairs of a 1 and a 0: of two rows, i is
    the 1 and j the 0 with probability p_i (1 - p_j).
    """
    order = np.argsort(score, kind="stable")
    ones, nots = p[order], 1 - p[order]
    first, last = _ties(score[order])
    under_nots, under_ones = np.append(0.0, np.cumsum(nots)), np.append(0.0, np.cumsum(ones))
    below = (under_nots[first] + under_nots[last] - nots) / 2  # 0s with a lower score, equal ones half, itself never
    above = under_ones[-1] - (under_ones[first] + under_ones[last] + ones) / 2
    total, spread = float(ones.sum()), float((ones * nots).sum())
    pairs = total * (len(p) - total) - spread
    if pairs <= 0:
        return math.nan, np.zeros_like(p)
    value = float((ones * below).sum()) / pairs
    slope = np.empty_like(p)
    slope[order] = (below - above - value * (len(p) - 2 * total - 1 + 2 * ones)) / pairs
    return value, slope


def average_precision(score: Floats, p: Floats) -> tuple[float, Floats]:
    """Return the expected average precision of (n,) scores, and its slope by each row's probability `p` of being a 1.

    Each row that is a 1 adds the share of 1s among the rows scored as high as it or higher; the sum is over the
    expected number of 1s.
    """
    order = np.argsort(-score, kind="stable")
    ones = p[order]
    first, last = _ties(-score[order])
    total = float(ones.sum())
    if total <= 0:
        return math.nan, np.zeros_like(p)
    others = np.append(0.0, np.cumsum(ones))[last] - ones
    share = np.append(0.0, np.cumsum(ones / last))
    value = float((ones * (1 + others) / last).sum()) / total
    slope = np.empty_like(p)
    slope[order] = ((1 + others) / last + (share[-1] - share[first]) - ones / last - value) / total
    return value, slope


def f1(chosen: NDArray[np.bool_], p: Floats) -> tuple[float, Floats]:
    """Return the expected F1 of rows predicted to be 1, and its slope by each row's probability `p` of being one."""
    counted = float(p.sum()) + float(chosen.sum())
    if counted <= 0:
        return math.nan, np.zeros_like(p)
    value = 2 * float(p[chosen].sum()) / counted
    return value, np.where(chosen, 2.0 - value, -value) / counted


def _ties(ordered: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of each value: where the first equal one stands, and how many stand up to the last equal one."""
    return np.searchsorted(ordered, ordered, "left"), np.searchsorted(ordered, ordered, "right")
