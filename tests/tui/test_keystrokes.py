"""The main job by keys alone, in a real terminal: from new data to an approved and deployed challenger."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mlops_tui.flows import demo, lookup
from mlops_tui.flows.release import approvals, deployments
from mlops_tui.flows.workspace import Workspace, open_workspace
from tests import workspaces
from tests.tui.terminal import Terminal, needs_tmux

MOST = 15


@pytest.fixture
def demonstrated(tmp_path: Path) -> Workspace:
    """The workspace that `make demo` leaves, and September's flights, which have just arrived."""
    demo.run(tmp_path / "demo", lambda _: None, lambda _: None)
    workspace = open_workspace(tmp_path / "demo")
    shutil.copy(workspaces.SAMPLE / "flights" / "2013-09.parquet", workspace.root / "data" / "flights")
    return workspace


@needs_tmux
@pytest.mark.slow
def test_a_challenger_is_trained_approved_and_deployed_in_fewer_than_fifteen_keystrokes(
    demonstrated: Workspace,
) -> None:
    before = lookup.model_version(demonstrated, "flight-delay@champion")
    terminal = Terminal(demonstrated.root, "tui")
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
        item = deployments.get(demonstrated, "flight-delay")
        running = deployments.state(item)
        deployments.stop(demonstrated, "flight-delay")
    assert terminal.keys < MOST
    assert (before.version, item.version, running) == (2, 3, "running")
    champion = lookup.model_version(demonstrated, "flight-delay@champion")
    assert (champion.version, approvals.standing_of(demonstrated, champion).state) == (3, "approved")
