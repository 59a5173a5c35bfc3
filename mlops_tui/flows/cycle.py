"""apply(plan): the whole cycle, step by step, each only where something is due.

After each step the state is observed again, so that what is done is always what a plan made at that moment
would say; a plan that has gone stale is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from mlops_tui.adapters.catalogue import build as rows
from mlops_tui.adapters.catalogue import watch as watch_rows
from mlops_tui.config import PipelineFile, load_pipeline
from mlops_tui.core.compare import headline
from mlops_tui.errors import Busy, External, InvalidInput, MlopsError, Refused
from mlops_tui.flows import lookup
from mlops_tui.flows.build import datasets, runs
from mlops_tui.flows.build.survey import DECIDING, keep_times, known
from mlops_tui.flows.pipelines import column_mistakes
from mlops_tui.flows.planning import Plan, State, Step, StepName, address, decide, observe, plan_of
from mlops_tui.flows.release import approvals, bentos, deployments, gates
from mlops_tui.flows.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Done:
    """What a run did: the steps in order, each with what came of it, and how the cycle stands after it."""

    pipeline: str
    changed: bool
    steps: tuple[Step, ...]
    refused: tuple[Step, ...]  # the steps that say no now
    dataset: str | None
    run: str | None
    model: str | None
    champion: str | None
    url: str | None


def plan(workspace: Workspace, name: str) -> Plan:
    """Return what `apply` would do with a pipeline now, and why; changes nothing."""
    settings, _ = lookup.pipeline(workspace, name)
    state = observe(workspace, settings)
    _check_shared(workspace, state)
    return plan_of(state)


def apply(workspace: Workspace, name: str, expected: str | None = None, *, retrain: bool = True) -> Done:
    """Run the steps of a pipeline that are due, one after the other, and return what was done.

    `expected` is a plan's id: raises Refused if the state has changed since that plan. Raises Busy if the same
    pipeline runs elsewhere. A step that says no ends the run of those that follow from it, not of the others.
    An open decision of the rules is answered by it, also when it fails. Without `retrain` neither data nor training
    are touched, and a decision stays open: for who keeps up what is there.
    """
    settings, path = lookup.pipeline(workspace, name)
    with workspace.exclusive(f"run-{settings.name}", f"the pipeline '{settings.name}'"):
        state = observe(workspace, settings, retrain=retrain)
        if not retrain:
            return _go_through(workspace, state, RELEASING) if state.newest else _done(state, [])
        _check_shared(workspace, state)
        made = plan_of(state)
        if expected is not None and expected != made.id:
            raise Refused(f"the plan {expected} is stale: the state has changed since", f"mlops plan {settings.name}")
        if made.due:
            _remember(workspace, settings, path)
        if state.survey.touched and state.survey.idle:
            keep_times(workspace, settings.data, known(workspace, settings.data.dataset), state.survey)
        return _answering(workspace, state, lambda: _go_through(workspace, state, 0))


def _go_through(workspace: Workspace, state: State, first: int) -> Done:
    """Do every step that is due from the one of that number on, each on the state that the one before it left."""
    told: list[Step] = []
    for number in range(first, len(STEPS)):
        step = decide(state)[number]
        if step.action == "run":
            step = Step(step.step, "run", STEPS[step.step](workspace, state, step.reason))
            state = observe(workspace, state.settings, retrain=first < RELEASING)
        told.append(step)
    return _done(state, told)


def _answering(workspace: Workspace, state: State, work: Callable[[], Done]) -> Done:
    """Do the work, and write down what came of it with the decision that asked for it.

    An interruption leaves the decision open, as does what passes by itself (a lock, a full disk): who goes on finds it.
    """
    decision = state.decision
    if decision is None:
        return work()
    try:
        done = work()
    except (Busy, External):
        raise
    except Exception as error:
        told = error.message if isinstance(error, MlopsError) else f"{type(error).__name__}: {error}"
        answer(workspace, decision.pipeline, None, f"failed: {told}")
        raise
    refused = [f"{step.step}: {step.reason}" for step in done.refused]
    waiting = [f"{step.step}: {step.reason}" for step in done.steps if step.action == "wait"]
    outcome = "; ".join([*(f"refused: {text}" for text in refused), *(f"waits: {text}" for text in waiting)])
    answer(workspace, decision.pipeline, done.run, outcome or f"{done.model} is the champion")
    return done


def answer(workspace: Workspace, pipeline: str, run: str | None, outcome: str) -> None:
    """Write down what came of every open decision of a pipeline: one cycle answers them all."""
    with workspace.catalogue.read() as act:
        asked = watch_rows.decisions(act, pipeline, fires=True, answered=False)
    if not asked:
        return
    with workspace.catalogue.write(workspace.now()) as act:
        for decision in asked:
            watch_rows.put_decision(act, replace(decision, run=run, outcome=outcome, answered_at=act.now))
            act.record("decision.answered", decision.id, pipeline=pipeline, run=run, outcome=outcome)


def _check_shared(workspace: Workspace, state: State) -> None:
    """Raise InvalidInput if another pipeline describes the same dataset otherwise: each run would undo the other's."""
    if state.same_settings or state.dataset is None:
        return
    ours = state.settings
    for other, path in lookup.pipeline_files(workspace).items():
        try:
            data = load_pipeline(path).data
        except MlopsError:
            continue  # whoever runs that one is told
        same = data.model_dump(include=set(DECIDING)) == ours.data.model_dump(include=set(DECIDING))
        if other != ours.name and data.dataset == ours.data.dataset and not same:
            raise InvalidInput(
                f"the pipelines '{ours.name}' and '{other}' describe the dataset '{data.dataset}' differently",
                f"give both the same [data] ({', '.join(DECIDING)}), or each a dataset of its own",
            )


