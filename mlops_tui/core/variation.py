"""How much a column varies from window to window when nothing is wrong, learned from the reference's own windows.

The rows of an hour share their weather: a window of n rows is worth fewer than n independent ones. The reference is
cut by time into consecutive blocks, and each is compared with the rest. By how much they differ more than samples
of their sizes would gives `v`, so that a window of n rows counts as 1 / (1/n + v) rows: the design effect of
cluster sampling (Kish 1965), with a variance component in place of a factor, since more rows of the same hour do
not make it another hour. Shorter windows vary more, so `v` is kept for blocks of several lengths.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops_tui.core.distances import MOST, Counts, Floats, ks_scale
from mlops_tui.dtypes import as_float

Ints = NDArray[np.int64]
ROWS = 16_384  # of the reference that are looked at, evenly over time; more would not change the answer
LENGTHS = tuple(minutes * 60.0 for minutes in (1, 10, 60, 360, 1440, 7 * 1440, 14 * 1440, 28 * 1440, 91 * 1440))
COARSEST = 8  # blocks of the longest kind
FEWEST = 10  # rows that a block has at least, on average
VALUED = 5  # rows with a value that a block needs to be compared
CELLS = 100  # of equal share, that numbers are counted in
KOLMOGOROV = math.pi**2 / 12  # the mean of the square of Kolmogorov's distribution
POINT = 3.5  # normal point at about the level of a test: 0.01 over a few dozen
MOMENT = 1e-6  # seconds; a span of none has no logarithm


@dataclass(frozen=True, slots=True)
class Scale:
    """Consecutive blocks: how many seconds one covers, the block of each row, and the same blocks dealt at random."""

    seconds: float
    block: Ints
    dealt: Ints


@dataclass(frozen=True, slots=True)
class Blocks:
    """Rows of the reference in the order of time, and how they are cut at each scale, the shortest blocks first."""

    rows: Ints
    scales: tuple[Scale, ...]


@dataclass(frozen=True, slots=True)
class Variation:
    """What a column does in blocks of one scale: `v` of its values and of its missing share, and whether a block
    ever held one value only; None where there are no blocks to tell.
    """

    values: float = 0.0
    missing: float = 0.0
    steady: bool | None = None


def cut(times: pl.Series) -> Blocks:
    """Return how (n,) rows are cut into blocks by their times: of the lengths that windows have, and into eighths.

    A window of a day or a week holds every hour or weekday, so must its blocks. No scales for fewer than 80 rows with a
    time, or if the time does not move.
    """
    present, seconds = _present(times)
    order = np.argsort(seconds, kind="stable")
    if len(order) > ROWS:
        order = order[np.linspace(0, len(order) - 1, ROWS).astype(np.int64)]
    rows, since = present[order], seconds[order] - seconds[order[:1]]
    whole = float(since[-1]) if len(since) else 0.0
    if len(order) < COARSEST * FEWEST or whole <= 0:
        return Blocks(rows, ())
    lengths = [one for one in LENGTHS if COARSEST * one < whole and whole * FEWEST <= one * len(order)]
    cuts = [(since // one).astype(np.int64) for one in lengths] + [np.arange(len(order)) * COARSEST // len(order)]
    random = np.random.default_rng(0)  # any deal would do; always the same one gives the same answer
    scales = zip([*lengths, whole / COARSEST], cuts, strict=True)
    return Blocks(rows, tuple(Scale(length, block, random.permutation(block)) for length, block in scales))


def scale_of(blocks: Blocks, seconds: float | None) -> int:
    """Return the scale whose blocks are nearest in length to a window of so many seconds; None: the longest."""
    if seconds is None:
        return len(blocks.scales) - 1
    length = max(seconds, MOMENT)
    return int(np.argmin([abs(math.log(one.seconds / length)) for one in blocks.scales]))


def vary(values: pl.Series, blocks: Blocks, as_numbers: bool) -> tuple[Variation, ...]:
    """Return what a column of the reference does at each scale."""
    if not blocks.scales:
        return ()
    rows = values.gather(blocks.rows)
    cells = _number_cells(rows) if as_numbers else _label_cells(rows)  # 0 is missing
    tables = [_table(cells, one.block) for one in blocks.scales]
    if not as_numbers:
        return tuple(Variation(_of_cells(_pooled(one)), 0.0, _steady(one[:, 1:])) for one in tables)
    dealt = np.concatenate([_of_order(_table(cells, one.dealt)[:, 1:])[0] for one in blocks.scales])
    return tuple(_of_numbers(one, float(dealt.mean()) if len(dealt) else 0.0) for one in tables)


def _table(cells: Ints, block: Ints) -> Counts:
    """The counts of (blocks, cells)."""
    width, blocks = int(cells.max()) + 1, int(block.max()) + 1
    return np.bincount(block * width + cells, minlength=blocks * width).reshape(blocks, width).astype(np.float64)


def _of_numbers(counts: Counts, usual: float) -> Variation:
    """`usual` is the mean of the squared statistic in random blocks: a column of few values has less than others."""
    valued = counts[:, 1:]
    squares, effective = _of_order(valued)
    missing = np.stack([counts[:, 0], valued.sum(axis=1)], axis=1)
    return Variation(_excess((squares - usual) / KOLMOGOROV / effective), _of_cells(missing), _steady(valued))


def _present(rows: pl.Series) -> tuple[Ints, Floats]:
    """The places and the values of the rows that have one."""
    kept = rows.is_not_null() & (rows.is_not_nan() if rows.dtype.is_float() else True)
    return kept.arg_true().to_numpy().astype(np.int64), as_float(rows).to_numpy()


def _number_cells(rows: pl.Series) -> Ints:
    places, values = _present(rows)
    found = np.zeros(len(rows), np.int64)
    if len(values):
        cuts = np.unique(np.quantile(values, np.arange(1, CELLS) / CELLS, method="inverted_cdf"))
        found[places] = np.searchsorted(cuts, values) + 1
    return found


def _label_cells(rows: pl.Series) -> Ints:
    codes = rows.cast(pl.String).rank("dense").fill_null(0).to_numpy().astype(np.int64)
    counts = np.bincount(codes, minlength=1)
    counts[0] = 0
    frequent = np.argsort(-counts, kind="stable")[:MOST]
    place = np.full(len(counts), len(frequent) + 1)
    place[frequent] = np.arange(1, len(frequent) + 1)
    place[0] = 0
    cells: Ints = place[codes]
    return cells


def _steady(valued: Counts) -> bool:
    """Whether any block has all its values in one cell."""
    return bool(((valued.sum(axis=1) >= VALUED) & ((valued > 0).sum(axis=1) == 1)).any())


def _of_order(valued: Counts) -> tuple[Floats, Floats]:
    """The squared KS statistic of each block against the rest, scaled as Kolmogorov's, and its effective rows."""
    counts = valued[valued.sum(axis=1) >= VALUED]
    if len(counts) < 2:
        return np.array([]), np.array([])
    sizes, rest = counts.sum(axis=1), counts.sum(axis=0) - counts
    others = rest.sum(axis=1)
    effective = sizes * others / (sizes + others)
    gaps = np.cumsum(counts / sizes[:, None] - rest / others[:, None], axis=1)
    scaled: Floats = np.abs(gaps).max(axis=1) * np.array([ks_scale(rows) for rows in effective])
    return scaled**2, effective


