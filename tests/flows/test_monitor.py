"""Monitoring: which windows a report has, which rows are read for it, and what the rules make of it."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import msgspec
import polars as pl
import pytest

from mlops_tui.adapters.catalogue import build, release
from mlops_tui.adapters.catalogue import watch as rows
from mlops_tui.core import requests, scoring
from mlops_tui.errors import InvalidInput, NotFound
from mlops_tui.flows import cycle, keep, lookup
from mlops_tui.flows.build import datasets
from mlops_tui.flows.release import approvals
from mlops_tui.flows.watch import answers, evidence, monitor, rules
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import Decision, Deployment, MonitorReport, Progress
from mlops_tui.spool import Segments
from tests import workspaces
from tests.core.made import flights

NAME = "flight-delay"
START = datetime(2013, 3, 1, tzinfo=UTC)
DAYS = '[monitor]\nwindow = "1d"\nmin_rows = 50\nmultivariate = false\n'
RULES = '[[rules]]\nwhen = "drift"\nshare = 0.1\n[[rules]]\nwhen = "decay"\n'


def deploy(workspace: Workspace, name: str = NAME, model: str = NAME, version: int = 1) -> None:
    """Write down that a deployment serves a model version; no process is started."""
    item = Deployment(name, model, version, f"{model}:{version}", "127.0.0.1", 3000, 1, 0.0, "stopped", "test", START)
    with workspace.catalogue.write(workspace.now()) as act:
        release.put_deployment(act, item)
        act.record("test.served", name)


def march(first: int, last: int) -> pl.DataFrame:
    """The flights of some days of March, which the model has not seen, by time."""
    rows = pl.read_parquet(workspaces.SAMPLE / "flights" / "2013-03.parquet").sort("time_hour")
    span = START + timedelta(days=first - 1), START + timedelta(days=last)
    return rows.filter(pl.col("time_hour").is_between(*span, closed="left"))


def answer(
    workspace: Workspace, frame: pl.DataFrame, ref: str = f"{NAME}:1", name: str = NAME, at: datetime | None = None
) -> None:
    """Let a model version answer rows, a hundred a request and an hour after the last row's time, into a spool."""
    signature = lookup.signature(workspace, lookup.model_version(workspace, ref))
    columns = [*(one.name for one in signature.inputs), *signature.extras]
    scorer = lookup.scorer(workspace, lookup.model_version(workspace, f"{ref.split(':', maxsplit=1)[0]}:1"))
    lines = []
    for number, part in enumerate(frame.select(columns).iter_slices(100)):
        sent = requests.to_json_rows(part)
        said = scoring.answers(scorer, requests.rows_to_frame(signature, sent))
        moment = at or _last(part) + timedelta(hours=1)
        lines.append({
            "kind": "predict", "id": f"{ref}-{moment:%d%H%M}-{number}", "at": moment.isoformat(),
            "body": {"rows": sent}, "answer": {"predictions": said, "model": ref},
        })  # fmt: skip
    with closing(Segments(workspace.home / "spool" / name, 2**30)) as segments:
        data = b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
        assert segments.append(data, False)[0] == len(data)


def _last(part: pl.DataFrame) -> datetime:
    """The newest moment of rows; where none is known, a day on which they can have been answered."""
    newest = next((part[name].max() for name in ("time_hour", "when") if name in part.columns), None)
    return newest.replace(tzinfo=UTC) if isinstance(newest, datetime) else START


def again(workspace: Workspace, version: int) -> None:
    """Write down version 1 as another version, too."""
    first = lookup.model_version(workspace, f"{NAME}:1")
    with workspace.catalogue.write(workspace.now()) as act:
        build.add_model_version(act, replace(first, version=version, key=f"key {version}"))
        act.record("test.model", NAME)


def kept_reports(workspace: Workspace) -> int:
    with workspace.catalogue.read() as act:
        return len(rows.monitor_reports(act))


