"""How one value reads."""

from __future__ import annotations

import doctest
from datetime import UTC, datetime, timedelta
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_tui.records import ColumnProfile, Histogram
from mlops_tui.texts import bars, cells, grid, heat, plots, rules, scales, sparks, windows
from mlops_tui.texts.cells import PROFILE_COLUMNS, age, brief, bytes_text, cell, day, figure, profile_row, profile_value

NOW = datetime(2013, 10, 15, 12, tzinfo=UTC)
MOMENTS = st.datetimes(timezones=st.just(UTC))


@pytest.mark.parametrize("module", [bars, cells, grid, heat, plots, rules, scales, sparks, windows])
def test_examples_hold(module: ModuleType) -> None:
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0.4, "0 s"), (-0.4, "0 s"), (59.9, "59 s"), (60, "1 min"), (3599, "59 min"), (3600, "1 h"), (86399, "23 h"),
     (86400, "1 d"), (13.9 * 86400, "13 d"), (14 * 86400, "2 w"), (729 * 86400, "104 w"), (730 * 86400, "2 y"),
     (-90, "in 1 min"), (-3 * 86400, "in 3 d")],
)  # fmt: skip
def test_an_age_is_in_the_largest_unit_that_says_enough(seconds: float, told: str) -> None:
    assert age(NOW - timedelta(seconds=seconds), NOW) == told


@given(MOMENTS, MOMENTS)
def test_an_age_is_short(moment: datetime, now: datetime) -> None:
    assert len(age(moment, now).removeprefix("in ")) <= 6
    assert age(None, now) == "-"


@given(st.none() | st.floats() | st.integers() | st.booleans() | st.text() | st.lists(st.text()))
def test_a_cell_has_one_line_whatever_is_in_it(value: object) -> None:
    assert isinstance(value, list) or "\n" not in cell(value)


@given(st.none() | st.floats())
def test_numbers_of_all_kinds_can_be_told(value: float | None) -> None:
    assert brief(value)
    assert figure(value)
    assert profile_value(value, "Datetime(time_unit='us', time_zone='UTC')") is not None or value is None


def test_figures_sizes_and_days() -> None:
    assert figure(0.70123, 0.69, 0.7124) == "0.7012 (0.6900 to 0.7124)"
    assert (figure(0.7), figure(0.7, 0.6), figure(None)) == ("0.7000", "0.7000", "-")
    assert [bytes_text(size) for size in (0, 999, 12_345, 3_000_000, 10**9)] == [
        "0 B", "999 B", "12.3 KB", "3.0 MB", "1.0 GB",
    ]  # fmt: skip
    assert (brief(1832.0), brief(0.25), brief(None)) == ("1,832", "0.25", "-")
    assert (day(datetime(2013, 5, 1)), day(NOW)) == ("2013-05-01", "10-15 12:00")


def test_a_profile_reads_as_its_column_would_write_it() -> None:
    assert profile_value(1.0, "Int64") == 1
    assert profile_value(86400.0, "Date") == "1970-01-02"
    assert profile_value(1e18, "Date") == 1e18
    numbers = ColumnProfile("n", "Int64", 1, 0.1, 9, quantiles=(1.0, 2, 3, 4, 5, 6, 7, 8, 9),
                            histogram=Histogram((0.0, 1.0, 2.0), (1, 8)))  # fmt: skip
    texts = ColumnProfile("t", "String", 0, 0.0, 2, top=(("a", 3), ("b", 1)))
    assert profile_row(numbers) == ("n", "Int64", "10.0%", 9, 1, 5, 9, "▁█")
    assert profile_row(texts) == ("t", "String", "0.0%", 2, None, None, None, "a 3, b 1")
    assert len(profile_row(texts)) == len(PROFILE_COLUMNS)
