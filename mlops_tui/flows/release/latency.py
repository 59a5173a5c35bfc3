"""How long a model version takes to answer one row: in this process, and over HTTP from a Bento that lasts as long."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import Golden, ModelVersion, Progress, Serving, from_json, to_json

if TYPE_CHECKING:
    from mlops_tui.adapters import processes
    from mlops_tui.core.scoring import Scorer

REQUESTS, WARM_UP = 300, 20
HTTP_SECONDS, HTTP_WARM_UP = 2.0, 50
BUILD_SECONDS = 600.0  # that another judging of the same model may take


def in_process(workspace: Workspace, version: ModelVersion, scorer: Scorer) -> float:
    """The 99th percentile of answering one row in this process, in milliseconds: JSON rows in, answers out."""
    from mlops_tui.core import requests, scoring

    golden = from_json(workspace.objects.get(version.golden), Golden)
    seconds = []
    for number in range(REQUESTS + WARM_UP):
        row = golden.rows[number % len(golden.rows)]
        begun = time.perf_counter()
        scoring.answers(scorer, requests.rows_to_frame(scorer.signature, [row]))
        seconds.append(time.perf_counter() - begun)
    measured = sorted(seconds[WARM_UP:])
    return 1000 * measured[int(0.99 * len(measured))]


def over_http(workspace: Workspace, version: ModelVersion) -> float | None:
    """The 99th percentile of a one-row request to a Bento of its own, in milliseconds, asked on one connection for 2 s.

    Rows are those of the reference sample. None if a request was not answered as it should be; raises External if the
    Bento cannot be built or does not start.
    """
    from mlops_tui.adapters import bento, processes

    runtime = workspace.home / "bentos" / "runtime"
    folder = runtime / f"gate-{bento.tag_name(version.model)}"
    with workspace.exclusive(f"gate-{version.model}", f"the latency gate of {version.model}", timeout=BUILD_SECONDS):
        for left in processes.serving_from(runtime, f"{folder.name}{os.sep}"):  # of a gate that was killed
            processes.stop(left.pid, left.born)
        try:
            built = _built(workspace, version, folder / "store")
            workspace.report(Progress("gates", f"asking {version.ref} over HTTP"))
            return _asked(workspace, version, _server(built, folder))
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _built(workspace: Workspace, version: ModelVersion, home: Path) -> Path:
    """Build a Bento that is not approved, and known to nobody, into a store of its own."""
    from mlops_tui.adapters import bento
    from mlops_tui.flows.release import bentos

    workspace.report(Progress("gates", f"building a Bento of {version.ref}, to measure it over HTTP"))
    files = bentos.files(workspace, version)
    serving = from_json(files["serving.json"], Serving)
    unpaced = replace(serving, limits=replace(serving.limits, per_second=None))  # we are one client, and in a hurry
    contents = bento.Contents(version.ref, files | {"serving.json": to_json(unpaced)}, approved=False)
    return bento.build(home, contents, bento.tag_name(version.model), f"v{version.version}").folder


def _server(bento: Path, folder: Path) -> processes.Server:
    from mlops_tui.adapters import ports, processes

    return processes.Server(bento, folder / "home", folder / "gate.log", port=ports.free_port())


def _asked(workspace: Workspace, version: ModelVersion, server: processes.Server) -> float | None:
    from mlops_tui.adapters import load, processes
    from mlops_tui.flows.release import bench

    requests = [load.build("/predict", body, {}) for body in bench.bodies_of(workspace, version, 1)]
    target = load.Target(server.host, server.port)
    process = processes.start(server)
    try:
        processes.wait_ready(server, process, version.ref)
        load.drive(target, requests, load.Load(1, HTTP_SECONDS, HTTP_WARM_UP))
        found = load.drive(target, requests, load.Load(1, HTTP_SECONDS))
    finally:
        processes.stop(process.pid, process.born)
    if found.failures or set(found.statuses) != {200}:
        return None
    return 1000 * found.quantile(0.99)
