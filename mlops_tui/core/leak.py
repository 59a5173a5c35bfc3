"""How far each feature alone goes: one that nearly decides the target is probably known only afterwards.

A feature's score is that of the mean target of its bin: bins are learned on training rows, scored on test rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlops_tui.core.intervals import Floats
from mlops_tui.records import Feature, Task

Ints = NDArray[np.int64]
Sample = tuple[NDArray[np.floating], Floats]  # the model's matrix (n, features), nan where missing; targets (n,)

BINS = 64
TRAIN_ROWS = 50_000


def scored_by(task: Task) -> str:
    """Return the measure of a single feature: auc (multiclass: of its best class) or r2."""
    return "auc" if task in ("binary", "multiclass") else "r2"


def single_feature_scores(task: Task, features: Sequence[Feature], train: Sample, test: Sample) -> dict[str, float]:
    """Return each feature's score alone, best first; features whose score is undefined are left out.

    Numbers fall into up to 64 bins of equal training rows, category codes each into their own, missing values into one
    of their own. At most 50,000 training rows are read, evenly spaced, so that the same rows give the same scores.
    """
    rows = np.unique(np.linspace(0, len(train[1]) - 1, min(len(train[1]), TRAIN_ROWS)).astype(np.int64))
    goals = [(train[1][rows], test[1])]
    if task == "multiclass":
        goals = [(1.0 * (train[1][rows] == one), 1.0 * (test[1] == one)) for one in np.unique(train[1])]
    found = {}
    for number, feature in enumerate(features):
        known, new = train[0][rows, number], test[0][:, number]
        edges = _edges(known, feature.kind == "categorical")
        bins, places = _bins(known, edges), _bins(new, edges)
        scores = [_score(task, (bins, y), (places, wanted), len(edges) + 2) for y, wanted in goals]
        found[feature.name] = max((score for score in scores if math.isfinite(score)), default=math.nan)
    best = sorted(found.items(), key=lambda item: -item[1])
    return {name: score for name, score in best if math.isfinite(score)}


def _edges(known: NDArray[np.floating], categorical: bool) -> NDArray[np.floating]:
    """Where one bin ends and the next begins: every distinct value if they are few or codes, else quantiles."""
    ordered = np.sort(known[~np.isnan(known)])
    distinct = np.unique(ordered)
    if not categorical and len(distinct) > BINS:
        distinct = np.unique(ordered[np.linspace(0, len(ordered) - 1, BINS + 1).astype(np.int64)[:-1]])
    return distinct[1:]


def _bins(values: NDArray[np.floating], edges: NDArray[np.floating]) -> Ints:
    """The bin of each value; missing ones have the last."""
    return np.where(np.isnan(values), len(edges) + 1, np.searchsorted(edges, values, "right"))


def _score(task: Task, known: tuple[Ints, Floats], new: tuple[Ints, Floats], bins: int) -> float:
    """The score, on new rows, of the mean target of each known bin, drawn to the overall mean by one row."""
    if not len(known[1]) or not len(new[1]):
        return math.nan
    means = (np.bincount(known[0], known[1], bins) + known[1].mean()) / (np.bincount(known[0], minlength=bins) + 1)
    if scored_by(task) == "auc":
        return _binned_auc(means, np.bincount(new[0], new[1], bins), np.bincount(new[0], 1 - new[1], bins))
    spread = float(((new[1] - new[1].mean()) ** 2).sum())
    return 1 - float(((new[1] - means[new[0]]) ** 2).sum()) / spread if spread > 0 else math.nan


def _binned_auc(means: Floats, ones: NDArray[Any], others: NDArray[Any]) -> float:
    """The AUC of rows whose score is their bin's mean, from the ones and the others of each bin."""
    _, group = np.unique(means, return_inverse=True)  # bins with the same mean are ties
    highs, lows = np.bincount(group, ones), np.bincount(group, others)
    pairs = float(highs.sum() * lows.sum())
    wins = float((highs * (np.cumsum(lows) - lows / 2)).sum())
    return wins / pairs if pairs else math.nan
