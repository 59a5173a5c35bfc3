"""One feature of a monitor report: the same bins for reference and window, and the rows that the report measured."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mlops_tui.errors import NotFound
from mlops_tui.flows import lookup
from mlops_tui.flows.release import approvals
from mlops_tui.flows.watch import monitor, predictions
from mlops_tui.flows.watch.feature import feature
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import FeatureReport, Spread, from_json, to_json
from tests import workspaces
from tests.flows.test_monitor import DAYS, NAME, again, answer, deploy, march

DAY = datetime(2013, 3, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def template(trained_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose deployment answered 1 to 5 March, a window a day, the last of few rows, and was looked at."""
    workspace = workspaces.copy(trained_template, tmp_path_factory.mktemp("feature") / "workspace")
    workspaces.write_pipeline(workspace, more=DAYS)
    approvals.approve(workspace, f"{NAME}:1", "good")
    deploy(workspace)
    renamed = pl.when(pl.col("carrier") == "DL").then(pl.lit("ZZ")).otherwise("carrier").alias("carrier")
    holed = pl.when(pl.col("carrier") != "B6").then("wind_dir").alias("wind_dir")
    answer(workspace, march(1, 4).with_columns(renamed, holed))
    answer(workspace, march(5, 5).head(20))
    monitor.run(workspace, NAME)
    return workspace.root


@pytest.fixture
def watched(template: Path, tmp_path: Path) -> Workspace:
    """A fresh copy of that workspace."""
    return workspaces.copy(template, tmp_path / "workspace")


def reference(workspace: Workspace) -> pl.DataFrame:
    version = lookup.model_version(workspace, f"{NAME}:1")
    return pl.read_parquet(workspace.objects.path(version.reference))


def counted(found: FeatureReport, values: pl.Series) -> Spread:
    """The same, counted by numpy; the bins of whole numbers have no value on their ends."""
    counts = np.histogram(values.drop_nulls().to_numpy(), found.edges)[0]
    rest = len(values) - values.null_count() - int(counts.sum())
    return Spread(len(values), values.null_count(), tuple(counts.tolist()), rest)


def test_a_number_is_counted_over_the_same_bins_on_both_sides(watched: Workspace) -> None:
    found = feature(watched, NAME, "distance")
    (window,) = found.windows
    report = monitor.report(watched, NAME)
    assert (window.start, window.version) == (datetime(2013, 3, 4, tzinfo=UTC), 1), "the newest that was judged"
    assert window.reference == counted(found, reference(watched)["distance"])
    assert window.window == counted(found, march(4, 4)["distance"])
    assert window.drift == next(one for one in report.windows[3].features if one.feature == "distance")
    assert (found.report, found.kind, found.labels, window.remark) == (report.id, "numeric", (), "")
    assert from_json(to_json(found), FeatureReport) == found


def test_a_label_that_is_new_is_shown_beside_those_of_the_reference(watched: Workspace) -> None:
    found = feature(watched, NAME, "carrier", [DAY])
    (window,) = found.windows
    new, gone = found.labels.index("ZZ"), found.labels.index("DL")
    expected = march(1, 1).filter(pl.col("carrier") == "DL").height
    assert (window.reference.counts[new], window.window.counts[new]) == (0, expected)
    assert (window.reference.counts[gone] > 0, window.window.counts[gone]) == (True, 0)
    assert window.window.rows == march(1, 1).height
    assert (found.kind, found.edges) == ("categorical", ())


def test_missing_values_are_counted_apart(watched: Workspace) -> None:
    (window,) = feature(watched, NAME, "wind_dir").windows
    there = march(4, 4).filter(pl.col("carrier") != "B6")["wind_dir"].drop_nulls()
    assert window.window.missing == march(4, 4).height - len(there) > 0
    assert sum(window.window.counts) + window.window.rest == len(there)


def test_the_prediction_can_be_asked_for_as_a_feature(watched: Workspace) -> None:
    found = feature(watched, NAME, "prediction")
    (window,) = found.windows
    assert window.drift == monitor.report(watched, NAME).windows[3].prediction
    assert window.reference.rows == reference(watched).height
    assert found.edges[0] >= 0
    assert found.edges[-1] <= 1


def test_several_windows_share_the_bins_and_one_too_small_is_told(watched: Workspace) -> None:
    found = feature(watched, NAME, "distance", [DAY.replace(day=5), DAY])
    first, last = found.windows
    assert (first.start.day, last.start.day) == (1, 5)
    assert first.reference == last.reference
    assert (last.drift, last.window.rows, last.remark) == (None, 20, "20 rows, judged from 50 on")


def test_rows_that_came_since_the_report_are_told(watched: Workspace) -> None:
    name = monitor.report(watched, NAME).id
    answer(watched, march(4, 4).head(30), at=datetime(2013, 4, 1, tzinfo=UTC))
    predictions.gather(watched, NAME)
    (window,) = feature(watched, name, "distance").windows
    rows = march(4, 4).height
    assert window.window.rows == rows + 30
    assert window.remark == f"the report measured {rows:,} rows of this window"


def test_a_window_that_two_versions_answered_is_shown_for_each(watched: Workspace) -> None:
    again(watched, 2)
    answer(watched, march(4, 4).head(60), f"{NAME}:2")
    monitor.run(watched, NAME)
    found = feature(watched, NAME, "distance", [DAY.replace(day=4)])
    assert [(one.version, one.window.rows) for one in found.windows] == [(1, march(4, 4).height), (2, 60)]


def test_windows_by_when_they_were_answered(watched: Workspace) -> None:
    workspaces.write_pipeline(watched, more=DAYS + 'by = "received"\n')
    report = monitor.run(watched, NAME)
    assert report.by == "received"
    for one in report.windows:
        (window,) = feature(watched, NAME, "distance", [one.start]).windows
        assert (window.window.rows, window.remark) == (one.rows, one.remark)


@pytest.mark.parametrize(
    ("name", "column", "start", "told"),
    [
        (NAME, "distnace", None, "no feature 'distnace'; did you mean 'distance'"),
        (NAME, "late", None, "no feature 'late'"),
        (NAME, "distance", DAY.replace(day=9), "no window from '2013-03-09'; did you mean '2013-03-0"),
        (NAME, "distance", DAY.replace(hour=5), "no window from '2013-03-01T05:00:00'"),
        ("fligth-delay", "distance", None, "no deployment or report 'fligth-delay'; did you mean 'flight-delay'"),
    ],
)
def test_what_is_not_known_is_answered_by_what_is(
    template: Path, name: str, column: str, start: datetime | None, told: str
) -> None:
    workspace = replace(workspaces.open_workspace(template))
    with pytest.raises(NotFound, match=told):
        feature(workspace, name, column, [start] if start else [])
