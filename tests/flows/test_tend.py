"""Deployments that are kept up: restarted at once, then with patience, given up loudly, and never against a person."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import psutil
import pytest

from mlops_tui.adapters import ports, processes
from mlops_tui.adapters.catalogue import lock, release
from mlops_tui.flows import cycle
from mlops_tui.flows.release import approvals, deployments, servers
from mlops_tui.flows.tend import is_due, tend
from mlops_tui.flows.watch import notices
from mlops_tui.flows.workspace import Workspace, utc_now
from mlops_tui.records import Backoff, Deployment
from tests import workspaces

NAME = "flight-delay"


class Clock:
    """The time, which can be set forward."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return utc_now() + self.ahead

    def forward(self, seconds: float) -> None:
        self.ahead += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def put(
    workspace: Workspace, pid: int = 2**22 - 1, born: float = 1.0, port: int = 3999, name: str = NAME
) -> Deployment:
    """Write down a deployment of flight-delay:1, by default one whose process is gone."""
    found = Deployment(
        name, NAME, 1, "flight-delay:v1", "127.0.0.1", port, pid, born, "running", "ada", workspace.now()
    )
    with workspace.catalogue.write(workspace.now()) as act:
        release.put_deployment(act, found)
        act.record("deployment.started", name)
    return found


def told(workspace: Workspace) -> list[str]:
    return [notice.kind for notice in reversed(notices.notices(workspace))]


