"""plan(state) → Plan; apply(plan): the whole cycle, step by step, each only where something is due.

`observe` gathers the state, `decide` says for every step whether it runs and why, without touching anything.
`apply` runs what is due and observes again after each step, so that what it does is always what a plan made
at that moment would say.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from mlops_tui.adapters.catalogue import build as rows
from mlops_tui.adapters.catalogue import release as release_rows
from mlops_tui.config import PipelineFile
from mlops_tui.core.approval import Standing, standing
from mlops_tui.core.compare import flatten, headline
from mlops_tui.errors import Refused
from mlops_tui.flows import lookup
from mlops_tui.flows.build import datasets, runs
from mlops_tui.flows.release import approvals, bentos, deployments, gates
from mlops_tui.flows.workspace import Workspace, training_code
from mlops_tui.records import Bento, DatasetVersion, Deployment, ModelVersion, Run, hash_of

Action = Literal["run", "skip", "wait", "blocked"]
StepName = Literal["data", "train", "gates", "approval", "bento", "deploy"]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the cycle: "run" (due), "skip" (up to date), "wait" (for a person), "blocked" (said no)."""

    step: StepName
    action: Action
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would do now; `id` is the hash of the state it was made from, so that a stale plan shows."""

    pipeline: str
    id: str
    steps: tuple[Step, ...]

    @property
    def due(self) -> bool:
        """Whether anything would run."""
        return any(step.action == "run" for step in self.steps)

    @property
    def blocked(self) -> tuple[Step, ...]:
        """The steps that say no: a broken contract, a failed gate, a lapsed approval."""
        return tuple(step for step in self.steps if step.action == "blocked")


@dataclass(frozen=True, slots=True)
class State:
    """All that a plan looks at, gathered in one read of the catalogue and a stat of every source file."""

    settings: PipelineFile
    survey: datasets.Survey
    same_settings: bool
    dataset: DatasetVersion | None
    key: str | None
    model: ModelVersion | None  # trained under this key
    newest: ModelVersion | None
    newest_standing: Standing | None
    last: Run | None  # the newest completed run, to say what changed since
    code: str
    standing: Standing | None
    judged_by_these_gates: bool
    champion: ModelVersion | None
    champion_standing: Standing | None
    bento: Bento | None
    deployment: Deployment | None
    deployment_state: deployments.State | None


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


def observe(workspace: Workspace, settings: PipelineFile) -> State:
    """Return the state of a pipeline's cycle; reads, and changes nothing."""
    data = settings.data
    survey = datasets.survey(workspace, data)
    code = training_code(workspace.root).fingerprint
    with workspace.catalogue.read() as act:
        dataset = rows.dataset_version(act, data.dataset)
        known = rows.dataset_settings(act, data.dataset)
        key = runs.training_key(settings, dataset, code) if dataset else None
        model = rows.model_version_by_key(act, settings.name, key) if key else None
        newest = rows.model_version(act, settings.name)
        completed = rows.runs(act, settings.name, "completed", limit=1)
        said = release_rows.approvals(act, settings.name)
        number = approvals.champion(act, settings.name)
        champion = rows.model_version(act, settings.name, number) if number else None
        deployment = release_rows.deployment(act, settings.deployment)
        bento = release_rows.bentos(act, key=bentos.bento_key(champion, True)) if champion else []
    now = _standing(model, said) if model else None
    return State(
        settings, survey, known == data.model_dump_json(), dataset, key, model,
        newest, _standing(newest, said) if newest else None,
        completed[0] if completed else None, code, now, _judged_by(workspace, settings, model),
        champion, _standing(champion, said) if champion else None,
        bento[0] if bento and bentos.is_there(workspace, bento[0]) else None,
        deployment, deployments.state(deployment) if deployment else None,
    )  # fmt: skip


def _standing(version: ModelVersion, said: list) -> Standing:  # type: ignore[type-arg]
    return standing(version, [word for word in said if word.version == version.version])


