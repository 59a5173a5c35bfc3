"""One column of one sample, reduced to what every comparison reads: sorted numbers, or labels and their counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from mlops_tui.core.distances import Counts, Floats
from mlops_tui.dtypes import as_float, measurable


@dataclass(frozen=True, slots=True)
class Numbers:
    """The values of a column in order, times in seconds; NaN and null are missing."""

    values: Floats
    rows: int

    @property
    def missing(self) -> int:
        """How many rows have no value."""
        return self.rows - len(self.values)


@dataclass(frozen=True, slots=True)
class Labels:
    """The different values of a column as text, `label`, and their `count`, the most frequent first."""

    table: pl.DataFrame
    rows: int
    missing: int


Side = Numbers | Labels


def numeric(dtype: pl.DataType) -> bool:
    """Return whether a column is compared as numbers; a column without any value is."""
    return measurable(dtype) or dtype == pl.Null


def side_of(values: pl.Series, as_numbers: bool) -> Side:
    """Return a column of n rows, reduced."""
    if as_numbers:
        return Numbers(np.sort(as_float(values).to_numpy()), len(values))
    present = values.drop_nulls().rename("label")
    table = present.value_counts(name="count").with_columns(pl.col("label").cast(pl.String))
    ordered = table.sort("count", "label", descending=[True, False])
    return Labels(ordered, len(values), len(values) - len(present))


def matched(old: Labels, new: Labels) -> tuple[Counts, Counts, pl.DataFrame]:
    """Return the counts of the old side's labels on both sides, in its order, and the table of labels new to it."""
    both = old.table.join(new.table, on="label", how="left", maintain_order="left")
    novel = new.table.join(old.table, on="label", how="anti", maintain_order="left")
    return _counts(both["count"]), _counts(both["count_right"].fill_null(0)), novel


def _counts(values: pl.Series) -> Counts:
    return values.cast(pl.Float64).to_numpy()
