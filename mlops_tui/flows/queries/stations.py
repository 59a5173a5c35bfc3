"""The stations of one pipeline's cycle: pure but for what runs, what is in the store, and one gate report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Literal, NamedTuple

from mlops_tui.adapters.catalogue import board as rows
from mlops_tui.core.approval import Standing, State, is_outdated, is_settled, standing
from mlops_tui.core.compare import headline
from mlops_tui.errors import MlopsError
from mlops_tui.flows.build import runs
from mlops_tui.flows.queries.sketches import Sketch
from mlops_tui.flows.release import bentos, deployments
from mlops_tui.flows.watch.monitor import newest_judged
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import Bento, Decision, GateReport, ModelVersion, MonitorReport, WindowReport, from_json

Mark = Literal["ok", "due", "wait", "fail", "warn", "busy", "off"]
DECIDED: dict[State, Mark] = {"approved": "ok", "rejected": "fail"}
StationName = Literal["data", "checks", "train", "gates", "approval", "bento", "live", "monitor", "rules"]
STATIONS: tuple[StationName, ...] = (
    "data", "checks", "train", "gates", "approval", "bento", "live", "monitor", "rules",
)  # fmt: skip


NAMED = 3  # features of a window


@dataclass(frozen=True, slots=True)
class Station:
    """One station of a cycle: its mark, why in one sentence, since when, and the object behind it."""

    name: StationName
    mark: Mark
    text: str
    at: datetime | None = None
    noun: str = ""
    ref: str = ""


class Judged(NamedTuple):
    """The version that gates and approval tell of: the newest until it is decided on, from then on the champion."""

    version: ModelVersion
    now: Standing
    at: datetime  # when that was said, or the newer version left
    left: str  # which version is newer than the champion, and why it is not champion
    outdated: str  # which champion it was judged against, where that is another now


@lru_cache(maxsize=512)
def _gate_report(read: Callable[[str], bytes], hash_: str) -> GateReport:
    return from_json(read(hash_), GateReport)


def data(one: Sketch, found: rows.Newest, arrived: str) -> Station:
    """The newest dataset version, and what has arrived since."""
    version = found.datasets.get(one.dataset)
    if version is None:
        return Station("data", "due", arrived or f"the dataset '{one.dataset}' has no version yet")
    ref = f"{version.dataset}:{version.version}"
    if arrived:
        return Station("data", "due", f"{arrived} since {ref}", version.created_at, "dataset", ref)
    return Station("data", "ok", f"{ref}, {version.rows:,} rows", version.created_at, "dataset", ref)


def checks(one: Sketch, found: rows.Newest) -> Station:
    """Whether the newest dataset version keeps its contract."""
    version = found.datasets.get(one.dataset)
    if version is None:
        return Station("checks", "off", "nothing to check yet")
    ref = f"{version.dataset}:{version.version}"
    errors = [finding.message for finding in version.findings if finding.level == "error"]
    warnings = [finding.message for finding in version.findings if finding.level == "warning"]
    at, noun = version.created_at, "dataset"
    if version.state == "broken":
        return Station("checks", "fail", f"{ref} breaks its contract: {(errors or ['?'])[0]}", at, noun, ref)
    if warnings:
        more = f" (and {len(warnings) - 1} more)" if len(warnings) > 1 else ""
        return Station("checks", "warn", f"{ref}: {warnings[0]}{more}", at, noun, ref)
    return Station("checks", "ok", f"{ref} keeps its contract", at, noun, ref)


def train(workspace: Workspace, one: Sketch, found: rows.Newest) -> Station:
    """The newest run, and whether its model has seen the newest data."""
    trained, model, data = found.runs.get(one.name), found.models.get(one.name), found.datasets.get(one.dataset)
    last = runs.honest(workspace, trained.run) if trained and trained.run else None
    if last is not None and last.status == "running":
        what = f"run {last.id} trains on {last.dataset}:{last.dataset_version}"
        return Station("train", "busy", what, last.started_at, "run", last.id)
    if last is not None:
        text = f"run {last.id} {last.status}: {last.error or 'no reason was written down'}"
        return Station("train", "fail", text, last.ended_at or last.started_at, "run", last.id)
    if model is None:
        return Station("train", "due" if data and data.state == "ok" else "off", "never trained")
    metric = headline(model)
    tested = f", test {metric[0]} {metric[1]:.4f}" if metric else ""
    trained_on = (model.dataset, model.dataset_version)
    if data is not None and data.state == "ok" and (data.dataset, data.version) != trained_on:
        text = f"{data.dataset}:{data.version} is newer than :{model.dataset_version}, the data of {model.ref}{tested}"
        return Station("train", "due", text, model.created_at, "run", model.run)
    return Station("train", "ok", f"{model.ref}{tested}", model.created_at, "run", model.run)


def _standing(version: ModelVersion, found: rows.Newest) -> tuple[Standing, datetime]:
    said = found.approvals.get((version.model, version.version), [])
    return standing(version, said), said[-1].created_at if said else version.created_at


def judged(workspace: Workspace, one: Sketch, found: rows.Newest) -> Judged | None:
    """Return the version that gates and approval tell of; None where there is no version."""
    newest, champion = found.models.get(one.name), found.champions.get(one.name)
    if newest is None:
        return None
    now, at = _standing(newest, found)
    if champion is None or champion.version == newest.version:
        return Judged(newest, now, at, "", "")
    moved = found.moved[one.name]
    if now.state == "rejected" or is_settled(newest, now):
        is_rejected = now.state == "rejected"
        why = f"was {now.sentence}" if is_rejected else f"is not the champion: {moved.reason}"
        left = f":{newest.version}, which is newer, {why}"
        return Judged(champion, _standing(champion, found)[0], at if is_rejected else moved.created_at, left, "")
    is_open = now.state in ("waiting", "approved") and moved.created_at > newest.created_at
    return Judged(newest, now, at, "", _outdated(workspace, newest, champion) if is_open else "")


def _outdated(workspace: Workspace, version: ModelVersion, champion: ModelVersion) -> str:
    try:
        report = _gate_report(workspace.objects.get, version.report or "")
    except MlopsError:
        return ""  # its page says what is wrong with it
    was = f":{report.champion}" if report.champion else "no champion"
    return (
        f"judged against {was}, and the champion is :{champion.version} now"
        if is_outdated(report, champion.version)
        else ""
    )


def gates(judged: Judged | None) -> Station:
    """What the gates say of the version in question."""
    if judged is None:
        return Station("gates", "off", "no model version yet")
    model, ref = judged.version, judged.version.ref
    at, noun = model.created_at, "model"
    if model.gates_passed is None:
        return Station("gates", "due", f"{ref} has not been judged", at, noun, ref)
    if judged.outdated:
        return Station("gates", "due", f"{ref} was {judged.outdated}: a run judges it again", at, noun, ref)
    if model.gates_passed:
        return Station("gates", "ok", f"{ref} passed every gate", at, noun, ref)
    if judged.now.state == "rejected":
        return Station("gates", "off", f"{ref} failed a gate, and was {judged.now.sentence}", at, noun, ref)
    return Station("gates", "fail", f"{ref} failed a gate", at, noun, ref)


def approval(judged: Judged | None) -> Station:
    """Who has approved the version in question; a newer one than the champion that was left does not look in order."""
    if judged is None or judged.outdated or judged.now.state in ("new", "failed"):
        return Station("approval", "off", "nothing to approve")
    noun, ref = "model", judged.version.ref
    if judged.left:
        text = f"the champion {ref}: {judged.now.sentence}; {judged.left}"
        return Station("approval", "warn" if judged.now.state == "approved" else "wait", text, judged.at, noun, ref)
    mark = DECIDED.get(judged.now.state, "wait")
    return Station("approval", mark, f"{ref} {judged.now.sentence}", judged.at, noun, ref)


def fitting(workspace: Workspace, one: Sketch, found: rows.Newest, code: str) -> tuple[Bento | None, str]:
    """Return the champion's Bento as `planning` has it, or None and why one has to be built."""
    champion = found.champions.get(one.name)
    if champion is None or not one.serves:
        return None, ""
    return bentos.fitting(workspace, champion, found.bentos.get(one.name, ()), code)


