"""Telling a window from the reference: quiet on what is the same, and what is found is named."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import stats

from mlops_tui.config import load_pipeline
from mlops_tui.core.features import learn
from mlops_tui.core.material import skipped
from mlops_tui.core.tell import MOST_ROWS, STUDENT, natural, tell
from mlops_tui.records import Feature, Multivariate, Transform

SAMPLE = Path(__file__).parents[2] / "sample_data"
WEATHER = ("temp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib")
NUMBERS = [f"n{at}" for at in range(15)]
LABELS = {f"c{at}": tuple("abcdefgh"[: 3 + at]) for at in range(5)}
TRANSFORM = Transform(
    (
        *(Feature(name, "numeric", name) for name in NUMBERS),
        *(Feature(name, "categorical", name, categories=labels) for name, labels in LABELS.items()),
    )
)


def rows(seed: int, count: int, correlation: float = 0.0) -> pl.DataFrame:
    """Rows of 15 normal numbers, of which the first two may go together, and 5 columns of labels."""
    random = np.random.default_rng(seed)
    numbers = random.normal(size=(count, len(NUMBERS)))
    numbers[:, 1] = correlation * numbers[:, 0] + np.sqrt(1 - correlation**2) * numbers[:, 1]
    labels = {name: np.array(each)[random.integers(0, len(each), count)] for name, each in LABELS.items()}
    return pl.DataFrame(dict(zip(NUMBERS, numbers.T, strict=True)) | labels)


REFERENCE = rows(0, 5_000)


def told(window: pl.DataFrame, reference: pl.DataFrame = REFERENCE, confidence: float = 0.99) -> Multivariate:
    found = tell(reference, window, TRANSFORM, confidence=confidence)
    assert found is not None
    return found


def test_windows_like_the_reference_stay_quiet() -> None:
    counts = [300, 1_500] * 50
    found = [told(rows(seed, count), rows(1_000 + seed, 3_000)) for seed, count in enumerate(counts, 1)]
    auc = np.array([one.auc for one in found])
    held = np.mean([one.low <= 0.5 <= one.high for one in found])
    loud = np.mean([one.drifted for one in found])
    print(f"\n100 windows: AUC {auc.mean():.4f} ± {auc.std():.4f}, 0.5 covered {held:.0%}, drifted {loud:.0%}", end="")
    assert loud <= 0.02
    assert held >= 0.95


def test_two_features_that_now_go_together_are_found_and_named() -> None:
    found = [told(rows(seed, 2_000, 0.6), rows(1_000 + seed, 5_000)) for seed in range(1, 11)]
    print(f"\nAUC {np.mean([one.auc for one in found]):.3f}, threshold {found[0].threshold:.3f}", end="")
    assert all(one.drifted and one.low > 0.5 for one in found)
    assert all({name for name, _ in one.features[:2]} == {"n0", "n1"} for one in found)


def test_what_gave_it_away_comes_first_with_its_share() -> None:
    found = told(rows(1, 2_000).with_columns(n7=pl.col("n7") + 1, c2=pl.lit("a")))
    names, shares = zip(*found.features, strict=True)
    assert set(names[:2]) == {"n7", "c2"}
    assert len(names) == 10
    assert list(shares) == sorted(shares, reverse=True)
    assert 0.9 < sum(shares[:2]) < sum(shares) <= 1.0


def test_it_is_the_same_twice_and_large_sides_are_sampled() -> None:
    large = rows(1, 4 * MOST_ROWS)
    started = time.process_time()
    one = told(large, large)
    print(f"\n{time.process_time() - started:.2f} s CPU for {MOST_ROWS} and {MOST_ROWS} rows × 20", end="")
    assert one == told(large, large)
    assert not one.drifted


def test_a_window_costs_less_than_a_second() -> None:
    window = rows(1, 2_000, 0.5)
    started = time.process_time()
    told(window)
    spent = time.process_time() - started
    print(f"\n{spent:.2f} s CPU for 2,000 and 5,000 rows × 20", end="")
    assert spent < 1.0


def test_missing_and_unseen_values_are_told_as_well() -> None:
    window = rows(1, 2_000).with_columns(
        n3=pl.when(pl.col("n0") > 0).then("n3"), c4=pl.when(pl.col("n1") > 0).then("c4").otherwise(pl.lit("new"))
    )
    found = told(window)
    assert found.drifted
    assert {name for name, _ in found.features[:2]} == {"n3", "c4"}


# ── time ─────────────────────────────────────────────────────────────────────────────────────────


def test_columns_to_skip_and_what_is_derived_from_them_are_not_looked_at() -> None:
    transform = Transform(
        (Feature("n0", "numeric", "n0"), Feature("late", "numeric", "late", expression="n1 * 2 + n2"))
    )
    window = rows(1, 1_000).with_columns(n1=pl.col("n1") + 3)
    seen = tell(REFERENCE, window, transform, confidence=0.99)
    skipping = tell(REFERENCE, window, transform, confidence=0.99, skip={"n1"})
    assert seen is not None
    assert seen.drifted
    assert skipping is not None
    assert [name for name, _ in skipping.features] == ["n0"]
    assert not skipping.drifted
    assert tell(REFERENCE, window, transform, confidence=0.99, skip={"n0", "n2"}) is None


def test_too_few_rows_are_not_told() -> None:
    assert tell(REFERENCE, rows(1, 99), TRANSFORM, confidence=0.99) is None
    assert tell(rows(1, 99), REFERENCE, TRANSFORM, confidence=0.99) is None
    assert told(rows(1, 100)).drifted is False


def test_a_reference_without_seasons_has_none() -> None:
    timed = REFERENCE.with_columns(when=pl.int_range(pl.len()))
    assert natural(REFERENCE, TRANSFORM, None) == 0.5
    assert natural(REFERENCE, TRANSFORM, "when") == 0.5
    assert 0.5 <= natural(timed, TRANSFORM, "when") < 0.6
    assert 0.5 <= natural(timed, TRANSFORM, "when", seconds=100) < 0.7


def test_what_another_block_might_reach_is_by_students_distribution() -> None:
    for blocks, point in STUDENT.items():
        assert point == pytest.approx(stats.t.isf(0.01, blocks - 1), abs=1e-3)


def test_where_blocks_have_too_few_rows_nothing_is_drift() -> None:
    timed = REFERENCE.with_columns(when=pl.int_range(pl.len()))
    moved = rows(1, 1_000).with_columns(n3=pl.col("n3") + 9)
    for reference, seconds in (
        (timed.head(300), None),
        (timed, 40),
        (timed, 1e-9),
        (timed.head(0), 100),
        (timed.head(1), None),
    ):
        assert natural(reference, TRANSFORM, "when", seconds=seconds) == 1.0
    found = tell(timed, moved, TRANSFORM, confidence=0.99, natural=1.0)
    assert found is not None
    assert (found.auc > 0.99, found.threshold, found.drifted) == (True, 1.0, False)
    counted = timed.with_columns(n0=pl.col("when").cast(pl.Float64))
    assert natural(counted, TRANSFORM, "when", seconds=100) > 0.99  # each block is told by it


def daily(random: np.random.Generator, weather: np.ndarray, begin: int, days: int, count: int) -> pl.DataFrame:
    """Rows of days, in each of which three columns are the day's and three vary, and their time in seconds."""
    when = begin + days * random.random(count)
    shared = weather[when.astype(int)] + 0.3 * random.normal(size=(count, 3))
    return pl.DataFrame(
        np.hstack([when[:, None] * 86400, shared, random.normal(size=(count, 3))]), ["when", *NUMBERS[:6]]
    )