def _of_cells(counts: Counts) -> float:
    """`v` by the chi-squared of each block against the rest, whose mean is known where there is no more than chance."""
    counts = counts[counts.sum(axis=1) >= VALUED]
    counts = counts[:, counts.sum(axis=0) > 0]
    degrees = counts.shape[1] - 1
    if len(counts) < 2 or degrees < 1:
        return 0.0
    sizes, total = counts.sum(axis=1), counts.sum(axis=0)
    others = total.sum() - sizes
    away = counts / sizes[:, None] - (total - counts) / others[:, None]
    return _excess((away**2 / (total / total.sum())).sum(axis=1) / degrees - (1 / sizes + 1 / others))


def _pooled(counts: Counts) -> Counts:
    """The counts with the cells that expect less than a row in a block made one; a mean of χ² needs no more."""
    kept = counts.sum(axis=0) / len(counts) >= 1
    return np.column_stack([counts[:, kept], counts[:, ~kept].sum(axis=1)])


def _excess(each: Floats) -> float:
    """`v` from what each block has beyond chance: the mean, since variation comes in bursts that a median overlooks,
    and more of it for few blocks, by as much as Student's point is beyond the normal one (Abramowitz & Stegun 26.7.5).
    """
    degrees = len(each) - 1
    if degrees < 1:
        return 0.0
    student = (
        POINT + (POINT**3 + POINT) / (4 * degrees) + (5 * POINT**5 + 16 * POINT**3 + 3 * POINT) / (96 * degrees**2)
    )
    return max(0.0, float(each.mean())) * (student / POINT) ** 2
