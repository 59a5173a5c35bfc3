"""Samples of one column counted over the same bins, for a picture: drift is measured over bins of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops_tui.core.sides import Labels, Numbers, side_of
from mlops_tui.records import Spread

Floats = NDArray[np.float64]
BINS = 20  # or labels, of a feature
TAIL = 0.005  # of each sample's values, on each side, may lie beyond the bins where they lie far out
WHOLE = 2**52  # below it halves of whole numbers are floats


def edges(samples: Sequence[Floats], bins: int) -> Floats:
    """Return the ends of up to `bins` bins of one width for samples of shape (n,); empty without a finite value.

    They hold all values, or the middle 99 % of each sample where all would take more than twice the room. A bin of
    whole numbers is of whole width, from half to half, so that each holds as many of them; one value has one bin.

    >>> edges([np.array([1.0, 2.0, 3.0])], 20).tolist()
    [0.5, 1.5, 2.5, 3.5]
    """
    finite = [values[np.isfinite(values)] for values in samples]
    finite = [values for values in finite if len(values)]
    if not finite:
        return np.empty(0)
    low, high = _ends(finite)
    whole = all((values == np.floor(values)).all() for values in finite)
    if whole and max(abs(low), abs(high)) < WHOLE:
        first, last = math.floor(low), math.ceil(high)
        width = math.ceil((last - first + 1) / bins)
        return first - 0.5 + width * np.arange(math.ceil((last - first + 1) / width) + 1, dtype=np.float64)
    if low == high:
        return np.array([low, high])
    shares = np.linspace(0, 1, bins + 1, dtype=np.float64)
    ends: Floats = low * (1 - shares) + high * shares  # finite where their difference is not
    return ends


def _ends(samples: Sequence[Floats]) -> tuple[float, float]:
    """Where bins begin and end."""
    low, high = min(float(one.min()) for one in samples), max(float(one.max()) for one in samples)
    inner = [np.quantile(one, (TAIL, 1 - TAIL), method="inverted_cdf") for one in samples]
    first, last = float(min(one[0] for one in inner)), float(max(one[1] for one in inner))
    return (low, high) if high / 2 - low / 2 <= last - first else (first, last)


def counts(values: Floats, ends: Floats) -> tuple[int, ...]:
    """Return how many of (n,) values lie in each bin, closed on the left, the last one on both sides."""
    if len(ends) < 2:
        return ()
    places = np.searchsorted(ends[1:-1], values[(values >= ends[0]) & (values <= ends[-1])], side="right")
    return tuple(np.bincount(places, minlength=len(ends) - 1).tolist())


def spreads(
    samples: Sequence[pl.Series], as_numbers: bool
) -> tuple[tuple[float, ...], tuple[str, ...], tuple[Spread, ...]]:
    """Return the bins (numbers) or the labels (others) of samples of one column, and each sample counted over them."""
    sides = [side_of(one, as_numbers) for one in samples]
    numbers = [one for one in sides if isinstance(one, Numbers)]
    labelled = [one for one in sides if isinstance(one, Labels)]
    ends = edges([one.values for one in numbers], BINS)
    labels = _most_frequent(labelled) if labelled else ()
    counted = [counts(one.values, ends) if isinstance(one, Numbers) else _counts(one, labels) for one in sides]
    found = [
        Spread(one.rows, one.missing, each, one.rows - one.missing - sum(each))
        for one, each in zip(sides, counted, strict=True)
    ]
    return tuple(ends.tolist()), labels, tuple(found)


def _most_frequent(samples: Sequence[Labels]) -> tuple[str, ...]:
    """The labels that any sample has the largest shares of: one that is new to a window is among them."""
    tables = [one.table.select("label", share=pl.col("count") / max(one.rows, 1)) for one in samples]
    shares = pl.concat(tables).group_by("label").agg(pl.col("share").max())
    return tuple(shares.sort("share", "label", descending=[True, False])["label"].head(BINS))


def _counts(sample: Labels, labels: Sequence[str]) -> tuple[int, ...]:
    found = dict(sample.table.select("label", "count").iter_rows())
    return tuple(int(found.get(label, 0)) for label in labels)
