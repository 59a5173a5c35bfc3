"""What goes wrong around the spool: no room, no right to write, a kill. Requests never notice, lines stay whole."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from mlops_tui.adapters import ports, processes
from mlops_tui.adapters import spool as reader
from mlops_tui.spool import Spool
from tests.adapters import served

KEEP = """\
import sys
from pathlib import Path
from mlops_tui import counters
from mlops_tui.spool import Spool

spool = Spool(Path(sys.argv[1]), 10**8)
for number in range(int(sys.argv[2])):
    spool.predicted(f"r{number}", b'[{"a": "' + b"x" * (number * 37 % 900) + b'"}]', b'{"predictions":[]}')
    if number % 50 == 0:
        spool._hurry.set()
why = spool.labelled("last", b"{}").result(20)
spool.close()
print(why, counters.exposition()[1].decode())
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 128 KiB, mounted; skips where that is not allowed."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=128k", "none", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("no right to mount")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def lines_of(folder: Path, torn: int = 0) -> list[dict[str, Any]]:
    """All lines of a spool; none may be bad, but for what a kill tore off at the end."""
    found = []
    for name, size, live in reader.segments(folder):
        lines, end, bad = reader.read(folder / name, 0)
        assert bad <= torn
        assert live or end == size
        found += lines
    return found


def value(metrics: str, name: str) -> int:
    """The value of a metric, named with its labels."""
    return next(int(float(line.split()[-1])) for line in metrics.splitlines() if line.startswith(name))


@pytest.mark.parametrize("size", [0, 500, 4096, 10_001, 77_777])
def test_files_that_may_not_grow_hold_whole_lines_and_every_other_is_counted(size: int, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KEEP, str(tmp_path / "spool"), "2000"], capture_output=True, text=True, check=True,
        timeout=60, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
    )  # fmt: skip
    ids = [line["id"] for line in lines_of(tmp_path / "spool")]
    kept = value(done.stdout, 'mlops_spooled_total{kind="predict"}') + value(done.stdout, 'mlops_spooled_total{kind="l')
    dropped = value(done.stdout, 'mlops_spool_dropped_total{reason="disk"}')
    assert kept == len(ids) == len(set(ids))
    assert (kept > 0) == (size > 0)
    assert kept + dropped == 2001
    assert ids == sorted(ids, key=lambda one: 9999 if one == "last" else int(one[1:]))
    assert done.stdout.startswith("None" if "last" in ids else "disk")
    assert done.stderr.count("\n") == 1, "one warning a minute"
    assert "cannot be written (" in done.stderr


def test_a_full_disk_drops_until_there_is_room_again(small_disk: Path) -> None:
    spool = Spool(small_disk / "spool", 10**8)
    body = b'"%s"' % (b"x" * 3000)
    answers = [spool.labelled(f"l{number}", body).result(10) for number in range(100)]
    assert answers[:20] == [None] * 20
    assert answers[-20:] == ["disk"] * 20
    kept = [f"l{number}" for number, why in enumerate(answers) if why is None]
    assert [line["id"] for line in lines_of(small_disk / "spool")] == kept
    assert len(list((small_disk / "spool").iterdir())) == 1, "a full disk is no reason for more files"
    subprocess.run(["mount", "-o", "remount,size=512k", small_disk], check=True)
    assert spool.labelled("more", body).result(10) is None
    spool.close()
    assert [line["id"] for line in lines_of(small_disk / "spool")] == [*kept, "more"]


def test_a_disk_that_turns_read_only_drops_and_comes_back(small_disk: Path) -> None:
    spool = Spool(small_disk / "spool", 10**8)
    assert spool.labelled("first", b"{}").result(10) is None
    spool._segments.close()  # a disk with a file open for writing cannot be made read-only
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    assert spool.labelled("second", b"{}").result(10) == "disk"
    subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True)
    assert spool.labelled("third", b"{}").result(10) is None
    spool.close()
    assert [line["id"] for line in lines_of(small_disk / "spool")] == ["first", "third"]


def test_a_server_answers_on_while_its_disk_is_full_or_gone(small_disk: Path, tmp_path: Path) -> None:
    _, _, built = served.store()
    folder = small_disk / "spool"
    server = processes.Server(
        built.folder, tmp_path / "home", tmp_path / "log", port=ports.free_port(), spool=folder, spool_mb=1
    )
    process = processes.start(server)
    try:
        processes.wait_ready(server, process, "tiny:3")
        with httpx.Client(base_url=server.url, trust_env=False) as client:
            rows = [{"a": 0.5, "b": 0.25}] * 300
            answers = [client.post("/predict", json=rows) for _ in range(40)]
            label = {"labels": [{"request_id": "r", "label": True}] * 200}
            refused = [client.post("/labels", json=label).status_code for _ in range(10)]
            whole = len(lines_of(folder))
            subprocess.run(["rm", "-r", str(folder)], check=True)
            accepted = client.post("/labels", json=label).status_code
            answers += [client.post("/predict", json=rows)]
            metrics = client.get("/metrics").text
        log = server.log.read_text()
    finally:
        processes.stop(process.pid, process.born)
    assert {answer.status_code for answer in answers} == {200}
    assert whole > 3
    assert (refused[-1], accepted) == (503, 202)
    assert value(metrics, 'mlops_spool_dropped_total{reason="disk"}') > 20
    assert [line["kind"] for line in lines_of(folder)] == ["labels", "predict"]
    assert log.count("answers are not kept") == 1
    assert "Traceback" not in log


def test_a_killed_server_loses_its_last_moments_and_nothing_else(tmp_path: Path) -> None:
    _, _, built = served.store()
    folder = tmp_path / "spool"
    server = processes.Server(built.folder, tmp_path / "home", tmp_path / "log", port=ports.free_port(), spool=folder)
    process = processes.start(server)
    answered: list[tuple[float, str]] = []

    def load(client: int) -> None:
        with httpx.Client(base_url=server.url, trust_env=False, timeout=5) as session:
            number = 0
            while True:
                name = f"c{client}-{number}"
                try:
                    done = session.post("/predict", json=[{"a": 0.5, "b": 0.1}] * 30, headers={"X-Request-Id": name})
                except httpx.HTTPError:
                    return
                assert done.status_code == 200
                answered.append((time.monotonic(), name))
                number += 1

    clients = [threading.Thread(target=load, args=(number,)) for number in range(4)]
    try:
        processes.wait_ready(server, process, "tiny:3")
        for one in clients:
            one.start()
        deadline = time.monotonic() + 30
        while len(answered) < 600 and time.monotonic() < deadline:
            time.sleep(0.01)
        killed = time.monotonic()
        os.killpg(process.pid, signal.SIGKILL)  # its keeper with it, else another would answer on
        for one in clients:
            one.join(10)
    finally:
        processes.stop(process.pid, process.born)
    ids = [line["id"] for line in lines_of(folder, torn=1)]
    assert len(ids) == len(set(ids))
    lost = [(moment, name) for moment, name in answered if name not in set(ids)]
    print(f"{len(answered)} answered, {len(lost)} not kept, of the last {killed - min(lost)[0]:.3f} s" if lost else "")
    assert all(killed - moment < 1 for moment, _ in lost), "0.2 s and a write, where the machine is not busy"
    assert len(ids) > 300
    assert [live for _, _, live in reader.segments(folder)] == [False]
