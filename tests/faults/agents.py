"""The agent as a process of its own, for tests that stop or kill it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
AGENT = """
import sys
from pathlib import Path
from mlops_tui import agent
from mlops_tui.flows.workspace import open_workspace
sys.exit(agent.run(open_workspace(Path(sys.argv[1]))))
"""


@contextmanager
def agent(root: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the agent of a workspace; what still runs at the end of the body is killed, as by the kernel."""
    command = [sys.executable, "-c", AGENT, str(root)]
    with (root / "agent.err").open("ab") as said:
        process = subprocess.Popen(command, cwd=ROOT, stdout=said, stderr=said, env=os.environ)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def until(true: Callable[[], object], seconds: float = 60) -> None:
    """Wait until something is true; fails after so many seconds."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.02)
