"""The catalogue: acts a second in one process, and what lists cost with 1,000 model versions and 100,000 runs."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable
from datetime import timedelta

import pytest

from mlops_tui.adapters.catalogue import build
from mlops_tui.flows.build import runs
from mlops_tui.flows.release import models
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import ModelVersion, Run, to_json
from tests.bench.measured import MLOPS, cpu, show

pytestmark = pytest.mark.bench
RUNS, VERSIONS = 100_000, 1_000
COMMANDS = ("runs list", "runs list --sort auc", "runs list --limit 1000", "models list", "models list --limit 1000",
            "audit list", "status")  # fmt: skip


def a_second(act: Callable[[], object], seconds: float = 3.0) -> tuple[float, float]:
    """Return how often something is done in a second, and the milliseconds of CPU each time."""
    act()
    count, begun, used = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - begun < seconds:
        act()
        count += 1
    return count / (time.perf_counter() - begun), (time.process_time() - used) / count * 1000


def fill(workspace: Workspace) -> None:
    """Insert copies of the trained run and model version, a minute apart, in one transaction."""
    run = runs.list_runs(workspace, None, None, 1)[0]
    version = models.list_models(workspace, None, 1)[0].version
    with workspace.catalogue.write(workspace.now()) as act:
        ids, bodies, moments = [], [], []
        for number in range(RUNS):
            at = run.started_at - timedelta(minutes=number + 1)
            metrics = {name: value - number / RUNS / 10 for name, value in run.metrics.items()}
            made: Run = dataclasses.replace(run, id=f"{number:012x}", started_at=at, metrics=metrics)
            ids.append(made.id)
            bodies.append(to_json(made).decode())
            moments.append(build.naive(at))
        act.change(
            "INSERT INTO runs SELECT unnest(?::VARCHAR[]), ?, 'completed', ?, unnest(?::TIMESTAMP[]),"
            " unnest(?::VARCHAR[]), ?, ?",
            *(ids, run.pipeline, run.key, moments, bodies, f"{run.dataset}:{run.dataset_version}", run.author),
        )
        act.change(
            "INSERT INTO run_metrics SELECT id, 'auc', json_extract(body, '$.metrics.auc')::DOUBLE FROM runs"
            " WHERE id NOT IN (SELECT run FROM run_metrics)"
        )
        for number in range(2, VERSIONS + 1):
            copy: ModelVersion = dataclasses.replace(version, version=number, run=f"{number:012x}")
            build.add_model_version(act, copy)
        act.record("bench.filled", "flight-delay")


def test_acts(trained: Workspace) -> None:
    def write() -> None:
        with trained.catalogue.write(trained.now()) as act:
            act.record("bench.noted", "flight-delay")

    rows = [
        ("write: one audit event", *a_second(write)),
        ("read: the model versions", *a_second(lambda: _read(trained))),
    ]
    show("acts of one process, each locking, opening and closing the file", ("act", "a second", "CPU ms"), rows)


def _read(workspace: Workspace) -> None:
    with workspace.catalogue.read() as act:
        build.model_versions(act)


def test_large(trained: Workspace) -> None:
    fill(trained)
    rows = []
    for words in COMMANDS:
        command = [MLOPS, *words.split(), "--json"]
        cpu(command, trained.root)
        rows.append((f"`mlops {words} --json`", statistics.median(cpu(command, trained.root) for _ in range(5))))
    size = trained.catalogue.path.stat().st_size / 1e6
    title = f"{RUNS:,} runs and {VERSIONS:,} model versions, a file of {size:.0f} MB"
    show(title, ("command", "CPU s"), rows)
