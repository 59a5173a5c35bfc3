"""Every pipeline on one screen: where its cycle stands, and what it waits for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mlops_tui.config import load_pipeline
from mlops_tui.core.compare import headline
from mlops_tui.errors import InvalidInput, NotFound, Refused
from mlops_tui.flows import lookup, planning
from mlops_tui.flows.queries.board import Line, board
from mlops_tui.flows.queries.served import told_of
from mlops_tui.flows.queries.stations import Mark, Station
from mlops_tui.flows.workspace import Workspace

WORDS: dict[planning.Action, str] = {"blocked": "blocked", "wait": "waits", "run": "due"}


@dataclass(frozen=True, slots=True)
class PipelineStatus:
    """One pipeline's line: its newest versions, what serves, what is due or waited for; or what is wrong with it."""

    name: str
    path: str
    dataset: str | None = None
    rows: int | None = None
    dataset_state: str | None = None
    model: str | None = None
    model_state: str | None = None
    metric: str | None = None
    value: float | None = None
    trained_at: datetime | None = None
    champion: str | None = None
    champion_since: str | None = None  # with the reason why it is so, as a rollback
    deployment: str | None = None
    deployment_state: str | None = None
    url: str | None = None
    beside: str | None = None  # what stands beside it, and how
    watch: str | None = None  # what the newest report says of what serves
    watch_state: Mark | None = None
    live_metric: str | None = None
    live_value: float | None = None  # of the newest window that has one
    decided: str | None = None  # what the rules said last, and what came of it
    decided_state: Mark | None = None
    decided_at: datetime | None = None
    next: str = ""
    error: str | None = None
    plan: planning.Plan | None = None


def status(workspace: Workspace) -> list[PipelineStatus]:
    """Return every pipeline of the workspace, by name; one whose file is wrong says so and hides no other.

    Who is champion, what is watched and what was decided are those of the overview, word for word.
    """
    lines = {line.path: line for line in board(workspace)}
    return [_one(workspace, name, path, lines) for name, path in sorted(lookup.pipeline_files(workspace).items())]


def _one(workspace: Workspace, name: str, path: Path, lines: dict[str, Line]) -> PipelineStatus:
    where = workspace.relative(path)
    try:
        state = planning.observe(workspace, load_pipeline(path))
    except (InvalidInput, NotFound, Refused) as error:  # the pipeline's own; what fails for all is told once
        return PipelineStatus(name, where, error=error.message, next=error.hint)
    plan = planning.plan_of(state)
    line = lines.get(where)  # of a pipeline whose file is this moment's there is none
    watched, decided = _station(line, "monitor"), _station(line, "rules")
    model = state.newest
    metric = headline(model) if model else None
    return PipelineStatus(
        name=name,
        path=where,
        dataset=f"{state.dataset.dataset}:{state.dataset.version}" if state.dataset else None,
        rows=state.dataset.rows if state.dataset else None,
        dataset_state=state.dataset.state if state.dataset else None,
        model=model.ref if model else None,
        model_state=state.newest_standing.state if state.newest_standing else None,
        metric=metric[0] if metric else None,
        value=metric[1] if metric else None,
        trained_at=model.created_at if model else None,
        champion=state.champion.ref if state.champion else None,
        champion_since=(line.champion or None) if line else None,
        deployment=state.deployment.name if state.deployment else None,
        deployment_state=state.deployment_state,
        url=state.deployment.url if state.deployment and state.deployment_state == "running" else None,
        beside=told_of(state.rival) or None,
        watch=watched.text if watched else None,
        watch_state=watched.mark if watched else None,
        live_metric=(line.metric or None) if line else None,
        live_value=line.live if line else None,
        decided=decided.text if decided else None,
        decided_state=decided.mark if decided else None,
        decided_at=decided.at if decided else None,
        next=_next(plan),
        plan=plan,
    )


def _station(line: Line | None, name: str) -> Station | None:
    """A station that has something behind it."""
    return next((one for one in line.stations if one.name == name and one.noun), None) if line else None


def _next(plan: planning.Plan) -> str:
    """What happens next, in a few words."""
    step = next_step(plan)
    return f"{WORDS[step.action]}: {step.step}: {step.reason}" if step else "nothing to do"


def next_step(plan: planning.Plan) -> planning.Step | None:
    """Return what says no, what waits for a person or what is due; None where there is nothing to do."""
    for action in WORDS:
        for step in plan.steps:
            if step.action == action and not (action == "wait" and plan.due):
                return step
    return None
