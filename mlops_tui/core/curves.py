"""What a model's answers look like: ROC, reliability, residuals, and its metrics value by value of a column."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlops_tui.core import histograms, intervals, metrics
from mlops_tui.core.metrics import Answers
from mlops_tui.records import Breakdown, Curves, Histogram, Metric, Reliability, Residuals, Roc, SliceMetrics

Floats = NDArray[np.float64]

CONFIDENCE = 0.95
POINTS = 100
BINS = 10
RESIDUAL_BINS = 30
QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
MOST_SLICES = 50
REMARKS = {
    "multiclass": "the ROC is the mean over the classes, each against the rest; "
    "reliability is of the likeliest class: its probability against how often it is right",
    "quantile": "a quantile has no ROC and no reliability: its residuals show how often it lies above the truth",
    "ranking": "rows of a ranking are compared within their query: there is no curve over all rows",
}


def curves(model: str, answers: Answers, edges: Floats, seed: int = 0) -> Curves:
    """Return a model's metrics and the curves that its task has; `edges` are the bins of residuals.

    Metrics that are undefined on these rows are left out, and so is a ROC of one class.
    """
    y, score, task = answers.y, answers.score, answers.task
    found = tuple(one for one in metrics.evaluate(answers, CONFIDENCE, seed) if math.isfinite(one.value))
    remark = REMARKS.get(task, "")
    if task == "binary":
        return Curves(model, found, roc(y, score), reliability(y, score), remark=remark)
    if task == "multiclass":
        right = (score.argmax(axis=1) == y).astype(np.float64)
        return Curves(model, found, macro_roc(y, score), reliability(right, score.max(axis=1)), remark=remark)
    if task == "regression":
        return Curves(model, found, None, agreement(y, score), residuals(y, score, edges), remark)
    return Curves(model, found, residuals=residuals(y, score, edges) if task == "quantile" else None, remark=remark)


# ── ROC ──────────────────────────────────────────────────────────────────────────────────────────


def roc(y: Floats, score: Floats, points: int = POINTS) -> Roc | None:
    """Return the receiver operating characteristic of (n,) labels 0 or 1 and scores; None with one class.

    Of more than so many points those nearest to even steps along the curve are kept, first and last included: all
    are thresholds that the scores have, and no point left out is further off than one step of 2 / (points - 1).
    """
    wrong, right = _rates(y == 1, score)
    if not len(wrong):
        return None
    if len(wrong) > points:
        steps = np.linspace(0, 2, points)
        kept = np.unique(np.searchsorted(wrong + right, steps - 1e-12))
        wrong, right = wrong[kept], right[kept]
    return Roc(tuple(wrong.tolist()), tuple(right.tolist()))


def macro_roc(y: Floats, scores: Floats, points: int = POINTS) -> Roc | None:
    """Return the mean of the curves of each class that occurs against the rest; `scores` are (n, k).

    True positive rates are averaged at the same false positive rates (Fawcett 2006, vertical averaging), so that the
    area is the mean of the areas; None with one class.
    """
    classes = np.unique(y).astype(np.int64)
    if len(classes) < 2:
        return None
    places = np.linspace(0, 1, points)
    each = [_rates(y == one, scores[:, one]) for one in classes]
    right = np.mean([np.interp(places, *pair) for pair in each], axis=0)
    return Roc((0.0, *places.tolist()), (0.0, *right.tolist()))


def _rates(positive: NDArray[np.bool_], score: Floats) -> tuple[Floats, Floats]:
    """The false and the true positive rate from (0, 0) on, one point a distinct score; empty with one class."""
    hits = int(positive.sum())
    if hits in (0, len(positive)):
        return np.empty(0), np.empty(0)
    order = np.argsort(-score, kind="stable")
    last = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))
    right = np.cumsum(positive[order])[last]
    wrong = last + 1 - right
    return np.append(0.0, wrong / (len(positive) - hits)), np.append(0.0, right / hits)


# ── what was said against what was so ────────────────────────────────────────────────────────────


def reliability(y: Floats, p: Floats, bins: int = BINS) -> tuple[Reliability, ...]:
    """Return up to so many bins of as many rows: mean probability against the share that is 1 (Wilson 1927)."""
    found = []
    for part in _equal_mass(p, bins):
        share = float(y[part].mean())
        ends = intervals.wilson(share, len(part), CONFIDENCE)
        found.append(Reliability(len(part), float(p[part].mean()), share, *ends))
    return tuple(found)


def agreement(y: Floats, predicted: Floats, bins: int = BINS) -> tuple[Reliability, ...]:
    """Return up to so many bins of as many rows: mean prediction against mean truth (± z standard errors)."""
    found = []
    for part in _equal_mass(predicted, bins):
        mean, error = float(y[part].mean()), intervals.mean_error(y[part])
        ends = intervals.normal(mean, error, CONFIDENCE, (-math.inf, math.inf))
        found.append(Reliability(len(part), float(predicted[part].mean()), mean, *ends))
    return tuple(found)


def _equal_mass(predicted: Floats, bins: int) -> list[NDArray[np.int64]]:
    """The rows of each bin, by prediction; those with the same prediction are in one bin."""
    if not len(predicted):
        return []
    order = np.argsort(predicted, kind="stable")
    ordered = predicted[order]
    ends = ordered[-(-np.arange(1, bins) * len(ordered) // bins) - 1]  # the last of each bin, if none were alike
    cuts = np.unique(np.searchsorted(ordered, ends, side="right"))
    return [part for part in np.split(order, cuts) if len(part)]


def residual_edges(models: Sequence[Answers], bins: int = RESIDUAL_BINS) -> Floats:
    """Return bins that hold the residuals of all models; empty for a task without."""
    if models[0].task not in ("regression", "quantile"):
        return np.empty(0)
    return histograms.edges([one.y - one.score for one in models], bins)


def residuals(y: Floats, predicted: Floats, edges: Floats) -> Residuals:
    """Return the residuals, truth minus prediction: how they spread over bins, and their quantiles."""
    values = y - predicted
    counted = histograms.counts(values, edges)
    quantiles = np.quantile(values, QUANTILES) if len(values) else np.empty(0)
    histogram = Histogram(tuple(edges.tolist()), counted)
    return Residuals(histogram, len(values) - sum(counted), tuple(quantiles.tolist()))


# ── by the values of a column ────────────────────────────────────────────────────────────────────


def breakdown(models: Sequence[Answers], column: str, values: NDArray[Any], metric: str) -> Breakdown:
    """Return a metric of each model in each slice, the largest slices first; `values` are the rows' slices, as text.

    All models answered the same rows; None is a metric that is undefined on a slice.
    """
    names, number = np.unique(values.astype(str), return_inverse=True)
    sizes = np.bincount(number, minlength=len(names))
    largest = np.argsort(-sizes, kind="stable")
    found = [
        SliceMetrics(str(names[at]), int(sizes[at]), tuple(_defined(one, number == at, metric) for one in models))
        for at in largest[:MOST_SLICES]
    ]
    return Breakdown(column, metric, tuple(found), max(0, len(names) - MOST_SLICES))


def _defined(answers: Answers, rows: NDArray[np.bool_], metric: str) -> Metric | None:
    found = metrics.measure(answers.take(rows), metric, CONFIDENCE)
    return found if math.isfinite(found.value) else None
