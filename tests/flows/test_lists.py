"""Windowed lists: the catalogue keeps what the filter language keeps, in order, and pages are whole records."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_tui.adapters.catalogue import audit, board, build, lock, release, watch
from mlops_tui.core import query
from mlops_tui.errors import InvalidInput, NotFound
from mlops_tui.flows.queries import lists
from mlops_tui.flows.queries.lists import Named
from mlops_tui.flows.release import models
from mlops_tui.flows.workspace import Workspace, init
from mlops_tui.records import (
    AliasChange,
    Approval,
    Code,
    Decision,
    Deployment,
    ModelVersion,
    Run,
)
from tests import workspaces
from tests.tui import made

NOW = datetime(2013, 10, 15, 12, tzinfo=UTC)
H = "ab" * 32
RUN = Run(
    id="", pipeline="", status="completed", key=H, settings={}, dataset="", dataset_version=1, code=Code(H),
    environment={}, seed=7, threads=1, author="ada", reason="", started_at=NOW,
)  # fmt: skip
VERSION = ModelVersion(
    model="", version=1, run="", task="binary", dataset="", dataset_version=1, created_at=NOW, author="ada", key=H,
    booster=H, transform=H, signature=H, calibration=None, reference=H, golden=H, rows=H, dataset_hash=H,
    pipeline_hash=H, code_hash=H, gates_passed=True,
)  # fmt: skip
PIPELINES = ("flight-delay", "Churn_100%", "sea\\ice")
AUTHORS = ("ada", "Béatrice", "o'neill")


def run_of(number: int) -> Run:
    """One of the 36 runs: every third without a metric, two started at the same moment."""
    pipeline = PIPELINES[number % 3]
    measured = {"auc": round(0.5 + (number * 7 % 36) / 100, 2), "rmse": float(number % 5)}
    return replace(
        RUN, id=f"{number * 0x1234567:012x}", pipeline=pipeline, dataset=f"{pipeline}-data", author=AUTHORS[number % 2],
        started_at=NOW + timedelta(hours=number // 2), status="failed" if number % 4 == 3 else "completed",
        metrics={} if number % 3 == 2 else measured,
    )  # fmt: skip


RUNS = [run_of(number) for number in range(36)]
VERSIONS = [
    replace(VERSION, model=run.pipeline, version=1 + number // 3, run=run.id, dataset=run.dataset, author=run.author,
            created_at=run.started_at, metrics=run.metrics)
    for number, run in enumerate(RUNS)
]  # fmt: skip
CHAMPION = VERSIONS[6]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with 36 runs, a model version of each, 12 decisions, approvals and an alias; nothing changes it."""
    workspace = replace(init(tmp_path_factory.mktemp("lists"))[0], now=lambda: NOW)
    for name in ("flight-delay", "fresh"):
        (workspace.root / "pipelines" / f"{name}.toml").write_text(workspaces.PIPELINE.replace("flight-delay", name))
    with workspace.catalogue.write(NOW) as act:
        for run, version in zip(RUNS, VERSIONS, strict=True):
            build.add_run(act, run)
            build.end_run(act, run)
            build.add_model_version(act, version)
            act.record("run.completed", run.id, pipeline=run.pipeline, share=0.1, reason='a "quote" and é')
        for number in range(12):
            at = NOW + timedelta(hours=number)
            watch.put_decision(act, decision(number, at))
        for name in ("bob", "eve"):
            release.add_approval(act, Approval(CHAMPION.model, 3, "approved", CHAMPION.subject(), name, name, "", NOW))
        release.move_alias(act, AliasChange(CHAMPION.model, "champion", 3, "bob", "", NOW))
        build.put_dataset(act, "flights", "{}")
        served = Deployment("flights-live", CHAMPION.model, 3, "", "::1", 1, 1, 1.0, "stopped", "ada", NOW)
        release.put_deployment(act, served)
    return workspace


def decision(number: int, at: datetime) -> Decision:
    """One of the 12 decisions: every fourth fires."""
    return Decision(f"{number:012x}", PIPELINES[number % 3], at, "ada", number % 4 == 0, f"reason {number}", ())


def flat(run: Run) -> dict[str, object]:
    """A run as the filter language sees it."""
    texts = {"run": run.id, "pipeline": run.pipeline, "status": run.status, "by": run.author}
    return texts | {"data": f"{run.dataset}:{run.dataset_version}"} | run.metrics


def flat_version(version: ModelVersion) -> dict[str, object]:
    """A model version as the filter language sees it."""
    texts = {"model": version.model, "run": version.run, "by": version.author}
    texts |= {
        "data": f"{version.dataset}:{version.dataset_version}",
        "aliases": "champion" if version is CHAMPION else "",
    }
    return texts | {"version": version.version} | version.metrics


