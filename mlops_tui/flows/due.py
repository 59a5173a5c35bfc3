"""What is due at a wake: a monitor report, a look at the rules, a release of what has been trained already."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import takewhile
from pathlib import Path

from mlops_tui.adapters.catalogue import build, release
from mlops_tui.adapters.catalogue import watch as rows
from mlops_tui.config import PipelineFile
from mlops_tui.flows import planning
from mlops_tui.flows.planning import State
from mlops_tui.flows.release import approvals
from mlops_tui.flows.watch import monitor
from mlops_tui.flows.workspace import Workspace
from mlops_tui.names import parse_duration
from mlops_tui.records import Decision, Deployment

RULES_AT_LEAST = timedelta(days=1)  # for what no date tells of, such as new code


def is_monitoring(workspace: Workspace, settings: PipelineFile) -> bool:
    """Whether predictions or labels have come since the last report, and it is not too young.

    Labels come with a dataset version, too. Between two reports lies a hundredth of the time that the deployment has
    answered for: ten wakes at the least, so that a young one is looked at often, and an hour at the most.
    """
    with workspace.catalogue.read() as act:
        parts, labels = rows.prediction_parts(act, settings.deployment), rows.label_parts(act, settings.deployment)
        dataset = build.good_dataset_version(act, settings.data.dataset)
    if not parts:
        return False
    last = monitor.newest_report(workspace, settings.deployment, routine=True)
    if last is None:
        return True
    came = max(part.gathered_at for part in parts)
    came = max([came, *(part.added_at for part in labels), *([dataset.created_at] if dataset else [])])
    span = max(part.last for part in parts) - min(part.first for part in parts)
    least = 10 * timedelta(seconds=parse_duration(workspace.settings.agent.every))
    pause = min(max(span / 100, least), timedelta(hours=1))
    return came > last.created_at and workspace.now() - last.created_at >= pause


def is_asking(workspace: Workspace, settings: PipelineFile, path: Path) -> bool:
    """Whether the rules would see anything that they did not see last time."""
    with workspace.catalogue.read() as act:
        found = rows.decisions(act, settings.name, limit=1)
        dataset = build.dataset_version(act, settings.data.dataset)
        champion = approvals.champion(act, settings.name)
    if not found:
        return True
    last, now = found[0], workspace.now()
    report = monitor.newest_report(workspace, settings.deployment, routine=True)
    return (
        last.dataset != (f"{dataset.dataset}:{dataset.version}" if dataset else None)
        or last.champion != (f"{settings.name}:{champion}" if champion else None)
        or (report is not None and report.created_at > last.at)
        or last.at < datetime.fromtimestamp(path.stat().st_mtime, UTC) <= now
        or (last.next_at is not None and last.next_at <= now)
        or now - last.at >= RULES_AT_LEAST
    )


def is_put_off(workspace: Workspace, decision: Decision | None) -> bool:
    """Whether the cycle that a decision asks for failed by the world's fault, and is not to be tried again yet."""
    if decision is None or not decision.outcome or decision.next_at is None:
        return False
    return decision.next_at > workspace.now()


def is_releasing(workspace: Workspace, state: State) -> bool:
    """Whether a gate, an approval, a Bento or a deployment is due; one that is only down is left to `tend`."""
    steps = [step.step for step in planning.decide(state)[2:] if step.action == "run"]
    down = state.deployment_state == "down" and state.deployment and state.bento
    only_down = steps == ["deploy"] and down and state.deployment.bento == state.bento.tag  # type: ignore[union-attr]
    if state.newest is None or not steps or only_down:
        return False
    return bool(set(steps) - {"bento", "deploy"}) or not _is_chosen_by_hand(workspace, state)


def _is_chosen_by_hand(workspace: Workspace, state: State) -> bool:
    """Whether another version serves than the champion, and was started after that one had become champion.

    A restart of what fell is no start: what counts is since when the version has served without having been stopped.
    """
    serving, champion = state.deployment, state.champion
    if serving is None or champion is None or f"{serving.model}:{serving.version}" == champion.ref:
        return False
    with workspace.catalogue.read() as act:
        past = release.deployment_history(act, serving.name)
        moved = release.alias_changes(act, champion.model, "champion")
    since = [one.started_at for one in takewhile(lambda one: _goes_on(one, serving), past)]
    return serving.wanted == "running" and min([serving.started_at, *since]) > moved[0].created_at


def _goes_on(former: Deployment, now: Deployment) -> bool:
    return former.bento == now.bento and former.wanted == "running"
