"""Whether a window can be told from the reference when all features are looked at together: a classifier tries.

The two-sample test by a classifier (Friedman 2003; Lopez-Paz & Oquab 2017): trees are trained to tell the rows of one
from those of the other, and judged by AUC on rows that they did not see. 0.5 is no drift that they can find. It sees
what no feature shows alone, such as two that used to rise together and no longer do.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from itertools import pairwise
from statistics import NormalDist

import lightgbm as lgb
import numpy as np
import polars as pl

from mlops_tui.core import derive, intervals
from mlops_tui.core.features import categorical_indices, encode
from mlops_tui.core.fitting import shares
from mlops_tui.core.intervals import Floats
from mlops_tui.dtypes import as_float
from mlops_tui.records import Feature, Multivariate, Transform

MOST_ROWS = 5000  # of each side
FEWEST_ROWS = 100
FOLDS = 3
ROUNDS = 40
BLOCKS = 8
FEWEST_IN_BLOCK = 50  # rows
STUDENT = {4: 4.541, 5: 3.747, 6: 3.365, 7: 3.143, 8: 2.998}
"""The point of Student's distribution with 1 % beyond it, by the number of blocks."""
ALL = 1 - 1e-4  # an AUC that says that a block is told altogether
SHARED = 2
"""What any two folds have in common by chance counts twice, as each trains for the other: the variance doubles."""
TOLD = 10
TREES = {"objective": "binary", "num_leaves": 8, "learning_rate": 0.1, "deterministic": True,
         "force_row_wise": True, "verbosity": -1}  # fmt: skip


def tell(  # noqa: PLR0913
    reference: pl.DataFrame,
    window: pl.DataFrame,
    transform: Transform,
    *,
    confidence: float,
    seed: int = 0,
    natural: float = 0.5,
    skip: Collection[str] = (),
    threads: int = 1,
) -> Multivariate | None:
    """Return how well a window's raw rows are told from the reference's; None where rows or features are too few.

    Features made from a raw column in `skip` are not looked at. The threshold is `natural`, what the reference's own
    blocks reach (see `natural`), plus what a window of this size may show by chance at this confidence. `features` are
    the 10 that gave the most away.
    """
    features = tuple(one for one in transform.features if not _reads(one, skip))
    if not features or min(reference.height, window.height) < FEWEST_ROWS:
        return None
    looked_at = Transform(features)
    rows = _sides(looked_at, (reference, window), seed)
    score, gain = _out_of_fold(looked_at, rows, seed, threads)
    new = rows[1] == 1
    auc, parts = intervals.auc_parts(new, score)
    reach = intervals.quantile_of(confidence) * math.sqrt(SHARED) * intervals.parts_error(parts)
    expected = max(natural, 0.5)
    chance = intervals.quantile_of(confidence) * _chance(expected, int(new.sum()), int((~new).sum()))
    threshold = min(expected + chance, 1.0)
    named = sorted(zip((one.name for one in features), shares(tuple(gain)), strict=True), key=lambda one: -one[1])
    return Multivariate(
        auc, max(auc - reach, 0.0), min(auc + reach, 1.0), threshold, auc > threshold, tuple(named[:TOLD])
    )


def natural(  # noqa: PLR0913
    reference: pl.DataFrame,
    transform: Transform,
    time: str | None,
    *,
    seconds: float | None = None,
    skip: Collection[str] = (),
    seed: int = 0,
    threads: int = 1,
) -> float:
    """Return the AUC with which another block of the reference, as long as a window of `seconds`, might be told.

    Seasons, trends and the weather of a day that the model was trained on are no drift. Up to 8 blocks, an eighth of
    the reference long where that is less or no length is given, are told from the rest; one more would exceed the
    answer once in a hundred times. 0.5 without a time; 1, which no window exceeds, where too few blocks have rows
    enough, or one is told altogether.
    """
    features = tuple(one for one in transform.features if not _reads(one, skip))
    if time is None or time not in reference.columns or not features:
        return 0.5
    ordered = reference.drop_nulls(time).sort(time, maintain_order=True)
    found = []
    for start, end in _blocks(as_float(ordered[time]).to_numpy(), seconds):
        rest = pl.concat([ordered[:start], ordered[end:]])
        rows = _sides(Transform(features), (rest, ordered[start:end]), seed)
        score, _ = _out_of_fold(Transform(features), rows, seed, threads)
        found.append(intervals.auc_parts(rows[1] == 1, score)[0])
    if len(found) not in STUDENT or max(found) >= ALL:
        return 1.0
    normal = NormalDist()  # AUC has no room above 1, its normal point has
    points = np.array([normal.inv_cdf(max(auc, 1 - ALL)) for auc in found])
    reach = STUDENT[len(points)] * math.sqrt(1 + 1 / len(points))
    return max(0.5, normal.cdf(float(points.mean() + reach * points.std(ddof=1))))


def _blocks(times: Floats, seconds: float | None) -> list[tuple[int, int]]:
    """Where up to 8 blocks of at least 50 rows, spread evenly over sorted times, start and end."""
    whole = float(times[-1] - times[0]) if len(times) else 0.0
    length = whole / BLOCKS if seconds is None else min(seconds, whole / BLOCKS)
    if length <= 0:
        return []
    edges = np.flatnonzero(np.diff((times - times[0]) // length, prepend=-1)).tolist()
    found = [(start, end) for start, end in pairwise([*edges, len(times)]) if end - start >= FEWEST_IN_BLOCK]
    taken = np.linspace(0, len(found) - 1, min(BLOCKS, len(found))).round().astype(np.int64)
    return [found[at] for at in taken]


def _chance(auc: float, one: int, other: int) -> float:
    """The standard error of an AUC of so many rows of either side (Hanley & McNeil 1982), over folds."""
    wins_twice, loses_twice = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    pairs = auc * (1 - auc) + (one - 1) * (wins_twice - auc**2) + (other - 1) * (loses_twice - auc**2)
    return math.sqrt(SHARED * pairs / (one * other))


def _reads(feature: Feature, columns: Collection[str]) -> bool:
    read = (feature.column,) if feature.expression is None else derive.columns_of(feature.expression)
    return not set(read).isdisjoint(columns)


def _sides(transform: Transform, frames: Sequence[pl.DataFrame], seed: int) -> tuple[Floats, Floats]:
    """The matrix of both frames' rows, sampled where they are many, and 1 for those of the second."""
    taken = [frame.sample(MOST_ROWS, seed=seed) if frame.height > MOST_ROWS else frame for frame in frames]
    matrix = np.concatenate([encode(transform, frame).to_numpy() for frame in taken])
    return matrix, np.repeat([0.0, 1.0], [frame.height for frame in taken])


def _out_of_fold(transform: Transform, rows: tuple[Floats, Floats], seed: int, threads: int) -> tuple[Floats, Floats]:
    """Each row's score by trees that did not see it, and the gain of each feature over all trees."""
    matrix, side = rows
    fold = np.random.default_rng(seed).permutation(len(side)) % FOLDS
    score, gain = np.empty(len(side)), np.zeros(matrix.shape[1])
    least = max(20, min(100, len(side) // 50))  # small leaves find chance
    parameters = TREES | {"seed": seed, "num_threads": threads, "min_data_in_leaf": least}
    for one in range(FOLDS):
        seen = fold != one
        data = lgb.Dataset(matrix[seen], side[seen], categorical_feature=categorical_indices(transform))
        booster = lgb.train(dict(parameters), data, ROUNDS)
        score[~seen] = booster.predict(matrix[~seen], num_threads=threads)
        gain += booster.feature_importance("gain")
    return score, gain
