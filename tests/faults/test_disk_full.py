"""A disk that takes no more bytes: one clear line, exit 3, and what was there stays."""

from __future__ import annotations

import resource
import subprocess

import pytest

from mlops_tui.flows.workspace import Workspace
from tests import workspaces
from tests.cli.called import call, catalogue_state, command, process


def run_with_small_files(workspace: Workspace, size: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `mlops` where no file may grow beyond `size` bytes: writes fail as they do on a full disk."""
    return subprocess.run(
        command(workspace.root, *arguments), cwd=workspace.root, capture_output=True, text=True, check=False,
        timeout=120, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
    )  # fmt: skip


@pytest.mark.parametrize("size", [0, 10_000, 60_000, 300_000])
def test_no_room_for_a_run(size: int, trained: Workspace) -> None:
    before = catalogue_state(trained.root)
    workspaces.arrive(trained, 3)
    done = run_with_small_files(trained, size, "run", "flight-delay")
    assert "Traceback" not in done.stdout + done.stderr
    if size < 300_000:
        assert done.returncode == 3, done.stderr
        assert len([line for line in done.stderr.splitlines() if line.startswith("error: ")]) == 1
    if size == 0:
        assert catalogue_state(trained.root) == before
    statuses = {item["status"] for item in call(trained.root, "runs", "list", "--json").json["items"]}
    assert statuses <= {"completed", "failed", "interrupted"}
    assert call(trained.root, "audit", "verify").code == 0
    again = process(trained.root, "run", "flight-delay")
    assert again.returncode == 0, again.stderr
    assert call(trained.root, "doctor").code == 0


def test_listing_needs_no_room(trained: Workspace) -> None:
    done = run_with_small_files(trained, 0, "models", "list")
    assert done.returncode == 0, done.stderr
    assert "flight-delay" in done.stdout
