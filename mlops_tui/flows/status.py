"""Every pipeline on one screen: where its cycle stands, and what it waits for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mlops_tui.config import load_pipeline
from mlops_tui.core.compare import headline
from mlops_tui.errors import InvalidInput, NotFound, Refused
from mlops_tui.flows import lookup, planning
from mlops_tui.flows.workspace import Workspace


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
    deployment: str | None = None
    deployment_state: str | None = None
    url: str | None = None
    next: str = ""
    error: str | None = None
    plan: planning.Plan | None = None


def status(workspace: Workspace) -> list[PipelineStatus]:
    """Return every pipeline of the workspace, by name; one whose file is wrong says so and hides no other."""
    return [_one(workspace, name, path) for name, path in sorted(lookup.pipeline_files(workspace).items())]


def _one(workspace: Workspace, name: str, path: Path) -> PipelineStatus:
    where = workspace.relative(path)
    try:
        state = planning.observe(workspace, load_pipeline(path))
    except (InvalidInput, NotFound, Refused) as error:  # the pipeline's own; what fails for all is told once
        return PipelineStatus(name, where, error=error.message, next=error.hint)
    plan = planning.plan_of(state)
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
        deployment=state.deployment.name if state.deployment else None,
        deployment_state=state.deployment_state,
        url=state.deployment.url if state.deployment and state.deployment_state == "running" else None,
        next=_next(plan),
        plan=plan,
    )


def _next(plan: planning.Plan) -> str:
    """What happens next, in a few words: what says no, what waits for a person, what is due."""
    for action, word in (("blocked", "blocked"), ("wait", "waits"), ("run", "due")):
        for step in plan.steps:
            if step.action == action and not (action == "wait" and plan.due):
                return f"{word}: {step.step}: {step.reason}"
    return "nothing to do"
