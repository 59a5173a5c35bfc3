"""What a command costs before it does anything, against the least that any Python or DuckDB program costs."""

from __future__ import annotations

import os
import statistics
from datetime import UTC, datetime
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from mlops_tui.adapters.catalogue import release
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import Bento, Deployment, Parity
from tests.bench.measured import MLOPS, PYTHON, cpu, paired, show

pytestmark = pytest.mark.bench
NOW = datetime(2024, 1, 1, tzinfo=UTC)
OPEN = """\
import duckdb, json
con = duckdb.connect(".mlops/catalogue.duckdb", read_only=True)
print(json.dumps({"items": [con.execute(sql).fetchall() for sql in %r]}, default=str))
"""
NEWEST = "SELECT body FROM {} ORDER BY created_at DESC, version DESC LIMIT 100"
MODEL = ("SELECT model, alias, version FROM aliases", "SELECT body FROM approvals ORDER BY created_at, rowid")
LISTINGS: dict[str, tuple[str, ...]] = {
    "datasets list": (NEWEST.format("dataset_versions"),),
    "runs list": ("SELECT body FROM runs ORDER BY started_at DESC, id LIMIT 100",),
    "models list": (NEWEST.format("model_versions"), *MODEL),
    "bentos list": ("SELECT body FROM bentos ORDER BY created_at DESC LIMIT 100",),
    "deployments list": ("SELECT body FROM deployments ORDER BY name",),
    "audit list": ("SELECT * FROM audit ORDER BY number DESC LIMIT 100",),
    "pipelines list": ("SELECT name, path FROM pipelines ORDER BY name",),
    "status": (
        NEWEST.format("dataset_versions"), "SELECT settings FROM datasets", NEWEST.format("model_versions"), *MODEL,
        "SELECT body FROM runs WHERE status = 'completed' ORDER BY started_at DESC LIMIT 1",
        "SELECT body FROM deployments", "SELECT body FROM bentos",
    ),
}  # fmt: skip


def serve(workspace: Workspace) -> None:
    """Write down a Bento and a deployment whose process lives: this one."""
    parity = Parity(20, 0.0, 1.5, 1.0, 2.0, NOW)
    bento = Bento("flight-delay:v1", "flight-delay", 1, "0" * 64, True, 1_000_000, parity, "me", NOW)
    born = psutil.Process().create_time()
    place = ("127.0.0.1", 3000, os.getpid(), born, "running", "me", NOW)
    with workspace.catalogue.write(NOW) as act:
        release.put_bento(act, bento)
        release.put_deployment(act, Deployment("flight-delay", "flight-delay", 1, bento.tag, *place))  # type: ignore[arg-type]
        act.record("bench.served", "flight-delay")


def test_start(tmp_path: Path) -> None:
    rows = []
    for words, bar in (("--version", 2), ("--help", 8)):
        pair = paired([MLOPS, words], [PYTHON, "-c", "pass"], tmp_path, 21)
        rows.append((f"`mlops {words}`", pair.ours, pair.theirs, pair.ratio, bar))
    show("against `python -c pass`", ("command", "CPU s", "against", "ratio", "bar"), rows)


def test_listings(trained: Workspace) -> None:
    serve(trained)
    rows = []
    for words, queries in LISTINGS.items():
        pair = paired([MLOPS, *words.split(), "--json"], [PYTHON, "-c", OPEN % (queries,)], trained.root)
        rows.append((f"`mlops {words} --json`", pair.ours, pair.theirs, pair.ratio, 1.5))
    show("against import duckdb, open, the same queries", ("command", "CPU s", "against", "ratio", "bar"), rows)


def test_nothing_to_do(trained: Workspace) -> None:
    command = [MLOPS, "run", "flight-delay"]
    cpu(command, trained.root)
    seconds = statistics.median(cpu(command, trained.root) for _ in range(11))
    show("nothing to do", ("command", "CPU s", "bar s"), [("`mlops run` again", seconds, 1)])
