"""Workspaces for tests: the sample data, cut small, with a pipeline that trains in a moment."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path

import httpx
import polars as pl

from mlops_tui.flows.workspace import Workspace, init, open_workspace

SAMPLE = Path(__file__).parents[1] / "sample_data"
PIPELINE = """\
[pipeline]
name = "flight-delay"
[data]
dataset = "flights"
source = "data/flights/*.parquet"
time = "time_hour"
key = ["flight_id"]
[data.checks]
min_rows = 100
[data.checks.columns.distance]
min = 50
[target]
column = "late"
task = "binary"
[features]
exclude = ["tailnum", "dep_delay", "arr_delay"]
[features.derive]
dep_hour = "sched_dep_time // 100"
[split]
method = "time"
[train]
rounds = 30
early_stopping = 10
seed = 7
params = {{ num_leaves = 15 }}
[[gates]]
metric = "auc"
min = {auc}
[[gates]]
metric = "auc"
versus = "champion"
margin = 0.2
[approval]
mode = "{mode}"
reviewers = {reviewers}
{more}
"""


def make(root: Path, *, auc: float = 0.5, mode: str = "manual", reviewers: int = 0, more: str = "") -> Workspace:
    """Return a workspace with the sample pipeline and no data yet; `more` is appended to the pipeline file."""
    workspace, _ = init(root)
    write_pipeline(workspace, auc=auc, mode=mode, reviewers=reviewers, more=more)
    return workspace


def write_pipeline(workspace: Workspace, **values: object) -> Path:
    """Write the sample pipeline again, with other values."""
    path = workspace.root / "pipelines" / "flight-delay.toml"
    defaults: dict[str, object] = {"auc": 0.5, "mode": "manual", "reviewers": 0, "more": ""}
    path.write_text(PIPELINE.format(**(defaults | values)), encoding="utf-8")
    return path


def arrive(workspace: Workspace, *months: int, every: int = 1) -> None:
    """Let months of the sample data arrive in the source folder; of their rows only every so manieth."""
    folder = workspace.root / "data" / "flights"
    folder.mkdir(parents=True, exist_ok=True)
    for name in (f"2013-{month:02}.parquet" for month in months):
        if every == 1:
            shutil.copyfile(SAMPLE / "flights" / name, folder / name)
        else:
            pl.read_parquet(SAMPLE / "flights" / name).gather_every(every).write_parquet(workspace.root / name)
            (workspace.root / name).replace(folder / name)  # whole, for an agent that looks meanwhile


def until_written(client: httpx.Client) -> None:
    """Wait until a server has written down all that it answered, which it does a moment afterwards."""
    asked = re.search(r'mlops_requests_total\{endpoint="/predict",outcome="ok"\} (\S+)', client.get("/metrics").text)
    assert asked is not None
    deadline = time.monotonic() + 30
    while f'mlops_spooled_total{{kind="predict"}} {asked[1]}' not in client.get("/metrics").text:
        assert time.monotonic() < deadline, "the answers are not written down"


def copy(template: Path, root: Path) -> Workspace:
    """Return a copy of a workspace that a session made once; file times are kept, so nothing looks new."""
    shutil.copytree(template, root, dirs_exist_ok=True)
    return open_workspace(root)
