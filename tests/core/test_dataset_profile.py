"""Profiles against numpy and plain Python, the contract's findings, and shifts against scipy."""

from __future__ import annotations

import math
import statistics
import time
from collections import Counter
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon

from mlops_tui.config import Checks, ColumnRule
from mlops_tui.core.contract import check
from mlops_tui.core.dataset import schema_of
from mlops_tui.core.profile import QUANTILES, profile
from mlops_tui.core.shift import js, ks, noise, psi, shift
from mlops_tui.records import ColumnProfile, Profile, from_json, to_json

NUMBERS = st.lists(st.one_of(st.none(), st.floats(), st.integers(-5, 5).map(float)), max_size=40)


def column(frame: pl.DataFrame, name: str) -> ColumnProfile:
    return next(item for item in profile(frame).columns if item.name == name)


@settings(max_examples=150, deadline=None)
@given(NUMBERS)
def test_a_profile_of_numbers(values: list[float | None]) -> None:
    frame = pl.DataFrame({"x": values}, schema={"x": pl.Float64})
    found = profile(frame)
    assert from_json(to_json(found), Profile) == found  # nothing that JSON cannot hold
    assert profile(frame.lazy()) == found
    item = found.columns[0]
    present = [value for value in values if value is not None and not math.isnan(value)]
    finite = sorted(value for value in present if math.isfinite(value))
    assert (found.rows, item.nulls, item.distinct) == (len(values), len(values) - len(present), len(set(present)))
    if finite and max(map(abs, finite)) < 1e100:
        assert item.mean == pytest.approx(statistics.fmean(finite), rel=1e-9, abs=1e-9 * max(map(abs, finite)))
        expected = np.quantile(finite, QUANTILES)
        assert item.quantiles == pytest.approx(expected, rel=1e-9, abs=1e-9 * max(map(abs, finite)))
    if item.histogram is not None:
        edges, counts = item.histogram.edges, item.histogram.counts
        assert (sum(counts), len(edges)) == (len(finite), len(counts) + 1)
        if len(counts) > 1 and len(set(edges)) == len(edges):
            assert counts == tuple(np.histogram(finite, bins=np.array(edges))[0])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.none(), st.text(max_size=3)), max_size=30))
def test_a_profile_of_text(values: list[str | None]) -> None:
    item = column(pl.DataFrame({"count": values}, schema={"count": pl.String}), "count")
    counted = Counter(value for value in values if value is not None)
    expected = sorted(counted.items(), key=lambda pair: (-pair[1], pair[0].encode()))[:5]
    assert item.top == tuple(expected)
    assert item.distinct == len(counted)
    assert (item.quantiles, item.mean, item.histogram) == ((), None, None)


def test_a_profile_of_times_labels_and_constants() -> None:
    moment = datetime(2024, 1, 1, tzinfo=UTC)
    frame = pl.DataFrame(
        {
            "at": pl.Series([moment, moment + timedelta(hours=1)]).cast(pl.Datetime("ms", "Europe/Rome")),
            "late": [True, False],
            "hour": [7, 7],
            "big": [2**53, 2**53 + 1],
        }
    )
    assert column(frame, "at").mean == moment.timestamp() + 1800
    assert column(frame, "at").quantiles[0] == moment.timestamp()
    assert column(frame, "late").top == (("false", 1), ("true", 1))
    assert column(frame, "hour").top == (("7", 2),)
    assert column(frame, "hour").histogram is not None
    assert column(frame, "big").distinct == 2


def test_a_profile_does_not_depend_on_the_cut_and_is_fast() -> None:
    random = np.random.default_rng(7)
    names = [f"x{number}" for number in range(18)]
    numbers = {name: random.normal(size=100_000) for name in names}
    labels = {f"s{number}": random.choice(["a", "bb", "ccc"], 100_000) for number in range(4)}
    frame = pl.DataFrame(numbers | labels)
    started = time.process_time()
    found = profile(frame)
    assert time.process_time() - started < 2.0  # measured 0.2 to 0.4 s; room for a busy machine
    assert profile(pl.concat([frame[:30_000].lazy(), frame[30_000:].lazy()])) == found


