"""How far one column of a window is from the reference, and how far it may be.

A distance may reach what two samples of one population reach by chance, at a level that the caller has divided by the
number of tests, where the window counts for no more rows than its natural variation leaves it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from mlops_tui.core import distances
from mlops_tui.core.distances import MOST, Counts, Floats
from mlops_tui.core.faults import judge
from mlops_tui.core.kinds import parse_type
from mlops_tui.core.sides import Labels, Numbers, Side, matched, numeric, side_of
from mlops_tui.core.variation import Blocks, Variation, vary
from mlops_tui.records import Drift, Input

JS_TO_CHI2 = 8 * math.log(2)
"""The squared Jensen-Shannon distance in bits times this is about (1/n + 1/m) χ², for samples of one population
(Grosse et al. 2002)."""

MANY = 366  # values; the days of a year, stores and the like have fewer
FREQUENT = 0.05  # of the rows


@dataclass(frozen=True, slots=True)
class Outcome:
    """A distance, what it may reach, and how likely chance alone is to reach it."""

    distance: float
    threshold: float
    p_value: float

    @property
    def ratio(self) -> float:
        """How far beyond the threshold it is; up to 1 is within."""
        return self.distance / self.threshold


@dataclass(frozen=True, slots=True)
class Numeric:
    """What is known of a numeric column beforehand: the bins of PSI, the reference's counts in them and its spread."""

    ends: tuple[Floats, Floats]
    counts: Counts
    deviation: float


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the reference, reduced, what training saw of it, and how it varies at each scale of time."""

    input: Input
    side: Side
    numeric: Numeric | None
    variation: tuple[Variation, ...]

    @property
    def tests(self) -> int:
        """How many tests it is put to: numbers are compared by their values and by how many are missing."""
        return 2 if self.numeric else 1


def learn(said: Input, values: pl.Series, blocks: Blocks | None) -> Column:
    """Return what is known of a column from its values in the reference; its input says whether it is numeric."""
    as_numbers = numeric(parse_type(said.dtype))
    side = side_of(values, as_numbers)
    variation = vary(values, blocks, as_numbers) if blocks else ()
    if isinstance(side, Labels):
        return Column(said, side, None, variation)
    ends = distances.bins(side.values)
    with np.errstate(over="ignore", invalid="ignore"):
        deviation = float(side.values.std()) if len(side.values) else 0.0
    return Column(said, side, Numeric(ends, distances.between(side.values, *ends), deviation), variation)


def compare(column: Column, values: pl.Series, variation: Variation, level: float) -> Drift:
    """Return how far (n,) values are from the reference; `level` is how often each test may be wrong."""
    new = side_of(values, column.numeric is not None)
    steady = _may_hold_one_value(column.side) if variation.steady is None else variation.steady
    fault = judge(column.side, new, values, steady)
    if column.numeric and isinstance(column.side, Numbers) and isinstance(new, Numbers):
        return replace(_numbers(column, column.numeric, (column.side, new), variation, level), fault=fault)
    assert isinstance(column.side, Labels)
    assert isinstance(new, Labels)
    return replace(_labels(column, (column.side, new), variation, level), fault=fault)


def _may_hold_one_value(side: Side) -> bool:
    """Whether a window may, of which it is not known how long it is or what others like it hold.

    One of a single store or month does in many a column, but not in a measure of many values, none of them frequent.
    """
    if isinstance(side, Labels) or not len(side.values):
        return True
    counts = np.unique(side.values, return_counts=True)[1]
    return len(counts) <= MANY or counts.max() > FREQUENT * len(side.values)


def _numbers(
    column: Column, known: Numeric, sides: tuple[Numbers, Numbers], variation: Variation, level: float
) -> Drift:
    old, new = sides
    counts = distances.between(new.values, *known.ends)
    of_values, moved = _of_values(old.values, new.values, variation.values, level)
    of_missing = _of_missing(old, new, variation.missing, level)
    # the values speak for the column, unless it is their absence that drifted, and by more
    shown = of_missing if of_missing.ratio > max(1.0, of_values.ratio) else of_values
    return Drift(
        feature=column.input.name,
        kind="numeric",
        psi=distances.psi(np.append(known.counts, old.missing), np.append(counts, new.missing)),
        measure="ks",
        distance=shown.distance,
        threshold=shown.threshold,
        p_value=shown.p_value,
        drifted=shown.distance > shown.threshold,
        wasserstein=_in_deviations(moved, known.deviation),
        missing=new.missing / max(new.rows, 1),
        missing_reference=old.missing / max(old.rows, 1),
        out_of_range=_out_of_range(column.input, new),
    )


def _of_values(old: Floats, new: Floats, natural: float, level: float) -> tuple[Outcome, float]:
    """The Kolmogorov-Smirnov test of sorted values, and how far they moved (Wasserstein-1)."""
    if not len(old) or not len(new):
        return Outcome(0.0, 1.0, 1.0), 0.0  # what is not there is seen by the test of missing values
    distance, moved = distances.ks_and_wasserstein(old, new)
    effective = 1 / (1 / len(old) + 1 / len(new) + natural)
    threshold = distances.kolmogorov_point(level) / distances.ks_scale(effective)
    return Outcome(distance, min(1.0, threshold), distances.ks_p_value(distance, len(old), len(new))), moved


def _of_missing(old: Numbers, new: Numbers, natural: float, level: float) -> Outcome:
    """The test of two missing shares; their difference is the KS distance of being missing.

    A normal point with the term for the skewness of rare events (Cornish & Fisher 1938), without which a handful of
    missing values in a column that never had any would be called drift too often.
    """
    rows, missing = old.rows + new.rows, old.missing + new.missing
    if not old.rows or not new.rows or missing in (0, rows):
        return Outcome(0.0, 1.0, 1.0)
    distance = abs(new.missing / new.rows - old.missing / old.rows)
    spread, chance = missing / rows * (1 - missing / rows), 1 / old.rows + 1 / new.rows
    point, inverse = distances.normal_point(level / 2), chance + natural
    threshold = point * math.sqrt(spread * inverse) + (point**2 - 1) / 6 * inverse
    return Outcome(distance, min(1.0, threshold), distances.chi2_p_value(distance**2 / (spread * chance), 1))


def _in_deviations(moved: float, deviation: float) -> float | None:
    """A distance in standard deviations of the reference; None where it is no finite number of them."""
    if moved == 0 or not 0 < deviation < math.inf or not math.isfinite(moved / deviation):
        return 0.0 if moved == 0 else None
    return moved / deviation


def _out_of_range(said: Input, new: Numbers) -> float:
    if said.min is None or said.max is None:
        return 0.0
    below = int(np.searchsorted(new.values, said.min, side="left"))
    above = len(new.values) - int(np.searchsorted(new.values, said.max, side="right"))
    return (below + above) / max(new.rows, 1)


def _labels(column: Column, sides: tuple[Labels, Labels], variation: Variation, level: float) -> Drift:
    old, new = sides
    first, second, novel = matched(old, new)
    news = novel["count"].cast(pl.Float64).to_numpy()
    unknown = novel.filter(~pl.col("label").is_in(column.input.categories))["count"].sum()
    whole = np.append(first, np.append(np.zeros(len(news)), old.missing))
    part = np.append(second, np.append(news, new.missing))
    cells = distances.pooled(whole, part)
    value = distances.chi2(*cells)
    shown = _of_labels(cells, value, 1 / max(old.rows, 1) + 1 / max(new.rows, 1) + variation.values, level)
    return Drift(
        feature=column.input.name,
        kind="categorical",
        psi=_psi_of_labels((first, second), sides),
        measure="js",
        distance=shown.distance,
        threshold=shown.threshold,
        p_value=shown.p_value,
        drifted=shown.distance > shown.threshold,
        chi2=value,
        missing=new.missing / max(new.rows, 1),
        missing_reference=old.missing / max(old.rows, 1),
        unseen=int(unknown) / max(new.rows, 1),
    )


def _of_labels(cells: tuple[Counts, Counts], value: float, inverse: float, level: float) -> Outcome:
    """The chi-squared test of counts, in the unit of their Jensen-Shannon distance; `inverse` of the effective rows."""
    degrees = len(cells[0]) - 1
    if not degrees:
        return Outcome(0.0, 1.0, 1.0)
    point = distances.chi2_point(degrees, distances.normal_point(level))
    threshold = min(1.0, math.sqrt(inverse * point / JS_TO_CHI2))
    return Outcome(distances.js(*cells), threshold, distances.chi2_p_value(value, degrees))


def _psi_of_labels(known: tuple[Counts, Counts], sides: tuple[Labels, Labels]) -> float:
    """The PSI over the reference's 50 most frequent labels, all others, and the missing ones."""
    binned = []
    for counts, side in zip(known, sides, strict=True):
        kept = counts[:MOST]
        binned.append(np.append(kept, [side.rows - side.missing - kept.sum(), side.missing]))
    return distances.psi(*binned)
