"""`kill -9` at thirty moments of `mlops run`: the state is honest, and the next run gives what it would have given."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from mlops_tui.flows import cycle
from mlops_tui.flows.workspace import Workspace
from tests import workspaces
from tests.cli.called import call, command, process

MONTHS = (1, 2, 3, 4, 5, 6)
KILLS = 5  # of each month's run
LINES = 8  # lines of progress that a run prints, about


def prepare(workspace: Workspace, month: int) -> None:
    """Let a month of data arrive, and another seed, so that every step is due."""
    workspaces.arrive(workspace, month, every=6)  # what is tested here is not training
    path = workspaces.write_pipeline(workspace, mode="auto")
    path.write_text(path.read_text(encoding="utf-8").replace("seed = 7", f"seed = {month}"), encoding="utf-8")


def result(root: Path) -> tuple[object, ...]:
    """What the newest model version is: every piece by its hash, its data, its metrics."""
    shown = call(root, "models", "show", f"flight-delay:{newest(root)}", "--json").json
    data = call(root, "datasets", "list", "--json").json["items"][0]
    return shown["hashes"]["booster"], shown["hashes"]["transform"], shown["metrics"], data["hash"], data["rows"]


def newest(root: Path) -> int:
    """The newest model version's number."""
    return int(call(root, "models", "list", "--json").json["items"][0]["version"])


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[int, tuple[object, ...]]:
    """What every month's run gives when nobody disturbs it."""
    workspace = workspaces.make(tmp_path_factory.mktemp("undisturbed"), mode="auto")
    found = {}
    for month in MONTHS:
        prepare(workspace, month)
        cycle.apply(workspace, "flight-delay")
        found[month] = result(workspace.root)
    return found


def moments(seconds: float) -> Iterator[float | int]:
    """Where to strike: after so many seconds of a run, or on its n-th line of progress."""
    chance = random.Random(20130101)
    for number in range(KILLS * len(MONTHS)):
        share = (number // 2 + chance.random()) / (KILLS * len(MONTHS) / 2)
        yield share * seconds if number % 2 else 1 + int(share * LINES)


def strike(root: Path, moment: float | int) -> int:
    """Start `mlops run`, kill it at a moment, and return its exit code: -9, or 0 if it was faster."""
    with subprocess.Popen(
        command(root, "run", "flight-delay"), cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as running:
        assert running.stderr is not None
        if isinstance(moment, int):
            for number, _ in enumerate(running.stderr, start=1):
                if number == moment:
                    break
        else:
            with suppress(subprocess.TimeoutExpired):
                running.wait(moment)
        if running.poll() is None:
            os.kill(running.pid, signal.SIGKILL)
        running.stderr.read()
    return running.returncode


def check_honest(root: Path) -> None:
    """The catalogue opens, no run claims to run, the audit chain holds, every object has its bytes."""
    assert call(root, "status").code == 0
    statuses = [item["status"] for item in call(root, "runs", "list", "--json").json["items"]]
    assert set(statuses) <= {"completed", "interrupted"}, statuses
    assert call(root, "audit", "verify").code == 0
    doctor = call(root, "doctor")
    assert doctor.code == 0, doctor.out


def test_killed_at_thirty_moments(undisturbed: dict[int, tuple[object, ...]], tmp_path: Path) -> None:
    workspace = workspaces.make(tmp_path / "struck", mode="auto")
    root = workspace.root
    prepare(workspace, 1)
    began = time.monotonic()
    assert process(root, "run", "flight-delay").returncode == 0
    where = moments(time.monotonic() - began)
    assert result(root) == undisturbed[1]
    killed = 0
    for month in (*MONTHS[1:], MONTHS[-1]):
        prepare(workspace, month)
        for _ in range(KILLS):
            killed += strike(root, next(where)) == -signal.SIGKILL
            check_honest(root)
        done = process(root, "run", "flight-delay")
        assert done.returncode == 0, done.stderr
        assert result(root) == undisturbed[month]
        check_honest(root)
    assert killed >= KILLS * len(MONTHS) / 2, "the moments lie where something happens"
