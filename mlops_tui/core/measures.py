"""The metrics themselves, from arrays: losses by row or query, and functions of row weights."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from mlops_tui.core.intervals import Floats, Statistic, Weights, dot

Ints = NDArray[np.int64]
TINY = float(np.finfo(np.float64).eps)


def log_loss(y: Floats, score: Floats) -> Floats:
    """Return minus the logarithm of the probability given to the truth, by row; `score` is (n,) or (n, k)."""
    given = score[np.arange(len(y)), y.astype(np.int64)] if score.ndim == 2 else np.where(y == 1, score, 1 - score)
    losses: Floats = -np.log(np.clip(given, TINY, 1.0))
    return losses


def relative(y: Floats, score: Floats) -> Floats:
    """Return the absolute error as a share of the truth, by row; a truth of zero counts as the smallest number."""
    shares: Floats = np.abs(y - score) / np.maximum(np.abs(y), TINY)
    return shares


def ndcg(query: Ints | None, y: Floats, score: Floats, top: int) -> Floats:
    """Return the NDCG of each query that has a relevant row, gain 2^relevance - 1, averaged over orders of ties.

    Järvelin & Kekäläinen 2002, gain as Burges et al. 2005, ties as McSherry & Najork 2008. A query without a relevant
    row says nothing about a ranking and is left out. Without `query`, all rows are one query.
    """
    if not len(y):
        return np.empty(0)
    query = np.zeros(len(y), np.int64) if query is None else query
    gain = np.exp2(y) - 1
    reached, best = _dcg(query, score, gain, top), _dcg(query, y, gain, top)
    share: Floats = reached[best > 0] / best[best > 0]
    return share


def _dcg(query: Ints, score: Floats, gain: Floats, top: int) -> Floats:
    """Each query's discounted gain of its `top` rows by score, by query number; tied rows share their places."""
    order = np.lexsort((-score, query))
    query, score, gain = query[order], score[order], gain[order]
    first = np.append(True, query[1:] != query[:-1])
    starts = np.flatnonzero(first)
    place = np.arange(len(query)) - np.repeat(starts, np.diff(np.append(starts, len(query))))
    discount = np.where(place < top, 1 / np.log2(place + 2), 0.0)
    ties = np.flatnonzero(first | np.append(True, score[1:] != score[:-1]))
    shared = np.add.reduceat(gain, ties) * np.add.reduceat(discount, ties) / np.diff(np.append(ties, len(query)))
    total: Floats = np.add.reduceat(shared, np.searchsorted(ties, starts))
    return total


def mean(losses: Floats) -> Statistic:
    """Return the weighted mean of losses, as a function of the weights."""
    return lambda weights: _ratio(dot(weights, losses), weights.sum())


def root_mean(losses: Floats) -> Statistic:
    """Return the root of the weighted mean of losses, as a function of the weights."""
    return lambda weights: math.sqrt(_ratio(dot(weights, losses), weights.sum()))


def average_precision(y: Floats, score: Floats) -> Statistic:
    """Return the sum of precision times the step in recall over the distinct scores; nan with one class."""
    if not len(y) or y.min() == y.max():
        return _undefined
    order = np.argsort(-score, kind="stable")
    y, score = y[order], score[order]
    ones = np.flatnonzero(y == 1)
    last = np.flatnonzero(np.append(score[1:] != score[:-1], True))
    end = last[np.searchsorted(last, ones)]  # of each one: the last row with its score
    rank = np.searchsorted(ones, end, "right") - 1  # of each one: the last one with its score

    def statistic(weights: Weights) -> float:
        taken = weights[order]
        seen = np.cumsum(taken, dtype=np.int32)[end]
        hits = np.cumsum(taken[ones], dtype=np.int32)
        return _ratio(dot(taken[ones], hits[rank] / np.maximum(seen, 1)), float(hits[-1]))

    return statistic


def f1(y: Floats, predicted: NDArray[np.bool_]) -> Statistic:
    """Return F1 of the ones; nan if no row is a 1 and none is predicted."""
    hits = ((y == 1) & predicted) * 2.0
    counted = (y == 1) * 1.0 + predicted
    return lambda weights: _ratio(dot(weights, hits), dot(weights, counted))


def macro_f1(y: Ints, predicted: Ints, classes: int) -> Statistic:
    """Return the mean of the F1 of each class that occurs or is predicted."""
    right = y == predicted

    def statistic(weights: Weights) -> float:
        hits = np.bincount(y[right], weights[right], classes)
        counted = np.bincount(y, weights, classes) + np.bincount(predicted, weights, classes)
        seen = counted > 0
        return _ratio((2 * hits[seen] / counted[seen]).sum(), seen.sum())

    return statistic


def r2(y: Floats, score: Floats) -> Statistic:
    """Return one minus the residuals' share of the spread; nan if all values are the same."""
    if not len(y) or y.min() == y.max():
        return _undefined
    losses, centred = (y - score) ** 2, y - y.mean()
    squares = centred**2

    def statistic(weights: Weights) -> float:
        spread = dot(weights, squares) - dot(weights, centred) ** 2 / max(float(weights.sum()), 1.0)
        return 1 - _ratio(dot(weights, losses), spread)

    return statistic


def _ratio(top: float, bottom: float) -> float:
    return float(top / bottom) if bottom > 0 else math.nan


def _undefined(_: Weights) -> float:
    return math.nan
