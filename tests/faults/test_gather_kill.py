"""`kill -9` at sixteen moments of gathering: every answer and label is there once, and nothing is left half done."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
import polars as pl
import pytest

from mlops_tui.adapters.catalogue import watch as rows
from mlops_tui.flows import keep
from mlops_tui.flows.watch import answers, predictions
from mlops_tui.flows.workspace import Workspace
from mlops_tui.spool import Segments
from tests import workspaces
from tests.flows.test_predictions import NAME, ONE, folder_of, held, labelled, request, serve, spool, write

STRIKES = 16
BATCH = 40  # requests between two strikes
GATHER = """
import os, signal, sys
from pathlib import Path
from mlops_tui.adapters import spool
from mlops_tui.core import labels, requests, samples
from mlops_tui.flows.watch import answers, predictions
from mlops_tui.flows.workspace import open_workspace

root, name, last = sys.argv[1:]
workspace, seen = open_workspace(Path(root)), 0
predictions.CHUNK = 6_000  # several transactions
answers.versions(workspace, name)

def count(event, _):
    global seen
    if event.startswith(("open", "os.", "fcntl.")):
        seen += 1
        if seen == int(last):
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(count)
print("ready", flush=True)
predictions.gather(workspace, name)
print(seen)
"""


@dataclass
class Sent:
    """What a deployment's server has written so far: ids of requests, labels, and lines that nobody here can read."""

    requests: int = 0
    labels: int = 0
    strange: int = 0


def arrive(workspace: Workspace, sent: Sent, live: Segments) -> None:
    """Let requests of two rows come, labels and lines of another workspace's model, in three segments; one is live."""
    numbers = range(sent.requests, sent.requests + BATCH)
    lines = [request(number, 2) for number in numbers]
    lines += [labelled(number, {"request_id": f"r{number}", "label": True}) for number in numbers[::10]]
    lines += [request(number, 2, model="elsewhere:7") for number in numbers[::20]]
    sent.requests += BATCH
    sent.labels += len(numbers[::10])
    sent.strange += len(numbers[::20])
    spool(workspace, *lines[0::3])
    write(live, lines[1::3])
    spool(workspace, *lines[2::3])


def gather(root: Path, *, event: int = 0, seconds: float | None = None) -> tuple[int, list[str]]:
    """Gather in a process of its own, killed at its n-th touch of a file or after so long; its exit code and lines."""
    command: Sequence[str] = [sys.executable, "-c", GATHER, str(root), NAME, str(event)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        if seconds is not None:
            with suppress(subprocess.TimeoutExpired):
                running.wait(seconds)
            running.kill()
        told = running.stdout.read().split()
    return running.returncode, told


def check(workspace: Workspace, sent: Sent) -> None:
    """Every row of every request is there once, every label, every strange line; records and files agree."""
    frame = answers.frame(workspace, NAME, ONE)
    assert frame.select("__request", "__row").is_duplicated().sum() == 0
    assert frame.height == 2 * sent.requests
    assert frame["distance"].sort().to_list() == list(range(2 * sent.requests))
    with workspace.catalogue.read() as act:
        parts, labels = rows.prediction_parts(act, NAME), rows.label_parts(act, NAME)
    assert sum(part.rows for part in parts) == frame.height
    files = [pl.read_parquet(workspace.objects.checked_path(part.hash)) for part in labels]
    ids = pl.concat(files)["__request"]
    assert (len(ids), ids.n_unique()) == (sent.labels, sent.labels)
    kept = [path.read_bytes().splitlines() for path in (folder_of(workspace) / "unreadable").glob("*.jsonl")]
    strange = [msgspec.json.decode(line)["id"] for lines in kept for line in lines]
    assert (len(strange), len(set(strange))) == (sent.strange, sent.strange)
    assert not keep.verify(workspace).broken
    assert all(finding.ok for finding in keep.examine(workspace) if finding.check in ("catalogue", "objects"))


@pytest.mark.slow
def test_killed_at_sixteen_moments(tmp_path: Path) -> None:
    measured = workspaces.make(tmp_path / "measured")
    workspace = workspaces.make(tmp_path / "struck")
    for one in (measured, workspace):
        serve(one)
    with closing(Segments(folder_of(measured), 2**30)) as live:
        arrive(measured, Sent(), live)
        began = time.monotonic()
        code, (events,) = gather(measured.root)
        seconds = time.monotonic() - began
    assert code == 0
    chance, killed, sent = random.Random(20130101), 0, Sent()
    with closing(Segments(folder_of(workspace), 2**30)) as live:
        for number in range(STRIKES):
            arrive(workspace, sent, live)
            share = (number // 2 + chance.random()) / (STRIKES / 2)
            how = {"seconds": share * seconds / 2} if number % 2 else {"event": 1 + int(share * int(events))}
            killed += gather(workspace.root, **how)[0] == -signal.SIGKILL  # type: ignore[arg-type]
        predictions.gather(workspace, NAME)
        check(workspace, sent)
        assert len([path for path in folder_of(workspace).iterdir() if path.suffix == ".jsonl"]) == 1, "the live one"
    assert killed >= STRIKES / 2, "the moments lie where something happens"
    predictions.gather(workspace, NAME)
    spool(workspace, request(sent.requests, 2))
    sent.requests += 1
    assert predictions.gather(workspace, NAME).requests == 1
    check(workspace, sent)
    assert len(held(workspace)) == 1, "no row is left of a segment that is gone"
    print(f"\n{killed} of {STRIKES} killed; {events} touches of files a gathering")
