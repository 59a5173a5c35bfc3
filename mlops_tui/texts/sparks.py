"""Figures as a row of block characters, one a figure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeGuard, TypeVar

Item = TypeVar("Item")

BLOCKS = " ▁▂▃▄▅▆▇█"
HEIGHTS = BLOCKS[1:]  # where a blank says that there is nothing


def spark(counts: Sequence[float]) -> str:
    """Return counts as a row of block characters, the largest as a full one; what is not a count is blank.

    >>> spark([0, 1, 8])
    ' ▁█'
    """
    known = [count if math.isfinite(count) and count > 0 else 0 for count in counts]
    top = max(known, default=0) or 1
    return "".join(BLOCKS[0 if not count else max(1, round(8 * (count / top)))] for count in known)


def sparkline(values: Sequence[float | None], between: str = "", scale: tuple[float, float] | None = None) -> str:
    """Return values as blocks of eight heights, from the lowest to the highest; a gap where there is none.

    `scale` is the lowest and the highest where several lines are drawn against the same.

    >>> sparkline([0.7, None, 0.8])
    '▁ █'
    """
    low, high = scale or ends(values)
    return between.join(" " if not _known(value) else HEIGHTS[round(7 * part(value, low, high))] for value in values)


def ends(values: Sequence[float | None]) -> tuple[float, float]:
    """Return the lowest and the highest of the values that are there; 0 and 1 where none is."""
    known = [value for value in values if _known(value)]
    return (min(known), max(known)) if known else (0.0, 1.0)


def rising(values: Sequence[float], points: int = 48) -> list[float]:
    """Return at most `points` values, spread evenly, moved so that the smallest is just above nothing, for `spark`."""
    shown = thin(values, points)
    low, high = ends(shown)
    return [0.1 + part(value, low, high) for value in shown]


def thin(values: Sequence[Item], points: int) -> list[Item]:
    """Return at most `points` values, spread evenly from the first to the last.

    >>> thin(range(100), 4)
    [0, 33, 66, 99]
    """
    if len(values) <= points:
        return list(values)
    last = len(values) - 1
    return [values[round(at * last / max(1, points - 1))] for at in range(points)]


def part(value: float, low: float, high: float) -> float:
    """Return where a value stands between two ends, from 0 to 1; 0 where the ends are the same."""
    if not high - low:
        return 0.0
    share = (value - low) / (high - low) if math.isfinite(high - low) else (value / 2 - low / 2) / (high / 2 - low / 2)
    return min(1.0, max(0.0, share))


def _known(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)
