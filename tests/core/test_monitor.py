"""Windows of time, and what one window shows against the model that answered it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_tui.config import Monitor
from mlops_tui.core import monitor, requests, samples, scoring, target
from mlops_tui.core.monitor import Yardstick, look, moments, number_of, window, yardstick
from mlops_tui.core.training import train
from tests.core.made import flights, pipeline

DAY = 86_400.0
SPAN = (datetime(2020, 9, 21, tzinfo=UTC), datetime(2020, 9, 28, tzinfo=UTC), 3)
SETTINGS = Monitor(min_rows=100, multivariate=False)


# ── windows ──────────────────────────────────────────────────────────────────────────────────────


def numbers(times: list[datetime | None], seconds: float) -> list[int | None]:
    """The window of each moment."""
    column = pl.Series(times, dtype=pl.Datetime("us", "UTC"))
    return pl.select(number_of(pl.lit(column), seconds)).to_series().to_list()


@given(
    st.lists(st.datetimes(datetime(1900, 1, 1), datetime(2199, 12, 31, 23)), min_size=1),
    st.floats(1, 3660 * DAY) | st.sampled_from([1.0, DAY, 7 * DAY]),
)
def test_every_moment_lies_in_its_window_and_windows_lie_end_to_end(times: list[datetime], seconds: float) -> None:
    utc = [time.replace(tzinfo=UTC) for time in times]
    for moment, number in zip(utc, numbers(list(utc), seconds), strict=True):
        assert number is not None
        start, end = window(number, seconds)
        assert start <= moment < end
        assert window(number + 1, seconds)[0] == end


def test_windows_of_a_week_begin_on_mondays_and_marks_for_never_are_in_none() -> None:
    moment = datetime(2013, 3, 6, 12, tzinfo=UTC)
    far = [datetime(year, 1, 1, tzinfo=UTC) for year in (1, 1899, 2200, 9999)]
    found = numbers([moment, *far, None], 7 * DAY)
    assert found[1:] == [None] * 5
    assert found[0] is not None
    assert window(found[0], 7 * DAY) == (datetime(2013, 3, 4, tzinfo=UTC), datetime(2013, 3, 11, tzinfo=UTC))
    assert numbers([], DAY) == []


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_times_of_any_kind_are_moments_in_utc(unit: str) -> None:
    noon = pl.Series([datetime(2013, 6, 1, 12), None], dtype=pl.Datetime(unit))  # type: ignore[arg-type]
    assert moments(noon).to_list() == [datetime(2013, 6, 1, 12, tzinfo=UTC), None]
    assert moments(noon.dt.replace_time_zone("Europe/Vienna"))[0] == datetime(2013, 6, 1, 10, tzinfo=UTC)
    assert moments(noon.dt.date())[0] == datetime(2013, 6, 1, tzinfo=UTC)
    assert moments(noon.dt.date()).dtype == pl.Datetime("us", "UTC")
    assert [monitor.is_time(kind) for kind in (pl.Date(), noon.dtype, pl.Int64(), pl.String(), None)] == [
        True, True, False, False, False,
    ]  # fmt: skip


# ── one window ───────────────────────────────────────────────────────────────────────────────────


def made(task: str = "binary") -> tuple[Yardstick, pl.DataFrame]:
    """A model of the first 1,500 rows, as what windows are measured with, and 1,000 rows after them with its scores."""
    settings, frame = pipeline(task), flights(2500)
    trained = train(frame.head(1500), settings, threads=1)
    scorer = scoring.load(trained.booster, trained.transform, trained.signature, trained.calibration)
    tested = frame[trained.rows.filter(pl.col("set") == "test")["row"].to_list()]
    metric = settings.watched_metric
    held_out = (target.answers_for(scorer, tested, settings.target), tested)
    stick = yardstick(scorer, trained.reference, held_out, metric, settings.data.time)
    rows = frame.tail(1000)
    inputs = requests.frame_for(scorer.signature, rows)
    scored = inputs.hstack(samples.score_columns(scorer.signature, scoring.score(scorer, inputs)))
    return stick, scored.hstack([rows[scorer.signature.target], rows["when"]])


@pytest.fixture(scope="module")
def binary() -> tuple[Yardstick, pl.DataFrame]:
    return made()


def test_a_window_without_drift_is_quiet_and_its_estimate_is_near(binary: tuple[Yardstick, pl.DataFrame]) -> None:
    found = look(*binary, SPAN, SETTINGS)
    assert (found.start, found.end, found.version, found.rows, found.labelled) == (*SPAN, 1000, 1000)
    assert (found.drifted, found.faults, found.findings) == ((), (), ())
    assert found.performance is not None
    assert found.expected is not None
    assert found.estimate is not None
    assert found.performance.name == found.expected.name == "auc"
    assert found.estimate.error == pytest.approx(found.estimate.value - found.performance.value)
    assert abs(found.estimate.error) < 0.1
    assert found.multivariate is None


def test_what_a_person_should_see_first_is_told(binary: tuple[Yardstick, pl.DataFrame]) -> None:
    stick, rows = binary
    number = pl.int_range(pl.len())
    broken = rows.with_columns(
        distance=pl.when(number % 10 == 0).then(9000).otherwise("distance"),
        carrier=pl.when(number % 5 == 0).then(pl.lit("ZZ")).otherwise("carrier"),
        rain=pl.when(number % 4 == 0).then(None).otherwise("rain"),
        wind=pl.lit(1.5),
    )
    found = look(stick, broken, SPAN, SETTINGS)
    assert {(one.check, one.column) for one in found.findings} == {
        ("fault", "wind"), ("range", "distance"), ("unseen", "carrier"), ("missing", "rain"),
    }  # fmt: skip
    assert [one.startswith("wind: ") for one in found.faults] == [True]
    assert "wind" not in found.drifted, "a broken column has not drifted"
    assert 0 < found.drifted_share <= 1


def test_a_window_of_few_rows_is_told_and_not_judged(binary: tuple[Yardstick, pl.DataFrame]) -> None:
    stick, rows = binary
    found = look(stick, rows.head(99), SPAN, SETTINGS)
    assert (found.rows, found.features, found.remark) == (99, (), "99 rows, judged from 100 on")
    assert found.performance is not None, "what labels say is told all the same"
    assert look(stick, rows.head(0), SPAN, SETTINGS).performance is None


def test_labels_are_few_many_or_of_one_class(binary: tuple[Yardstick, pl.DataFrame]) -> None:
    stick, rows = binary
    number = pl.int_range(pl.len())
    few = look(stick, rows.with_columns(late=pl.when(number < 49).then("late")), SPAN, SETTINGS)
    assert (few.labelled, few.performance) == (49, None)
    assert few.estimate is not None
    assert few.estimate.error is None
    half = look(stick, rows.with_columns(late=pl.when(number < 500).then("late")), SPAN, SETTINGS)
    alone = look(stick, rows.head(500), SPAN, SETTINGS)
    assert half.labelled == 500
    assert half.performance == alone.performance
    assert half.estimate is not None
    assert alone.estimate is not None
    assert half.estimate.error == alone.estimate.error, "the error is on exactly the labelled rows"
    one = look(stick, rows.with_columns(late=pl.lit(True)), SPAN, SETTINGS)
    assert (one.labelled, one.performance) == (1000, None), "an AUC needs both classes"
    none = look(stick, rows.drop("late"), SPAN, SETTINGS)
    assert (none.labelled, none.performance) == (0, None)


@pytest.mark.parametrize("task", ["multiclass", "regression", "quantile", "ranking"])
def test_every_task_has_windows(task: str) -> None:
    stick, rows = made(task)
    found = look(stick, rows, SPAN, SETTINGS)
    assert found.prediction is not None
    assert len(found.features) == 4
    judged = task != "ranking"  # a window's rows are not all rows of their queries
    assert ((found.performance is not None), (found.estimate is not None)) == (judged, judged)


def test_all_features_together_are_looked_at_where_that_is_wanted(binary: tuple[Yardstick, pl.DataFrame]) -> None:
    stick, rows = binary
    stick = monitor.with_natural(stick, timedelta(days=1).total_seconds())
    quiet = look(stick, rows, SPAN, SETTINGS.model_copy(update={"multivariate": True})).multivariate
    assert quiet is not None
    assert not quiet.drifted
    moved = rows.with_columns(wind=-pl.col("wind").abs(), distance=pl.col("distance") // 2)
    told = look(stick, moved, SPAN, SETTINGS.model_copy(update={"multivariate": True})).multivariate
    assert told is not None
    assert told.drifted
    assert {name for name, _ in told.features[:2]} == {"wind", "distance"}
