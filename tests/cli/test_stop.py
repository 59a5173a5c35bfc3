"""`runs stop`: whoever trains is interrupted, ends honestly, and nobody else is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from mlops_tui.adapters.catalogue import build, lock
from mlops_tui.errors import NotFound, Refused
from mlops_tui.flows import lookup
from mlops_tui.flows.build import runs, stop
from mlops_tui.flows.queries import live
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import Run
from tests import workspaces
from tests.cli.called import call, command

HOLD = """
import os
import sys
from pathlib import Path
from mlops_tui.adapters.catalogue import lock
with lock.exclusive(Path(sys.argv[1]), "a run", timeout=1, user="somebody"):
    os.setuid(65534)
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def training(workspace: Workspace) -> Iterator[subprocess.Popen[str]]:
    """`mlops run` as a process that trains for minutes, from its first rounds on."""
    path = workspaces.write_pipeline(workspace)
    text = path.read_text(encoding="utf-8").replace("rounds = 30", "rounds = 100000")
    path.write_text(text.replace("early_stopping = 10", "early_stopping = 0"), encoding="utf-8")
    words = command(workspace.root, "--progress", "json", "run", "flight-delay")
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        try:
            for line in running.stderr:
                if json.loads(line)["step"] == "train" and json.loads(line)["done"]:
                    break
            yield running
        finally:
            running.kill()


def claimed(workspace: Workspace) -> Run:
    """A run that the catalogue says is running, its folder made and held by nobody yet."""
    run = replace(runs.list_runs(workspace, None, None, 1)[0], id="feedfeedfeed", status="running", ended_at=None)
    with workspace.catalogue.write(workspace.now()) as act:
        build.add_run(act, run)
        act.record("run.started", run.id)
    workspace.run_folder(run.id).mkdir()
    return run


@pytest.mark.usefixtures("deaf")
def test_a_run_that_trains_is_stopped_and_says_so(trained: Workspace) -> None:
    with training(trained) as process:
        (run,) = live.running(trained)
        curve = live.curve_of(live.follow(trained, run.id)[0])
        assert curve is not None
        assert curve.metric == "auc"
        done = call(trained.root, "runs", "stop", run.id[:6], "--json")
        assert (done.code, done.json["id"], done.json["status"]) == (0, run.id, "interrupted")
        assert done.json["error"] == f"stopped by {trained.user}"
        assert process.stderr is not None
        assert process.stderr.read().splitlines()[-1] == "error: interrupted; what was finished is kept"
        assert process.wait(60) == 130
    assert live.running(trained) == []
    assert call(trained.root, "audit", "list", "--json").json["items"][0]["action"] == "run.interrupted"
    again = call(trained.root, "runs", "stop", run.id)
    assert again.code == 1
    assert "does not run: it is interrupted" in again.err
    with pytest.raises(NotFound):
        stop.stop(trained, "0" * 12)


def test_a_run_whose_process_is_dead_is_not_stopped_but_told(trained: Workspace) -> None:
    with training(trained) as process:
        (run,) = live.running(trained)
        process.kill()
        process.communicate()
    with pytest.raises(Refused, match="does not run: it is interrupted"):
        stop.stop(trained, run.id)


def test_the_agent_is_not_interrupted_for_one_run(trained: Workspace) -> None:
    run = claimed(trained)
    agent = lock.exclusive(trained.home / "locks" / "agent", "the agent", timeout=1, user=trained.user)
    mine = lock.exclusive(trained.run_folder(run.id) / "lock", "the run", timeout=1, user=trained.user)
    with agent, mine, pytest.raises(Refused, match="trained by the agent") as refused:
        stop.stop(trained, run.id)
    assert f"kill {os.getpid()}" in refused.value.hint
    assert lookup.run(trained, run.id).status == "running"


def test_a_stranger_that_the_lock_names_is_left_alone(trained: Workspace) -> None:
    run = claimed(trained)
    path = trained.run_folder(run.id) / "lock"
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        with lock.exclusive(path, "the run", timeout=1, user=trained.user):
            path.write_text(json.dumps({"pid": stranger.pid}), encoding="utf-8")
            with pytest.raises(Refused, match="cannot be seen from here"):
                stop.stop(trained, run.id)
        assert stranger.poll() is None
        stranger.communicate(b"\n")
    assert stranger.returncode == 0


@pytest.mark.skipif(os.getuid() != 0, reason="only root can start a process as another user")
def test_another_users_run_is_that_users(trained: Workspace) -> None:
    run = claimed(trained)
    path = trained.run_folder(run.id) / "lock"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdin=pipe, stdout=pipe, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(Refused, match=f"trained by process {other.pid} of "):
            stop.stop(trained, run.id)
        other.communicate()
    assert other.returncode == 0
