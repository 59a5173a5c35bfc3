"""A metric in every slice of the test rows, with as much doubt as the number of slices asks for."""

from __future__ import annotations

import math
from collections.abc import Sequence
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

    A slice fails if "the metric is within the gate's bound" is rejected one-sided at 1 - confidence, by a normal test
    corrected for the number of slices (Holm 1979).
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
    if value is None or not math.isfinite(error):
        return result, None
    return result, _p_value(room(value, gate), error)


def _p_value(inside: float, error: float) -> float:
    if error == 0:
        return 0.0 if inside < 0 else 1.0
    return NormalDist().cdf(inside / error)


def _verdict(one: Slice, p: float, gate: Gate) -> Slice:
    inside = room(one.metric or 0.0, gate) >= 0
    verdict: Literal["passed", "doubtful", "failed"] = "passed" if inside else "doubtful"
    if not inside and p <= 1 - gate.confidence:
        verdict = "failed"
    return Slice(one.value, one.rows, one.metric, one.low, one.high, p, verdict)
