"""Whether two lists of answers are the same: the proof that every form of a model answers alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

TOLERANCE = 1e-12


@dataclass(frozen=True, slots=True)
class Difference:
    """The largest difference between numbers, and the first place (row, field) that is not equal, or None."""

    largest: float
    where: str | None


def compare(expected: Sequence[dict[str, Any]], found: Sequence[dict[str, Any]]) -> Difference:
    """Return how far answers differ: numbers by at most TOLERANCE, everything else not at all.

    >>> compare([{"prediction": 1.0}], [{"prediction": 1.0}])
    Difference(largest=0.0, where=None)
    >>> compare([{"prediction": "a"}], [{"prediction": "b"}]).where
    "row 1, prediction: expected 'a', found 'b'"
    """
    if len(expected) != len(found):
        return Difference(float("inf"), f"expected {len(expected)} answers, found {len(found)}")
    largest, where = 0.0, None
    for number, (left, right) in enumerate(zip(expected, found, strict=True), start=1):
        for path, a, b in _leaves(left, right, ""):
            distance = _distance(a, b)
            largest = max(largest, distance)
            if distance > TOLERANCE and where is None:
                where = f"row {number}, {path}: expected {a!r}, found {b!r}"
    return Difference(largest, where)


def _leaves(left: Any, right: Any, path: str) -> list[tuple[str, Any, Any]]:
    """Pair up what two answers hold at the same place; a key that one lacks is paired with None."""
    if not (isinstance(left, dict) and isinstance(right, dict)):
        return [(path or "the answer", left, right)]
    keys = [*left, *(key for key in right if key not in left)]
    pairs = [_leaves(left.get(key), right.get(key), f"{path}.{key}" if path else str(key)) for key in keys]
    return [leaf for leaves in pairs for leaf in leaves]


def _distance(a: Any, b: Any) -> float:
    if isinstance(a, bool) or isinstance(b, bool) or not (isinstance(a, int | float) and isinstance(b, int | float)):
        return 0.0 if type(a) is type(b) and a == b else float("inf")
    return 0.0 if a == b else abs(float(a) - float(b))
