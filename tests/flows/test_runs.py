"""Runs: written when they start and when they end, honest when they are killed, and the same when done again."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from mlops_tui.adapters.catalogue import build
from mlops_tui.config import PipelineFile
from mlops_tui.core.compare import compare
from mlops_tui.errors import External, InvalidInput, NotFound
from mlops_tui.flows import cycle, keep, lookup
from mlops_tui.flows.build import datasets, reproduce, runs
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import DatasetVersion, Progress, Run
from tests import workspaces


def pipeline(workspace: Workspace, **train: Any) -> PipelineFile:
    settings, _ = lookup.pipeline(workspace, "flight-delay")
    return settings.model_copy(update={"train": settings.train.model_copy(update=train)})


def flights(workspace: Workspace) -> DatasetVersion:
    return lookup.dataset_version(workspace, "flights")


def newest(workspace: Workspace) -> Run:
    return runs.list_runs(workspace, None, None, 1)[0]


def actions(workspace: Workspace, run: Run) -> list[str]:
    return [event.action for event in keep.events(workspace, run.id, 10)]


# ── a run that completes ─────────────────────────────────────────────────────────────────────────


def test_a_completed_run_is_whole(trained: Workspace) -> None:
    run = newest(trained)
    assert (run.status, run.pipeline, run.dataset, run.dataset_version, run.seed) == (
        "completed", "flight-delay", "flights", 1, 7,
    )  # fmt: skip
    assert run.ended_at is not None
    assert run.started_at < run.ended_at
    assert {"python", "lightgbm", "polars"} <= run.environment.keys()
    assert 0.5 < run.metrics["auc"] < 1
    details = lookup.run_details(trained, run)
    assert sum(details.rows.values()) <= flights(trained).rows
    assert {"train", "test"} <= details.metrics.keys()
    test_auc = next(metric for metric in details.metrics["test"] if metric.name == "auc")
    assert test_auc.low is not None
    assert test_auc.high is not None
    assert test_auc.low < test_auc.value < test_auc.high
    assert len(details.curve.rounds) == len(details.curve.train) == len(details.curve.validation) >= 1
    assert sum(share for _, share in details.importance) == pytest.approx(1)
    version = runs.model_of(trained, run)
    assert version is not None
    assert (version.ref, version.key, version.metrics) == ("flight-delay:1", run.key, run.metrics)
    for hash_ in (version.booster, version.transform, version.signature, version.reference, version.golden):
        trained.objects.checked_path(hash_)
    assert actions(trained, run) == ["run.completed", "run.started"]


def test_the_sets_of_rows_do_not_overlap(trained: Workspace) -> None:
    version = lookup.model_version(trained, "flight-delay")
    rows = pl.read_parquet(trained.objects.path(version.rows))
    assert rows["row"].is_unique().all()
    assert set(rows["set"]) == {"train", "validation", "test"}
    frame = lookup.frame(trained, flights(trained)).with_row_index("row").collect()
    times = frame.with_columns(pl.col("row").cast(rows["row"].dtype)).join(rows, on="row").group_by("set")
    spans = {name: (low, high) for name, low, high in times.agg(
        pl.col("time_hour").min().alias("low"), pl.col("time_hour").max().alias("high")
    ).rows()}  # fmt: skip
    assert spans["train"][1] <= spans["validation"][0] <= spans["validation"][1] <= spans["test"][0]


def test_progress_goes_to_the_runs_own_file(trained: Workspace) -> None:
    run = newest(trained)
    lines = runs.log_lines(trained, run)
    rounds = [line for line in lines if line["step"] == "train" and line["total"]]
    assert rounds
    assert rounds[-1]["values"]
    path = trained.run_folder(run.id) / "progress.jsonl"
    path.write_bytes(path.read_bytes() + b'{"step": "cut o')
    assert runs.log_lines(trained, run) == lines


# ── runs that do not complete ────────────────────────────────────────────────────────────────────


def test_a_failed_run_is_recorded_with_its_error(empty: Workspace) -> None:
    workspaces.arrive(empty, 1)
    path = empty.root / "data" / "flights" / "2013-01.parquet"
    pl.read_parquet(path).with_columns(late=pl.lit(True)).write_parquet(path)
    settings = pipeline(empty)
    dataset = datasets.refresh(empty, settings.data).version
    with pytest.raises(InvalidInput) as caught:
        runs.train(empty, settings, dataset, "test")
    run = newest(empty)
    assert (run.status, run.error, run.metrics, run.details) == ("failed", caught.value.message, {}, None)
    assert run.ended_at is not None
    assert actions(empty, run) == ["run.failed", "run.started"]
    assert runs.model_of(empty, run) is None
    with pytest.raises(NotFound, match="is failed"):
        lookup.run_details(empty, run)
    with pytest.raises(NotFound, match="it made no model"):
        reproduce.reproduce(empty, run.id)


def test_ctrl_c_leaves_an_interrupted_run(trained: Workspace) -> None:
    def press(event: Progress) -> None:
        if event.step == "train" and event.done >= 5:
            raise KeyboardInterrupt

    settings = pipeline(trained, seed=8)
    with pytest.raises(KeyboardInterrupt):
        runs.train(replace(trained, report=press), settings, flights(trained), "test")
    run = newest(trained)
    assert (run.status, run.details, run.error) == ("interrupted", None, f"stopped by {trained.user}")
    assert actions(trained, run) == ["run.interrupted", "run.started"]
    assert any(line["done"] >= 5 for line in runs.log_lines(trained, run))
    assert lookup.model_version(trained, "flight-delay", newest=True).version == 1
    assert runs.train(trained, settings, flights(trained), "again").version == 2


TRAIN = """
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from mlops_tui.flows import lookup
from mlops_tui.flows.build import runs
from mlops_tui.flows.workspace import open_workspace

