"""How good a model's answers are: every metric of every task, its interval, and two models on the same rows.

    >>> import numpy as np
    >>> answers = Answers("binary", np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.1, 0.4, 0.35, 0.8]))
    >>> value(answers, "auc")
    0.75
    >>> [metric.name for metric in evaluate(answers)]
    ['auc', 'average_precision', 'log_loss', 'brier', 'f1']

A metric is defined once, as a function of row weights: all ones give its value, random ones its bootstrap.
What cannot be computed (one class, no row) is nan, without a warning, and has no interval.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mlops_tui.core import intervals, measures
from mlops_tui.core.intervals import Blocks, Floats, Statistic
from mlops_tui.errors import InvalidInput, near_miss
from mlops_tui.records import LOWER_IS_BETTER, METRICS, Metric, Task

SHARES = frozenset(("accuracy", "coverage"))
RESAMPLED = frozenset(("average_precision", "f1", "r2"))


@dataclass(frozen=True, slots=True)
class Answers:
    """The truth and a model's scores of the same n rows.

    `y` is 0 or 1 (binary), a class index (multiclass), a value (regression, quantile) or a relevance (ranking);
    `score` is (n,), or (n, k) probabilities (multiclass); `query` is the query number of each row (ranking);
    `threshold` is the binary score from which 1 is predicted.
    """

    task: Task
    y: Floats
    score: Floats
    query: NDArray[np.int64] | None = None
    quantile: float = 0.5
    threshold: float = 0.5

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Answers:
        """Return the answers of some rows, by number or by mask."""
        query = None if self.query is None else self.query[rows]
        return replace(self, y=self.y[rows], score=self.score[rows], query=query)


@dataclass(frozen=True, slots=True)
class Rival:
    """What a challenger is measured against: the champion's answers to the same rows, with `remark` to be told.

    Without answers, `remark` says why there are none; without a remark as well, there is no champion.
    `itself` says that the model judged is the champion.
    """

    answers: Answers | None = None
    version: int | None = None
    known_rows: int | None = 0  # of these rows, those that the champion learned from; None if that is not known
    remark: str = ""
    itself: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """How much better the challenger is, in the metric's unit: positive is better whichever way the metric goes."""

    difference: float
    low: float | None
    high: float | None
    method: str


def higher_is_better(metric: str) -> bool:
    """Return whether more is better; of coverage, which should be near its quantile, this is a convention."""
    return metric not in LOWER_IS_BETTER


def evaluate(answers: Answers, confidence: float = 0.95, seed: int = 0) -> tuple[Metric, ...]:
    """Return all metrics of the task, in the order of METRICS, each with a two-sided interval."""
    return tuple(measure(answers, name, confidence, seed) for name in METRICS[answers.task])


def measure(answers: Answers, metric: str, confidence: float = 0.95, seed: int = 0) -> Metric:
    """Return one metric with its interval: Wilson's for a share, else ± z standard errors, cut to its range."""
    return measure_with_error(answers, metric, confidence, seed)[0]


def measure_with_error(answers: Answers, metric: str, confidence: float, seed: int) -> tuple[Metric, float]:
    """Return one metric with its interval, and its standard error, nan where unknown."""
    found, error = value(answers, metric), standard_error(answers, metric, seed)
    if metric in SHARES:
        low, high = intervals.wilson(found, len(answers.y), confidence)
    else:
        low, high = intervals.normal(found, error, confidence, limits(metric))
    return Metric(metric, found, low, high, confidence, higher_is_better(metric)), error


def value(answers: Answers, metric: str) -> float:
    """Return one metric; nan where it is undefined; raises InvalidInput if it is none of the task's."""
    _check(answers, metric)
    if metric == "auc":
        return _auc(answers)[0]
    units, statistic = _statistic(answers, metric)
    return statistic(np.ones(units, np.uint8))


def standard_error(answers: Answers, metric: str, seed: int = 0) -> float:
    """Return a metric's standard error, nan where unknown.

    auc: DeLong 1988; means: central limit theorem; rmse: the delta method; the others: 200 bootstrap resamples.
    """
    _check(answers, metric)
    if metric == "auc":
        return intervals.parts_error(_auc(answers)[1])
    if metric in RESAMPLED:
        units, statistic = _statistic(answers, metric)
        return intervals.resample_error(statistic, units, seed)
    error = intervals.mean_error(LOSSES[metric](answers))
    if metric == "rmse":
        root = value(answers, metric)
        return error / (2 * root) if root > 0 else error  # all errors zero: the mean's error is zero as well
    return error


