"""Which rows train, which stop the training early, which judge; no group, query, moment or duplicate on two sides.

Rows are cut in units: all rows of a query, of a group, of an equal key (or wholly equal rows). A unit's set
follows from a hash of its content and the seed. With `random` and `group` it stays where it was when a dataset grows
by rows, or by a column that is null in the old ones; with `stratified`, which cuts every class at exact shares, units
near the cut may move, with `time` and `folds` the cuts move on.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops_tui.core.kinds import canonical, canonical_type
from mlops_tui.errors import InvalidInput, near_miss

if TYPE_CHECKING:
    from mlops_tui.config import Split

Ints = NDArray[np.int64]
Hashes = NDArray[np.uint64]
NAMES = ("train", "validation", "test")
FOLD_SALT = 0x5BD1E995
HELD_SALT = 0x1B873593


@dataclass(frozen=True, slots=True)
class Sets:
    """Row numbers of the three sets, sorted."""

    train: Ints
    validation: Ints
    test: Ints


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns that splitting looks at; `target` holds class codes, or is None where there are no classes."""

    time: str | None = None
    key: tuple[str, ...] = ()
    query: str | None = None
    target: NDArray[np.float64] | None = None


def split(frame: pl.DataFrame, settings: Split, columns: Columns, seed: int) -> Sets:
    """Return the rows of each set; raises InvalidInput if the rows cannot be split as asked."""
    shares = (1 - settings.test - settings.validation, settings.validation, settings.test)
    if settings.method == "predefined":
        sides = _predefined(_column(frame, settings.column, "split.column"))
    elif settings.method == "time":
        sides = _by_time(_moments(frame, columns), shares)
    else:
        sides = _by_hash(frame, settings, columns, seed, shares)
    for side, name in enumerate(NAMES):
        if not (sides == side).any():
            raise InvalidInput(f"{frame.height} rows are too few to split: no row is left for {name}", "add rows")
    if columns.query is not None:
        _check_whole(frame, columns.query, sides)
    return Sets(*(np.flatnonzero(sides == side).astype(np.int64) for side in range(3)))


def folds(frame: pl.DataFrame, settings: Split, columns: Columns, seed: int) -> tuple[tuple[Ints, Ints], ...]:
    """Return (train, test) row numbers of each fold: expanding windows for time, else each part judged once.

    Give it the rows that do not test, with `columns.target` of the same length.
    """
    count = settings.folds
    if settings.method == "time":
        parts = _by_time(_moments(frame, columns), (1 / (count + 1),) * (count + 1))
        pairs = [(parts < at, parts == at) for at in range(1, count + 1)]
    else:
        parts = _by_hash(frame, settings, columns, seed ^ FOLD_SALT, (1 / count,) * count, exact=True)
        pairs = [(parts != at, parts == at) for at in range(count)]
    if not all(train.any() and test.any() for train, test in pairs):
        raise InvalidInput(f"{frame.height} rows are too few for {count} folds", "lower split.folds")
    return tuple(
        (np.flatnonzero(train).astype(np.int64), np.flatnonzero(test).astype(np.int64)) for train, test in pairs
    )


def held_out(frame: pl.DataFrame, settings: Split, columns: Columns, seed: int) -> tuple[Ints, Ints]:
    """Return the row numbers that train and those held out, in the share of validation; too few rows hold none out."""
    share = settings.validation / (1 - settings.test)
    try:
        if settings.method == "time":
            held = _by_time(_moments(frame, columns), (1 - share, share)) == 1
        else:
            held = _by_hash(frame, settings, columns, seed ^ HELD_SALT, (1 - share, share), exact=True) == 1
    except InvalidInput:
        held = np.zeros(frame.height, dtype=np.bool_)
    return np.flatnonzero(~held).astype(np.int64), np.flatnonzero(held).astype(np.int64)


def _column(frame: pl.DataFrame, name: str | None, key: str) -> pl.Series:
    if name is None or name not in frame.columns:
        raise InvalidInput(f"{key}: no column '{name}'{near_miss(str(name), frame.columns)}")
    return frame[name]


def _predefined(column: pl.Series) -> Ints:
    text = column.cast(pl.String)
    wrong = text.filter(~text.is_in(NAMES) | text.is_null())
    if not wrong.is_empty():
        raise InvalidInput(f"split.column: '{column.name}' holds {wrong[0]!r}; known: {', '.join(NAMES)}")
    return text.cast(pl.Enum(NAMES)).to_physical().cast(pl.Int64).to_numpy()


def _moments(frame: pl.DataFrame, columns: Columns) -> Ints:
    """Each row's time, or its query's newest, numbered from the oldest moment up."""
    time = _column(frame, columns.time, "data.time")
    kind = canonical_type(time.dtype)
    if kind not in (pl.Date, pl.Int64, pl.Float64) and not isinstance(kind, pl.Datetime):
        raise InvalidInput(
            f"data.time: '{time.name}' has type {time.dtype}; a split by time needs a time, a date or a number"
        )
    if time.null_count():
        raise InvalidInput(
            f"data.time: '{time.name}' is null in {time.null_count()} rows", "every row needs a time to split by"
        )
    if columns.query is not None:
        time = frame.select(pl.col(time.name).max().over(columns.query)).to_series()
    return time.rank("dense").cast(pl.Int64).to_numpy() - 1


