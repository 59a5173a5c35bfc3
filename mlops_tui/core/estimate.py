"""How good a model's answers are before any label came: from what they were worth on rows whose labels are known.

binary, multiclass: confidence-based estimation (CBPE, after NannyML): held-out rows teach what the model's
probabilities are worth, and those of a window say what its labels will probably be. regression, quantile: direct loss
estimation (DLE): trees learn from held-out rows how large the loss of such a row is.

Both see that a window's rows are harder or easier. Neither can see a change in how the target follows from the
features, and neither knows rows far from those held out: only labels do. The interval is of the metric that the
labels will give: it holds their chance, and how surely so many held-out rows could teach.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import lightgbm as lgb
import numpy as np

from mlops_tui.core import intervals, metrics, recalibration
from mlops_tui.core.expected import expect, label_variance
from mlops_tui.core.intervals import Floats
from mlops_tui.core.recalibration import Recalibration
from mlops_tui.records import METRICS, Estimate, Task

ESTIMATED: dict[Task, tuple[str, ...]] = {
    "binary": METRICS["binary"],
    "multiclass": METRICS["multiclass"],
    "regression": ("rmse", "mae"),  # r2 and mape compare with truths that only labels tell
    "quantile": ("pinball", "mae"),  # coverage says on which side of the score the truth lies
    "ranking": (),
}
"""The metrics that can be estimated, by task."""
MOST_ROWS = 20_000
FEWEST_ROWS = 100
FEWEST_OF_CLASS = 10
MOST_CLASSES = 50
FOLDS = 5
ROUNDS = 50
TREES = {"objective": "regression", "num_leaves": 8, "learning_rate": 0.1, "min_data_in_leaf": 20,
         "deterministic": True, "force_row_wise": True, "verbosity": -1}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Losses:
    """Trees that tell a row's loss, in units of `unit`, each learned without one fold of the held-out rows.

    `scatter` is the mean square of what losses differ from those told, as a share of the mean square of those told.
    """

    models: tuple[lgb.Booster, ...]
    unit: float
    scatter: float


@dataclass(frozen=True, slots=True)
class Estimator:
    """All that held-out rows taught; `remark` says why they taught nothing."""

    task: Task
    threshold: float = 0.5
    recalibration: Recalibration | None = None
    losses: Mapping[str, Losses] = field(default_factory=dict)
    remark: str = ""


def learn(answers: metrics.Answers, matrix: Floats | None, seed: int, threads: int = 1) -> Estimator:
    """Return what the answers to rows that the model did not learn from teach; of many rows, 20,000 are read.

    `matrix` are the rows' encoded features, (n, f), for regression and quantile; without, the score alone is looked at.
    """
    found = Estimator(answers.task, answers.threshold, remark=_lacking(answers))
    if found.remark:
        return found
    if len(answers.y) > MOST_ROWS:
        rows = np.sort(np.random.default_rng(seed).choice(len(answers.y), MOST_ROWS, replace=False))
        answers, matrix = answers.take(rows), None if matrix is None else matrix[rows]
    if answers.task in ("binary", "multiclass"):
        fitted = recalibration.fit(_by_class(answers.score), answers.y.astype(np.int64))
        return replace(found, recalibration=fitted)
    rows_seen = _beside(matrix, answers.score)
    parameters = TREES | {"seed": seed, "num_threads": threads}
    losses = {one: _learn(metrics.LOSSES[one](answers), rows_seen, parameters) for one in ESTIMATED[answers.task]}
    return replace(found, losses=losses)


def why_not(estimator: Estimator, metric: str) -> str:
    """Return why a metric is not estimated; empty where it is."""
    known = ESTIMATED[estimator.task]
    if estimator.remark or metric in known:
        return estimator.remark
    return f"{metric} cannot be estimated without labels; {' and '.join(known)} can"


def estimate(
    estimator: Estimator, score: Floats, matrix: Floats | None, metric: str, confidence: float
) -> Estimate | None:
    """Return a metric of rows without labels, with its interval; None where `why_not` tells why, or without rows.

    `score` is (n,) or (n, k); `matrix` are the encoded features, (n, f), where the estimator learned from them.
    """
    if why_not(estimator, metric) or not len(score):
        return None
    if estimator.recalibration is not None:
        value, variance = _by_probability(estimator, estimator.recalibration, score, metric)
    else:
        value, variance = _by_trees(estimator.losses[metric], _beside(matrix, score))
        if metric == "rmse":
            value = math.sqrt(value)
            variance = variance / (4 * value**2) if value else variance
    low, high = intervals.normal(value, math.sqrt(variance), confidence, metrics.limits(metric))
    if low is None or high is None:
        return None
    return Estimate(metric, value, low, high, "cbpe" if estimator.recalibration is not None else "dle")


def _lacking(answers: metrics.Answers) -> str:
    """Why these rows teach nothing; empty if they do."""
    rows = len(answers.y)
    if not ESTIMATED[answers.task]:
        return f"{answers.task} cannot be estimated without labels: a score says nothing of how relevant a row is"
    if rows < FEWEST_ROWS:
        return f"{rows} held-out rows with labels, {FEWEST_ROWS} are needed for an estimate"
    if answers.task in ("binary", "multiclass"):
        counts = np.bincount(answers.y.astype(np.int64))
        if (counts >= FEWEST_OF_CLASS).sum() < 2:
            return f"fewer than two classes with {FEWEST_OF_CLASS} held-out rows: too few for an estimate"
        if answers.score.ndim == 2 and answers.score.shape[1] > MOST_CLASSES:
            return f"{answers.score.shape[1]} classes: an estimate is made for up to {MOST_CLASSES}"
    return ""


def _by_class(score: Floats) -> Floats:
    return score if score.ndim == 2 else np.column_stack([1 - score, score])


def _beside(matrix: Floats | None, score: Floats) -> Floats:
    return score[:, None] if matrix is None else np.column_stack([matrix, score])


def _by_probability(estimator: Estimator, found: Recalibration, score: Floats, metric: str) -> tuple[float, float]:
    """The expected metric, and its variance: of labels drawn by the probabilities, and of these themselves."""
    probability, basis = recalibration.apply(found, _by_class(score))
    value, slopes = expect(metric, probability, score, estimator.threshold)
    of_map = recalibration.variance(found, probability, basis, slopes)
    return value, label_variance(probability, slopes) + of_map


def _learn(losses: Floats, rows: Floats, parameters: Mapping[str, Any]) -> Losses:
    unit = float(losses.mean())
    if unit <= 0:
        return Losses((), 0.0, 0.0)
    fold = np.random.default_rng(parameters["seed"]).permutation(len(losses)) % FOLDS
    models, told = [], np.empty(len(losses))
    for one in range(FOLDS):
        seen = fold != one
        data = lgb.Dataset(rows[seen], losses[seen] / unit, params=dict(parameters))
        models.append(lgb.train(dict(parameters), data, ROUNDS))
        told[~seen] = _told(models[-1], rows[~seen]) * unit
    scatter = float(((losses - told) ** 2).sum() / (told**2).sum())
    return Losses(tuple(models), unit, scatter)


def _told(model: lgb.Booster, rows: Floats) -> Floats:
    """Each row's loss in units; nothing keeps a sum of trees from falling below zero, as no loss does."""
    return np.maximum(np.asarray(model.predict(rows, num_threads=1), dtype=np.float64), 0.0)


def _by_trees(found: Losses, rows: Floats) -> tuple[float, float]:
    """The mean loss, and its variance: of losses around those told, and of the trees by the delete-a-group jackknife.

    A loss is taken to scatter in proportion to its mean, as those of errors of one shape and many scales do.
    """
    if not found.models:
        return 0.0, 0.0
    told = np.stack([_told(model, rows) for model in found.models]) * found.unit
    by_row, by_model = told.mean(axis=0), told.mean(axis=1)
    value = float(by_model.mean())
    of_labels = found.scatter * float((by_row**2).sum()) / len(rows) ** 2
    of_trees = (FOLDS - 1) / FOLDS * float(((by_model - value) ** 2).sum())
    return value, of_labels + of_trees