DATA = pl.DataFrame(
    {
        "id": [1, 2, 2, 4],
        "x": [1.0, float("nan"), None, float("inf")],
        "city": ["Rome", "Paris", None, "Oslo"],
        "late": [True, False, None, True],
    }
)


def findings(**rules: object) -> list[tuple[str, str]]:
    checks = Checks.model_validate(rules)
    found = check(DATA, schema_of(DATA), checks)
    assert check(DATA.lazy(), schema_of(DATA), checks) == found
    assert all(item.level == "error" for item in found)
    assert from_json(to_json(found), type(found)) is not None
    return [(item.check, item.message) for item in found]


def of(name: str, **rule: object) -> list[tuple[str, str]]:
    return findings(columns={name: ColumnRule.model_validate(rule)})


def test_a_sound_version_has_no_findings() -> None:
    rules = {
        "id": ColumnRule(dtype="int64", min=1, max=4, null_share_max=0.0, allowed=[1, 2, 4]),
        "x": ColumnRule(dtype="Float64", min=1, null_share_max=0.5),
        "city": ColumnRule(allowed=["Rome", "Paris", "Oslo"]),
        "late": ColumnRule(allowed=[True, False]),
    }
    assert findings(min_rows=4, unique=["id", "city"], columns=rules) == []
    assert findings() == []


def test_every_rule_says_what_where_and_how_many() -> None:
    assert findings(min_rows=5) == [("min_rows", "4 rows; at least 5 are asked for")]
    assert findings(unique=["id"]) == [("unique", "1 row repeats an earlier id; first at row 3: id=2")]
    unknown = "'unique' names column 'idd', which the data does not have; did you mean 'id'?"
    assert findings(unique=["idd"]) == [("unknown_column", unknown)]
    assert of("x", dtype="Int64") == [("dtype", "column 'x' is Float64; Int64 is asked for")]
    assert of("x", null_share_max=0.25) == [
        ("null_share_max", "column 'x': 2 rows have no value (50.00%); at most 25.00% allowed; first at row 2")
    ]
    assert of("x", max=10) == [("max", "column 'x': 1 row is above 10, the worst inf; first at row 4")]
    assert of("id", min=2.5) == [("min", "column 'id': 3 rows are below 2.5, the worst 1; first at row 1")]
    assert of("city", min=0) == [("min", "column 'city': 'min' is for numbers, the column is String")]
    assert of("city", allowed=["Rome", "Oslo"]) == [
        (
            "allowed",
            "column 'city': 1 row holds a value that is not allowed; first at row 2: 'Paris'; allowed: 'Rome', 'Oslo'",
        )
    ]
    assert of("id", allowed=[1, 2.5])[0][1].startswith("column 'id': 3 rows hold a value that is not allowed")
    assert of("late", allowed=[True])[0][1].endswith("first at row 2: False; allowed: True")
    assert of("cty", min=0) == [
        ("unknown_column", "the contract names column 'cty', which the data does not have; did you mean 'city'?")
    ]
    assert "which is no column type; did you mean 'Float64'" in of("x", dtype="Flaot64")[0][1]


FINITE = st.lists(st.floats(-1e6, 1e6).map(lambda value: round(value, 1)), min_size=1, max_size=60)


@settings(max_examples=100, deadline=None)
@given(FINITE, FINITE)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # about the p-value, which is not asked for
def test_ks_is_scipys(old: list[float], new: list[float]) -> None:
    assert ks(np.sort(old), np.sort(new)) == pytest.approx(stats.ks_2samp(old, new).statistic, abs=1e-12)


COUNTS = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=12)