@pytest.fixture(scope="module")
def template(trained_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a champion that is deployed, and was asked about 1 to 20 March; a window is a day."""
    workspace = workspaces.copy(trained_template, tmp_path_factory.mktemp("watched") / "workspace")
    workspaces.write_pipeline(workspace, more=DAYS + RULES)
    approvals.approve(workspace, f"{NAME}:1", "good")
    deploy(workspace)
    answer(workspace, march(1, 20))
    return workspace.root


@pytest.fixture
def watched(template: Path, tmp_path: Path) -> Workspace:
    """A fresh copy of that workspace."""
    return workspaces.copy(template, tmp_path / "workspace")


# ── windows ──────────────────────────────────────────────────────────────────────────────────────


def days(report: MonitorReport, version: int = 1) -> list[int]:
    """The days of the month of a version's windows."""
    return [one.start.day for one in report.windows if one.version == version]


def test_the_newest_windows_of_all_versions_are_measured_and_no_other_row_is_read(
    watched: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    again(watched, 2)
    again(watched, 3)
    answer(watched, march(1, 3), f"{NAME}:3", at=datetime(2013, 3, 4, tzinfo=UTC))
    answer(watched, march(18, 24), f"{NAME}:2")
    read, frame = [], answers.frame
    monkeypatch.setattr(answers, "frame", lambda *given: (read.append(frame(*given)), read[-1])[1])
    report = monitor.run(watched, NAME)
    assert (days(report), days(report, 2), days(report, 3)) == (list(range(13, 21)), list(range(18, 25)), [])
    assert sum(one.height for one in read) == report.rows == march(13, 20).height + march(18, 24).height
    assert all(one.features for one in report.windows)
    assert report.by == "event"


def test_rows_of_a_time_that_cannot_be_are_counted_when_they_were_answered(watched: Workspace) -> None:
    odd = march(20, 20).with_columns(time_hour=pl.lit(datetime(9999, 12, 31)).dt.replace_time_zone("UTC")).head(100)
    later = odd.with_columns(time_hour=pl.lit(datetime(2099, 1, 1)).dt.replace_time_zone("UTC"))
    none = odd.with_columns(time_hour=pl.lit(None, odd.schema["time_hour"]))
    for number, strange in enumerate((odd, later, none)):
        answer(watched, strange, at=datetime(2013, 3, 20, 12, number, tzinfo=UTC))
    report = monitor.run(watched, NAME)
    assert days(report) == list(range(9, 21))
    assert report.windows[-1].rows == march(20, 20).height + 300


def test_a_range_is_cut_to_the_moment_and_one_that_is_empty_leaves_no_report(
    watched: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    noon = datetime(2013, 3, 5, 12, tzinfo=UTC)
    report = monitor.run(watched, NAME, monitor.Range(noon, noon + timedelta(days=2)))
    assert days(report) == [5, 6, 7]
    assert (
        report.rows
        == march(1, 20).filter(pl.col("time_hour").is_between(noon, noon + timedelta(days=2), closed="left")).height
    )
    assert not report.routine
    assert kept_reports(watched) == 1
    with pytest.raises(NotFound, match="no predictions in that range; it answered from 2013-03-01 "):
        monitor.run(watched, NAME, monitor.Range(datetime(2015, 1, 1, tzinfo=UTC)))
    monkeypatch.setattr(monitor, "MOST", 15)
    with pytest.raises(InvalidInput, match="20 windows of 1d; 15 at most"):
        monitor.run(watched, NAME, monitor.Range(START))
    assert kept_reports(watched) == 1


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (monitor.Range(window="7x"), "--window '7x': a duration is a number and a unit"),
        (monitor.Range(window="0d"), "--window '0d': a window is between 1s and 3660d"),
        (monitor.Range(START, START), "--from 2013-03-01 00:00 is not before --to 2013-03-01 00:00 UTC"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_is_gathered(
    watched: Workspace, asked: monitor.Range, told: str
) -> None:
    with pytest.raises(InvalidInput, match=told):
        monitor.run(watched, NAME, asked)
    assert answers.versions(watched, NAME) == []


def test_a_report_is_of_one_model_and_rules_read_that_of_their_champion(watched: Workspace) -> None:
    champion = lookup.model_version(watched, f"{NAME}:1")
    with watched.catalogue.write(watched.now()) as act:
        build.add_model_version(act, replace(champion, model="imported", key="another"))
        act.record("test.model", "imported")
    assert evidence.served_windows(watched, NAME, champion) == ()
    assert monitor.run(watched, NAME).model == NAME
    assert len(evidence.served_windows(watched, NAME, champion)) == 12
    answer(watched, march(21, 23), "imported:1")
    report = monitor.run(watched, NAME)
    assert (report.model, report.by, report.rows) == ("imported", "received", march(21, 23).height)
    assert evidence.served_windows(watched, NAME, champion) == ()


# ── rules ────────────────────────────────────────────────────────────────────────────────────────


def seen(decision: Decision) -> list[tuple[str, float | None, str]]:
    return [(one.rule, one.value, one.reason) for one in decision.rules]


def test_a_look_at_a_range_does_not_change_what_rules_see(watched: Workspace) -> None:
    monitor.run(watched, NAME)
    before = rules.check(watched, NAME)
    assert before.rules[0].value is not None
    monitor.run(watched, NAME, monitor.Range(START, START + timedelta(days=3)))
    monitor.run(watched, NAME, monitor.Range(window="7d"))
    assert seen(rules.check(watched, NAME)) == seen(before)


def test_what_serves_nothing_is_watched_by_its_new_rows(trained: Workspace) -> None:
    workspaces.write_pipeline(trained, more=DAYS + RULES)
    approvals.approve(trained, f"{NAME}:1", "good")
    data = lookup.pipeline(trained, NAME)[0].data
    (drift, decay) = rules.check(trained, NAME).rules
    assert (drift.verdict, decay.verdict) == ("unknown", "unknown")
    assert "no rows came since flight-delay:1 was trained" in drift.reason
    workspaces.arrive(trained, 3)
    datasets.refresh(trained, data)
    (drift, decay) = rules.check(trained, NAME).rules
    assert drift.value is not None
    assert decay.value is not None
    assert "2013-03-31" in decay.reason


def test_a_trial_challenger_is_trained_once_for_what_it_shows(trained: Workspace) -> None:
    events: list[Progress] = []
    workspace = replace(trained, report=events.append)
    workspaces.write_pipeline(trained, more='[[rules]]\nwhen = "gain"\n')
    approvals.approve(trained, f"{NAME}:1", "good")
    workspaces.arrive(trained, 3)
    datasets.refresh(trained, lookup.pipeline(trained, NAME)[0].data)

    def trials() -> tuple[float | None, bool]:
        events.clear()
        (found,) = rules.check(workspace, NAME).rules
        return found.value, any(event.step == "trial" for event in events)

    value, trained_now = trials()
    assert trained_now
    assert value is not None
    assert trials() == (value, False)
    workspaces.write_pipeline(trained, more='[[rules]]\nwhen = "gain"\nmax_cpu = "0.001s"\n')
    assert trials() == (None, True), "what was too dear may be cheap enough, and the other way round"
    assert trials() == (None, False)


# ── other pipelines ──────────────────────────────────────────────────────────────────────────────

OTHER = """\
[pipeline]
name = "delay"
[data]
dataset = "made"
source = "made.parquet"
time = "{time}"
key = ["id"]
[target]
column = "delay"
task = "regression"
[features]
include = ["wind", "distance", "carrier", "rain"]
[split]
method = "{method}"
[train]
rounds = 30
[[gates]]
metric = "rmse"
max = 100
[approval]
mode = "auto"
[monitor]
window = "1d"
min_rows = 50
[[rules]]
when = "drift"
[[rules]]
when = "estimated_decay"
[[rules]]
when = "decay"
"""


def other(workspace: Workspace, time: str, method: str) -> pl.DataFrame:
    """Train the pipeline `delay` on the first of the made rows; returns those that come after them."""
    made = flights(2600).drop("search", "relevance", "grade", "late", "weight")
    made = made.with_columns(number=pl.col("when").to_physical() // 1_000_000)
    made.head(2000).write_parquet(workspace.root / "made.parquet")
    (workspace.root / "pipelines" / "delay.toml").write_text(OTHER.format(time=time, method=method))
    assert cycle.apply(workspace, "delay").champion == "delay:1"
    deploy(workspace, "delay", "delay")
    return made.tail(600)


def test_a_regression_is_watched_by_its_rows_time_and_by_their_labels(empty: Workspace) -> None:
    fresh = other(empty, "when", "time")
    answer(empty, fresh, "delay:1", "delay")
    flights(2600).drop("search", "relevance", "grade", "late", "weight").with_columns(
        number=pl.col("when").to_physical() // 1_000_000
    ).write_parquet(empty.root / "made.parquet")
    datasets.refresh(empty, lookup.pipeline(empty, "delay")[0].data)
    report = monitor.run(empty, "delay")
    assert (report.by, report.rows) == ("event", 600)
    full = [one for one in report.windows if one.rows >= 50]
    assert len(full) >= 4
    for one in full:
        assert one.labelled == one.rows
        assert one.performance is not None
        assert one.performance.name == "rmse"
        assert one.estimate is not None
        assert one.estimate.error is not None
        assert one.multivariate is not None or one.rows < 100
    drift, estimated, decay = rules.check(empty, "delay").rules
    assert "unknown" not in (drift.verdict, estimated.verdict, decay.verdict), (drift, estimated, decay)


def test_a_time_that_is_a_number_sorts_no_rows_and_is_told(empty: Workspace) -> None:
    fresh = other(empty, "number", "random")
    (drift, *_) = rules.check(empty, "delay").rules
    assert (drift.verdict, "'number' holds no dates or times" in drift.reason) == ("unknown", True)
    answer(empty, fresh, "delay:1", "delay")
    report = monitor.run(empty, "delay")
    assert (report.by, report.rows, len(report.windows)) == ("received", 600, 1)
    (drift, *_) = rules.check(empty, "delay").rules
    assert drift.verdict == "quiet"


# ── keeping reports ──────────────────────────────────────────────────────────────────────────────


def test_gc_keeps_one_old_report_a_day_and_all_new_ones(empty: Workspace) -> None:
    deploy(empty)
    now = empty.now().replace(hour=12, minute=0)
    made = partial(MonitorReport, deployment=NAME, model=NAME, user="test", window="7d", by="event", rows=0, windows=())
    given = [(40, 1, True), (40, 2, True), (40, 3, False), (39, 1, False), (39, 2, False), (1, 1, True), (1, 2, True)]
    for day, hour, routine in given:
        at = now - timedelta(days=day, hours=-hour)
        name = f"{day}-{hour}"
        report = made(id=name, created_at=at, routine=routine)
        empty = replace(empty, now=lambda at=at: at)
        hash_ = empty.objects.put(msgspec.json.encode(name))
        os.utime(empty.objects.path(hash_), (at.timestamp(), at.timestamp()))
        with empty.catalogue.write(at) as act:
            rows.add_monitor_report(act, report.id, report.deployment, report.routine, hash_)
            act.record("test.report", NAME)
    empty = replace(empty, now=lambda: now)
    before = set(empty.objects.all())

    def names() -> list[str]:
        with empty.catalogue.read() as act:
            return [id_ for id_, _, _ in rows.monitor_reports(act)]

    found = keep.collect(empty, remove=False)
    assert (found.reports, len(found.objects), len(names())) == (3, 3, 7)
    found = keep.collect(empty, remove=True)
    assert (found.reports, len(found.objects)) == (3, 3)
    assert names() == ["1-2", "1-1", "39-2", "40-2"], "the last of a day; one of a range only where there is no other"
    assert set(empty.objects.all()) == before - set(found.objects)
    assert keep.events(empty, "reports", 1)[0].details == {"count": 3}
    assert keep.collect(empty, remove=True).reports == 0
    assert not keep.verify(empty).broken
