"""Drift against scipy, and how often it is called: without any, with little, and on a year of real flights."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon

from mlops_tui.core import distances
from mlops_tui.core.drift import basis, features, prediction
from mlops_tui.core.features import learn_inputs
from mlops_tui.core.shift import shift
from mlops_tui.errors import InvalidInput
from mlops_tui.records import Drift, Feature, Input, Signature, Transform, from_json, to_json

FLIGHTS = Path(__file__).parents[2] / "sample_data" / "flights"
NUMBERS = st.lists(st.one_of(st.none(), st.floats(), st.integers(-5, 5).map(float)), max_size=40)
LABELS = st.lists(st.sampled_from(["a", "b", "c", "d", None]), max_size=60)
NEVER_READ = ["flight_id", "time_hour", "tailnum", "dep_delay", "arr_delay", "late"]


def signature(frame: pl.DataFrame, *names: str, classes: tuple[str, ...] = ()) -> Signature:
    """What a model of these columns would carry."""
    kinds = {name: "categorical" if frame[name].dtype == pl.String else "numeric" for name in names}
    known = {name: tuple(sorted(frame[name].drop_nulls().unique())) for name in names if kinds[name] == "categorical"}
    made = [Feature(f"f{at}", kinds[name], name, categories=known.get(name, ())) for at, name in enumerate(names)]
    return Signature(
        "multiclass" if classes else "binary", "y", "String", learn_inputs(frame, Transform(tuple(made))), classes
    )


def one(old: pl.Series, new: pl.Series) -> Drift:
    """The drift of a single column."""
    frames = [pl.DataFrame({"x": side, "__score": np.zeros(len(side))}) for side in (old, new)]
    known = Signature("binary", "y", "Boolean", (Input("x", str(old.dtype), True),))
    return features(basis(known, frames[0], None), frames[1], 0.01)[0]


def mixed(rows: int, random: np.random.Generator) -> pl.DataFrame:
    """Ten columns of numbers, some with ties or nulls, ten of labels, and scores."""
    columns = {
        f"n{at}": [random.normal, random.exponential][at % 2](size=rows).round([1, 9][at % 3 > 0]) for at in range(10)
    }
    weights = [1 / np.arange(1, 3 + 2 * at) for at in range(10)]
    labels = {
        f"c{at}": np.array([f"v{label}" for label in random.choice(len(some), rows, p=some / some.sum())])
        for at, some in enumerate(weights)
    }
    frame = pl.DataFrame(columns | labels | {"__score": random.beta(2, 5, rows)})
    holes = pl.Series(random.random(rows) < 0.05)
    return frame.with_columns(pl.when(~holes).then(pl.col("n3", "c3")))


# ── against scipy ────────────────────────────────────────────────────────────────────────────────


@given(st.floats(0, 400), st.integers(1, 120))
def test_chi_squared_p_values_are_scipys(value: float, degrees: int) -> None:
    assert distances.chi2_p_value(value, degrees) == pytest.approx(stats.chi2.sf(value, degrees), abs=1e-12)
    if (exact := stats.chi2.sf(value, degrees)) > 1e-300:
        assert distances.chi2_p_value(value, degrees) == pytest.approx(exact, rel=1e-9)


@given(st.floats(0, 8))
def test_kolmogorovs_distribution_is_scipys(x: float) -> None:
    assert distances.kolmogorov(x) == pytest.approx(stats.kstwobign.sf(x), abs=1e-12)


def test_points_lie_where_their_level_is() -> None:
    for level in (0.25, 0.01, 1e-3, 1e-5):
        assert distances.kolmogorov_point(level) == pytest.approx(stats.kstwobign.isf(level), rel=1e-3)
        for degrees in (1, 2, 10, 60):
            found = distances.chi2_point(degrees, distances.normal_point(level))
            # Wilson and Hilferty's point is up to a tenth too far out for one degree, and closer for more
            assert found == pytest.approx(stats.chi2.isf(level, degrees), rel=0.12 / math.sqrt(degrees))


@pytest.mark.parametrize("seed", range(30))
def test_numbers_are_measured_as_scipy_does(seed: int) -> None:
    random = np.random.default_rng(seed)
    old, new = (random.gamma(2, size=rows).round(seed % 4) for rows in random.integers(50, 900, 2))
    found = one(pl.Series(old), pl.Series(new))
    exact = stats.ks_2samp(old, new)
    assert found.distance == pytest.approx(exact.statistic, abs=1e-12)
    assert found.wasserstein == pytest.approx(stats.wasserstein_distance(old, new) / old.std(), abs=1e-9)
    rows = math.sqrt(len(old) * len(new) / (len(old) + len(new)))
    assert found.p_value == pytest.approx(stats.kstwobign.sf(exact.statistic * (rows + 0.12 + 0.11 / rows)), abs=1e-12)
    # Kolmogorov's limit; scipy's own asymptotic p-value is of the one-sample distribution, and exact is neither
    assert found.p_value == pytest.approx(exact.pvalue, abs=0.05)
    assert found.p_value == pytest.approx(stats.ks_2samp(old, new, method="asymp").pvalue, abs=0.012)


@pytest.mark.parametrize("seed", range(30))
def test_labels_are_measured_as_scipy_does(seed: int) -> None:
    random = np.random.default_rng(seed)
    labels = ["a", "b", "c", None]
    old, new = ([labels[at] for at in random.choice(4, rows, p=[0.4, 0.3, 0.2, 0.1])] for rows in (700, 400))
    found = one(pl.Series(old, dtype=pl.String), pl.Series(new, dtype=pl.String))
    table = np.array([[side.count(label) for label in labels] for side in (old, new)])
    exact = stats.chi2_contingency(table, correction=False)
    assert (found.chi2, found.p_value) == pytest.approx((exact.statistic, exact.pvalue), abs=1e-9)
    assert found.distance == pytest.approx(jensenshannon(*table, base=2), abs=1e-9)
    assert (found.missing, found.missing_reference) == (table[1, 3] / 400, table[0, 3] / 700)


@given(LABELS, LABELS)
def test_chi_squared_and_its_pooled_cells_are_scipys(old: list[str | None], new: list[str | None]) -> None:
    labels = ["a", "b", "c", "d", None]
    counts = [np.array([side.count(label) for label in labels], dtype=float) for side in (old, new)]
    cells = distances.pooled(*counts)
    assert [side.sum() for side in cells] == [side.sum() for side in counts]
    if len(cells[0]) > 1:
        exact = stats.chi2_contingency(np.array(cells), correction=False)
        assert exact.expected_freq.min() >= 1
        assert distances.chi2(*cells) == pytest.approx(exact.statistic, abs=1e-9)


@given(NUMBERS, NUMBERS)
def test_drift_is_always_a_number_and_survives_json(old: list[float | None], new: list[float | None]) -> None:
    found = one(pl.Series(old, dtype=pl.Float64), pl.Series(new, dtype=pl.Float64))
    assert from_json(to_json(found), Drift) == found
    assert found.drifted == (found.distance > found.threshold)
    assert 0 <= found.distance <= 1
    assert 0 < found.threshold <= 1
    assert 0 <= found.p_value <= 1


def test_psi_is_the_one_of_a_dataset_version() -> None:
    random = np.random.default_rng(5)
    old, new = (mixed(rows, random) for rows in (3000, 700))
    names = [name for name in old.columns if name != "__score"]
    found = features(basis(signature(old, *names), old, None), new, 0.01)
    expected = {item.column: item.psi for item in shift(old, new)}
    assert {item.feature: item.psi for item in found} == {name: expected[name] for name in names}


# ── what is told of a window ─────────────────────────────────────────────────────────────────────


def test_a_window_is_told_by_column() -> None:
    random = np.random.default_rng(2)
    old = mixed(2000, random)
    new = mixed(500, random).with_columns(
        pl.col("n1") * 2, pl.when(pl.int_range(pl.len()) % 5 == 0).then(pl.lit("new")).otherwise("c4").alias("c4")
    )
    names = [name for name in old.columns if name != "__score"]
    found = features(basis(signature(old, *names), old, None), new, 0.01)
    ratios = [item.distance / item.threshold for item in found]
    assert ratios == sorted(ratios, reverse=True)
    told = {item.feature: item for item in found}
    assert {item.feature for item in found if item.drifted} == {"n1", "c4"}
    assert (told["c4"].unseen, told["c4"].kind, told["c4"].measure) == (0.2, "categorical", "js")
    assert told["n1"].out_of_range == pytest.approx((new["n1"] > old["n1"].max()).mean(), abs=0.002)
    assert 0.9 < (told["n1"].wasserstein or 0) < 1.2
    with pytest.raises(InvalidInput, match="no column 'n1', which the model reads"):
        features(basis(signature(old, *names), old, None), new.drop("n1"), 0.01)


def test_times_are_compared_in_seconds_and_booleans_as_labels() -> None:
    start = datetime(2024, 1, 1, tzinfo=UTC)
    times = pl.Series([start + timedelta(hours=hour) for hour in range(400)])
    later = one(times, times + timedelta(hours=100))
    assert (later.kind, later.distance, later.drifted) == ("numeric", pytest.approx(0.25), True)
    rain = one(pl.Series([True, False] * 500), pl.Series([True] * 60 + [False] * 40))
    assert (rain.kind, rain.measure) == ("categorical", "js")


def test_a_missing_share_that_moves_is_drift_though_the_values_stay() -> None:
    random = np.random.default_rng(1)
    old, values = pl.Series(random.normal(size=5000)), pl.Series(random.normal(size=1000))
    holed = one(old, pl.select(pl.when(pl.Series(random.random(1000) > 0.03)).then(values)).to_series())
    assert holed.drifted
    assert holed.distance == holed.missing
    few = one(old, pl.Series([None, None, *values[2:]], dtype=pl.Float64))
    assert not few.drifted  # that never had one missing: by chance, if rarely
    half = one(pl.Series(["a", "b"] * 2500), pl.Series(["a", "b", None, None] * 250))
    assert half.drifted


def test_predictions_drift_by_score_or_by_class() -> None:
    random = np.random.default_rng(0)
    old, new = mixed(3000, random), mixed(1000, random)
    known = basis(signature(old, "n1"), old, None)
    assert not prediction(known, new, 0.01).drifted
    moved = prediction(known, new.with_columns(pl.col("__score") + 0.1), 0.01)
    assert (moved.feature, moved.measure, moved.drifted) == ("prediction", "ks", True)

    def scored(rows: int, lean: float) -> pl.DataFrame:
        each = random.dirichlet([1 + lean, 1, 1], rows)
        return pl.DataFrame({f"__score_{name}": each[:, at] for at, name in enumerate("abc")})

    known = basis(signature(pl.DataFrame(), classes=("a", "b", "c")), scored(3000, 0), None)
    assert not prediction(known, scored(1000, 0), 0.01).drifted
    leaning = prediction(known, scored(1000, 0.5), 0.01)
    assert (leaning.kind, leaning.drifted) == ("categorical", True)


# ── how often ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("timed", [False, True])
def test_without_drift_hardly_a_window_is_called_and_small_drifts_are_named(timed: bool) -> None:
    random = np.random.default_rng(11)
    start = datetime(2024, 1, 1)
    days = pl.Series("t", random.uniform(0, 180, 5000)) * timedelta(days=1) + start
    old = mixed(5000, random).with_columns(days.alias("t"))
    names = [name for name in old.columns if name not in ("__score", "t")]
    known = basis(signature(old, *names), old, "t" if timed else None)
    alarms, named, labelled = 0, [0, 0], 0
    for number in range(200):
        week = pl.Series("t", random.uniform(180, 187, 1000)) * timedelta(days=1) + start
        new = mixed(1000, random).with_columns(week.alias("t"))
        alarms += any(item.drifted for item in features(known, new, 0.01))
        if number % 2:
            continue
        flip = pl.Series(random.random(1000) < 0.2)
        moved = new.with_columns(
            pl.col("n2", "n5") + 0.5,
            pl.when(flip).then(pl.lit("v0")).otherwise("c5").alias("c5"),
        )
        found = {item.feature for item in features(known, moved, 0.01) if item.drifted}
        named = [count + (name in found) for count, name in zip(named, ("n2", "n5"), strict=True)]
        labelled += "c5" in found
    print(f"{timed=}: {alarms} alarms in 200 windows; of 100 drifts named: numbers {named}, labels {labelled}")
    assert alarms <= 4
    assert min(*named, labelled) >= 95


def test_of_a_year_of_flights_few_windows_are_called_where_the_model_learned_and_most_afterwards() -> None:
    """Windows within the half year that the reference was sampled from, whose weather and holidays it has seen.

    They are not without drift, so more than the 1 % asked for are called: a snowstorm is like no other day.
    """
    flights = pl.read_parquet(FLIGHTS / "*.parquet").sort("time_hour").with_columns(__score=pl.lit(0.5))
    local = pl.col("time_hour").dt.convert_time_zone("America/New_York")
    seen = flights.filter(local.dt.month() <= 6, local.dt.year() == 2013)
    reference = seen.sample(5000, seed=3)
    names = [name for name in flights.columns if name not in (*NEVER_READ, "__score")]
    known, blind = (basis(signature(seen, *names), reference, name) for name in ("time_hour", None))
    for every, called in (("1d", 0.1), ("7d", 0.05)):  # measured: 0.088 of 181 days, 1 of 27 weeks
        counts = {"inside": [0, 0, 0], "after": [0, 0, 0], "inside, without time": [0, 0, 0]}
        for _, window in flights.group_by(local.dt.truncate(every), maintain_order=True):
            if window.height < 100:
                continue
            inside = window["time_hour"][0] < seen["time_hour"][-1]
            cases = [("inside", known), ("inside, without time", blind)] if inside else [("after", known)]
            for case, how in cases:
                drifted = sum(item.drifted for item in features(how, window, 0.01))
                counts[case] = [a + b for a, b in zip(counts[case], (1, drifted > 0, drifted), strict=True)]
        shares = {case: (some / all_, many / all_ / len(names)) for case, (all_, some, many) in counts.items()}
        print(every, {case: f"any {any_:.3f}, features {share:.3f}" for case, (any_, share) in shares.items()})
        assert shares["inside"][0] <= called
        assert shares["inside"][1] <= 0.01
        assert shares["after"][0] >= 0.4
        assert shares["inside, without time"][0] == 1  # what the weather alone would call


def test_a_window_is_compared_quickly() -> None:
    random = np.random.default_rng(0)
    old, new = mixed(5000, random), mixed(2000, random)
    known = basis(signature(old, *[name for name in old.columns if name != "__score"]), old, None)
    features(known, new, 0.01)
    spent = []
    for _ in range(7):
        begin = time.process_time()
        features(known, new, 0.01)
        spent.append(time.process_time() - begin)
    print(f"{sorted(spent)[3] * 1e3:.1f} ms of CPU a window of 2,000 rows and 20 columns")
    assert sorted(spent)[3] < 0.1  # 0.03 on a quiet machine
