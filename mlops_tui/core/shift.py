"""How far each column moved between two dataset versions."""

from __future__ import annotations

import numpy as np
import polars as pl

from mlops_tui.core.distances import MOST, Counts, between, bins, js, ks, noise, psi
from mlops_tui.dtypes import as_float, measurable
from mlops_tui.records import Shift

Frame = pl.DataFrame | pl.LazyFrame

MOVED = 0.2
"""From this PSI on a column counts as moved. A rule of thumb from credit scoring: Siddiqi, Credit Risk Scorecards
(2006), calls less than 0.1 stable and more than 0.25 a shift; 0.2 between the two is what tools commonly use."""
GROUP = 32  # columns held in memory at a time


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
        ends = bins(one)
        counts = between(one, *ends), between(other, *ends)
        distance = ks(one, other)
    else:
        counts = _label_counts(old.cast(pl.String).drop_nulls(), new.cast(pl.String).drop_nulls())
        distance = js(*counts)
    nulls = len(old) - int(counts[0].sum()), len(new) - int(counts[1].sum())
    binned = [np.append(side, gone) for side, gone in zip(counts, nulls, strict=True)]
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


def _label_counts(old: pl.Series, new: pl.Series) -> tuple[Counts, Counts]:
    """Counts of the old's most frequent values, in a fixed order, and, last, of all others."""
    kept = old.rename("label").to_frame().group_by("label").len().sort(["len", "label"], descending=[True, False])
    kept = kept.head(MOST)
    found = new.rename("label").to_frame().group_by("label").len()
    joined = kept.select("label").join(found, on="label", how="left", maintain_order="left")["len"].fill_null(0)
    first, second = kept["len"].to_numpy().astype(np.float64), joined.to_numpy().astype(np.float64)
    return np.append(first, len(old) - first.sum()), np.append(second, len(new) - second.sum())
