"""Progress for programs: a JSON object a line on stderr, whatever else is asked for and whoever still reads."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from mlops_tui.flows.workspace import Workspace
from tests import workspaces
from tests.cli.called import call, command, process

REFRESH = ("datasets", "refresh", "flights")


def events(text: str) -> list[dict[str, Any]]:
    """The events among the lines of stderr."""
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def test_every_event_is_a_line_also_under_json(trained: Workspace) -> None:
    workspaces.arrive(trained, 3)
    done = call(trained.root, "--progress", "json", "run", "flight-delay", "--json")
    assert done.code == 0
    assert done.json["model"] == "flight-delay:2"
    found = events(done.err)
    assert len(found) == len(done.err.splitlines())
    assert all(event.keys() == {"step", "text", "done", "total", "values"} for event in found)
    assert {"data", "features", "train", "gates"} <= {event["step"] for event in found}
    rounds = [event for event in found if event["step"] == "train" and event["total"]]
    assert rounds[-1]["done"] <= rounds[-1]["total"] == 30
    assert 0 < rounds[-1]["values"]["auc"] < 1


def test_the_environment_asks_for_it_and_quiet_is_quiet(trained: Workspace) -> None:
    workspaces.arrive(trained, 3)
    quiet = process(trained.root, "-q", "run", "flight-delay", MLOPS_PROGRESS="json")
    assert (quiet.returncode, quiet.stderr) == (0, "")
    workspaces.arrive(trained, 4)
    assert events(process(trained.root, *REFRESH, MLOPS_PROGRESS="json").stderr)


def test_errors_stay_as_they_are(trained: Workspace) -> None:
    told = call(trained.root, "--progress", "json", "run", "fligth-delay")
    assert (told.code, events(told.err)) == (2, [])
    assert told.err.startswith("error: no pipeline")
    wrong = call(trained.root, "--progress", "bars", "status")
    assert wrong.code == 2
    assert "allowed: auto, json" in wrong.err


@pytest.fixture
def deaf() -> Iterator[int]:
    """A pipe that nobody reads any more."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


def test_work_goes_on_when_nobody_reads_progress_any_more(trained: Workspace, deaf: int) -> None:
    workspaces.arrive(trained, 3)
    words = command(trained.root, "--progress", "json", *REFRESH, "--json")
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=deaf, timeout=60, check=False)
    assert done.returncode == 0
    assert json.loads(done.stdout)["version"] == 2


def test_a_failure_that_nobody_reads_has_its_exit_code(trained: Workspace, deaf: int) -> None:
    path = workspaces.write_pipeline(trained)
    path.write_text(path.read_text(encoding="utf-8").replace("num_leaves = 15", "num_leaves = 1"), encoding="utf-8")
    words = command(trained.root, "--progress", "json", "run", "flight-delay")
    assert subprocess.run(words, stdout=subprocess.PIPE, stderr=deaf, timeout=60, check=False).returncode == 2
    assert call(trained.root, "runs", "list", "--json").json["items"][0]["status"] == "failed"


def test_work_goes_on_without_any_stderr(trained: Workspace) -> None:
    workspaces.arrive(trained, 3)
    words = command(trained.root, "--progress", "json", *REFRESH, "--json")
    closed = ["sh", "-c", 'exec "$@" 2>&-', "sh", *words]
    done = subprocess.run(closed, stdout=subprocess.PIPE, timeout=60, check=False)
    assert done.returncode == 0
    assert json.loads(done.stdout)["version"] == 2
