"""Server processes: told from strangers, stopped with grace, replaced without a gap."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from mlops_tui.adapters import ports, processes
from mlops_tui.adapters.processes import Process, Server
from mlops_tui.errors import Busy, External
from tests.adapters import served


@pytest.fixture
def sleeper() -> Iterator[Process]:
    """A process that is ours to stop, and leads a group of its own."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True)
    yield Process(child.pid, psutil.Process(child.pid).create_time())
    child.kill()
    child.communicate()


def server(tmp_path: Path, port: int | None = None, bento: Path | None = None) -> Server:
    return Server(bento or tmp_path, tmp_path / "home", tmp_path / "server.log", port=port or ports.free_port())


def test_a_stranger_with_the_same_pid_is_not_ours_and_is_never_signalled(sleeper: Process) -> None:
    assert processes.alive(sleeper.pid, sleeper.born)
    assert not processes.alive(sleeper.pid, sleeper.born - 60)
    assert processes.stop(sleeper.pid, sleeper.born - 60) is False
    assert psutil.pid_exists(sleeper.pid)


def test_stop_ends_the_process_and_a_second_stop_finds_nothing(sleeper: Process) -> None:
    assert processes.stop(sleeper.pid, sleeper.born) is True
    assert not processes.alive(sleeper.pid, sleeper.born)
    assert processes.stop(sleeper.pid, sleeper.born) is False


def test_a_process_that_ignores_the_signal_is_ended_by_force() -> None:
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('on', flush=True); signal.pause()"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"on\n"
        assert processes.stop(child.pid, psutil.Process(child.pid).create_time(), grace=0.2) is True
        assert child.wait() == -9


def test_a_port_in_use_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(External, match=rf"port {port} of 127.0.0.1 is in use by process {os.getpid()} "):
            processes.start(server(tmp_path, port))
        with pytest.raises(External, match=f"port {port} .* is in use"):
            processes.start(server(tmp_path, port), beside=True)
    assert not (tmp_path / "home").exists()


def test_a_host_that_is_not_here_is_told(tmp_path: Path) -> None:
    with pytest.raises(External, match=r"cannot listen on port 3000 of 192\.0\.2\.1"):
        processes.start(Server(tmp_path, tmp_path / "home", tmp_path / "log", host="192.0.2.1"))


def test_a_server_that_dies_while_starting_is_noticed_at_once_with_its_last_words(tmp_path: Path) -> None:
    broken = server(tmp_path)
    process = processes.start(broken)
    with pytest.raises(External, match=r"died while starting; the last lines of .*server\.log:\n(.|\n)*service\.py"):
        processes.wait_ready(broken, process, "tiny:3")


def test_a_server_that_is_not_ready_in_time_is_busy(tmp_path: Path, sleeper: Process) -> None:
    with pytest.raises(Busy, match=r"not ready after 0\.1 s"):
        processes.wait_ready(server(tmp_path), sleeper, "tiny:3", deadline=0.1)


def test_the_environment_has_none_of_the_callers_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", "secret")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    found = processes.environment(tmp_path)
    assert "DATABASE_PASSWORD" not in found
    assert "PYTHONDONTWRITEBYTECODE" not in found
    assert found["BENTOML_DO_NOT_TRACK"] == "true"
    assert found["BENTOML_HOME"] == str(tmp_path.resolve())


@pytest.mark.parametrize(
    ("host", "url"), [("127.0.0.1", "http://127.0.0.1:1"), ("0.0.0.0", "http://127.0.0.1:1"), ("::", "http://[::1]:1")]
)
def test_the_url_is_one_that_a_client_here_can_use(host: str, url: str, tmp_path: Path) -> None:
    assert Server(tmp_path, tmp_path, tmp_path, host, 1).url == url


def test_a_new_server_takes_over_the_port_without_a_lost_request(tmp_path: Path) -> None:
    _, _, bento = served.store()
    old = server(tmp_path / "old", bento=bento.folder)
    new = server(tmp_path / "new", old.port, bento.folder)
    outcomes: list[int | str] = []
    done = threading.Event()

    def client() -> None:
        while not done.is_set():
            outcomes.append(post(old.port))

    first = processes.start(old)
    second: Process | None = None
    try:
        processes.wait_ready(old, first, "tiny:3")
        thread = threading.Thread(target=client)
        thread.start()
        second = processes.start(new, beside=True)
        processes.wait_ready(new, second, "tiny:3")
        processes.stop(first.pid, first.born)
        seen = len(outcomes)
        deadline = time.monotonic() + 10
        while len(outcomes) < seen + 50 and time.monotonic() < deadline:
            assert processes.alive(second.pid, second.born)
        done.set()
        thread.join()
    finally:
        done.set()
        for process in filter(None, (first, second)):
            processes.stop(process.pid, process.born)
    assert set(outcomes) == {200}
    assert len(outcomes) > 50


def post(port: int) -> int | str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", "/predict", b'[{"a": 1.0, "b": 0.5}]')
        answer = connection.getresponse()
        answer.read()
        return answer.status
    except OSError as error:
        return repr(error)
    finally:
        connection.close()