def _by_time(moments: Ints, shares: tuple[float, ...]) -> Ints:
    """Cut between moments, as near to the shares as they allow, each part at least one moment."""
    ends = np.cumsum(np.bincount(moments))
    if len(ends) < len(shares):
        raise InvalidInput(f"{len(ends)} moments are too few to split by time: it takes {len(shares)}")
    return _cut(ends, shares)[moments]


def _by_hash(
    frame: pl.DataFrame, settings: Split, columns: Columns, seed: int, shares: tuple[float, ...], *, exact: bool = False
) -> Ints:
    hashes, first, unit, rows = _units(frame, settings, columns, seed)
    if len(hashes) < len(shares):
        raise InvalidInput(f"{frame.height} rows make {len(hashes)} units, too few to split into {len(shares)} parts")
    if settings.method == "stratified":
        if columns.target is None:
            raise InvalidInput("split.method 'stratified' needs classes", "use random, time or group for this task")
        return _within_classes(rows, columns.target[first], shares)[unit]
    edges = np.cumsum(shares)[:-1]
    sides = np.searchsorted(edges, hashes / 2.0**64, side="right").astype(np.int64)
    if exact or len(np.unique(sides)) < len(shares):  # too few units for chance: take them in the order of their hash
        sides = _cut(np.cumsum(rows), shares)
    return sides[unit]


def _units(frame: pl.DataFrame, settings: Split, columns: Columns, seed: int) -> tuple[Hashes, Ints, Ints, Ints]:
    """Hashes of the units in rising order, the first row of each, each row's unit, and how many rows each has."""
    if settings.method == "group":
        names = [_column(frame, settings.column, "split.column").name]
    elif columns.query is not None:
        names = [_column(frame, columns.query, "target.query").name]
    else:
        names = [_column(frame, name, "data.key").name for name in columns.key] or frame.columns
    hashes, first, unit, rows = np.unique(
        row_hashes(frame.select(names), seed), return_index=True, return_inverse=True, return_counts=True
    )
    return hashes, first.astype(np.int64), unit.astype(np.int64), rows.astype(np.int64)


def _cut(ends: NDArray[np.int64], shares: tuple[float, ...]) -> Ints:
    """The part of each ordered unit, given the row counts up to each: as near to the shares as units allow."""
    count, parts = len(ends), len(shares)
    sides = np.zeros(count, dtype=np.int64)
    before = 0
    for part, share in enumerate(np.cumsum(shares)[:-1], start=1):
        nearest = int(np.abs(ends - share * ends[-1]).argmin()) + 1
        before = min(max(nearest, before + 1), count - (parts - part))
        sides[before:] = part
    return sides


def _within_classes(rows: Ints, classes: NDArray[np.float64], shares: tuple[float, ...]) -> Ints:
    """Every class cut by itself; one with fewer units than parts goes to the first parts."""
    sides = np.zeros(len(rows), dtype=np.int64)
    for label in np.unique(classes):
        members = np.flatnonzero(classes == label)
        fewer = shares[: len(members)]
        sides[members] = _cut(np.cumsum(rows[members]), tuple(share / sum(fewer) for share in fewer))
    return sides


def _check_whole(frame: pl.DataFrame, query: str, sides: Ints) -> None:
    torn = (
        pl.DataFrame({"query": frame[query], "side": sides})
        .group_by("query", maintain_order=True)
        .agg(pl.col("side").n_unique())
        .filter(pl.col("side") > 1)
    )
    if torn.height:
        raise InvalidInput(
            f"target.query: '{torn['query'][0]}' has rows in more than one set, and {torn.height - 1} more do"
        )


def row_hashes(frame: pl.DataFrame, seed: int) -> Hashes:
    """Return 64 bits for each row that depend on its values, the columns' names and the seed alone.

    Numbers of equal value hash alike whatever their type, and a null as if the column were not there; the mixing is
    splitmix64 (Steele et al. 2014).
    """
    total = np.full(frame.height, _name_hash(str(seed)), dtype=np.uint64)
    for column in canonical(frame.select(sorted(frame.columns))).get_columns():
        mixed = _mix(total ^ _mix(_value_hashes(column) ^ _name_hash(column.name)))
        total = np.where(column.is_null().to_numpy(), total, mixed)
    return total


def _value_hashes(column: pl.Series) -> Hashes:
    if canonical_type(column.dtype) is None:
        column = pl.Series(column.name, [str(value) for value in column.to_list()])
    if column.dtype == pl.String:
        known = column.drop_nulls().unique()
        codes = pl.Series([zlib.crc32(text.encode()) for text in known], dtype=pl.UInt64)
        values = column.replace_strict(known, codes, default=None, return_dtype=pl.UInt64).fill_null(0).to_numpy()
    elif column.dtype.is_temporal():
        values = column.to_physical().cast(pl.Int64).fill_null(0).to_numpy().view(np.uint64)
    else:
        values = (column.cast(pl.Float64).fill_null(0).to_numpy() + 0.0).view(np.uint64)
    return values


def _name_hash(name: str) -> np.uint64:
    return np.uint64(zlib.crc32(name.encode()) << 32)


def _mix(values: Hashes) -> Hashes:
    mixed = values + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
