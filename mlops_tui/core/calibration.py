"""From a binary model's score to a probability: fitted on validation rows, applied wherever the model answers.

isotonic: pool adjacent violators (Ayer et al. 1955; Zadrozny & Elkan 2002), read between its points by straight
lines. sigmoid: a logistic curve on the score's log-odds, with Platt's smoothed targets (Platt 1999).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mlops_tui.records import Calibration

Floats = NDArray[np.float64]
TINY = 1e-12


def fit(method: Literal["isotonic", "sigmoid"], score: Floats, y: Floats) -> Calibration:
    """Return the map that best takes scores in [0, 1] to the labels 0 and 1, both of shape (n,).

    >>> fit("isotonic", np.array([0.1, 0.2, 0.3]), np.array([0.0, 1.0, 1.0])).y
    (0.0, 1.0, 1.0)
    """
    return _isotonic(score, y) if method == "isotonic" else _sigmoid(score, y)


def apply(calibration: Calibration | None, score: Floats) -> Floats:
    """Return calibrated probabilities, shape (n,); without a calibration the scores themselves."""
    if calibration is None:
        return score
    if calibration.method == "isotonic":
        return np.interp(score, *_points(calibration))
    return _logistic(calibration.x[0] * _log_odds(score) + calibration.y[0])


@lru_cache(maxsize=16)
def _points(calibration: Calibration) -> tuple[Floats, Floats]:
    return np.asarray(calibration.x), np.asarray(calibration.y)


def _isotonic(score: Floats, y: Floats) -> Calibration:
    points, place, weights = np.unique(score, return_inverse=True, return_counts=True)
    means = np.bincount(place, weights=y) / weights
    blocks: list[tuple[float, int, int]] = []  # mean, rows, points
    for mean, rows in zip(means.tolist(), weights.tolist(), strict=True):
        block = (mean, rows, 1)
        while blocks and blocks[-1][0] >= block[0]:
            last = blocks.pop()
            total = last[1] + block[1]
            block = ((last[0] * last[1] + block[0] * block[1]) / total, total, last[2] + block[2])
        blocks.append(block)
    fitted = np.repeat([block[0] for block in blocks], [block[2] for block in blocks])
    ends = np.ones(len(points), dtype=bool)  # within a block only its two ends are needed
    ends[1:-1] = (fitted[1:-1] != fitted[:-2]) | (fitted[1:-1] != fitted[2:])
    return Calibration("isotonic", tuple(points[ends].tolist()), tuple(fitted[ends].tolist()))


def _sigmoid(score: Floats, y: Floats) -> Calibration:
    positives = float(y.sum())
    negatives = len(y) - positives
    wanted = np.where(y > 0, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    odds = _log_odds(score)
    slope, intercept = 1.0, 0.0
    for _ in range(50):  # Newton's method on a convex loss, halved where a full step leads beyond the valley
        fitted = _logistic(slope * odds + intercept)
        gap, bend = fitted - wanted, fitted * (1 - fitted) + TINY
        gradient = np.array([(gap * odds).sum(), gap.sum()])
        cross = (bend * odds).sum()
        hessian = np.array([[(bend * odds * odds).sum() + TINY, cross], [cross, bend.sum()]])
        step = np.linalg.lstsq(hessian, gradient, rcond=None)[0]
        loss = _log_loss(wanted, slope * odds + intercept)
        while np.abs(step).max() > 1e-10:
            tried = slope - float(step[0]), intercept - float(step[1])
            if _log_loss(wanted, tried[0] * odds + tried[1]) <= loss:
                slope, intercept = tried
                break
            step = step / 2
        if float(np.abs(step).max()) < 1e-10:
            break
    return Calibration("sigmoid", (slope,), (intercept,))


def _log_loss(wanted: Floats, odds: Floats) -> float:
    """The cross-entropy of probabilities that are wanted and log-odds, summed over rows."""
    return float((np.logaddexp(0, odds) - wanted * odds).sum())


def _log_odds(score: Floats) -> Floats:
    inside = np.clip(score, TINY, 1 - TINY)
    odds: Floats = np.log(inside / (1 - inside))
    return odds


def _logistic(value: Floats) -> Floats:
    curve: Floats = 1 / (1 + np.exp(-np.clip(value, -500, 500)))
    return curve