def wait(event):
    if event.step == "train" and event.done >= 3:
        print("training", flush=True)
        sys.stdin.read()

workspace = replace(open_workspace(Path(sys.argv[1])), report=wait)
settings, _ = lookup.pipeline(workspace, "flight-delay")
runs.train(workspace, settings, lookup.dataset_version(workspace, "flights"), "to be killed")
"""


def test_a_killed_run_is_told_as_it_is(trained: Workspace) -> None:
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", TRAIN, str(trained.root)]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "training\n"
        assert newest(trained).status == "running"
        process.kill()
    run = newest(trained)
    assert (run.status, run.error) == ("interrupted", "its process ended without a word")
    with trained.catalogue.read() as act:
        assert build.runs(act, status="running")[0].id == run.id  # nobody has written it down yet
    workspaces.write_pipeline(trained, more="[policy]")
    assert runs.train(trained, pipeline(trained, seed=9), flights(trained), "next").version == 2
    with trained.catalogue.read() as act:
        assert build.runs(act, status="running") == []
    assert "run.interrupted" in actions(trained, run)


def test_prefixes_and_what_is_no_id(trained: Workspace) -> None:
    run = newest(trained)
    assert lookup.run(trained, run.id[:5]) == run
    with pytest.raises(InvalidInput, match="is no run id"):
        lookup.run(trained, "../x")
    with pytest.raises(NotFound):
        lookup.run(trained, "0" * 12 if run.id != "0" * 12 else "1" * 12)


def test_compare_says_what_differs(trained: Workspace) -> None:
    runs.train(trained, pipeline(trained, seed=11, rounds=10), flights(trained), "other")
    newer, older = runs.list_runs(trained, "flight-delay", None, 10)
    found = compare([older, newer])
    assert found.settings == {"train.seed": (7, 11), "train.rounds": (30, 10)}
    assert found.metrics["auc"] == (older.metrics["auc"], newer.metrics["auc"])
    best = runs.list_runs(trained, None, "auc", 10)
    assert [run.metrics["auc"] for run in best] == sorted((older.metrics["auc"], newer.metrics["auc"]), reverse=True)


def test_compare_knows_whether_the_test_rows_are_the_same(trained: Workspace) -> None:
    run = newest(trained)
    split, target = run.settings["split"], run.settings["target"]

    def alike(**changed: Any) -> bool:
        return compare([run, replace(run, **changed)]).same_test_rows

    assert split["method"] == "time"
    assert alike(seed=8)
    assert alike(settings=run.settings | {"split": split | {"folds": 3, "validation": 0.3}})
    assert not alike(dataset_version=2)
    assert not alike(settings=run.settings | {"split": split | {"test": 0.3}})
    assert not alike(settings=run.settings | {"target": target | {"column": "cancelled"}})
    drawn = replace(run, settings=run.settings | {"split": split | {"method": "random"}})
    assert not compare([drawn, replace(drawn, seed=8)]).same_test_rows


# ── done again ───────────────────────────────────────────────────────────────────────────────────


def test_reproduce_says_identical(trained: Workspace) -> None:
    before = trained.catalogue.stamp()
    found = reproduce.reproduce(trained, newest(trained).id[:6])
    assert (found.identical, found.causes, found.results) == (True, (), ())
    assert trained.catalogue.stamp() == before


def test_reproduce_with_another_seed_says_different_and_why(trained: Workspace) -> None:
    workspaces.write_pipeline(trained)
    sampled = pipeline(trained, params={"num_leaves": 15, "bagging_fraction": 0.5, "bagging_freq": 1})
    version = runs.train(trained, sampled, flights(trained), "sampled")
    assert reproduce.reproduce(trained, version.run).identical
    found = reproduce.reproduce(trained, version.run, reproduce.Instead(seed=8))
    assert not found.identical
    assert [(cause.what, cause.before, cause.now) for cause in found.causes] == [("seed", "7", "8")]
    assert {"booster", "trees"} <= {result.what for result in found.results}


def test_reproduce_on_another_dataset_version(trained: Workspace) -> None:
    first = newest(trained)
    workspaces.arrive(trained, 3)
    datasets.refresh(trained, pipeline(trained).data)
    found = reproduce.reproduce(trained, first.id, reproduce.Instead(dataset="flights:2"))
    assert not found.identical
    assert [(cause.what, cause.before, cause.now) for cause in found.causes] == [("data", "flights:1", "flights:2")]


def test_reproduce_names_a_part_that_was_exchanged(trained: Workspace) -> None:
    part = flights(trained).parts[0]
    path = trained.objects.path(part.hash)
    other = pl.read_parquet(path).with_columns(late=pl.col("late").reverse())
    path.chmod(0o644)
    other.write_parquet(path)
    found = reproduce.reproduce(trained, newest(trained).id)
    assert not found.identical
    (cause,) = found.causes
    assert (cause.what, part.hash[:12] in cause.before, "damaged" in cause.now) == ("data", True, True)
    assert "booster" in {result.what for result in found.results}


@pytest.mark.parametrize("where", [0.0, 0.3, 0.6, 0.9, 1.0])
def test_flipped_bytes_of_a_part_never_pass(trained: Workspace, where: float) -> None:
    part = flights(trained).parts[0]
    path = trained.objects.path(part.hash)
    content = bytearray(path.read_bytes())
    start = min(int(where * len(content)), len(content) - 16)
    content[start : start + 16] = bytes(byte ^ 0xFF for byte in content[start : start + 16])
    path.chmod(0o644)
    path.write_bytes(content)
    found = reproduce.reproduce(trained, newest(trained).id)
    assert not found.identical
    assert [cause.what for cause in found.causes] == ["data"]
    with pytest.raises(External, match="damaged"):  # nothing else reads it at all
        lookup.frame(trained, flights(trained))


def test_a_part_that_is_gone_is_named(trained: Workspace) -> None:
    trained.objects.path(flights(trained).parts[1].hash).unlink()
    found = reproduce.reproduce(trained, newest(trained).id)
    assert not found.identical
    assert "is missing" in found.causes[0].now
    assert [(result.what, "not trained" in result.now) for result in found.results] == [("model", True)]


def test_a_training_on_damaged_data_fails_and_says_so(trained: Workspace) -> None:
    trained.objects.path(flights(trained).parts[1].hash).unlink()
    workspaces.write_pipeline(trained)
    path = trained.root / "pipelines" / "flight-delay.toml"
    path.write_text(path.read_text().replace("rounds = 30", "rounds = 29"))
    with pytest.raises(External, match="is missing"):
        cycle.apply(trained, "flight-delay")
    assert newest(trained).status == "failed"
