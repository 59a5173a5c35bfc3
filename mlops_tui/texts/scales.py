"""Axes of plots: ranges, ticks at nice numbers, and how these are written.

Ticks are after Heckbert, "Nice Numbers for Graph Labels", in Graphics Gems (1990).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

LARGEST = 1e300  # values beyond are drawn at it, so that no difference of two is infinite
TINY = 1e-290  # differences below are none: ticks need more than the smallest floats
UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
Range = tuple[float, float]


def nice(value: float) -> float:
    """Return the 1, 2 or 5 times a power of ten that is nearest to a positive value, on Heckbert's scale.

    >>> [nice(value) for value in (0.13, 0.2, 0.42, 80.0)]
    [0.1, 0.2, 0.5, 100.0]
    """
    power = math.floor(math.log10(value))
    share = value / 10.0**power
    factor = 1 if share < 1.5 else 2 if share < 3 else 5 if share < 7 else 10
    return float(f"{factor}e{power}")  # 3 * 0.1 is not 0.3, but 3e-1 is


def finite(value: float | None) -> float | None:
    """Return a number that can be drawn; None for one that cannot."""
    return None if value is None or not math.isfinite(value) else max(-LARGEST, min(LARGEST, float(value)))


def extent(values: Iterable[float | None], given: Range | None = None) -> Range:
    """Return from where to where an axis goes: as given, else as the values do, wider where these are all the same."""
    known = [value for value in map(finite, given if given and given[0] < given[1] else values) if value is not None]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    size = max(abs(low), abs(high))
    if high - low > max(1e-12 * size, TINY):
        return low, high
    pad = 0.1 * size if size > TINY else 1.0
    return low - pad, high + pad


def step_of(axis: Range, count: int, values: Iterable[float | None] = ()) -> float:
    """Return the nice distance at which an axis has about `count` ticks, at least 2; 1 or more if its values are whole.

    >>> step_of((0.0, 1.0), 5), step_of((1.0, 3.0), 9, (1, 2, 3))
    (0.2, 1.0)
    """
    step = nice((axis[1] - axis[0]) / (max(2, count) - 1))
    known = [value for value in map(finite, values) if value is not None]
    return max(step, 1.0) if known and all(value % 1 == 0 for value in known) else step


def widened(axis: Range, step: float) -> Range:
    """Return the axis from the tick below it to the tick above it.

    >>> widened((0.71, 0.79), 0.05)
    (0.7, 0.8)
    """
    return _times(math.floor(axis[0] / step + 1e-9), step), _times(math.ceil(axis[1] / step - 1e-9), step)


def ticks(axis: Range, step: float) -> list[float]:
    """Return the multiples of a nice number on an axis, in rising order.

    >>> ticks((0.65, 1.0), 0.1)
    [0.7, 0.8, 0.9, 1.0]
    """
    first, last = math.ceil(axis[0] / step - 1e-9), math.floor(axis[1] / step + 1e-9)
    return [_times(at, step) for at in range(first, last + 1)]


def _times(count: int, step: float) -> float:
    """A multiple of a nice number, as it would be written: 3 × 0.1 is 0.3."""
    digits, power = f"{step:e}".split("e")
    return float(f"{count * int(float(digits))}e{power}")


def labels(values: Sequence[float], step: float) -> list[str]:
    """Return numbers with the decimals that tell neighbours `step` apart, large ones in k, M, G or T.

    >>> labels([0.0, 0.5, 1.0], 0.5), labels([0.0, 200_000.0], 200_000.0)
    (['0.0', '0.5', '1.0'], ['0', '200k'])
    """
    top = max(map(abs, values), default=0.0)
    if top and not 1e-3 <= top < 1e15:
        digits = min(15, max(0, math.floor(math.log10(top)) - math.floor(math.log10(step))))
        return [_exponent(value, digits) for value in values]
    unit, letter = next(((unit, letter) for unit, letter in UNITS if top >= 100 * unit), (1.0, ""))
    decimals = max(0, -math.floor(math.log10(step / unit) + 1e-9))
    return [f"{value / unit:.{decimals}f}{letter}" if value or not letter else "0" for value in values]


def _exponent(value: float, digits: int) -> str:
    """A number as 1.5e9: without the plus and the zeros that Python writes."""
    mantissa, power = f"{value:.{digits}e}".split("e")
    return f"{mantissa}e{int(power)}" if value else "0"
