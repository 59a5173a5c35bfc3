"""A metric in every slice of the test rows, with as much doubt as the number of slices asks for."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from mlops_tui.core import metrics
from mlops_tui.core.bounds import room
from mlops_tui.core.metrics import Answers

if TYPE_CHECKING:  # a container carries this module and no pydantic
    from mlops_tui.config import Gate


@dataclass(frozen=True, slots=True)
class Slice:
    """One slice's metric and verdict; `p` is Holm's, to be compared with 1 - confidence.

    "doubtful" misses the bound by less than chance explains; "unjudged" has too few rows, or one class only.
    """

    value: str
    rows: int
    metric: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    verdict: Literal["passed", "doubtful", "failed", "unjudged"] = "unjudged"


def judge_slices(answers: Answers, values: NDArray[Any], gate: Gate, seed: int) -> tuple[Slice, ...]:
    """Return every slice, the worst first, the unjudged last; `values` holds the slice of each row, as text.

    A slice fails if "the metric is within the gate's bounds" is rejected one-sided at 1 - confidence, corrected for the
    number of slices (Holm 1979): by an exact binomial test (accuracy, coverage, binary f1), else by a normal one.
    """
    if not len(values):
        return ()
    names, number = np.unique(values.astype(str), return_inverse=True)
    rows = np.split(np.argsort(number, kind="stable"), np.cumsum(np.bincount(number, minlength=len(names)))[:-1])
    found = [_measure(str(name), answers.take(part), gate, seed) for name, part in zip(names, rows, strict=True)]
    judged = sorted((pair for pair in found if pair[1] is not None), key=lambda pair: pair[1] or 0.0)
    corrected = holm([p for _, p in judged if p is not None])
    results = [_verdict(one, p, gate) for (one, _), p in zip(judged, corrected, strict=True)]
    results.sort(key=lambda one: room(one.metric or 0.0, gate))
    return (*results, *sorted((one for one, p in found if p is None), key=lambda one: -one.rows))


def holm(ascending: Sequence[float]) -> list[float]:
    """Return Holm's corrected p-values of p-values in ascending order.

    >>> holm([0.01, 0.04, 0.5])
    [0.03, 0.08, 0.5]
    """
    corrected: list[float] = []
    for index, p in enumerate(ascending):
        corrected.append(max(corrected[-1] if corrected else 0.0, min(1.0, p * (len(ascending) - index))))
    return corrected


def _measure(name: str, part: Answers, gate: Gate, seed: int) -> tuple[Slice, float | None]:
    """A slice's metric, and the p-value of "it is within the bound"; no p-value where it cannot be judged."""
    if len(part.y) < gate.min_rows:
        return Slice(name, len(part.y)), None
    found, error = metrics.measure_with_error(part, gate.metric or "", gate.confidence, seed)
    value = found.value if math.isfinite(found.value) else None
    result = Slice(name, len(part.y), value, found.low, found.high)
    if value is None:
        return result, None
    counted = _counted(part, gate.metric or "", value)
    if counted is None and not math.isfinite(error):
        return result, None
    p = _normal_p(room(value, gate), error) if counted is None else _exact_p(counted, gate)
    return result, min(1.0, p if gate.min is None or gate.max is None else 2 * p)  # a band is two bounds


def _normal_p(inside: float, error: float) -> float:
    if error == 0:
        return 0.0 if inside < 0 else 1.0
    return NormalDist().cdf(inside / error)


@dataclass(frozen=True, slots=True)
class _Counted:
    """A metric that is a share, or goes with one: so many hits of so many rows."""

    hits: int
    rows: int
    share_at: Callable[[float], float]  # from a bound of the metric to one of the share


def _counted(part: Answers, metric: str, value: float) -> _Counted | None:
    """The hits and rows of a share; F1 goes with the share of hits in all rows that are a 1 or were said to be."""
    if metric in metrics.SHARES:
        return _Counted(round(value * len(part.y)), len(part.y), lambda bound: bound)
    if metric == "f1" and part.task == "binary":
        ones, said = part.y == 1, part.score >= part.threshold
        return _Counted(int((ones & said).sum()), int((ones | said).sum()), lambda bound: bound / (2 - bound))
    return None


def _exact_p(counted: _Counted, gate: Gate) -> float:
    """The chance of so few hits, or fewer, at the smallest allowed share, or of so many at the largest."""
    low, high = (None if bound is None else counted.share_at(bound) for bound in (gate.min, gate.max))
    below = 1.0 if low is None else binomial(counted.hits, counted.rows, low)
    above = 1.0 if high is None else binomial(counted.rows - counted.hits, counted.rows, 1 - high)
    return min(below, above)


def binomial(hits: int, rows: int, share: float) -> float:
    """Return the chance of `hits` or fewer in so many rows (Clopper & Pearson 1934), 0 ≤ hits ≤ rows.

    >>> round(binomial(8, 10, 0.9), 4)
    0.2639
    """
    if not 0 < share < 1:
        return 1.0 if share <= 0 or hits == rows else 0.0
    if hits > rows * share:  # the other tail is the short one
        return 1.0 - (binomial(rows - hits - 1, rows, 1 - share) if hits < rows else 0.0)
    choices = math.lgamma(rows + 1) - math.lgamma(hits + 1) - math.lgamma(rows - hits + 1)
    term = math.exp(choices + hits * math.log(share) + (rows - hits) * math.log1p(-share))
    total, odds = 0.0, (1 - share) / share
    while hits >= 0 and term > total * 1e-17:
        total += term
        term *= hits / (rows - hits + 1) * odds
        hits -= 1
    return min(1.0, total)


def _verdict(one: Slice, p: float, gate: Gate) -> Slice:
    inside = room(one.metric or 0.0, gate) >= 0
    verdict: Literal["passed", "doubtful", "failed"] = "passed" if inside else "doubtful"
    if not inside and p <= 1 - gate.confidence:
        verdict = "failed"
    return Slice(one.value, one.rows, one.metric, one.low, one.high, p, verdict)