def _judged_by(workspace: Workspace, settings: PipelineFile, model: ModelVersion | None) -> bool:
    if model is None or model.report is None:
        return False
    return gates.report_of(workspace, model).settings_hash == settings.gates_hash()


def decide(state: State) -> tuple[Step, ...]:
    """Return every step with whether it is due and why; pure."""
    return (_data(state), _train(state), _gates(state), _approval(state), _bento(state), _deploy(state))


def _data(state: State) -> Step:
    survey, dataset = state.survey, state.dataset
    if dataset is None:
        return Step("data", "run", f"the dataset '{state.settings.data.dataset}' has no version yet")
    if survey.new or survey.changed or survey.gone:
        return Step("data", "run", survey.sentence)
    if not state.same_settings:
        return Step("data", "run", "the [data] section changed")
    if dataset.state == "broken":
        return Step("data", "blocked", runs.broken(dataset).message)
    return Step("data", "skip", f"{dataset.dataset}:{dataset.version}, {survey.sentence}")


def _train(state: State) -> Step:
    data = _data(state)
    if data.action == "run":
        return Step("train", "run", "if the data step makes a new dataset version")
    if data.action == "blocked":
        return Step("train", "blocked", "a dataset version that breaks its contract is not trained on")
    if state.model is not None:
        return Step("train", "skip", f"{state.model.ref} was trained on exactly this")
    return Step("train", "run", _what_changed(state))


def _what_changed(state: State) -> str:
    """Why there is no model for this key: what differs from the newest completed run."""
    last, dataset = state.last, state.dataset
    if last is None or dataset is None:
        return "the pipeline has never been trained"
    reasons = []
    if last.dataset_version != dataset.version or last.dataset != dataset.dataset:
        reasons.append(f"new data: {dataset.dataset}:{dataset.version}, trained last on :{last.dataset_version}")
    now, before = flatten(state.settings.training_settings()), flatten(last.settings)
    changed = [key for key in sorted(now.keys() | before.keys()) if now.get(key) != before.get(key)]
    if changed:
        reasons.append(f"changed settings: {', '.join(changed[:4])}" + (" and more" if len(changed) > 4 else ""))
    if last.code.fingerprint != state.code:
        reasons.append(f"changed code: {last.code.fingerprint[:8]} → {state.code[:8]}")
    return "; ".join(reasons) or "the last training did not complete"


def _gates(state: State) -> Step:
    train = _train(state)
    if train.action == "run":
        return Step("gates", "run", "on the new model version")
    if train.action == "blocked" or state.model is None:
        return Step("gates", "skip", "no new model version")
    if state.model.report is None:
        return Step("gates", "run", f"{state.model.ref} has not been judged")
    if not state.judged_by_these_gates:
        return Step("gates", "run", "the gates or the approval rules changed")
    if not state.model.gates_passed:
        return Step("gates", "blocked", f"{state.model.ref}: a gate failed")
    return Step("gates", "skip", f"{state.model.ref} passed")


def _approval(state: State) -> Step:
    judged = _gates(state)
    if judged.action == "run":
        auto = state.settings.approval.mode == "auto"
        return Step("approval", "run" if auto else "wait", "by the gates" if auto else "by a person, if the gates pass")
    if judged.action == "blocked" or state.model is None or state.standing is None:
        return Step("approval", "skip", "nothing to approve")
    now = state.standing
    if now.state == "rejected":
        return Step("approval", "skip", f"{state.model.ref} was {now.sentence}")
    if now.state == "approved":
        if state.model.approval == "auto" and "auto" not in now.approvers:
            return Step("approval", "run", f"{state.model.ref} passed every gate, the pipeline approves it")
        return Step("approval", "skip", f"{state.model.ref} is {now.sentence}")
    return Step("approval", "wait", f"{state.model.ref} {now.sentence}")