@pytest.fixture
def blocked(trained: Workspace, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """A workspace whose deployment is down, and whose port a stranger has taken."""
    monkeypatch.setattr(servers, "CLOSING_SECONDS", 0)
    approvals.approve(trained, f"{NAME}:1", "good")
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        workspace = replace(trained, now=clock)
        put(workspace, port=stranger.getsockname()[1])
        yield workspace


def test_one_that_cannot_start_is_tried_with_patience_and_then_given_up(blocked: Workspace, clock: Clock) -> None:
    said: list[str] = []
    backoffs, pauses = tend(blocked, (), said.append), []
    while backoffs[0].next_at is not None:
        pauses.append(round((backoffs[0].next_at - clock()).total_seconds()))
        assert tend(blocked, backoffs, said.append) == backoffs  # not before it is due
        clock.forward(pauses[-1] + 1)
        backoffs = tend(blocked, backoffs, said.append)
    assert pauses == [1, 2, 4, 8]
    assert backoffs[0].failures == 5
    assert [line.split(":")[0] for line in said[:2]] == [NAME, NAME]
    assert "restart 1 failed, the next in 1 s: port" in said[0]
    assert "given up after 5 restarts: port" in said[-1]
    clock.forward(10_000)
    assert tend(blocked, backoffs, said.append) == backoffs
    assert len(said) == 5
    assert told(blocked) == ["deployment_down"]
    assert "mlops deployments start flight-delay:1" in notices.notices(blocked)[0].text


def test_the_pause_is_five_minutes_at_most(blocked: Workspace, clock: Clock) -> None:
    (blocked.root / "mlops.toml").write_text("[agent]\nrestarts = 100\n", encoding="utf-8")
    (after,) = tend(blocked, (Backoff(NAME, 40, clock(), ""),), print)
    assert after.next_at is not None
    assert 299 < (after.next_at - clock()).total_seconds() <= 300


def test_with_no_restarts_it_only_says_so(blocked: Workspace) -> None:
    (blocked.root / "mlops.toml").write_text("[agent]\nrestarts = 0\n", encoding="utf-8")
    (after,) = tend(blocked, (), print)
    assert (after.failures, after.next_at) == (0, None)
    assert told(blocked) == ["deployment_down"]


def test_a_start_by_hand_ends_the_giving_up(blocked: Workspace) -> None:
    me = psutil.Process()
    put(blocked, me.pid, me.create_time())
    assert tend(blocked, (Backoff(NAME, 5, None, "port taken"),), print) == ()
    assert told(blocked) == ["deployment_up"]


def test_one_that_was_up_for_a_minute_starts_from_nothing(blocked: Workspace, clock: Clock) -> None:
    me = psutil.Process()
    put(blocked, me.pid, me.create_time())
    tried = (Backoff(NAME, 3, clock(), ""),)
    assert tend(blocked, tried, print) == tried
    clock.forward(61)
    assert tend(blocked, tried, print) == ()


def test_one_that_is_no_longer_approved_is_given_up_at_once(trained: Workspace) -> None:
    put(trained)
    (after,) = tend(trained, (), print)
    assert (after.failures, after.next_at) == (1, None)
    assert "is not approved" in after.error


def test_one_that_somebody_works_on_is_left_alone(blocked: Workspace) -> None:
    with blocked.exclusive(f"deployment-{NAME}", "a test"):
        assert tend(blocked, (), pytest.fail) == ()


def test_one_that_was_killed_is_up_again_and_one_that_was_stopped_stays_so(built: Workspace, clock: Clock) -> None:
    workspaces.write_pipeline(built, more=f"[serve]\nport = {ports.free_port()}\n")
    workspace = replace(built, now=clock)
    url = cycle.apply(workspace, NAME).url
    try:
        first = deployments.get(workspace, NAME)
        assert tend(workspace, (), pytest.fail) == ()
        os.kill(first.pid, 9)
        while processes.alive(first.pid, first.born):
            pass
        said: list[str] = []
        (after,) = tend(workspace, (), said.append)
        again = deployments.get(workspace, NAME)
        assert said == [f"{NAME}: was down, serves flight-delay:1 again"]
        assert (again.url, deployments.state(again), after.failures) == (url, "running", 1)
        assert (processes.ask(again.url, "/metadata") or {})["model"] == f"{NAME}:1"
        assert told(workspace) == ["deployment_up"]
        clock.forward(61)
        assert tend(workspace, (after,), pytest.fail) == ()
    finally:
        deployments.stop(workspace, NAME)
    assert tend(workspace, (after,), pytest.fail) == ()
    assert deployments.state(deployments.get(workspace, NAME)) == "stopped"


def test_what_goes_wrong_with_one_is_said_once_and_stops_no_other(blocked: Workspace, clock: Clock) -> None:
    put(blocked, name="another")
    loop = blocked.home / "locks" / "deployment-another"
    loop.symlink_to(loop)  # cannot be opened
    said: list[str] = []
    backoffs = tend(blocked, (), said.append)
    clock.forward(0.5)
    assert tend(blocked, backoffs, said.append) == backoffs
    clock.forward(20)
    again = tend(blocked, backoffs, said.append)
    assert [line.partition(":")[0] for line in said] == ["another", NAME, NAME]
    assert "cannot be looked after" in said[0]
    assert [(one.deployment, one.failures) for one in again] == [("another", 0), (NAME, 2)]


def test_a_notice_that_cannot_be_written_loses_neither_the_count_nor_itself(blocked: Workspace, clock: Clock) -> None:
    (blocked.root / "mlops.toml").write_text("[agent]\nrestarts = 1\n", encoding="utf-8")
    said: list[str] = []
    blocked.catalogue.timeout = 0.2
    with lock.held(blocked.catalogue.path, exclusive=False, timeout=5, user="ada"):  # it can be read, not written
        (after,) = tend(blocked, (), said.append)
    assert "this could not be told: the catalogue" in said[0]
    assert after.failures == 1
    assert after.next_at is not None
    clock.forward(301)
    (after,) = tend(blocked, (after,), said.append)
    assert (after.failures, after.next_at) == (1, None)
    assert told(blocked) == ["deployment_down"]


def test_who_was_given_up_is_due_again_only_when_somebody_starts_it(blocked: Workspace, clock: Clock) -> None:
    item, given_up = deployments.get(blocked, NAME), Backoff(NAME, 5, None, "port taken")
    assert is_due(item, None, clock())
    assert not is_due(item, given_up, clock())
    assert not is_due(item, Backoff(NAME, 1, clock() + timedelta(seconds=1), ""), clock())
    me = psutil.Process()
    up = put(blocked, me.pid, me.create_time())
    assert is_due(up, given_up, clock())
    assert not is_due(up, None, clock())
    assert not is_due(up, Backoff(NAME, 1, clock(), ""), clock())  # it has yet to stay up for a minute
