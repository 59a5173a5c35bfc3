"""A batch against those before it: what is broken is found, and what only a new month or a new store brings is not."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from mlops_tui.core import batch

MONTHS = 12


def rows(months: range, count: int, seed: int = 0) -> pl.DataFrame:
    """So many rows a month, in order of time: the month, a flag, and a measure."""
    random = np.random.default_rng(seed)
    month = np.repeat(np.array(months), count)
    flag, load = random.random(len(month)) < 0.9, random.normal(size=len(month))
    return pl.DataFrame({"month": month, "flag": flag, "load": load})


def told(known: list[pl.DataFrame], new: pl.DataFrame, kept: list[int] | None = None) -> dict[str, str]:
    found = batch.faults(known, new, "new.parquet", (), "error", kept or ())
    return {str(one.column): one.message.partition("looks broken: ")[2] for one in found}


HISTORY = rows(range(1, MONTHS + 1), 900)


@pytest.mark.parametrize("monthly", [0, 1, 2, 5])
def test_monthly_files_after_the_one_of_all_before_are_let_in(monthly: int) -> None:
    known = [HISTORY, *(rows(range(month, month + 1), 900, month) for month in range(1, monthly + 1))]
    assert told(known, rows(range(7, 8), 900, 9)) == {}


def test_what_never_held_one_value_is_stuck() -> None:
    new = rows(range(7, 8), 900, 9).with_columns(flag=pl.lit(False), load=pl.lit(0.5))
    expected = {"flag": "stuck at False in all 900 rows", "load": "stuck at 0.5 in all 900 rows"}
    assert told([HISTORY], new) == expected
    assert told([HISTORY] * 4, new) == expected | {"month": "stuck at 7 in all 900 rows"}  # a month of a year's file


def test_rows_in_no_order_tell_nothing_of_a_month() -> None:
    known = HISTORY.sample(HISTORY.height, shuffle=True, seed=1)
    assert told([known], rows(range(7, 8), 900, 9)) == {"month": "stuck at 7 in all 900 rows"}
    holed = HISTORY.with_columns(pl.when(pl.int_range(pl.len()) % 3 > 0).then("month"))
    assert told([holed], rows(range(7, 8), 900, 9)) == {}  # missing values interrupt no run


@pytest.mark.parametrize("size", [300, 900, 40_000])
def test_of_a_file_that_is_large_a_sample_tells_the_same(size: int) -> None:
    history = rows(range(1, MONTHS + 1), 40_000)
    (step,) = batch.steps([history.height])
    known = history.gather_every(step)
    assert (step, known.height) == (24, 20_000)
    new = rows(range(7, 8), size, 9)
    assert told([known], new, [step]) == {}
    assert set(told([known], new.with_columns(flag=pl.lit(False), load=pl.lit(0.5)), [step])) == {"flag", "load"}


def test_a_giant_does_not_leave_the_others_too_small_to_tell() -> None:
    sizes = [5_000_000, 300, 300, 300]
    kept = [rows // step for rows, step in zip(sizes, batch.steps(sizes), strict=True)]
    assert kept == [5_000, 300, 300, 300]
    assert batch.steps([10**9] * batch.BATCHES) == [2_500_000] * batch.BATCHES  # 400 rows of each
    assert batch.steps([]) == []


def test_too_few_rows_or_columns_that_are_new_or_skipped_are_not_judged() -> None:
    stuck = HISTORY[:60].with_columns(load=pl.lit(0.5))
    assert told([], stuck) == {}
    assert told([HISTORY], stuck[:49]) == {}
    assert told([HISTORY.with_columns(pl.col("load").cast(pl.String))], stuck) == {}
    assert batch.faults([HISTORY], stuck, "new.parquet", {"load"}, "error") == []
    (found,) = batch.faults([HISTORY], stuck, "new.parquet", (), "warning")
    assert (found.level, found.column) == ("warning", "load")
    assert found.message == "new.parquet: column 'load' looks broken: stuck at 0.5 in all 60 rows"
