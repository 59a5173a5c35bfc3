"""The keeper above a worker: it starts a dead one again, ends with it when told, and never leaves one behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from mlops_tui.adapters import keeper, ports, processes
from tests.adapters import served

ROW = {"a": 1.0, "b": 0.5}
FRAIL = """
import pathlib, sys
deaths = pathlib.Path(sys.argv[1])
deaths.write_text(deaths.read_text() + "x" if deaths.exists() else "x")
sys.exit(7)
"""


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[processes.Server, processes.Process]]:
    _, _, built = served.store()
    server = processes.Server(built.folder, tmp_path / "home", tmp_path / "log", port=ports.free_port())
    process = processes.start(server)
    try:
        processes.wait_ready(server, process, "tiny:3")
        yield server, process
    finally:
        processes.stop(process.pid, process.born)


def worker(process: processes.Process) -> psutil.Process:
    (found,) = psutil.Process(process.pid).children()
    return found


def gone(process: psutil.Process, seconds: float = 15) -> bool:
    return not psutil.wait_procs([process], timeout=seconds)[1]


def test_a_killed_worker_is_back_after_five_seconds_of_cpu_at_most_and_new_requests_wait_for_it(
    running: tuple[processes.Server, processes.Process],
) -> None:
    server, process = running
    before = worker(process)
    for _ in range(2):
        worker(process).kill()
        with httpx.Client(base_url=server.url, trust_env=False, timeout=30) as client:
            answer = client.post("/predict", json=[ROW])  # a new connection: it waits in the kernel
        assert answer.status_code == 200
        times = worker(process).cpu_times()
        assert times.user + times.system < 5  # its clock, on a machine that does nothing else
    assert processes.alive(process.pid, process.born)
    assert worker(process).pid != before.pid
    assert server.log.read_text().count("the worker ended with -9; started again") == 2


def test_who_kills_the_keeper_ends_the_worker(running: tuple[processes.Server, processes.Process]) -> None:
    _, process = running
    below = worker(process)
    os.kill(process.pid, signal.SIGKILL)
    assert gone(below)


def test_a_keeper_alone_that_is_told_to_stop_stops_its_worker_kindly(
    running: tuple[processes.Server, processes.Process],
) -> None:
    server, process = running
    below = worker(process)
    os.kill(process.pid, signal.SIGTERM)
    assert gone(below)
    assert "cleanup finalized" in server.log.read_text()


def keep(tmp_path: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a keeper, quickly impatient, over a command."""
    code = "import sys; from mlops_tui.adapters import keeper; from pathlib import Path; keeper.YOUNG_DEATHS = 2; "
    code += "sys.exit(keeper.Keeper(0, Path(sys.argv[1]), sys.argv[2:]).run())"
    path = os.pathsep.join((str(Path(keeper.__file__).parents[2]), *sys.path))
    return subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), *command],
        capture_output=True, text=True, check=False, timeout=60, env=os.environ | {"PYTHONPATH": path},
    )  # fmt: skip


def test_a_worker_that_never_was_ready_is_not_started_again(tmp_path: Path) -> None:
    done = keep(tmp_path, sys.executable, "-c", FRAIL, str(tmp_path / "deaths"))
    assert (done.returncode, (tmp_path / "deaths").read_text()) == (7, "x")


def test_a_worker_that_dies_again_and_again_is_given_up(tmp_path: Path) -> None:
    (tmp_path / "serves.json").write_text("{}")
    done = keep(tmp_path, sys.executable, "-c", FRAIL, str(tmp_path / "deaths"))
    assert (done.returncode, (tmp_path / "deaths").read_text()) == (7, "xxx")
    assert "giving up" in done.stderr


def test_the_keeper_weighs_little(running: tuple[processes.Server, processes.Process]) -> None:
    _, process = running
    assert psutil.Process(process.pid).memory_info().rss < 25e6
