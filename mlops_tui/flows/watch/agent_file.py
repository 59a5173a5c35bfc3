"""What the agent says of itself, in a file beside the catalogue, and what it could not deliver."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import msgspec

from mlops_tui.adapters import files, processes
from mlops_tui.flows.watch import notices
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import AgentState, Notice, from_json, to_json

OWED = timedelta(days=7)  # how long a notice that was given up is still shown


@dataclass(frozen=True, slots=True)
class AgentStatus:
    """Whether an agent works for the workspace, what it last said of itself, and the notices that did not arrive.

    They are still to be delivered, or were given up within the last week.
    """

    alive: bool
    state: AgentState | None
    undelivered: tuple[Notice, ...]


def status(workspace: Workspace) -> AgentStatus:
    """Return how the workspace's agent does; one that was never run has no state."""
    state = load(workspace)
    undelivered = tuple(notices.undelivered(workspace, workspace.now() - OWED))
    return AgentStatus(state is not None and processes.alive(state.pid, state.born), state, undelivered)


def load(workspace: Workspace) -> AgentState | None:
    """Return what the agent last wrote; None where it wrote nothing, or that cannot be read, now or by us."""
    try:
        return from_json(_file(workspace).read_bytes(), AgentState)
    except (OSError, msgspec.MsgspecError):  # another version's is as good as none
        return None


def save(workspace: Workspace, state: AgentState) -> None:
    """Write what the agent says of itself, whole or not at all."""
    path = _file(workspace)
    new = files.unfinished(path)
    new.write_bytes(to_json(state))
    new.replace(path)


def _file(workspace: Workspace) -> Path:
    return workspace.home / "agent.json"