def test_the_weather_of_a_day_is_no_drift_though_no_other_day_had_it() -> None:
    transform = Transform(TRANSFORM.features[:6])
    loud, eighths, windows = 0, 0, 0
    for seed in range(4):
        random = np.random.default_rng(seed)
        weather = random.normal(size=(180, 3))
        for day in range(1, 180):
            weather[day] = 0.7 * weather[day - 1] + 0.7 * weather[day]
        reference = daily(random, weather, 0, 60, 5_000)
        usual = natural(reference, transform, "when", seconds=86400, skip={"when"})
        coarse = natural(reference, transform, "when", skip={"when"})
        for day in range(70, 180, 20):
            window = daily(random, weather, day, 1, 1_000)
            for known in (usual, coarse):
                found = tell(reference, window, transform, confidence=0.99, natural=known, skip={"when"})
                assert found is not None
                loud, eighths = loud + (found.drifted and known == usual), eighths + (found.drifted and known == coarse)
            windows += 1
    print(f"\nof {windows} days told apart: {loud} by blocks of a day, {eighths} by eighths", end="")
    assert loud <= 1 < eighths


def test_a_season_that_the_reference_knows_is_no_drift_and_a_new_schedule_is() -> None:
    flights = pl.read_parquet(sorted((SAMPLE / "flights").glob("*.parquet")))
    settings = load_pipeline(SAMPLE / "flight-delay.toml")
    known = flights.filter(pl.col("time_hour") < pl.datetime(2013, 7, 1, time_zone="UTC"))
    transform = learn(known, settings.features, skipped(settings), "late")
    reference, week = known.sample(5_000, seed=1), 7 * 86400
    first = known["time_hour"].min()
    loud: dict[str, list[int]] = {}
    for case, skip in (("with weather", {"time_hour"}), ("without", {"time_hour", *WEATHER})):
        usual = natural(reference, transform, "time_hour", seconds=week, skip=skip)
        loud[case] = []
        for number in range(1, 52, 4):
            start = first + timedelta(seconds=number * week)  # type: ignore[operator]
            window = flights.filter(pl.col("time_hour").is_between(start, start + timedelta(days=7), closed="left"))
            found = tell(reference, window, transform, confidence=0.99, natural=usual, skip=skip)
            assert found is not None
            loud[case] += [number] if found.drifted else []
        print(f"\n{case}: blocks reach {usual:.3f}, weeks told apart {loud[case]}", end="")
    assert loud["with weather"] == []  # no week is like another
    assert [number for number in loud["without"] if number < 25] == []
    assert len([number for number in loud["without"] if number >= 25]) >= 6
