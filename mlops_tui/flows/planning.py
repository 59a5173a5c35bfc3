"""state → Plan: which steps of the cycle are due, and why; reads, and changes nothing.

`observe` gathers the state in one read of the catalogue and a stat of every source file; `decide` is pure.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

from mlops_tui.adapters.catalogue import build as rows
from mlops_tui.adapters.catalogue import release as release_rows
from mlops_tui.adapters.catalogue import watch as watch_rows
from mlops_tui.config import PipelineFile
from mlops_tui.core.approval import Standing, is_outdated, is_settled, standing
from mlops_tui.core.compare import flatten
from mlops_tui.flows.build import runs
from mlops_tui.flows.build.survey import Survey, known, survey
from mlops_tui.flows.release import approvals, bentos, deployments, gates
from mlops_tui.flows.workspace import Workspace, training_code
from mlops_tui.records import (
    Approval,
    Bento,
    DatasetVersion,
    Decision,
    Deployment,
    GateReport,
    ModelVersion,
    Run,
    hash_of,
)

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
    survey: Survey
    same_settings: bool
    dataset: DatasetVersion | None
    key: str | None
    model: ModelVersion | None  # trained under this key
    newest: ModelVersion | None
    newest_standing: Standing | None
    last: Run | None  # the newest completed run, to say what changed since
    code: str
    standing: Standing | None
    report: GateReport | None
    champion: ModelVersion | None
    champion_standing: Standing | None
    bento: Bento | None
    no_bento: str  # why the champion has none that can be served
    deployment: Deployment | None
    deployment_state: deployments.State | None
    served: Standing | None  # of the version that is served as approved
    decision: Decision | None  # of the rules: it fired, and no cycle has answered it yet
    rival: Deployment | None = None  # what stands beside the deployment


def observe(workspace: Workspace, settings: PipelineFile, *, retrain: bool = True) -> State:
    """Return the state of a pipeline's cycle; reads, and changes nothing.

    Without `retrain` the state is told as of the newest model's data, as if the source held nothing newer: what is
    due then is due for what has been trained already.
    """
    data = settings.data
    before = known(workspace, data.dataset)
    found, same = survey(workspace, data, before), before.same_settings(data)
    code = training_code(workspace.root).fingerprint
    with workspace.catalogue.read() as act:
        dataset = before.version
        key = runs.training_key(settings, dataset, code) if dataset else None
        model = rows.model_version_by_key(act, settings.name, key) if key else None
        newest = rows.model_version(act, settings.name)
        if not retrain and newest is not None:
            dataset = rows.dataset_version(act, newest.dataset, newest.dataset_version) or dataset
            found, same, key, model = Survey(), True, newest.key, newest
        completed = rows.runs(act, settings.name, "completed", limit=1)
        said = release_rows.approvals(act, settings.name)
        number = approvals.champion(act, settings.name)
        champion = rows.model_version(act, settings.name, number) if number else None
        deployment = release_rows.deployment(act, settings.deployment)
        built = release_rows.bentos(act, champion.model, champion.version) if champion else []
        served = rows.model_version(act, deployment.model, deployment.version) if deployment else None
        tags = {one.tag for one in release_rows.bentos(act) if one.approved} if deployment else set()
        as_approved = deployment is not None and deployment.bento in tags
        decision = watch_rows.open_decision(act, settings.name)
        rival = release_rows.challengers(act).get(settings.deployment)
    now = _standing(model, said) if model else None
    bento, no_bento = bentos.fitting(workspace, champion, built, bentos.service_code()) if champion else (None, "")
    return State(
        settings, found, same, dataset, key, model,
        newest, _standing(newest, said) if newest else None,
        completed[0] if completed else None, code, now,
        gates.report_of(workspace, model) if model and model.report else None,
        champion, _standing(champion, said) if champion else None,
        bento, no_bento,
        deployment, deployments.state(deployment) if deployment else None,
        _standing(served, said) if served and as_approved else None,
        decision, rival,
    )  # fmt: skip


def _standing(version: ModelVersion, said: list[Approval]) -> Standing:
    return standing(version, [word for word in said if word.version == version.version])


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
    asked = f"; asked for by decision {state.decision.id}: {state.decision.reason}" if state.decision else ""
    return Step("train", "run", _what_changed(state) + asked)


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
    if state.report is None or state.report.settings_hash != state.settings.gates_hash():
        return Step("gates", "run", "the gates or the approval rules changed")
    if _is_open(state) and is_outdated(state.report, state.champion.version if state.champion else None):
        return Step("gates", "run", f"the champion changed since {state.model.ref} was judged")
    if not state.model.gates_passed:
        return Step("gates", "blocked", f"{state.model.ref}: a gate failed")
    return Step("gates", "skip", f"{state.model.ref} passed")


def _is_open(state: State) -> bool:
    """Whether nobody has decided yet on the model of this data and these settings."""
    model, now = state.model, state.standing
    if model is None or now is None:
        return False
    return now.state == "waiting" or (now.state == "approved" and not is_settled(model, now))


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
        if not is_settled(state.model, now):
            return Step("approval", "run", f"{state.model.ref} passed every gate, the pipeline approves it")
        return Step("approval", "skip", f"{state.model.ref} is {now.sentence}{_not_champion(state)}")
    return Step("approval", "wait", f"{state.model.ref} {now.sentence}")


def _not_champion(state: State) -> str:
    """What to do when the model of this data and these settings is approved, but another is champion."""
    if state.model is None or state.champion is None or state.model.version == state.champion.version:
        return ""
    return f"; the champion is :{state.champion.version}: mlops models alias {state.model.ref} champion"


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
        return Step("bento", "run", state.no_bento)
    return Step("bento", "skip", f"{state.bento.tag} is built and proven")


def _deploy(state: State) -> Step:
    bento, serving = _bento(state), state.deployment
    fallen = state.deployment_state == "running" and state.served is not None and state.served.state != "approved"
    if serving and state.served and fallen and state.bento is None and bento.action != "run":
        ref, why = f"{serving.model}:{serving.version}", state.served.sentence
        return Step("deploy", "blocked", f"'{serving.name}' serves {ref}, no longer approved: {why}")
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
    if state.rival is not None and state.rival.mode == "canary" and state.rival.bento == state.bento.tag:
        text = f"{state.rival.ref} stands beside '{serving.name}' as a canary of {100 * state.rival.share:.3g} %"
        return Step("deploy", "wait", f"{text}: mlops deployments promote {serving.name}, or rollback")
    why = _outdated(state, serving, state.bento)
    if why:
        return Step("deploy", "run", why)
    return Step("deploy", "skip", f"'{serving.name}' serves {serving.bento} at {serving.url}")


def _outdated(state: State, serving: Deployment, bento: Bento) -> str:
    """How what serves differs from what should, or nothing."""
    assert state.settings.serve is not None
    if not deployments.serves(serving, bento):
        return deployments.outdated(serving, bento)
    if (serving.host, serving.port) != address(state.settings):
        return f"'{serving.name}' is to answer at another address"
    if serving.tls != (state.settings.serve.tls is not None):
        return f"'{serving.name}' is to speak {'HTTP' if serving.tls else 'HTTPS'}"
    if serving.serving and serving.serving != hash_of(state.settings.serve.serving()):
        return f"what [serve] says of answering changed since '{serving.name}' was told"
    return ""


def address(settings: PipelineFile) -> tuple[str, int]:
    assert settings.serve is not None
    return settings.serve.host, settings.serve.port


def plan_of(state: State) -> Plan:
    """Return what a state asks for; pure."""
    steps = decide(state)
    basis = (
        [asdict(step) for step in steps], state.settings.model_dump(), state.key, state.code,
        [str(path) for path in (*state.survey.new, *state.survey.changed)],
        state.model.subject() if state.model else None, state.champion.ref if state.champion else None,
    )  # fmt: skip
    return Plan(state.settings.name, hash_of(basis)[:12], steps)
