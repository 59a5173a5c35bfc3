"""A batch of rows against those that came before: columns that are broken, before a model learns them."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Literal

import polars as pl

from mlops_tui.core.faults import judge
from mlops_tui.core.sides import numeric, side_of
from mlops_tui.records import Finding

FEWEST = 50  # rows of a batch that say how much a column varies within one
SAMPLE = 20_000  # rows of all that came before are enough
BATCHES = 50  # of the newest of them
ENOUGH = 3  # batches that say whether a column holds one value in each
CHANCE = math.log(0.01)  # how unlikely a run of one value must be by chance

Level = Literal["error", "warning"]


def steps(rows: Sequence[int]) -> list[int]:
    """Return how manyeth row of each earlier batch is enough, by their numbers of rows: all have an equal share.

    >>> steps([1_000_000, 300])
    [100, 1]
    """
    share = SAMPLE // max(1, len(rows))
    return [max(1, count // share) for count in rows]


def faults(
    known: Sequence[pl.DataFrame],
    batch: pl.DataFrame,
    source: str,
    skip: Collection[str],
    level: Level,
    kept: Sequence[int] = (),
) -> list[Finding]:
    """Return a finding for each column of a batch that is broken: stuck, gone, in another unit, spelt otherwise.

    `known` are the batches before it, oldest first, of which every `kept`-th row was read (see `steps`; by default
    every one); a column that holds one value in most of them, such as the month of a monthly file, may hold another
    one in this. Columns in `skip`, such as the key, are not looked at.
    """
    if not known or batch.height < FEWEST:
        return []
    found = []
    for column in batch:
        olds = [
            (one[column.name], step)
            for one, step in zip(known, kept or [1] * len(known), strict=True)
            if one.schema.get(column.name) == column.dtype
        ]
        if column.name in skip or not olds:
            continue
        reference, as_numbers = pl.concat([values for values, _ in olds]), numeric(column.dtype)
        steady = _is_steady(olds, batch.height)
        told = judge(side_of(reference, as_numbers), side_of(column, as_numbers), column, steady)
        if told:
            text = f"{source}: column '{column.name}' looks broken: {told}"
            found.append(Finding("fault", level, text, column.name, allowed='[data.checks] faults = "tell" lets it in'))
    return found


def _is_steady(olds: Sequence[tuple[pl.Series, int]], rows: int) -> bool:
    """Whether a column may hold one value in all of so many rows, since it did before.

    It did in most of the batches that are large enough; or, where those are few, such as the one file of all that was
    before the monthly ones, in at least half as many consecutive rows of one.
    """
    large = [(_valued(values), step) for values, step in olds if len(values) >= FEWEST]
    if len(large) >= ENOUGH:
        return 2 * sum(values.n_unique() <= 1 for values, _ in large) > len(large)
    return any(_holds(values, rows / 2 / step) for values, step in large)


def _holds(values: pl.Series, rows: float) -> bool:
    """Whether one value comes so many times on end, and more often than in values that are dealt at random."""
    if values.is_empty():
        return False
    runs = values.rle().struct.unnest().sort("len", descending=True)
    longest, value = int(runs["len"][0]), runs["value"][0]
    if values.n_unique() == 1:
        return longest >= rows
    by_chance = math.log(len(values)) + longest * math.log((values == value).sum() / len(values))
    return longest >= rows and by_chance < CHANCE


def _valued(values: pl.Series) -> pl.Series:
    return values.drop_nulls().drop_nans() if values.dtype.is_float() else values.drop_nulls()
