"""Broken columns are told from drifted ones: each kind on real columns, and none on a year of real seasons."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_tui.core.drift import basis, features
from mlops_tui.core.faults import FACTORS, fault
from mlops_tui.records import Input, Signature

FLIGHTS = pl.read_parquet(Path(__file__).parents[2] / "sample_data" / "flights" / "*.parquet")
MONTH = FLIGHTS["time_hour"].dt.convert_time_zone("America/New_York").dt.month().alias("month")
RANDOM = np.random.default_rng(4)
SCALED = ["distance", "sched_arr_time", "wind_speed", "humid", "plane_seats"]
Draw = Callable[[np.random.Generator, int], np.ndarray]
SKEWED: dict[str, Draw] = {
    "exponential": lambda random, rows: random.exponential(1, rows),
    "lognormal": lambda random, rows: random.lognormal(0, 1, rows),
    "gamma": lambda random, rows: random.gamma(4, 1, rows),
    "pareto": lambda random, rows: random.pareto(2, rows) + 1,
    "cents": lambda random, rows: random.lognormal(3, 1, rows).round(2),
    "counts": lambda random, rows: random.negative_binomial(2, 0.02, rows).astype(float),
}
COLUMNS: dict[str, Draw] = {
    "pressure": lambda random, rows: random.normal(1013, 7, rows),
    "spread": lambda random, rows: random.lognormal(0, 0.5, rows),
    "prices": SKEWED["cents"],
    "stars": lambda random, rows: random.choice([1.0, 2.0, 3.0, 4.0, 5.0], rows, p=[0.1, 0.1, 0.2, 0.3, 0.3]),
    "around 0": lambda random, rows: random.normal(0, 1, rows),
}
ANY = st.one_of(
    st.lists(st.one_of(st.none(), st.floats())).map(lambda values: pl.Series(values, dtype=pl.Float64)),
    st.lists(st.one_of(st.none(), st.integers(-9, 9))).map(lambda values: pl.Series(values, dtype=pl.Int64)),
)


def sampled(name: str, rows: int, seed: int) -> pl.Series:
    return FLIGHTS[name].drop_nulls().sample(rows, seed=seed)


def test_no_month_of_a_year_is_broken_against_the_others_or_against_the_winter() -> None:
    found, compared = {}, 0
    for month in range(1, 13):
        window = FLIGHTS.filter(month == MONTH)
        for others, reference in (("others", FLIGHTS.filter(month != MONTH)), ("winter", FLIGHTS.filter(MONTH <= 3))):
            for name in FLIGHTS.columns:
                compared += 1
                if name in ("flight_id", "tailnum") and others == "winter":
                    continue
                if told := fault(reference[name], window[name]):
                    found[month, others, name] = told
    print(f"{compared} columns of months compared")
    assert found == {}


def test_weeks_and_days_are_broken_only_where_the_weather_is_gone() -> None:
    reference = FLIGHTS.filter(MONTH <= 6).sample(5000, seed=1)
    outcome = ("dep_delay", "arr_delay", "late")  # mostly missing when a snowstorm cancels a day, and never an input
    names = [name for name in FLIGHTS.columns if name not in ("flight_id", "tailnum", *outcome)]
    inputs = tuple(Input(name, str(FLIGHTS[name].dtype), True) for name in names)
    known = basis(
        Signature("binary", "late", "Boolean", inputs), reference.with_columns(__score=pl.lit(0.5)), "time_hour"
    )
    for every, broken in (("1w", set()), ("1d", {date(2013, 12, 31)})):
        found = set()
        for (start,), window in FLIGHTS.group_by(
            pl.col("time_hour").dt.convert_time_zone("America/New_York").dt.truncate(every), maintain_order=True
        ):
            told = [item.fault for item in features(known, window, 0.01) if item.fault]
            if told:
                assert all(one.startswith("missing in ") for one in told), (start, told)
                found.add(start.date())
        assert found == broken  # the source has no weather for the last day of the year


def test_a_column_that_stuck() -> None:
    reference = sampled("humid", 5000, 1)
    assert fault(reference, pl.Series([12.5] * 1832)) == "stuck at 12.5 in all 1,832 rows"
    assert fault(reference, pl.Series([None] + [12.5] * 99)) == "stuck at 12.5 in all 99 rows that have a value"
    holed = pl.Series([float("nan")] + [None] + [12.5] * 98)
    assert fault(reference, holed) == "stuck at 12.5 in all 98 rows that have a value"
    assert fault(sampled("carrier", 5000, 1), pl.Series(["AA"] * 60)) == "stuck at 'AA' in all 60 rows"
    assert fault(pl.Series([True, False] * 99), pl.Series([False] * 60)) == "stuck at False in all 60 rows"
    assert fault(reference, pl.Series([12.5] * 49)) == ""  # an hour has one humidity
    assert fault(sampled("precip", 5000, 1), pl.Series([0.0] * 1832)) == ""  # a dry week


def test_a_column_that_is_gone() -> None:
    reference = FLIGHTS["temp"].sample(5000, seed=1)
    gone = pl.Series([None] * 1000, dtype=pl.Float64)
    assert fault(reference, gone) == "missing in all 1,000 rows, in 0% of the reference"
    mostly = pl.concat([gone[:700], reference.drop_nulls()[:300]])
    assert fault(reference, mostly) == "missing in 70% of the rows, in 0% of the reference"
    assert fault(reference, gone[:20]).startswith("missing in all 20 rows")
    assert fault(reference, gone[:5]) == ""
    assert fault(reference, pl.Series([float("nan")] * 100)).startswith("missing in all 100 rows")
    assert fault(FLIGHTS["plane_year"], gone[:9].cast(pl.Int64)) == ""  # three in ten are missing anyway
    assert fault(FLIGHTS["plane_maker"], pl.Series([None] * 99, dtype=pl.String)).startswith("missing in all 99 rows")
    half = pl.concat([gone[:400], reference.drop_nulls()[:600]])
    assert fault(reference, half) == ""  # that is drift


def test_a_column_in_another_unit() -> None:
    told = fault(sampled("distance", 5000, 1), sampled("distance", 1500, 2) * 1.609344)
    assert told == "looks like another unit: values about 1.609 times the reference's"
    celsius = (FLIGHTS["temp"].drop_nulls() - 32) / 1.8
    told = fault(celsius.sample(5000, seed=1), sampled("temp", 1500, 2))
    assert told == "looks like another unit: values about 1.8 times the reference's, plus 32"
    told = fault(sampled("temp", 5000, 1), celsius.sample(1500, seed=2))
    assert told == "looks like another unit: values about 0.5556 times the reference's, minus 17.78"
    kelvin = celsius + 273.15
    told = fault(celsius.sample(5000, seed=1), kelvin.sample(1500, seed=2))
    assert told == "looks like another unit: values about 1 times the reference's, plus 273.1"


@pytest.mark.parametrize("name", SCALED)
def test_units_are_known_on_real_columns(name: str) -> None:
    reference = sampled(name, 5000, 1)
    missed = []
    for factor in (*FACTORS, *(1 / factor for factor in FACTORS)):
        if "another unit" not in fault(reference, sampled(name, 1500, 2) * factor):
            missed.append(round(factor, 3))
    assert missed == []


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("pressure", (0, 1, 1)),
        ("spread", (0, 0.5, 1)),
        ("prices", (0.3, 0.7, 1)),
        ("stars", (1, 1, 1)),
        ("around 0", (0, 0, 1)),
    ],
)
def test_units_are_known_where_growth_hardly_makes_them(name: str, found: tuple[float, float, float]) -> None:
    """`found` is how many are known at least: of factors below 10, below 100, and all others."""
    random = np.random.default_rng(5)
    draw = COLUMNS[name]
    known: dict[int, list[bool]] = {0: [], 1: [], 2: []}
    for factor in (*FACTORS, *(1 / factor for factor in FACTORS)):
        for _ in range(3):
            told = fault(pl.Series(draw(random, 5000)), pl.Series(draw(random, 1500) * factor))
            known[int(np.digitize(max(factor, 1 / factor), (9.9, 99)))].append(f"about {factor:.4g} times" in told)
    shares = [float(np.mean(each)) for each in known.values()]
    print(f"{name}: units known below 10, 100, others: {[round(share, 2) for share in shares]}")
    assert all(share >= least for share, least in zip(shares, found, strict=True))


@pytest.mark.parametrize("name", SKEWED)
def test_growth_is_not_another_unit(name: str) -> None:
    random = np.random.default_rng(6)
    draw, called = SKEWED[name], []
    grown = [*np.linspace(1.5, 5, 36), 2.54, 3.6, 1.609344, 1.8]
    for factor in (*grown, *(1 / factor for factor in grown)):
        window = draw(random, 1500) * factor
        window = {"cents": window.round(2), "counts": window.round()}.get(name, window)
        if fault(pl.Series(draw(random, 5000)), pl.Series(window)):
            called.append(factor)
    assert called == []


@pytest.mark.parametrize(("sigma", "rows"), [(0.1, 1500), (0.5, 300), (1.0, 1500), (2.0, 300)])
def test_amounts_that_drift_far_are_hardly_called_another_unit(sigma: float, rows: int) -> None:
    random = np.random.default_rng(7)
    called = 0
    for _ in range(300):
        window = random.lognormal(random.normal(0, 1.2), sigma, rows)  # one of seventeen moves more than tenfold
        called += fault(pl.Series(random.lognormal(0, sigma, 5000)), pl.Series(window)) != ""
    print(f"spread {sigma}: {called} of 300 called")
    assert called <= 5


def test_a_grid_that_any_factor_would_fit_is_no_sign_of_another_unit() -> None:
    prices = pl.Series(RANDOM.uniform(100, 200, 20_000).round(2))  # every cent
    assert fault(prices, pl.Series(RANDOM.uniform(12, 24, 900).round(2))) == ""
    tens = pl.Series((RANDOM.uniform(30, 280, 900) / 5).round() * 5)
    assert fault(pl.Series(RANDOM.uniform(100, 1000, 20_000).round()), tens) == ""


def test_a_unit_that_changes_in_another_season_is_known_if_it_is_far() -> None:
    winter, summer = FLIGHTS.filter(MONTH <= 3), FLIGHTS.filter(MONTH == 7)
    for name in ("wind_speed", "pressure", "plane_seats"):
        for factor in (1000, 100, 0.01, 25.4):
            assert "another unit" in fault(winter[name], summer[name] * factor), (name, factor)


def test_a_shift_or_a_wider_spread_is_drift() -> None:
    reference = pl.Series(RANDOM.normal(50, 10, 5000))
    for shift, spread in ((20, 1), (60, 1), (0, 1.6), (30, 0.7), (10, 1.3)):
        assert fault(reference, pl.Series(RANDOM.normal(50 + shift, 10 * spread, 1500))) == ""


def test_labels_that_are_written_another_way() -> None:
    reference, window = sampled("carrier", 5000, 1), sampled("carrier", 1500, 2)
    assert fault(reference, window.str.to_lowercase()).startswith("labels are written another way: '")
    assert fault(reference, "carrier_" + window).startswith("labels are written another way: 'carrier_")
    coded = window.replace_strict({name: f"{at:03}" for at, name in enumerate(FLIGHTS["carrier"].unique().sort())})
    assert fault(reference, coded).startswith("all labels are new to the reference, '")
    some = pl.when(window == "DL").then(pl.lit("Delta")).otherwise(window)
    assert fault(reference, pl.select(some).to_series()) == ""
    assert fault(FLIGHTS["flight_id"], "x" + FLIGHTS["flight_id"]) == ""  # an identity is always new
    assert fault(pl.Series(["v1", "v2"] * 99), pl.Series(["u7"] * 60)).startswith("stuck at 'u7'")


def test_what_varies_from_window_to_window_but_not_within_is_not_stuck() -> None:
    hours = pl.Series("at", [datetime(2024, 1, 1) + timedelta(hours=hour) for hour in range(24 * 200)])
    frame = pl.DataFrame(
        {"at": hours, "day": hours.dt.ordinal_day().cast(pl.Int64), "load": RANDOM.normal(size=len(hours))}
    )
    frame = frame.with_columns(__score=pl.lit(0.5))
    inputs = tuple(Input(name, str(frame[name].dtype), False) for name in ("day", "load"))
    known = basis(Signature("binary", "y", "Boolean", inputs), frame, "at")
    today = pl.Series("at", [datetime(2024, 9, 1) + timedelta(minutes=20 * step) for step in range(72)])
    window = pl.DataFrame(
        {"at": today, "day": today.dt.ordinal_day().cast(pl.Int64), "load": [0.5] * 72, "__score": [0.5] * 72}
    )
    assert {item.feature: item.fault for item in features(known, window, 0.01)} == {
        "day": "",
        "load": "stuck at 0.5 in all 72 rows",
    }
    brief = window.with_columns(today.dt.truncate("1d").dt.offset_by("1h"))
    assert [item.fault for item in features(known, brief, 0.01)] == ["", ""]  # of an hour nothing is known


def test_of_windows_whose_length_is_not_known_only_a_measure_is_called_stuck() -> None:
    rows = 5000
    frame = pl.DataFrame(
        {
            "store": RANDOM.choice([f"s{number}" for number in range(9)], rows),
            "till": RANDOM.integers(0, 300, rows),
            "day": RANDOM.integers(1, 367, rows),
            "load": RANDOM.normal(size=rows),
            "at": pl.Series(RANDOM.integers(0, 180 * 86400, rows)).cast(pl.Datetime("ms")),
            "__score": RANDOM.random(rows),
        }
    )
    names = ("store", "till", "day", "load")
    held = frame[:200].with_columns(store=pl.lit("s3"), till=pl.lit(7), day=pl.lit(200), load=pl.lit(0.5))
    known = Signature("binary", "y", "Boolean", tuple(Input(name, str(frame[name].dtype), False) for name in names))
    expected = dict.fromkeys(names, "") | {"load": "stuck at 0.5 in all 200 rows"}
    for time_column in (None, "at"):  # no time is said, or the windows have none
        found = features(basis(known, frame, time_column), held.drop("at"), 0.01)
        assert {item.feature: item.fault for item in found} == expected
    timed = features(basis(known, frame, "at"), held.with_columns(frame["at"][:200]), 0.01)
    assert all(item.fault.startswith("stuck at ") for item in timed)  # no eighth of the reference held one value


def test_references_that_tell_nothing() -> None:
    nothing, constant = pl.Series([None] * 100, dtype=pl.Float64), pl.Series([5.0] * 100)
    values = pl.Series(RANDOM.normal(size=100))
    for reference in (nothing, pl.Series([None] * 100), pl.Series([], dtype=pl.Float64)):
        for window in (values, nothing, constant, values[:0]):
            assert fault(reference, window) == ""
    assert fault(constant, constant) == ""
    assert fault(constant, constant * 1000) == ""
    assert fault(constant, nothing).startswith("missing in all 100 rows")
    assert fault(values, pl.Series(["1.5"] * 100)) == "text, where the reference has numbers"


def test_times() -> None:
    days = pl.Series([date(2024, 1, 1) + timedelta(days=day) for day in range(300)])
    assert fault(days, pl.Series([date(2024, 12, 1)] * 100)) == ""  # a window of one day
    assert fault(days, pl.Series([date(1970, 1, 1)] * 100)) == "stuck at 1970-01-01 in all 100 rows"
    hours = pl.Series([datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=hour) for hour in range(300)])
    assert fault(hours, hours + timedelta(days=400)) == ""
    assert fault(hours, pl.Series([datetime(1970, 1, 1, tzinfo=UTC)] * 100)).startswith("stuck at 1970-01-01")
    clock = pl.Series([time(hour % 24, hour % 60) for hour in range(300)])
    assert fault(clock, pl.Series([time(0)] * 100)) == "stuck at 00:00:00 in all 100 rows"
    waits = pl.Series(RANDOM.exponential(60, 500)) * timedelta(seconds=1)
    assert fault(waits, pl.Series([timedelta(minutes=1)] * 100)) == "stuck at 0:01:00 in all 100 rows"


@given(ANY, ANY)
def test_a_fault_is_always_told_in_one_line(reference: pl.Series, window: pl.Series) -> None:
    assert "\n" not in fault(reference, window)
    many = pl.concat([window] * 60)
    assert "\n" not in fault(pl.concat([reference] * 60), many * 1.7e308 if many.dtype == pl.Float64 else many)
