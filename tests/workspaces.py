"""Workspaces for tests: the sample data, cut small, with a pipeline that trains in a moment."""

from __future__ import annotations

import shutil
from pathlib import Path

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


def arrive(workspace: Workspace, *months: int) -> None:
    """Let months of the sample data arrive in the source folder."""
    folder = workspace.root / "data" / "flights"
    folder.mkdir(parents=True, exist_ok=True)
    for month in months:
        shutil.copyfile(SAMPLE / "flights" / f"2013-{month:02}.parquet", folder / f"2013-{month:02}.parquet")


def copy(template: Path, root: Path) -> Workspace:
    """Return a copy of a workspace that a session made once; file times are kept, so nothing looks new."""
    shutil.copytree(template, root, dirs_exist_ok=True)
    return open_workspace(root)
