"""Under 32 busy connections: versions change back and forth, and a worker is killed. Every answer is checked."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import psutil
import pytest

from mlops_tui.adapters import load, ports, processes
from mlops_tui.adapters.catalogue import release
from mlops_tui.flows import cycle, lookup
from mlops_tui.flows.release import approvals, bentos, deployments, rollouts
from mlops_tui.flows.release.rollouts import Beside
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import Deployment, Golden, from_json
from tests import workspaces

NAME = "flight-delay"
CONNECTIONS, SWAPS = 32, 20


@pytest.fixture(scope="module")
def served(built_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A workspace that serves :1, and whose approved :2 has a Bento."""
    workspace = workspaces.copy(built_template, tmp_path_factory.mktemp("load") / "workspace")
    workspaces.write_pipeline(workspace, more=f"[serve]\nport = {ports.free_port()}\n")
    workspaces.arrive(workspace, 3)
    cycle.apply(workspace, NAME)
    approvals.approve(workspace, f"{NAME}:2", "better")
    bentos.build(workspace, f"{NAME}:2")
    yield workspace
    for item in deployments.list_deployments(workspace):
        deployments.stop(workspace, item.name)


class Load:
    """A load beside the test, each answer of which must be one that the model it names gives to that row."""

    def __init__(self, workspace: Workspace) -> None:
        self.item = deployments.get(workspace, NAME)
        golden = {
            f"{NAME}:{number}": from_json(workspace.objects.get(version.golden), Golden)
            for number in (1, 2)
            if (version := lookup.model_version(workspace, f"{NAME}:{number}"))
        }
        self.rows = list(golden[f"{NAME}:1"].rows)
        self.expected = {model: self._answers(workspace, model) for model in golden}
        self.named: dict[str, int] = {}
        self.wrong: list[str] = []
        requests = [load.build("/predict", msgspec.json.encode([row]), {}) for row in self.rows]
        self._drive = load.Drive(
            load.Target(self.item.host, self.item.port), requests, load.Load(CONNECTIONS, 200), self._check
        )
        self._thread = threading.Thread(target=self._run)
        self._stop = threading.Event()
        self._thread.start()

    def _answers(self, workspace: Workspace, model: str) -> list[object]:
        from mlops_tui.core import requests, scoring

        scorer = lookup.scorer(workspace, lookup.model_version(workspace, model))
        frame = requests.rows_to_frame(scorer.signature, self.rows)
        return list(msgspec.json.decode(msgspec.json.encode(scoring.answers(scorer, frame))))

    def _run(self) -> None:
        self._drive.run()

    def _check(self, number: int, status: int, body: bytes) -> None:
        if self._stop.is_set():
            self._drive._until = 0.0
        said = msgspec.json.decode(body)
        model = said.get("model")
        self.named[model] = self.named.get(model, 0) + 1
        if status != 200 or said["predictions"] != [self.expected[model][number]]:
            self.wrong.append(f"{status} {body[:300]!r}")

    def answered(self) -> int:
        return len(self._drive.measured.latencies)

    def wait_for(self, more: int) -> None:
        """Wait until so many more answers have come."""
        goal, end = self.answered() + more, time.monotonic() + 30
        while self.answered() < goal:
            assert time.monotonic() < end, "nothing is answered any more"
            assert self._thread.is_alive()
            time.sleep(0.002)

    def finish(self) -> load.Measured:
        self._stop.set()
        self._thread.join(60)
        return self._drive.measured


def worker(item: Deployment) -> psutil.Process:
    (found,) = psutil.Process(item.pid).children()
    return found


def test_twenty_swaps_fail_and_misattribute_no_request(served: Workspace) -> None:
    under = Load(served)
    under.wait_for(200)
    try:
        for number in range(SWAPS):
            version = 2 - number % 2
            if number % 4 == 0:  # as a canary first, and promoted
                rollouts.challenge(served, f"{NAME}:{version}", None, Beside("canary", 0.5))
                under.wait_for(50)
                rollouts.promote(served, NAME)
            elif number % 4 == 1:
                rollouts.rollback(served, NAME, f"{NAME}:{version}")
            else:
                deployments.start(served, f"{NAME}:{version}")
            seen = under.named.get(f"{NAME}:{version}", 0)
            under.wait_for(100)
            assert under.named[f"{NAME}:{version}"] >= seen + 50
    finally:
        found = under.finish()
    print(f"{len(found.latencies)} answers, {found.statuses}, {found.failures}, {under.named}")
    assert under.wrong == []
    assert (set(found.statuses), found.failures) == ({200}, {})
    assert deployments.get(served, NAME).pid == under.item.pid
    assert min(under.named.values()) > 500
    swaps = [one for one in deployments.history(served, NAME) if one.mode == "live"]
    assert len(swaps) == SWAPS


def test_a_new_server_beside_the_old_one_takes_over_without_a_failed_request(served: Workspace) -> None:
    under = Load(served)
    under.wait_for(200)
    try:
        for version in (2, 1):
            before = deployments.get(served, NAME)
            with served.catalogue.write(served.now()) as act:  # as one that runs the code of an older release
                release.put_deployment(act, replace(before, code="older"))
                act.record("deployment.started", NAME)
            deployments.start(served, f"{NAME}:{version}")
            assert deployments.get(served, NAME).pid != before.pid
            assert not processes.alive(before.pid, before.born)
            under.wait_for(100)
    finally:
        found = under.finish()
    print(f"{len(found.latencies)} answers, {found.statuses}, {found.failures}, {under.named}")
    assert under.wrong == []
    assert (set(found.statuses), found.failures) == ({200}, {})


def test_a_killed_worker_fails_what_was_in_flight_at_most_and_is_back_after_five_seconds_of_cpu(
    served: Workspace,
) -> None:
    under = Load(served)
    under.wait_for(500)
    try:
        killed, seen = time.monotonic(), under.answered()
        worker(under.item).kill()
        while under.answered() < seen + CONNECTIONS + 50:
            assert time.monotonic() - killed < 30
            time.sleep(0.002)
        back, times = time.monotonic() - killed, worker(under.item).cpu_times()
        under.wait_for(200)
    finally:
        found = under.finish()
    cost = times.user + times.system  # its clock on a machine that does nothing else; others run tests beside this one
    print(f"{len(found.latencies)} answers, back after {back:.2f} s, {cost:.2f} s of CPU; {found.failures}")
    assert under.wrong == []
    assert set(found.statuses) == {200}
    assert sum(found.failures.values()) <= CONNECTIONS
    assert "refused" not in found.failures
    assert cost < 5
    assert processes.alive(under.item.pid, under.item.born)
