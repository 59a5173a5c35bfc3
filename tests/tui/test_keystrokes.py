"""The main job by keys alone, in a real terminal: from new data to an approved and deployed challenger."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mlops_tui.flows import lookup
from mlops_tui.flows.release import approvals, deployments
from mlops_tui.flows.workspace import Workspace
from tests import workspaces
from tests.cli.called import Answer
from tests.tui.terminal import Terminal, needs_tmux

MOST = 15


@pytest.fixture
def arrived(demonstrated: tuple[Path, Answer], tmp_path: Path) -> Workspace:
    """The workspace that `make demo` leaves, and September's flights, which have just arrived."""
    workspace = workspaces.copy(demonstrated[0], tmp_path / "demo")
    shutil.copy(workspaces.SAMPLE / "flights" / "2013-09.parquet", workspace.root / "data" / "flights")
    return workspace


@needs_tmux
@pytest.mark.slow
def test_a_challenger_is_trained_approved_and_deployed_in_fewer_than_fifteen_keystrokes(
    arrived: Workspace,
) -> None:
    before = lookup.model_version(arrived, "flight-delay@champion")
    terminal = Terminal(arrived.root, "tui")
    try:
        terminal.until("1 new file")  # home says what has arrived
        terminal.press("r")
        terminal.until("$ mlops run flight-delay")  # what will happen, before it does
        terminal.press("Enter")
        terminal.until("✓ mlops run flight-delay", 180)
        terminal.until("approve or reject: flight-delay:3")
        terminal.press("a")
        terminal.until("$ mlops models approve flight-delay:3")
        terminal.type("as good on newer data")
        terminal.press("Enter")
        terminal.until("✓ mlops models approve flight-delay:3")
        terminal.until("the champion flight-delay:3 ")  # home has seen it: what a key does is done to what is shown
        terminal.press("s")
        terminal.until("$ mlops deployments start flight-delay:3")
        terminal.press("Enter")
        terminal.until("✓ mlops deployments start flight-delay:3", 120)
        terminal.press("q")
        assert terminal.ended()
    finally:
        terminal.close()
        item = deployments.get(arrived, "flight-delay")
        running = deployments.state(item)
        deployments.stop(arrived, "flight-delay")
    assert terminal.keys < MOST
    assert (before.version, item.version, running) == (2, 3, "running")
    champion = lookup.model_version(arrived, "flight-delay@champion")
    assert (champion.version, approvals.standing_of(arrived, champion).state) == (3, "approved")
