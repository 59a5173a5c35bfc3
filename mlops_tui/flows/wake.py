"""One wake of the agent: gather, monitor, ask the rules, run what is due; and deployments that are kept up.

All that a wake knows stands in the catalogue: it may be killed anywhere, and the next one goes on from there. One
pipeline that fails is told and stops no other.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from mlops_tui.adapters.catalogue import build, lock
from mlops_tui.adapters.catalogue import watch as rows
from mlops_tui.config import PipelineFile, load_pipeline
from mlops_tui.errors import Busy, External, MlopsError
from mlops_tui.flows import cycle, due, lookup, planning
from mlops_tui.flows.build import datasets, runs
from mlops_tui.flows.planning import State
from mlops_tui.flows.release import deployments, gates
from mlops_tui.flows.tend import tend
from mlops_tui.flows.watch import monitor, notices, predictions, rules
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import Backoff, Decision, Progress

Say = Callable[[str], None]
PAUSE = timedelta(minutes=10)  # before a cycle that failed by the world's fault is tried again
CUT_OFF = 3  # trainings of one decision that may be killed before it is given up


def wake(workspace: Workspace, backoffs: tuple[Backoff, ...], say: Say) -> tuple[tuple[Backoff, ...], bool]:
    """Do all that is due once; return the deployments that are being restarted, and whether nothing failed."""
    return tend(workspace, backoffs, say), work(workspace, say)


def work(workspace: Workspace, say: Say) -> bool:
    """Gather every spool, then see to every pipeline, then deliver notices; return whether nothing failed."""
    names = [item.name for item in deployments.list_deployments(workspace)]
    good = [
        _isolated(workspace, name, _gather(workspace, name), say)
        for name in names
        if (workspace.home / "spool" / name).is_dir()
    ]
    for name, path in sorted(lookup.pipeline_files(workspace).items()):
        workspace.report(Progress("wake", f"the pipeline '{name}'"))
        good.append(_isolated(workspace, name, _pipeline(workspace, name, path), say))
    workspace.report(Progress("wake", "delivering notices"))
    good.append(_isolated(workspace, "notices", _deliver(workspace), say))
    return all(good)


def _isolated(workspace: Workspace, subject: str, done: Iterator[str], say: Say) -> bool:
    """Say what is done while it is; a failure is said and told, and goes no further. Returns whether there was none."""
    try:
        for line in done:
            say(f"{subject}: {line}")
        return True
    except Exception as error:
        known = isinstance(error, MlopsError | OSError)
        text = error.message if isinstance(error, MlopsError) else f"{type(error).__name__}: {error}"
        say(f"{subject}: failed: {text}" if known else f"{subject}: a bug: {traceback.format_exc()}")
        _tell_failed(workspace, subject, text, say)
        return False


def _tell_failed(workspace: Workspace, subject: str, text: str, say: Say) -> None:
    """Tell of a failure: once a day while it lasts. Digits do not make it another: pids, ports and times change."""
    same = "".join("#" if letter.isdigit() else letter for letter in text)
    try:
        notices.tell(workspace, "failed", subject, text, f"{workspace.now():%Y-%m-%d} {same}")
    except Exception as error:  # a full disk, say: what can be told to nobody is in the log
        say(f"{subject}: the failure could not be told: {error}")


def _gather(workspace: Workspace, name: str) -> Iterator[str]:
    found = predictions.gather(workspace, name)
    if found.rows or found.labels:
        yield f"gathered {found.rows:,} predictions, {found.labels:,} labels"
    if found.bad_lines or found.unreadable:
        yield f"{found.bad_lines} lines of its spool are damaged, {found.unreadable} of no model of this workspace"


def _deliver(workspace: Workspace) -> Iterator[str]:
    yield from (notices.delivery(notice) for notice in notices.deliver(workspace))


# ── pipelines ────────────────────────────────────────────────────────────────────────────────────


def _pipeline(workspace: Workspace, name: str, path: Path) -> Iterator[str]:
    """See to one pipeline, unless somebody else runs it, or does so by the time that its own turn comes."""
    held = workspace.home / "locks" / f"run-{name}"
    try:
        if not lock.is_held(held):
            yield from _see_to(workspace, name, path)
            return
    except Busy:
        if not lock.is_held(held):
            raise
    yield "somebody else runs it: left alone until the next wake"


def _see_to(workspace: Workspace, name: str, path: Path) -> Iterator[str]:
    """Data, monitoring, rules, and the cycle where it is due."""
    settings = load_pipeline(path)
    yield from _refresh(workspace, settings)
    if due.is_monitoring(workspace, settings):
        report = monitor.run(workspace, settings.deployment)
        yield f"monitored {report.rows:,} predictions in {len(report.windows)} windows, report {report.id}"
    with workspace.catalogue.read() as act:
        decision = rows.open_decision(act, name)
    if decision is None and due.is_asking(workspace, settings, path):
        decision = rules.check(workspace, name, frugal=True)
        yield f"{'fires' if decision.fires else 'held' if decision.held else 'quiet'}: {decision.reason}"
    if not due.is_put_off(workspace, decision):
        yield from _run(workspace, settings, decision if decision and decision.fires else None)
    _tell_where_it_stands(workspace, planning.observe(workspace, settings, retrain=False))


def _refresh(workspace: Workspace, settings: PipelineFile) -> Iterator[str]:
    """Make a dataset version if the source has changed: rules look at it, whether they retrain or not."""
    step = cycle.plan(workspace, settings.name).steps[0]
    if step.action == "run":
        done = datasets.refresh(workspace, settings.data)
        if done.changed:
            yield f"{done.reason} → {done.version.dataset}:{done.version.version}, {done.version.rows:,} rows"
        step = cycle.plan(workspace, settings.name).steps[0]
    if step.action == "blocked" and notices.tell(workspace, "failed", settings.name, step.reason):
        yield f"data says no: {step.reason}"


def _run(workspace: Workspace, settings: PipelineFile, decision: Decision | None) -> Iterator[str]:
    """Run the whole cycle if a decision asks for it, else what is due of what has been trained already."""
    name = settings.name
    if decision is not None:
        _check_that_it_can_end(workspace, decision)
        notices.tell(workspace, "fired", name, decision.reason, decision.id)
        yield from _deliver(workspace)  # the cycle may take an hour
        workspace.report(Progress("wake", f"running '{name}': {decision.reason}"))
    elif not due.is_releasing(workspace, planning.observe(workspace, settings, retrain=False)):
        return
    try:
        done = cycle.apply(workspace, name, retrain=decision is not None)
    except (Busy, External) as error:
        if decision is not None and not lock.is_held(workspace.home / "locks" / f"run-{name}"):
            _put_off(workspace, name, error)
        raise
    yield from (f"{step.step}: {step.reason}" for step in done.steps if step.action == "run")
    yield from (f"{step.step} waits: {step.reason}" for step in done.steps if step.action == "wait")
    yield from (f"{step.step} says no: {step.reason}" for step in done.refused)


def _check_that_it_can_end(workspace: Workspace, decision: Decision) -> None:
    """Answer a decision whose training was killed again and again, by the kernel for its memory, say; raises External.

    Whoever is told to stop says so in the run: that is no reason to give up.
    """
    with workspace.catalogue.read() as act:
        since = [run for run in build.runs(act, decision.pipeline, limit=20) if run.started_at >= decision.at]
    cut_off = [run for run in since if run.ended_at is None and not runs.is_live(workspace, run)]
    if len(cut_off) >= CUT_OFF:
        cycle.answer(workspace, decision.pipeline, None, f"failed: cut off {len(cut_off)} times")
        raise External(
            f"its training was cut off {len(cut_off)} times, given up; why it was to run: {decision.reason}",
            f"see what ends it, its memory perhaps: mlops runs list; mlops run {decision.pipeline}",
        )


def _put_off(workspace: Workspace, name: str, error: MlopsError) -> None:
    """Let an open decision wait a while: what passes by itself is not tried at every wake."""
    with workspace.catalogue.write(workspace.now()) as act:
        decision = rows.open_decision(act, name)
        if decision is not None:
            later = replace(decision, outcome=f"to be tried again: {error.message}", next_at=act.now + PAUSE)
            rows.put_decision(act, later)
        act.record("cycle.put_off", name, error=error.message)


def _tell_where_it_stands(workspace: Workspace, state: State) -> None:
    """Tell, once a model version, that it failed a gate, waits for a person, or serves."""
    model, now = state.newest, state.newest_standing
    if model and now and now.state == "failed" and model.report:
        report = gates.report_of(workspace, model)
        failed = [one.sentence for one in report.results if not one.passed]
        notices.tell(workspace, "gate_failed", model.ref, f"{model.ref}: {'; '.join(failed)}", model.ref)
    if model and now and now.state == "waiting":
        text = f"{model.ref} {now.sentence}: mlops models approve {model.ref} --comment …"
        notices.tell(workspace, "waiting", model.ref, text, model.ref)
    item = state.deployment
    if item and state.deployment_state == "running":
        ref = f"{item.model}:{item.version}"
        notices.tell(workspace, "promoted", item.name, f"{ref} serves at {item.url}", ref)
