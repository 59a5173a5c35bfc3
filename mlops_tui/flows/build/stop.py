"""A run that is ended on purpose: its process is found, told from strangers, interrupted and waited for."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_tui.adapters.catalogue import lock
from mlops_tui.errors import Busy, Refused
from mlops_tui.flows import lookup
from mlops_tui.flows.build import runs
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import Run

if TYPE_CHECKING:
    import psutil  # type: ignore[import-untyped]

PATIENCE = 30.0  # seconds that a run may take to end
PAUSE = 0.05


def stop(workspace: Workspace, reference: str) -> Run:
    """Interrupt the process that trains a run, and return the run as it ended.

    By SIGTERM, which every command of ours answers as Ctrl-C: what a shell starts with & is deaf to SIGINT.
    One that was done before it heard of it is returned as completed. Raises Refused for a run that is over, that
    another user trains or the agent, and Busy if the run goes on for 30 seconds all the same.
    """
    import psutil

    run = lookup.run(workspace, reference)
    path = workspace.run_folder(run.id) / "lock"
    if run.status != "running" or not lock.is_held(path):
        raise _over(workspace, run)
    trainer = _trainer(workspace, run, path)
    with suppress(psutil.NoSuchProcess):  # it has ended meanwhile
        _check_may(workspace, run, trainer)
        if lock.is_held(path):  # else its process has gone on to the next step, which is not to be interrupted
            trainer.terminate()
    return _ended(workspace, run, trainer.pid)


def _trainer(workspace: Workspace, run: Run, path: Path) -> psutil.Process:
    """The process that holds a run's folder, which is known by its open file: a pid alone may be a stranger's."""
    import psutil

    pid = lock.holder(path)
    with suppress(psutil.Error):
        process = psutil.Process(pid or 0)
        if process.uids().real != os.getuid() or str(path.resolve()) in {one.path for one in process.open_files()}:
            return process
    if not lock.is_held(path):
        raise _over(workspace, run)
    raise Refused(f"the process that trains run {run.id} cannot be seen from here", "in a container? stop it in there")


def _check_may(workspace: Workspace, run: Run, trainer: psutil.Process) -> None:
    """Raise Refused for a process that is not ours to interrupt."""
    if trainer.uids().real != os.getuid():
        owner = trainer.username()
        raise Refused(f"run {run.id} is trained by process {trainer.pid} of {owner}", f"ask {owner} to stop it")
    agent = workspace.home / "locks" / "agent"
    if lock.holder(agent) == trainer.pid and lock.is_held(agent):
        raise Refused(
            f"run {run.id} is trained by the agent, process {trainer.pid}, which an interruption would end as a whole",
            f"to stop the agent: kill {trainer.pid}; its next start trains again; mlops agent status",
        )


def _ended(workspace: Workspace, run: Run, pid: int) -> Run:
    """Wait until nobody holds the run's folder, and read then what was written at the run's end."""
    deadline = time.monotonic() + PATIENCE
    while runs.is_live(workspace, run):
        if time.monotonic() >= deadline:
            raise Busy(
                f"run {run.id} goes on {PATIENCE:g} s after it was interrupted",
                f"it ends with the step that it is in; to end it at once: kill -9 {pid}",
            )
        time.sleep(PAUSE)
    return _now(workspace, run)


def _over(workspace: Workspace, run: Run) -> Refused:
    now = _now(workspace, run)
    return Refused(f"run {run.id} does not run: it is {now.status}", f"mlops runs show {run.id}")


def _now(workspace: Workspace, run: Run) -> Run:
    """The run as it is: what was read before its end would look like a process that died."""
    return runs.honest(workspace, lookup.run(workspace, run.id))
