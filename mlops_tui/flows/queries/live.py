"""Runs while they train: which do, and what each has said since somebody last looked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from mlops_tui.adapters.catalogue import build
from mlops_tui.flows.build import runs
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import Curve, Run, from_json

HIGHER_IS_BETTER = ("auc", "ndcg")  # of the metrics that LightGBM watches, by how their names begin


@dataclass(frozen=True, slots=True)
class Told:
    """A line of a run's progress: a Progress event, and when it was told; a value that is no number is None."""

    at: datetime
    step: str
    text: str = ""
    done: int = 0
    total: int = 0
    values: dict[str, float | None] = field(default_factory=dict)


def running(workspace: Workspace) -> list[Run]:
    """Return the runs that train now, newest first; those whose process is gone are left out."""
    with workspace.catalogue.read() as act:
        found = build.runs(act, status="running")
    return [run for run in found if runs.is_live(workspace, run)]


def follow(workspace: Workspace, run: str, after: int = 0) -> tuple[list[Told], int]:
    """Return what a run has told since a byte offset, and the offset to go on from.

    A last line that is not whole yet is left for the next time; a damaged one is passed over. A run that has told
    nothing yet, or whose words may not be read, has no events.
    """
    try:
        with (workspace.run_folder(run) / "progress.jsonl").open("rb") as stream:
            stream.seek(after)
            data = stream.read()
    except OSError:
        return [], after
    end = data.rfind(b"\n") + 1
    events = [event for line in data[:end].splitlines() if (event := _event(line)) is not None]
    return events, after + end


def _event(line: bytes) -> Told | None:
    try:
        return from_json(line, Told)
    except msgspec.MsgspecError:
        return None


def curve_of(events: Iterable[Told]) -> Curve | None:
    """Return the learning curve as far as it is told, its best round among those; None before the first.

    A run that trains tells its metric on validation rows only: `train` is empty, the run's details will have it.
    """
    points = [
        (event.done, name, value)
        for event in events
        if event.step == "train"
        for name, value in event.values.items()
        if value is not None
    ]
    if not points:
        return None
    rounds, names, values = zip(*points, strict=True)
    best = max(values) if names[0].startswith(HIGHER_IS_BETTER) else min(values)
    return Curve(names[0], rounds, (), values, rounds[values.index(best)])
