"""Deployments as real servers: replaced without a gap, rolled back, told from strangers, never orphaned."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Timer

import httpx
import psutil
import pytest

from mlops_tui.adapters import ports, processes
from mlops_tui.adapters.catalogue import release
from mlops_tui.errors import External, InvalidInput, Refused
from mlops_tui.flows import backup as backups
from mlops_tui.flows import cycle, lookup
from mlops_tui.flows.queries.traffic import traffic
from mlops_tui.flows.release import approvals, deployments, models, rollouts
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import Deployment
from tests import workspaces
from tests.cli.called import call

NAME = "flight-delay"


@pytest.fixture
def served(built: Workspace) -> Iterator[Workspace]:
    """A workspace whose champion :1 is served by the pipeline itself; all that still runs is stopped at the end."""
    workspaces.write_pipeline(built, more=f"[serve]\nport = {ports.free_port()}\n")
    assert cycle.apply(built, NAME).url is not None
    yield built
    for item in deployments.list_deployments(built):
        deployments.stop(built, item.name)


def about(workspace: Workspace) -> dict[str, object]:
    return processes.ask(deployments.get(workspace, NAME).url, "/metadata") or {}


def test_the_life_of_a_deployment(served: Workspace, tmp_path: Path) -> None:
    assert not cycle.plan(served, NAME).due
    first = deployments.get(served, NAME)
    assert about(served)["model"] == f"{NAME}:1"
    assert lookup.model_version(served, f"{NAME}@live").version == 1
    check_traffic(served, first)

    workspaces.arrive(served, 3)
    cycle.apply(served, NAME)
    approvals.approve(served, f"{NAME}:2", "better")
    done = cycle.apply(served, NAME)
    assert done.url == first.url
    assert about(served)["model"] == f"{NAME}:2"
    assert deployments.get(served, NAME).pid == first.pid  # another model, in the same server

    back, _ = rollouts.rollback(served, NAME, comment="too slow")
    assert (back.version, about(served)["model"]) == (1, f"{NAME}:1")
    assert not cycle.plan(served, NAME).due  # a plan does not undo what a person did
    moved = next(one for one in models.show(served, f"{NAME}:1").history if one.alias == "champion")
    assert moved.reason == f"rollback of {NAME} from :2: too slow"

    backup = tmp_path / "backup.tar"
    backups.backup(served, backup)
    with pytest.raises(Refused, match="still runs"):
        backups.restore(served, backup)

    approvals.reject(served, f"{NAME}:2", "no")
    approvals.reject(served, f"{NAME}:1", "nor this")
    steps = {step.step: step for step in cycle.plan(served, NAME).steps}
    assert steps["deploy"].action == "blocked"
    assert "no longer approved" in steps["deploy"].reason

    ended, ran = deployments.stop(served, NAME)
    assert ran
    assert ended.stopped_at is not None
    assert deployments.stop(served, NAME)[1] is False
    assert [item.version for item in deployments.history(served, NAME)] == [1, 2, 1]
    assert (traffic(served, ended).total, traffic(served, ended).remark) == (None, "it is stopped")


def check_traffic(workspace: Workspace, item: Deployment) -> None:
    """Send a few requests: the server's counts tell of them, the screen too, and of no probe and no scrape."""
    start = traffic(workspace, item)
    assert start.total is not None
    assert (start.total.requests, start.latency_ms_p50, start.remark) == (0, None, None)
    with httpx.Client(base_url=item.url, trust_env=False) as client:
        sent = client.get("/openapi.json").json()["paths"]["/predict"]["post"]["requestBody"]["content"]
        rows = sent["application/json"]["example"]
        answers = [client.post("/predict", json=body).status_code for body in (rows, rows, None)]
    assert answers == [200, 200, 400]
    now = traffic(workspace, item, start)
    assert now.total is not None
    assert (now.total.requests, now.total.rows, now.total.errors) == (3, 4, {"invalid_input": 1})
    assert now.total.buckets["+Inf"] == 3
    assert now.seconds == (now.at - start.at).total_seconds()
    assert now.requests_per_second == 3 / now.seconds
    assert now.latency_ms_p50 is not None
    assert now.latency_ms_p99 is not None
    assert 0 < now.latency_ms_p50 <= now.latency_ms_p99
    later = traffic(workspace, item, now)
    assert (later.total, later.requests_per_second, later.latency_ms_p50) == (now.total, 0, None)
    shown = call(workspace.root, "deployments", "show", NAME)
    assert "3 since the server started" in shown.out
    assert "1 invalid_input" in shown.out
    assert call(workspace.root, "deployments", "show", NAME, "--json").json["traffic"]["total"]["rows"] == 4
    assert traffic(workspace, item, replace(now, pid=1)).seconds == pytest.approx(
        (workspace.now() - item.started_at).total_seconds(), abs=5
    )