def bento(one: Sketch, found: rows.Newest, bento: Bento | None, no_bento: str) -> Station:
    """Whether the champion has a Bento of its content."""
    champion = found.champions.get(one.name)
    if not one.serves:
        return Station("bento", "off", "the pipeline has no [serve] section")
    if champion is None:
        return Station("bento", "off", "there is no champion yet")
    now, _ = _standing(champion, found)
    if now.state != "approved":
        text = f"the champion {champion.ref} is no longer approved: {now.sentence}"
        return Station("bento", "fail", text, None, "model", champion.ref)
    if bento is None:
        return Station("bento", "due", no_bento, None, "model", champion.ref)
    proof = bento.parity
    text = f"{bento.tag}: {proof.rows} golden rows over HTTP, largest difference {proof.max_difference:g}"
    return Station("bento", "ok", text, bento.created_at, "bento", bento.tag)


def live(one: Sketch, found: rows.Newest, bento: Bento | None) -> Station:
    """What serves, and whether that is the champion."""
    item, champion = found.deployments.get(one.deployment), found.champions.get(one.name)
    if item is None:
        due = one.serves and champion is not None
        return Station("live", "due" if due else "off", "never served")
    noun, ref, at = "deployment", item.name, item.started_at
    state, serves = deployments.state(item), f"{item.model}:{item.version}"
    if state == "stopped":
        return Station("live", "off", f"'{ref}' was stopped by {item.user}", item.stopped_at or at, noun, ref)
    if state == "down":
        return Station("live", "fail", f"'{ref}' is down", at, noun, ref)
    rival = found.challengers.get(one.deployment)
    if rival is not None:
        how = "in the shadow" if rival.mode == "shadow" else f"as a canary of {100 * rival.share:.3g} %"
        text = f"'{ref}' serves {serves} at {item.url}; {rival.ref} stands beside it {how}"
        return Station("live", "wait", text, rival.started_at, noun, ref)
    if champion is not None and champion.ref != serves:
        text = f"'{ref}' serves {serves} at {item.url}; the champion is {champion.ref}"
        return Station("live", "due", text, at, noun, ref)
    if bento is not None and not deployments.serves(item, bento):
        return Station("live", "due", f"{deployments.outdated(item, bento)} at {item.url}", at, noun, ref)
    is_champion = ", the champion," if champion is not None else ""
    return Station("live", "ok", f"'{ref}' serves {serves}{is_champion} at {item.url}", at, noun, ref)