def _remember(workspace: Workspace, settings: PipelineFile, path: Path) -> None:
    """Keep the pipeline file's place, where it is not known yet."""
    where = workspace.relative(path.resolve())
    with workspace.catalogue.read() as act:
        known = rows.pipelines(act).get(settings.name)
    if known != where:
        with workspace.catalogue.write(workspace.now()) as act:
            rows.put_pipeline(act, settings.name, where)
            act.record("pipeline.seen", settings.name, path=where)


def _do_data(workspace: Workspace, state: State, reason: str) -> str:
    done = datasets.refresh(workspace, state.settings.data)
    version = done.version
    shared = f", {done.shared_parts} of {len(version.parts)} parts shared" if done.shared_parts else ""
    return f"{reason} → {version.dataset}:{version.version}, {version.rows:,} rows{shared}"


def _do_train(workspace: Workspace, state: State, reason: str) -> str:
    assert state.dataset is not None
    wrong = column_mistakes(state.settings, [column.name for column in state.dataset.schema])
    if wrong:
        raise InvalidInput(f"the pipeline '{state.settings.name}': " + "\n  ".join(wrong), "mlops datasets show")
    version = runs.train(workspace, state.settings, state.dataset, reason)
    metric = headline(version)
    figure = f", test {metric[0]} {metric[1]:.4f}" if metric else ""
    return f"{reason} → {version.ref}, run {version.run}{figure}"


def _do_gates(workspace: Workspace, state: State, reason: str) -> str:
    assert state.model is not None
    judged, report = gates.judge(workspace, state.settings, state.model)
    failed = [result.sentence for result in report.results if not result.passed]
    passed = f"{len(report.results)} gates passed" if report.results else "no gates"
    return f"{judged.ref}: {'; '.join(failed) if failed else passed}"


def _do_approval(workspace: Workspace, state: State, reason: str) -> str:
    assert state.model is not None
    return f"{state.model.ref}: {approvals.settle(workspace, state.model).sentence}"


def _do_bento(workspace: Workspace, state: State, reason: str) -> str:
    assert state.champion is not None
    bento, _ = bentos.build(workspace, state.champion.ref)
    parity = bento.parity
    return (
        f"{bento.tag}: {parity.rows} golden rows through HTTP, largest difference {parity.max_difference:g}, "
        f"p50 {parity.latency_ms_p50:.1f} ms"
    )


def _do_deploy(workspace: Workspace, state: State, reason: str) -> str:
    assert state.champion is not None
    host, port = address(state.settings)
    place = deployments.Place(state.settings.deployment, host, port)
    deployment, _ = deployments.start(workspace, state.champion.ref, place, expected=state.deployment)
    if deployment.wanted == "stopped" or (state.bento and deployment.bento != state.bento.tag):
        return f"'{deployment.name}' was changed by somebody else meanwhile, and is left as it is"
    return f"'{deployment.name}' serves {deployment.bento} at {deployment.url}"


STEPS: dict[StepName, Callable[[Workspace, State, str], str]] = {
    "data": _do_data, "train": _do_train, "gates": _do_gates,
    "approval": _do_approval, "bento": _do_bento, "deploy": _do_deploy,
}  # fmt: skip
RELEASING = list(STEPS).index("gates")  # the first step after training


def _done(state: State, told: list[Step]) -> Done:
    running = state.deployment if state.deployment_state == "running" else None
    dataset = state.dataset
    return Done(
        pipeline=state.settings.name,
        changed=any(step.action == "run" for step in told),
        steps=tuple(told),
        refused=plan_of(state).blocked,
        dataset=f"{dataset.dataset}:{dataset.version}" if dataset else None,
        run=state.model.run if state.model else None,
        model=state.model.ref if state.model else None,
        champion=state.champion.ref if state.champion else None,
        url=running.url if running else None,
    )
