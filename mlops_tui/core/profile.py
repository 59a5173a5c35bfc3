"""What a frame holds, column by column: counts, quantiles, most frequent values, a histogram."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import polars as pl

from mlops_tui.dtypes import as_float, measurable
from mlops_tui.records import ColumnProfile, Histogram, Profile

QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
BINS = 12
TOP = 5
FEW = 50  # whole numbers with at most this many different values are profiled as labels too
LONGEST = 80  # characters of a value that is shown
GROUP = 32  # columns held in memory at a time
Floats = npt.NDArray[np.float64]


def profile(frame: pl.DataFrame | pl.LazyFrame) -> Profile:
    """Return the profile of a frame (rows × columns); a lazy one is read a group of columns at a time.

    NaN counts as null. Infinite values count as values, but mean, deviation (n - 1), quantiles (linear between
    ranks) and histogram are of the finite ones. Times are in seconds since 1970 UTC. The figures depend on
    the values alone, not on how the frame is cut into parts.
    """
    rows, columns = 0, []
    for group in _groups(frame):
        rows = group.height
        columns += [_column(column) for column in group]
    return Profile(rows, tuple(columns))


def _groups(frame: pl.DataFrame | pl.LazyFrame) -> Iterator[pl.DataFrame]:
    if isinstance(frame, pl.DataFrame):
        yield frame
        return
    names = frame.collect_schema().names()
    for start in range(0, len(names), GROUP):
        yield frame.select(names[start : start + GROUP]).collect(engine="streaming")


def _column(values: pl.Series) -> ColumnProfile:
    if measurable(values.dtype):
        return _measured(values)
    counts = _counted(values)
    return ColumnProfile(
        values.name, str(values.dtype), *_nulls(values, values.null_count()), counts.height, top=_top(counts)
    )


def _nulls(values: pl.Series, nulls: int) -> tuple[int, float]:
    return nulls, nulls / len(values) if len(values) else 0.0


def _measured(values: pl.Series) -> ColumnProfile:
    """The profile of numbers or times, from one sort: everything else is then cheap."""
    numbers = as_float(values).sort()
    present = numbers.to_numpy()
    finite: Floats = present[np.isfinite(present)]
    # integers beyond 2**53 are not told apart as floats, so whole numbers are counted as they are
    distinct = values.drop_nulls().n_unique() if values.dtype.is_integer() else numbers.n_unique()
    few = values.dtype.is_integer() and distinct <= FEW
    return ColumnProfile(
        values.name,
        str(values.dtype),
        *_nulls(values, len(values) - len(present)),
        distinct,
        mean=_mean(finite),
        std=_std(finite),
        quantiles=_quantiles(finite),
        top=_top(_counted(values)) if few else (),
        histogram=_histogram(finite),
    )


def _mean(values: Floats) -> float | None:
    with np.errstate(over="ignore", invalid="ignore"):
        return _finite(float(values.mean())) if len(values) else None


def _std(values: Floats) -> float | None:
    with np.errstate(over="ignore", invalid="ignore"):
        return _finite(float(values.std(ddof=1))) if len(values) > 1 else None


def _finite(value: float) -> float | None:
    """The value, or None beyond the range of a float: JSON has no infinity."""
    return value if math.isfinite(value) else None


def _quantiles(ordered: Floats) -> tuple[float, ...]:
    """Quantiles of ordered values, linear between ranks (Hyndman and Fan 1996, type 7)."""
    if not len(ordered):
        return ()
    places = np.array(QUANTILES) * (len(ordered) - 1)
    low = np.floor(places).astype(np.int64)
    high, share = np.minimum(low + 1, len(ordered) - 1), places - low
    # a weighted mean of both ends stays finite where their difference would not
    return tuple((ordered[low] * (1 - share) + ordered[high] * share).tolist())


def _histogram(ordered: Floats) -> Histogram | None:
    """Counts in 12 bins of one width, closed on the left, the last on both sides; one bin for a constant."""
    if not len(ordered):
        return None
    low, high = float(ordered[0]), float(ordered[-1])
    if low == high:
        return Histogram((low, high), (len(ordered),))
    if not math.isfinite(high - low):
        return None
    edges = np.linspace(low, high, BINS + 1)
    inner = np.searchsorted(ordered, edges[1:-1], side="left")
    counts = np.diff(np.concatenate(([0], inner, [len(ordered)])))
    return Histogram(tuple(edges.tolist()), tuple(counts.tolist()))


def _counted(values: pl.Series) -> pl.DataFrame:
    """How often each value comes, most frequent first, ties in the order of the values."""
    counts = values.drop_nulls().alias("value").value_counts(name="rows")
    return counts.sort("rows", "value", descending=[True, False])


def _top(counts: pl.DataFrame) -> tuple[tuple[str, int], ...]:
    """The most frequent values, as text."""
    return tuple((_shown(value), int(rows)) for value, rows in counts.head(TOP).iter_rows())


def _shown(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