def compare(
    metric: str, champion: Answers, challenger: Answers, confidence: float, seed: int, blocks: Blocks | None = None
) -> Comparison:
    """Return how much better the challenger is on the same rows, with a two-sided interval.

    auc: paired DeLong 1988; every other metric: a paired bootstrap of rows (ranking: of queries). `blocks`, the number
    of each row's block, says that rows (ranking: queries) of one block are alike: then blocks are counted and drawn.
    """
    if not np.array_equal(champion.y, challenger.y):
        raise InvalidInput("champion and challenger were scored on different rows: only the same rows can be compared")
    sign = 1 if higher_is_better(metric) else -1
    difference = sign * (value(challenger, metric) - value(champion, metric))
    if metric == "auc":
        parts = _auc(challenger)[1] - _auc(champion)[1]
        method = "DeLong" if blocks is None else "DeLong by block"
        error = intervals.parts_error(parts) if blocks is None else intervals.blocked_error(parts, blocks)
    else:
        units, new = _statistic(challenger, metric)
        _, old = _statistic(champion, metric)
        by: Blocks | slice
        drawn, by = (units, slice(None)) if blocks is None else unit_blocks(challenger, blocks)
        method = f"paired bootstrap, {intervals.resamples(drawn)} resamples"
        error = intervals.resample_error(lambda weights: new(weights[by]) - old(weights[by]), drawn, seed)
    low, high = intervals.normal(difference, error, confidence, (-math.inf, math.inf))
    return Comparison(difference, low, high, method)


def unit_blocks(answers: Answers, blocks: Blocks) -> tuple[int, Blocks]:
    """Return how many blocks there are, and the number, from 0, of the block of each row.

    Ranking: of each query that has a relevant row, as only those are measured; its block is that of its first row.
    """
    if answers.task == "ranking":
        query = np.zeros(len(blocks), np.int64) if answers.query is None else answers.query
        measured = np.isin(query, query[answers.y > 0])
        _, first = np.unique(query[measured], return_index=True)
        blocks = blocks[measured][first]
    numbers, by = np.unique(blocks, return_inverse=True)
    return len(numbers), by


def best_f1_threshold(y: Floats, score: Floats) -> float:
    """Return the score from which predicting 1 gives the highest F1 on these rows; 0.5 if no row is a 1.

    Every distinct score is tried, in O(n log n); of equally good ones the highest is taken.
    """
    if not y.any():
        return 0.5
    order = np.argsort(-score, kind="stable")
    ordered = score[order]
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    hits = np.cumsum(y[order])[last]
    return float(ordered[last][np.argmax(2 * hits / (last + 1 + y.sum()))])


def limits(metric: str) -> tuple[float, float]:
    """Return the smallest and the largest value that a metric can have."""
    if metric == "r2":
        return -math.inf, 1.0
    return 0.0, math.inf if metric in LOWER_IS_BETTER - {"brier"} else 1.0


def _check(answers: Answers, metric: str) -> None:
    known = METRICS[answers.task]
    if metric not in known:
        raise InvalidInput(f"metric '{metric}' is not one of task {answers.task}{near_miss(metric, known)}")


def _auc(answers: Answers) -> tuple[float, Floats]:
    """The AUC (multiclass: one versus rest, the mean over the classes that occur) and its DeLong parts."""
    if answers.task == "binary":
        return intervals.auc_parts(answers.y == 1, answers.score)
    classes = np.unique(answers.y).astype(np.int64)
    if len(classes) < 2:
        return math.nan, np.full(len(answers.y), np.nan)
    each = [intervals.auc_parts(answers.y == one, answers.score[:, one]) for one in classes]
    return float(np.mean([auc for auc, _ in each])), np.mean([parts for _, parts in each], axis=0)


LOSSES: dict[str, Callable[[Answers], Floats]] = {
    "log_loss": lambda of: measures.log_loss(of.y, of.score),
    "brier": lambda of: (of.y - of.score) ** 2,
    "rmse": lambda of: (of.y - of.score) ** 2,
    "mae": lambda of: np.abs(of.y - of.score),
    "mape": lambda of: measures.relative(of.y, of.score),
    "pinball": lambda of: np.maximum(of.quantile * (of.y - of.score), (of.quantile - 1) * (of.y - of.score)),
    "coverage": lambda of: (of.y <= of.score).astype(np.float64),
    "accuracy": lambda of: (of.score.argmax(axis=1) == of.y).astype(np.float64),
    "ndcg@5": lambda of: measures.ndcg(of.query, of.y, of.score, 5),
    "ndcg@10": lambda of: measures.ndcg(of.query, of.y, of.score, 10),
}
"""What a metric is the mean of, by row (ranking: by query); of rmse, the square of what it is the root of."""


def _statistic(answers: Answers, metric: str) -> tuple[int, Statistic]:
    """A metric as a function of weights, and of how many units (rows; ranking: queries) it takes the weights."""
    y, score = answers.y, answers.score
    match metric:
        case "average_precision":
            return len(y), measures.average_precision(y, score)
        case "f1" if answers.task == "binary":
            return len(y), measures.f1(y, score >= answers.threshold)
        case "f1":
            return len(y), measures.macro_f1(y.astype(np.int64), score.argmax(axis=1), score.shape[1])
        case "r2":
            return len(y), measures.r2(y, score)
    losses = LOSSES[metric](answers)
    return len(losses), measures.root_mean(losses) if metric == "rmse" else measures.mean(losses)
