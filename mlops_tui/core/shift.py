"""How far each column moved between two dataset versions."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import polars as pl

from mlops_tui.dtypes import as_float, measurable
from mlops_tui.records import Shift

Frame = pl.DataFrame | pl.LazyFrame
Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.float64]

BINS = 10
MOST = 50  # values of a column of labels that have a bin of their own; the rest share one
MOVED = 0.2
"""From this PSI on a column counts as moved. A rule of thumb from credit scoring: Siddiqi, Credit Risk Scorecards
(2006), calls less than 0.1 stable and more than 0.25 a shift; 0.2 between the two is what tools commonly use."""
GROUP = 32  # columns held in memory at a time
SURE = 3.09  # the 99.9 % point of the normal distribution


def shift(old: Frame, new: Frame) -> tuple[Shift, ...]:
    """Return how far each column that both frames have moved, largest PSI first.

    PSI is over 10 bins at the old values' deciles (columns of labels: one bin for each of the old's 50 most
    frequent values, one for the rest) and a bin for missing values; the distance compares the values alone.
    NaN is missing. A column whose type changed between number and text is compared as text.
    """
    before, after = old.lazy(), new.lazy()
    both = [name for name in before.collect_schema().names() if name in after.collect_schema()]
    found = []
    for start in range(0, len(both), GROUP):
        names = both[start : start + GROUP]
        one, other = (frame.select(names).collect(engine="streaming") for frame in (before, after))
        found += [_column(one[name], other[name]) for name in names]
    return tuple(sorted(found, key=lambda item: (-item.psi, item.column)))


def _column(old: pl.Series, new: pl.Series) -> Shift:
    numbers = measurable(old.dtype) and measurable(new.dtype) and old.dtype.is_temporal() == new.dtype.is_temporal()
    if numbers:
        one, other = np.sort(as_float(old).to_numpy()), np.sort(as_float(new).to_numpy())
        counts = _bin_counts(one, other)
        distance = ks(one, other)
    else:
        counts = _label_counts(old.cast(pl.String).drop_nulls(), new.cast(pl.String).drop_nulls())
        distance = js(*counts)
    nulls = len(old) - int(counts[0].sum()), len(new) - int(counts[1].sum())
    binned = [np.append(bins, gone) for bins, gone in zip(counts, nulls, strict=True)]
    value = psi(*binned)
    return Shift(
        column=old.name,
        psi=value,
        distance=distance,
        measure="ks" if numbers else "js",
        null_share_old=nulls[0] / max(len(old), 1),
        null_share_new=nulls[1] / max(len(new), 1),
        moved=value >= max(MOVED, noise(*binned)),
    )


def psi(old: Counts, new: Counts) -> float:
    """Return the population stability index of two arrays of counts over the same bins; 0 is no change.

    Σ (q - p) ln(q / p), with half a row added to every bin, so that an empty one does not make it infinite; bins
    empty on both sides are left out.

    >>> psi(np.array([5.0, 5.0]), np.array([5.0, 5.0]))
    0.0
    """
    used = (old + new) > 0
    p, q = _shares(old[used]), _shares(new[used])
    return float(((q - p) * np.log(q / p)).sum())


def _shares(counts: Counts) -> Floats:
    shares: Floats = (counts + 0.5) / (counts.sum() + 0.5 * len(counts))
    return shares


def noise(old: Counts, new: Counts) -> float:
    """Return the PSI that two samples of one population exceed once in a thousand times.

    PSI is about (1/n + 1/m) χ² with bins - 1 degrees of freedom (Yurdakul, Statistical Properties of Population
    Stability Index, 2018); the χ² point is Wilson and Hilferty's (1931). Keeps small versions from crying wolf.
    """
    degrees = int(((old + new) > 0).sum()) - 1
    if degrees < 1 or not old.sum() or not new.sum():
        return math.inf
    spread = 2 / (9 * degrees)
    point: float = degrees * (1 - spread + SURE * math.sqrt(spread)) ** 3
    return float((1 / old.sum() + 1 / new.sum()) * point)


def ks(old: Floats, new: Floats) -> float:
    """Return the exact two-sample Kolmogorov-Smirnov statistic of sorted values: the largest gap between the two
    shares of values up to x, 0 to 1; 1 when only one side has values, 0 when neither has.
    """
    if not len(old) or not len(new):
        return 0.0 if len(old) == len(new) else 1.0
    places = np.concatenate([old, new])
    shares = [np.searchsorted(side, places, side="right") / len(side) for side in (old, new)]
    return float(np.abs(shares[0] - shares[1]).max())


def js(old: Counts, new: Counts) -> float:
    """Return the Jensen-Shannon distance of two arrays of counts over the same bins: the square root of the
    divergence in bits (Endres and Schindelin 2003), 0 to 1; 1 when only one side has counts, 0 when neither has.
    """
    if not old.sum() or not new.sum():
        return 0.0 if old.sum() == new.sum() else 1.0
    p, q = old / old.sum(), new / new.sum()
    middle = (p + q) / 2
    divergence = (_entropy(p, middle) + _entropy(q, middle)) / 2
    return min(1.0, math.sqrt(max(0.0, divergence)))


def _entropy(p: Floats, other: Floats) -> float:
    """The Kullback-Leibler divergence in bits."""
    used = p > 0
    return float((p[used] * np.log2(p[used] / other[used])).sum())


def _bin_counts(old: Floats, new: Floats) -> tuple[Counts, Counts]:
    """Counts of sorted values in bins at the old deciles; up to 10 different old values each have their own."""
    values = np.unique(old)
    if len(values) <= BINS:
        lows, highs = values, values
    else:
        cuts = np.unique(np.quantile(old, np.arange(1, BINS) / BINS, method="inverted_cdf"))
        lows, highs = np.append(-np.inf, np.nextafter(cuts, np.inf)), np.append(cuts, np.inf)
    return _between(old, lows, highs), _between(new, lows, highs)


def _between(ordered: Floats, lows: Floats, highs: Floats) -> Counts:
    """How many values lie in each closed interval, and, last, how many in none."""
    begin, end = (np.searchsorted(ordered, lows, side="left"), np.searchsorted(ordered, highs, side="right"))
    inside = (end - begin).astype(np.float64)
    return np.append(inside, len(ordered) - inside.sum())


def _label_counts(old: pl.Series, new: pl.Series) -> tuple[Counts, Counts]:
    """Counts of the old's most frequent values, in a fixed order, and, last, of all others."""
    kept = old.rename("label").to_frame().group_by("label").len().sort(["len", "label"], descending=[True, False])
    kept = kept.head(MOST)
    found = new.rename("label").to_frame().group_by("label").len()
    joined = kept.select("label").join(found, on="label", how="left", maintain_order="left")["len"].fill_null(0)
    first, second = kept["len"].to_numpy().astype(np.float64), joined.to_numpy().astype(np.float64)
    return np.append(first, len(old) - first.sum()), np.append(second, len(new) - second.sum())
