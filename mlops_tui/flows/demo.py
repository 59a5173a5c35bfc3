"""The whole cycle on the sample data: two batches, a champion and its challenger, a served answer."""

from __future__ import annotations

import http.client
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlops_tui.adapters import ports, processes
from mlops_tui.errors import External, NotFound
from mlops_tui.flows import cycle, lookup
from mlops_tui.flows.release import approvals, deployments, gates
from mlops_tui.flows.workspace import Workspace, init
from mlops_tui.records import GateReport, Progress

NAME = "flight-delay"
FIRST = tuple(f"2013-{month:02}.parquet" for month in range(1, 7))
SECOND = tuple(f"2013-{month:02}.parquet" for month in (7, 8))
UNSEEN = "2013-09.parquet"


@dataclass(frozen=True, slots=True)
class Demo:
    """What the demo did: both runs of the cycle, the challenger's gate report, and one served request."""

    root: str
    first: cycle.Done
    second: cycle.Done
    report: GateReport
    url: str
    rows: list[dict[str, Any]]
    truth: list[Any]
    answer: dict[str, Any]
    approved: bool  # as the server itself says


def run(root: Path, say: Callable[[str], None], report: Callable[[Progress], None]) -> Demo:
    """Make a workspace in a folder, take two batches through the cycle, serve, ask, stop; doing it again goes on."""
    sample = sample_data()
    workspace = replace(init(root)[0], report=report)
    _write_pipeline(workspace, sample)
    say(f"workspace {workspace.root}: January to June has arrived")
    first = _batch(workspace, sample, FIRST, "first version: looks right")
    say("July and August have arrived: a challenger against the champion")
    second = _batch(workspace, sample, SECOND, "better than the champion, or as good on newer data")
    version = lookup.model_version(workspace, f"{NAME}@champion")
    deployment, _ = deployments.start(workspace, version.ref)
    say(f"asking {deployment.url}/predict about flights of September, which no model has seen")
    rows, truth = unseen_rows(workspace, sample / "flights" / UNSEEN)
    try:
        answer = post(deployment.url, "/predict", {"rows": rows})
        about = processes.ask(deployment.url, "/metadata") or {}
    finally:
        deployments.stop(workspace, deployment.name)
    judged = gates.report_of(workspace, version)
    return Demo(
        str(workspace.root), first, second, judged, deployment.url, rows, truth, answer, about.get("approved") is True
    )


def sample_data() -> Path:
    """Return the folder of the sample data, in a checkout or in an installed package; raises NotFound."""
    package = Path(__file__).parents[1]
    for folder in (package.parent / "sample_data", package / "sample_data"):
        if (folder / "flights").is_dir():
            return folder
    raise NotFound("the sample data is not installed", "run the demo from a checkout of mlops-tui")


def _write_pipeline(workspace: Workspace, sample: Path) -> None:
    """Copy the sample pipeline; where its port is taken, with a free one."""
    target = workspace.root / "pipelines" / f"{NAME}.toml"
    if not target.exists():
        text = (sample / f"{NAME}.toml").read_text(encoding="utf-8")
        try:
            ports.check("127.0.0.1", 3000)
        except External:
            text = text.replace("port = 3000", f"port = {ports.free_port()}")
        target.write_text(text, encoding="utf-8")


def _batch(workspace: Workspace, sample: Path, files: tuple[str, ...], comment: str) -> cycle.Done:
    """Let files arrive, run the cycle, and approve what waits for a person."""
    folder = workspace.root / "data" / "flights"
    folder.mkdir(parents=True, exist_ok=True)
    for name in files:
        if not (folder / name).exists():
            shutil.copyfile(sample / "flights" / name, folder / name)
    done = cycle.apply(workspace, NAME)
    if any(step.step == "approval" and step.action == "wait" for step in done.steps) and done.model:
        approvals.approve(workspace, done.model, comment)
    return done


def unseen_rows(workspace: Workspace, path: Path, count: int = 5) -> tuple[list[dict[str, Any]], list[Any]]:
    """Return rows of a file as a client would send them, spread over the file, and what became of them."""
    import polars as pl

    from mlops_tui.core import requests

    signature = lookup.signature(workspace, lookup.model_version(workspace, f"{NAME}@champion"))
    frame = pl.read_parquet(path).filter(pl.col(signature.target).is_not_null())
    frame = frame.gather_every(max(1, frame.height // count)).head(count)
    names = [item.name for item in signature.inputs]
    return requests.to_json_rows(frame.select(names)), frame[signature.target].to_list()


def post(url: str, path: str, body: Any) -> dict[str, Any]:
    """Return the JSON that a POST of JSON answers."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
    try:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer: dict[str, Any] = json.loads(connection.getresponse().read())
        return answer
    finally:
        connection.close()