def windows(report: MonitorReport | None, one: Sketch, found: rows.Newest) -> tuple[WindowReport, ...]:
    """Return the windows of the version that serves: another's say nothing of it."""
    item = found.deployments.get(one.deployment)
    if report is None or item is None or report.model != item.model:
        return ()
    return tuple(window for window in report.windows if window.version == item.version)


def monitor(
    report: MonitorReport | None, windows: tuple[WindowReport, ...], one: Sketch, found: rows.Newest
) -> Station:
    """What the last report says of the version that serves."""
    if report is None:
        return Station("monitor", "off", "nothing has been monitored")
    at, noun, ref = report.created_at, "report", report.id
    item = found.deployments.get(one.deployment)
    if item is None:
        return Station("monitor", "off", "nothing serves; the last report is of what did", at, noun, ref)
    serves = f"{item.model}:{item.version}"
    if not windows:
        which = "which serves" if deployments.state(item) == "running" else "which served last"
        text = f"the last report has no window of {serves}, {which}: mlops monitor run {one.deployment}"
        return Station("monitor", "off", text, at, noun, ref)
    window = newest_judged(windows)
    if window is None:
        return Station("monitor", "off", windows[-1].remark or "no window has rows enough to be judged", at, noun, ref)
    if window.faults:
        return Station("monitor", "fail", f"data fault: {window.faults[0]}", at, noun, ref)
    since = f"in the window from {window.start:%Y-%m-%d} of {serves}"
    if window.drifted:
        named = f"{', the worst' if len(window.drifted) > NAMED else ''}: {', '.join(window.drifted[:NAMED])}"
        text = f"{len(window.drifted)} of {len(window.features)} features drifted{named}"
        return Station("monitor", "warn", f"{text}, {since}", at, noun, ref)
    return Station("monitor", "ok", f"no feature drifted {since}", at, noun, ref)


def rules(one: Sketch, found: rows.Newest, approval: Station) -> Station:
    """What the rules decided last, and what came of it; a decision on another champion says nothing of this one."""
    decision = found.decisions.get(one.name)
    if decision is None:
        return Station("rules", "off", "the rules were never asked")
    told, champion = _decided(decision, approval), found.champions.get(one.name)
    if champion is None or champion.ref == decision.champion or champion.run == decision.run:
        return told
    was = f"on {decision.champion}" if decision.champion else "without a champion"
    if told.mark == "due":  # a run answers it, whoever is champion
        return replace(told, text=f"{told.text}; decided {was}, and the champion is {champion.ref} now")
    text = f"not asked: {champion.ref} became champion after the last decision, {was}: {told.text}"
    return replace(told, mark="off", text=text)


def _decided(decision: Decision, approval: Station) -> Station:
    noun, ref = "decision", decision.id
    if decision.held:
        return Station("rules", "warn", f"held: {decision.held}", decision.at, noun, ref)
    if not decision.fires:
        return Station("rules", "ok", f"quiet: {decision.reason}", decision.at, noun, ref)
    if decision.answered_at is None:
        return Station("rules", "due", f"fired: {decision.reason}", decision.at, noun, ref)
    outcome = decision.outcome or ""
    before, waits, _ = outcome.partition("waits: ")
    if waits and approval.mark != "wait":  # what was written then is no longer so
        outcome = f"{before}waited; now {approval.text}"
    return Station("rules", "ok", f"fired: {decision.reason} → {outcome}", decision.answered_at, noun, ref)