@settings(max_examples=100, deadline=None)
@given(COUNTS)
def test_js_is_scipys_and_psi_is_its_formula(pairs: list[tuple[int, int]]) -> None:
    old, new = (np.array(side, dtype=np.float64) for side in zip(*pairs, strict=True))
    if old.sum() and new.sum():
        assert js(old, new) == pytest.approx(float(jensenshannon(old, new, base=2)), abs=1e-7)
    used = [(a + 0.5, b + 0.5) for a, b in pairs if a + b]
    p, q = ([side / sum(sides) for side in sides] for sides in zip(*used, strict=True)) if used else ([], [])
    expected = stats.entropy(p, q) + stats.entropy(q, p) if used else 0.0
    assert psi(old, new) == pytest.approx(expected, abs=1e-12)
    assert psi(old, new) == pytest.approx(psi(new, old), abs=1e-12)


def test_noise_is_the_chi_square_point() -> None:
    old, new = np.full(11, 20.0), np.full(11, 40.0)
    expected = (1 / old.sum() + 1 / new.sum()) * stats.chi2.ppf(0.999, 10)
    assert noise(old, new) == pytest.approx(expected, rel=0.01)


def test_shifts_are_found_and_ordered() -> None:
    random = np.random.default_rng(7)
    old = pl.DataFrame(
        {
            "same": random.normal(size=5000),
            "moved": random.normal(size=5000),
            "gone": random.normal(size=5000),
            "city": random.choice(["a", "b"], 5000),
            "only_old": [1] * 5000,
            "constant": [5] * 5000,
            "id": [f"id{number}" for number in range(5000)],
        }
    )
    new = old.with_columns(
        pl.col("moved") + 0.8,
        pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.col("gone")).alias("gone"),
        city=pl.lit("c"),
        constant=pl.lit(4),
        id=pl.col("id") + "x",
    ).drop("only_old")
    found = {item.column: item for item in shift(old, new.lazy())}
    assert [item.psi for item in found.values()] == sorted((item.psi for item in found.values()), reverse=True)
    assert {name for name, item in found.items() if item.moved} == {"moved", "gone", "city", "constant"}
    assert (found["gone"].null_share_old, found["gone"].null_share_new) == (0.0, 0.5)
    assert (found["city"].distance, found["city"].measure) == (1.0, "js")
    assert (found["constant"].distance, found["constant"].measure) == (1.0, "ks")
    assert found["same"].psi == 0.0
    deciles = np.quantile(old["moved"], np.arange(1, 10) / 10)
    bins = [np.histogram(frame["moved"], bins=[-np.inf, *deciles, np.inf])[0] for frame in (old, new)]
    assert found["moved"].psi == pytest.approx(psi(*(counts.astype(float) for counts in bins)), rel=0.01)


def test_small_samples_of_one_population_do_not_cry_wolf() -> None:
    random = np.random.default_rng(7)
    moved = [
        shift(pl.DataFrame({"x": random.normal(size=40)}), pl.DataFrame({"x": random.normal(size=40)}))[0].moved
        for _ in range(200)
    ]
    assert sum(moved) <= 2
    far = shift(pl.DataFrame({"x": random.normal(size=40)}), pl.DataFrame({"x": random.normal(3, size=40)}))[0]
    assert far.moved


@settings(max_examples=80, deadline=None)
@given(NUMBERS, NUMBERS)
def test_a_shift_is_always_a_number(old: list[float | None], new: list[float | None]) -> None:
    frames = [pl.DataFrame({"x": side}, schema={"x": pl.Float64}) for side in (old, new)]
    item = shift(*frames)[0]
    assert 0 <= item.psi < math.inf
    assert 0 <= item.distance <= 1
    assert shift(frames[0], frames[0])[0].psi == 0


def test_a_column_that_became_text_is_compared_as_text() -> None:
    item = shift(pl.DataFrame({"x": [1, 2]}), pl.DataFrame({"x": ["1", "2"]}))[0]
    assert (item.psi, item.distance, item.measure) == (0.0, 0.0, "js")