def test_one_that_is_down_is_due_and_comes_back(served: Workspace) -> None:
    item = deployments.get(served, NAME)
    os.kill(item.pid, 9)
    while processes.alive(item.pid, item.born):
        pass
    assert deployments.state(item) == "down"
    assert {step.step: step.reason for step in cycle.plan(served, NAME).steps}["deploy"] == f"'{NAME}' is down"
    closing = socket.create_server((item.host, item.port), reuse_port=True)  # the kernel takes a moment for it, too
    Timer(0.5, closing.close).start()
    assert cycle.apply(served, NAME).url == item.url
    assert deployments.stop(served, NAME)[1]
    assert deployments.start(served, f"{NAME}:1", expected=item) == (deployments.get(served, NAME), False)
    assert deployments.state(deployments.get(served, NAME)) == "stopped"  # what a person did meanwhile is not undone
    assert deployments.start(served, f"{NAME}:1", expected=deployments.get(served, NAME))[1]
    with pytest.raises(External, match=f"taken by the deployment '{NAME}'"):
        deployments.start(served, f"{NAME}:1", deployments.Place("second", port=item.port))
    with pytest.raises(InvalidInput):
        deployments.start(served, f"{NAME}:1", deployments.Place("../up"))


def test_what_nobody_says_of_the_place_is_taken_from_the_pipeline_or_stays_as_it_was(built: Workspace) -> None:
    own, other = ports.free_port(), ports.free_port()
    workspaces.write_pipeline(built, more=f"[serve]\nport = {own}\n")
    try:
        assert deployments.start(built, f"{NAME}:1", deployments.Place(port=other))[0].port == other
        assert rollouts.rollback(built, NAME, f"{NAME}:1")[0].port == other  # a person put it there
        assert deployments.start(built, f"{NAME}:1")[0].port == own
        assert not cycle.plan(built, NAME).due  # it is where the cycle would put it
        workspaces.write_pipeline(built, more=f'[serve]\nport = {other}\nname = "another"\n')
        assert deployments.start(built, f"{NAME}:1")[0].port == own  # [serve] is of a deployment beside this one
    finally:
        deployments.stop(built, NAME)


def test_a_stranger_with_our_pid_is_left_alone(trained: Workspace) -> None:
    stranger = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        born = psutil.Process(stranger.pid).create_time() - 3600
        known = Deployment(
            NAME, NAME, 1, f"{NAME}:v1", "127.0.0.1", 3999, stranger.pid, born, "running", "root", trained.now()
        )
        with trained.catalogue.write(trained.now()) as act:
            release.put_deployment(act, replace(known))
            act.record("deployment.started", NAME)
        assert deployments.state(known) == "down"
        assert deployments.stop(trained, NAME)[1] is False
        assert stranger.poll() is None
    finally:
        stranger.communicate(b"\n")


START = """
import sys
from pathlib import Path
from mlops_tui.flows.release import deployments
from mlops_tui.flows.workspace import open_workspace
def report(event):
    print(event.step, event.text, flush=True)
deployments.start(open_workspace(Path(sys.argv[1]), report), "flight-delay:1", deployments.Place(port=int(sys.argv[2])))
"""


def test_a_start_that_is_killed_leaves_no_server_behind(built: Workspace) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", START, str(built.root), str(ports.free_port())],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert child.stdout is not None
    runtime = built.home / "bentos" / "runtime"
    for line in child.stdout:
        if line.startswith("deploy"):
            break
    while not processes.serving_from(runtime, f"{NAME}-"):
        assert child.poll() is None
    child.kill()
    child.communicate()
    assert deployments.list_deployments(built) == []
    (orphan,) = processes.serving_from(runtime, f"{NAME}-")
    try:
        item, _ = deployments.start(built, f"{NAME}:1", deployments.Place(port=ports.free_port()))
        assert about(built)["model"] == f"{NAME}:1"
        assert not processes.alive(orphan.pid, orphan.born)
        assert [one.pid for one in processes.serving_from(runtime, f"{NAME}-")] == [item.pid]
        assert len(list(runtime.glob(f"{NAME}-*"))) == 1
    finally:
        for one in processes.serving_from(runtime, f"{NAME}-"):
            processes.stop(one.pid, one.born)


def test_a_trial_of_what_is_not_approved_does_not_go_live(served: Workspace) -> None:
    workspaces.arrive(served, 3)
    cycle.apply(served, NAME)
    trial, _ = deployments.start(
        served, f"{NAME}:2", deployments.Place("trial", port=ports.free_port()), unapproved=True
    )
    answer = processes.ask(trial.url, "/metadata") or {}
    assert (answer["model"], answer["approved"]) == (f"{NAME}:2", False)
    assert lookup.model_version(served, NAME).version == 1
