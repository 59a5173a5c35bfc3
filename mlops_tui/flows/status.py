"""Every pipeline on one screen: where its cycle stands, and what it waits for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mlops_tui.config import load_pipeline
from mlops_tui.core.compare import headline
from mlops_tui.errors import InvalidInput, NotFound, Refused
from mlops_tui.flows import lookup, planning
from mlops_tui.flows.watch import monitor, rules
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import Decision, Estimate


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
    watch: str | None = None  # what the newest window of predictions shows
    decided: str | None = None  # what the rules said last, and what came of it
    decided_at: datetime | None = None
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
    decision = next(iter(rules.history(workspace, state.settings.name, None, 1)), None)
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
        watch=_watched(workspace, state),
        decided=_decided(decision) if decision else None,
        decided_at=decision.at if decision else None,
        next=_next(plan),
        plan=plan,
    )


def _watched(workspace: Workspace, state: planning.State) -> str | None:
    """The newest window of the deployment's predictions in a few words; None where nothing was monitored."""
    report = monitor.newest_report(workspace, state.deployment.name, routine=True) if state.deployment else None
    serving = state.deployment.version if state.deployment else None
    windows = [one for one in report.windows if one.version == serving] if report else []
    if not windows:
        return None
    newest = monitor.newest_judged(windows) or windows[-1]
    live = newest.performance or newest.estimate
    name = "" if live is None else f"{live.metric} ≈" if isinstance(live, Estimate) else f"{live.name} "
    figure = f", {name}{live.value:.4f}" if live else ""
    if newest.faults:
        return f"data fault: {newest.faults[0]}{figure}"
    drifted = f"{len(newest.drifted)} drifted: {', '.join(newest.drifted[:3])}" if newest.drifted else "quiet"
    return f"{newest.remark or drifted}{figure}"


def _decided(decision: Decision) -> str:
    """What the rules said last, and what came of it."""
    if decision.held:
        return f"held: {decision.held}"
    if not decision.fires:
        return f"quiet: {decision.reason}"
    return f"fired: {decision.reason}" + (f" → {decision.outcome}" if decision.outcome else "")


def _next(plan: planning.Plan) -> str:
    """What happens next, in a few words: what says no, what waits for a person, what is due."""
    for action, word in (("blocked", "blocked"), ("wait", "waits"), ("run", "due")):
        for step in plan.steps:
            if step.action == action and not (action == "wait" and plan.due):
                return f"{word}: {step.step}: {step.reason}"
    return "nothing to do"