def _bento(state: State) -> Step:
    if state.settings.serve is None:
        return Step("bento", "skip", "the pipeline has no [serve] section")
    if _approval(state).action == "run":
        return Step("bento", "run", "of the new champion")
    if state.champion is None:
        return Step("bento", "skip", "there is no champion yet")
    now = state.champion_standing
    if now is not None and now.state != "approved":
        return Step("bento", "blocked", f"the champion {state.champion.ref} is no longer approved: {now.sentence}")
    if state.bento is None:
        return Step("bento", "run", f"the champion {state.champion.ref} has none of this content")
    return Step("bento", "skip", f"{state.bento.tag} is built and proven")


def _deploy(state: State) -> Step:
    bento, serving = _bento(state), state.deployment
    if state.settings.serve is None or bento.action == "blocked" or (bento.action == "skip" and state.bento is None):
        return Step("deploy", "skip", bento.reason)
    if serving is not None and serving.wanted == "stopped":
        return Step("deploy", "skip", f"'{serving.name}' was stopped by {serving.user}; mlops deployments start")
    if bento.action == "run":
        return Step("deploy", "run", "with the new Bento")
    assert state.bento is not None
    if serving is None:
        return Step("deploy", "run", f"{state.bento.tag} has never been served")
    if state.deployment_state == "down":
        return Step("deploy", "run", f"'{serving.name}' is down")
    if serving.bento != state.bento.tag or serving.started_at < state.bento.created_at:
        return Step("deploy", "run", f"'{serving.name}' serves {serving.bento}")
    if (serving.host, serving.port) != _address(state.settings):
        return Step("deploy", "run", f"'{serving.name}' is to answer at another address")
    return Step("deploy", "skip", f"'{serving.name}' serves {serving.bento} at {serving.url}")


def _address(settings: PipelineFile) -> tuple[str, int]:
    assert settings.serve is not None
    return settings.serve.host, settings.serve.port


def plan(workspace: Workspace, name: str) -> Plan:
    """Return what `apply` would do with a pipeline now, and why; changes nothing."""
    settings, _ = lookup.pipeline(workspace, name)
    return plan_of(observe(workspace, settings))


def plan_of(state: State) -> Plan:
    """Return what a state asks for; pure."""
    steps = decide(state)
    basis = (
        [asdict(step) for step in steps], state.settings.model_dump(), state.key, state.code,
        [str(path) for path in (*state.survey.new, *state.survey.changed)],
        state.model.subject() if state.model else None, state.champion.ref if state.champion else None,
    )  # fmt: skip
    return Plan(state.settings.name, hash_of(basis)[:12], steps)


def apply(workspace: Workspace, name: str, expected: str | None = None) -> Done:
    """Run the steps of a pipeline that are due, one after the other, and return what was done.

    `expected` is a plan's id: raises Refused if the state has changed since that plan. Raises Busy if the same
    pipeline runs elsewhere. A step that says no ends the run of those that follow from it, not of the others.
    """
    settings, path = lookup.pipeline(workspace, name)
    with workspace.exclusive(f"run-{settings.name}", f"the pipeline '{settings.name}'"):
        state = observe(workspace, settings)
        made = plan_of(state)
        if expected is not None and expected != made.id:
            raise Refused(f"the plan {expected} is stale: the state has changed since", f"mlops plan {settings.name}")
        if made.due:
            _remember(workspace, settings, path)
        told: list[Step] = []
        for number in range(len(made.steps)):
            step = decide(state)[number]
            if step.action == "run":
                step = Step(step.step, "run", STEPS[step.step](workspace, state, step.reason))
                state = observe(workspace, settings)
            told.append(step)
    return _done(state, told)


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
    host, port = _address(state.settings)
    place = deployments.Place(state.settings.deployment, host, port)
    deployment, _ = deployments.start(workspace, state.champion.ref, place)
    return f"'{deployment.name}' serves {deployment.bento} at {deployment.url}"


STEPS: dict[StepName, Callable[[Workspace, State, str], str]] = {
    "data": _do_data, "train": _do_train, "gates": _do_gates,
    "approval": _do_approval, "bento": _do_bento, "deploy": _do_deploy,
}  # fmt: skip


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