parts = st.one_of(
    st.sampled_from(["flight", "_", "%", "\\", "é", "É", "'", "0", "completed", "ADA", "data", "\0", "?", "zzz"]),
    st.text(max_size=4).filter(lambda text: text.isascii()),
).map(lambda text: text.replace('"', ""))
written = st.one_of(
    parts.map('"{}"'.format),
    st.tuples(st.sampled_from(["data", "by"]), st.sampled_from([":", "="]), parts).map(
        '{0[0]}{0[1]}"{0[2]}"'.format
    ),
    st.tuples(st.sampled_from(["auc", "rmse", "r2"]), st.sampled_from([">", "<=", "="]), st.integers(0, 100)).map(
        lambda one: f"{one[0]}{one[1]}{one[2] / 50}"
    ),
    st.sampled_from(["by=ada", "data:flight", "data=flight-delay-data:1", "champ", "auc>=0.7", "rmse<3", "rmse=2"]),
)  # fmt: skip
filters = st.lists(st.tuples(st.sampled_from(["", "-"]), written).map("".join), max_size=4).map(" ".join)


def kept(text: str, rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """The rows that the language itself keeps."""
    numbers = ("auc", "rmse", "r2", "version")
    terms = query.parse(text, [name for name in rows[0] if name not in numbers], numbers)
    return [row for row in rows if query.matches(terms, row)]


@given(text=filters)
def test_the_catalogue_keeps_the_runs_that_the_language_keeps(filled: Workspace, text: str) -> None:
    found = lists.run_rows(filled, lists.runs(filled, text))
    assert {run.id for run in found} == {row["run"] for row in kept(text, [flat(run) for run in RUNS])}


@given(text=filters)
def test_the_catalogue_keeps_the_models_that_the_language_keeps(filled: Workspace, text: str) -> None:
    found = lists.model_rows(filled, lists.models(filled, text))
    assert {one.version.run for one in found} == {row["run"] for row in kept(text, list(map(flat_version, VERSIONS)))}


@pytest.mark.parametrize("sort", ["", "auc", "-auc", "rmse", "-rmse"])
def test_runs_are_in_the_order_of_the_old_listing(filled: Workspace, sort: str) -> None:
    found = lists.run_rows(filled, lists.runs(filled, sort=sort))
    with filled.catalogue.read() as act:
        old = build.runs(act, sort=sort or None)
    key = sort.removeprefix("-")
    assert [run.metrics.get(key) for run in found][: len(old)] == [run.metrics.get(key) for run in old]
    assert {run.id for run in found} == {run.id for run in RUNS}, "those without the metric are there, at the end"
    if not sort:
        assert found == old


def test_rows_sort_by_fields_and_equal_ones_stay_newest_first(filled: Workspace) -> None:
    found = lists.run_rows(filled, lists.runs(filled, sort="by"))
    newest = sorted(RUNS, key=lambda run: run.started_at, reverse=True)
    assert [run.started_at for run in found] == [run.started_at for run in sorted(newest, key=lambda run: run.author)]
    backwards = lists.run_rows(filled, lists.runs(filled, sort="-pipeline"))
    assert [run.pipeline for run in backwards] == sorted((run.pipeline for run in RUNS), reverse=True)
    numbers = [one.version.version for one in lists.model_rows(filled, lists.models(filled, sort="-version"))]
    assert numbers == sorted(numbers, reverse=True)


@pytest.mark.parametrize(
    ("text", "sort", "message"),
    [
        ("auc>", "", "auc> is half a term: a number is to follow"),
        ("aucc>1", "", "no field 'aucc'; did you mean 'auc'?"),
        ("", "pipelin", "nothing to sort by is called 'pipelin'; did you mean 'pipeline'?"),
    ],
)
def test_what_cannot_be_listed_is_invalid_input(filled: Workspace, text: str, sort: str, message: str) -> None:
    with pytest.raises(InvalidInput) as told:
        lists.runs(filled, text, sort)
    assert told.value.message == message


def test_a_list_of_one_pipeline_or_model_holds_no_other(filled: Workspace) -> None:
    assert {run.pipeline for run in lists.run_rows(filled, lists.runs(filled, pipeline="flight-delay"))} == {
        "flight-delay"
    }
    assert len(lists.models(filled, "auc>0.6", model="flight-delay")) < len(lists.models(filled, "auc>0.6"))
    assert list(lists.runs(filled, "zzz", pipeline="fresh")) == []
    with pytest.raises(NotFound, match="no pipeline 'flight'; did you mean 'flight-delay'"):
        lists.runs(filled, pipeline="flight")
    with pytest.raises(NotFound, match="no model 'flight'"):
        lists.models(filled, model="flight")


def test_a_page_has_the_order_of_its_ids_and_leaves_out_what_is_gone(filled: Workspace) -> None:
    ids = lists.runs(filled)
    asked = [ids[7], 10**12, ids[2], ids[30]]
    whole = lists.run_rows(filled, ids)
    assert lists.run_rows(filled, asked) == [whole[7], whole[2], whole[30]]
    assert (lists.run_rows(filled, []), lists.model_rows(filled, [])) == ([], [])


def test_a_run_without_a_process_is_not_listed_as_running(tmp_path: Path) -> None:
    workspace, _ = init(tmp_path)
    with workspace.catalogue.write(NOW) as act:
        for number in (1, 2):
            build.add_run(act, replace(RUN, id=f"{number:012}", pipeline="p", dataset="d", status="running"))
        act.record("run.started", "p")
    folder = workspace.run_folder("000000000001")
    folder.mkdir(parents=True)
    with lock.exclusive(folder / "lock", "the run", timeout=1, user="ada"):
        found = lists.run_rows(workspace, lists.runs(workspace, "status:running"))
    assert [(run.id, run.status) for run in found] == [("000000000001", "running"), ("000000000002", "interrupted")]


def test_model_versions_read_as_in_their_listing(filled: Workspace) -> None:
    found = lists.model_rows(filled, lists.models(filled, model="flight-delay"))
    assert found == models.list_models(filled, "flight-delay", 100)
    champion = lists.model_rows(filled, lists.models(filled, "version:3", model="flight-delay"))
    assert [(one.aliases, one.standing.state) for one in champion] == [(("champion",), "approved")]


def test_events_and_decisions_are_whole_and_newest_first(filled: Workspace) -> None:
    with filled.catalogue.read() as act:
        chain = audit.events(act, None, 1000)
    assert lists.event_rows(filled, lists.events(filled)) == chain
    assert len(lists.events(filled, "number>10 number<=12 action:run")) == 2
    assert len(lists.events(filled, f'subject={RUNS[4].id} "flight" -churn')) == (RUNS[4].pipeline == "flight-delay")
    wanted = [decision(number, NOW + timedelta(hours=number)) for number in range(12)]
    assert lists.decision_rows(filled, lists.decisions(filled)) == wanted[::-1]
    assert lists.decision_rows(filled, lists.decisions(filled, "verdict:fires why:8 outcome=open")) == [wanted[8]]
    assert len(lists.decisions(filled, pipeline="flight-delay")) == 4


def test_the_metrics_of_runs_can_be_sorted_by(filled: Workspace) -> None:
    assert lists.metrics(filled) == ["auc", "rmse"]


def test_names_are_found_by_some_of_their_letters(filled: Workspace) -> None:
    found = lists.names(filled, "flight-delay")
    assert found[:2] == [
        Named("pipeline", "flight-delay", "", "flight-delay"),
        Named("model", "flight-delay", "newest :12", "flight-delay"),
    ]
    assert Named("deployment", "flights-live", "flight-delay:3", "flights-live") in lists.names(filled, "FLV")
    assert lists.names(filled, "fr sh") == [Named("pipeline", "fresh", "", "fresh")]
    assert lists.names(filled, "delay:3")[0].ref == "flight-delay:3"
    assert [one.ref for one in lists.names(filled, "_100%:1")] == [f"Churn_100%:{number}" for number in (12, 11, 10, 1)]
    assert {one.ref for one in lists.names(filled, "\\")} == set(PIPELINES[2:]) | {
        f"sea\\ice:{number}" for number in range(1, 13)
    }


def test_ids_are_found_by_their_beginning(filled: Workspace) -> None:
    run, told = RUNS[5], decision(5, NOW).id
    assert lists.names(filled, run.id[:9].upper()) == [Named("run", run.id, f"{run.pipeline}, {run.status}", run.id)]
    assert [one.noun for one in lists.names(filled, told)] == ["decision"]
    assert lists.names(filled, run.id[3:]) == []


@given(text=st.text(max_size=70) | parts)
def test_any_text_may_be_looked_for(filled: Workspace, text: str) -> None:
    found = lists.names(filled, text, limit=10)
    assert len(found) <= 10
    for one in found:
        letters = iter(one.name.lower())
        assert all(letter in letters for letter in "".join(text.split()).lower())


def test_columns_of_the_newest_version_and_features_of_the_newest_report_are_found_by_their_own_names(
    tmp_path: Path,
) -> None:
    workspace = made.normal(tmp_path / "flights")
    with workspace.catalogue.read() as act:
        report = board.reports(act)["flight-delay"][0]
    feature = Named("feature", f"{report} distance", "in the newest report of flight-delay", "distance")
    column = Named("column", "flights distance", "of the dataset flights", "distance")
    assert lists.names(workspace, "dist") == [feature, column]
    assert lists.names(workspace, "flights dist") == []


def test_a_report_that_is_gone_hides_its_features_alone(tmp_path: Path) -> None:
    workspace = made.normal(tmp_path / "flights")
    with workspace.catalogue.read() as act:
        for _, _, hash_ in watch.monitor_reports(act):
            workspace.objects.path(hash_).unlink()
    assert [one.noun for one in lists.names(workspace, "distance")] == ["column"]


def test_no_noun_crowds_out_the_others(filled: Workspace) -> None:
    nouns = [noun for noun, _ in itertools.groupby(one.noun for one in lists.names(filled, "", limit=20))]
    assert nouns == ["pipeline", "dataset", "model", "deployment", "model version"]
    assert all(one.noun != "run" for one in lists.names(filled, "", limit=1000))
