"""monitor reports, data and time → decision: every rule of a pipeline evaluated, and kept whether it fires or not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from mlops_tui.adapters.catalogue import build, release
from mlops_tui.adapters.catalogue import watch as rows
from mlops_tui.core.compare import flatten
from mlops_tui.errors import MlopsError, NotFound, unknown
from mlops_tui.flows import lookup
from mlops_tui.flows.watch import evidence, monitor
from mlops_tui.flows.workspace import Workspace, new_id, training_code
from mlops_tui.records import DatasetVersion, Decision, ModelVersion, Run, WindowReport, hash_of

if TYPE_CHECKING:
    from mlops_tui.config import PipelineFile, Rule
    from mlops_tui.core.policy import Hold
    from mlops_tui.core.rules import Facts, Judged

T = TypeVar("T")
ASK_AGAIN = timedelta(hours=1)  # at the earliest, where nothing has changed since the newest model was made


@dataclass(frozen=True, slots=True)
class Known:
    """What the catalogue holds of a pipeline, in one read."""

    dataset: DatasetVersion | None  # the newest
    good: DatasetVersion | None  # the newest that keeps its contract
    champion: ModelVersion | None
    run: Run | None  # of the champion
    taught: DatasetVersion | None  # what the champion was trained on
    cycles: tuple[datetime, ...]
    checked_at: datetime | None  # of the newest decision that nothing held


def check(workspace: Workspace, name: str, *, frugal: bool = False) -> Decision:
    """Evaluate all rules of a pipeline on what is known now, and keep the decision.

    `frugal` trains no trial challenger while the policy would hold it back anyway: for who asks again and again.
    """
    from mlops_tui.core import policy, rules

    settings, _ = lookup.pipeline(workspace, name)
    known = _known(workspace, settings)
    waits = policy.hold(settings.policy, (), known.cycles, workspace.now()) if frugal and known.champion else None
    facts = _facts(workspace, settings, known, waits)
    judged = _unless_done(workspace, settings, known, rules.evaluate(settings.rule_set, facts))
    if waits and not judged.held and "gain" in rules.needs(settings.rule_set):
        judged = replace(judged, held=waits.reason, next_at=waits.until)
    decision = Decision(
        id=new_id(),
        pipeline=settings.name,
        at=facts.now,
        user=workspace.user,
        fires=judged.fires,
        reason=judged.reason,
        rules=judged.rules,
        held=judged.held,
        faults=facts.faults,
        dataset=f"{known.dataset.dataset}:{known.dataset.version}" if known.dataset else None,
        champion=known.champion.ref if known.champion else None,
        next_at=judged.next_at,
    )
    with workspace.catalogue.write(facts.now) as act:
        rows.put_decision(act, decision)
        act.record("rules.checked", settings.name, decision=decision.id, fires=decision.fires, reason=decision.reason)
    return decision


def _unless_done(workspace: Workspace, settings: PipelineFile, known: Known, judged: Judged) -> Judged:
    """Hold what fires where a cycle would find nothing to do: a model of these data, settings and code is there."""
    if not judged.fires or known.good is None:
        return judged
    if known.dataset is not None and known.dataset.state == "broken":
        broken = next(one.message for one in known.dataset.findings if one.level == "error")
        held = f"{known.dataset.dataset}:{known.dataset.version} breaks its contract, and is not trained on: {broken}"
        return replace(judged, fires=False, held=held, reason=f"{judged.reason}, but held back: {held}", next_at=None)
    key = hash_of((known.good.hash, settings.training_hash(), training_code(workspace.root).fingerprint))
    with workspace.catalogue.read() as act:
        done = build.model_version_by_key(act, settings.name, key)
    if done is None:
        return judged
    held = f"{done.ref} was trained on exactly the data, settings and code of now; new rows come by datasets refresh"
    return replace(
        judged, fires=False, held=held, reason=f"{judged.reason}, but held back: {held}",
        next_at=max(judged.next_at or workspace.now(), workspace.now() + ASK_AGAIN),
    )  # fmt: skip


def _known(workspace: Workspace, settings: PipelineFile) -> Known:
    with workspace.catalogue.read() as act:
        number = release.aliases(act, settings.name).get((settings.name, "champion"))
        champion = build.model_version(act, settings.name, number) if number else None
        runs = build.runs_by_prefix(act, champion.run) if champion else []
        taught = build.dataset_version(act, champion.dataset, champion.dataset_version) if champion else None
        done = [run for run in build.runs(act, settings.name) if run.status != "running"]  # cut off ones cost as much
        free = [one.at for one in rows.decisions(act, settings.name, limit=1000) if not one.held]
        return Known(
            build.dataset_version(act, settings.data.dataset),
            build.good_dataset_version(act, settings.data.dataset),
            champion,
            runs[0] if runs else None,
            taught,
            tuple(sorted(run.started_at for run in done)),
            free[0] if free else None,
        )


def _facts(workspace: Workspace, settings: PipelineFile, known: Known, waits: Hold | None) -> Facts:
    """Gather what the rules need, and no more: a window costs a second, a trial challenger a training."""
    from mlops_tui.core import rules

    needed, why_not = rules.needs(settings.rule_set), dict[str, str]()
    code = training_code(workspace.root).fingerprint
    champion, dataset = known.champion, known.good
    windows: tuple[WindowReport, ...] = ()
    gain = None
    if champion is not None and dataset is not None:
        subject = evidence.Subject(settings, champion, dataset, code)
        if needed & {"windows", "performance", "estimate"}:
            windows = _or_why(lambda: evidence.windows(workspace, subject), "windows", why_not) or ()
        if "gain" in needed and waits:
            why_not["gain"] = f"no trial is trained while the policy holds it back {waits.reason}"
        elif "gain" in needed:
            rule = _gain_rule(settings)
            gain = _or_why(lambda: evidence.gain(workspace, subject, rule), "gain", why_not)
    same = known.taught is not None and champion is not None and known.taught.hash == champion.dataset_hash
    return rules.Facts(
        now=workspace.now(),
        trained_at=champion.created_at if champion else None,
        champion=champion.ref if champion else None,
        checked_at=known.checked_at,
        cycles=known.cycles,
        rows=known.dataset.rows if known.dataset else 0,
        trained_rows=known.taught.rows if same and known.taught else None,
        changes=_changes(settings, known, code),
        windows=windows,
        gain=gain,
        faults=_faults(workspace, settings, known, windows),
        why_not=why_not,
    )


def _or_why(look: Callable[[], T], kind: str, why_not: dict[str, str]) -> T | None:
    """Return what a look gives; what it says instead is kept as the reason why there is nothing."""
    try:
        return look()
    except MlopsError as error:
        why_not[kind] = error.message
        return None


def _gain_rule(settings: PipelineFile) -> Rule:
    return next(leaf for rule in settings.rule_set.chosen for leaf in rule.leaves() if leaf.when == "gain")


def _changes(settings: PipelineFile, known: Known, code: str) -> dict[str, str]:
    """What differs from what the champion was made by: pipeline, code, data contract; in words."""
    found = {}
    if known.run is not None:
        now, before = flatten(settings.training_settings()), flatten(known.run.settings)
        changed = [key for key in sorted(now.keys() | before.keys()) if now.get(key) != before.get(key)]
        if changed:
            found["pipeline"] = ", ".join(changed[:4]) + (f" and {len(changed) - 4} more" if len(changed) > 4 else "")
        if known.run.code.fingerprint != code:
            found["code"] = f"{known.run.code.fingerprint[:8]} → {code[:8]}"
    if known.taught is not None and known.dataset is not None:
        old, new = ({one.name: one.dtype for one in version.schema} for version in (known.taught, known.dataset))
        changed = [
            name for name in (*new, *(name for name in old if name not in new)) if old.get(name) != new.get(name)
        ]
        if changed:
            found["contract"] = f"columns {', '.join(changed[:4])}" + (" and more" if len(changed) > 4 else "")
    return found


def _faults(
    workspace: Workspace, settings: PipelineFile, known: Known, windows: tuple[WindowReport, ...]
) -> tuple[str, ...]:
    """Broken columns of the newest data: of the newest dataset version, and of the newest window that was judged.

    What was answered cannot be mended: a dataset version that came after the report, and is sound, speaks for itself.
    """
    dataset = known.dataset
    found = [] if dataset is None else [one.message for one in dataset.findings if one.check == "fault"]
    report = monitor.newest_report(workspace, settings.deployment, routine=True)
    if known.champion is not None and not windows:
        windows = evidence.served_windows(workspace, settings.deployment, known.champion)
    newest = monitor.newest_judged(windows)
    mended = report is not None and dataset is not None and dataset.created_at > report.created_at
    if newest is not None and not mended:
        found += [f"{fault} (in the window from {newest.start:%Y-%m-%d %H:%M})" for fault in newest.faults]
    return tuple(dict.fromkeys(found))


# ── looking at decisions ─────────────────────────────────────────────────────────────────────────


def history(workspace: Workspace, pipeline: str | None, fires: bool | None, limit: int) -> list[Decision]:
    """Return decisions, newest first; raises NotFound for a pipeline that is not known."""
    with workspace.catalogue.read() as act:
        found = rows.decisions(act, pipeline, fires, limit=limit)
        known = {*build.pipelines(act), *lookup.pipeline_files(workspace)} if pipeline and not found else set()
    if known and pipeline not in known:
        raise unknown("pipeline", str(pipeline), known, "mlops pipelines list")
    return found


def decision(workspace: Workspace, prefix: str) -> Decision:
    """Return the decision whose id starts so; raises NotFound."""
    with workspace.catalogue.read() as act:
        found = [one for one in rows.decisions(act) if one.id.startswith(prefix)]
    if len(found) != 1:
        raise NotFound(f"{len(found) or 'no'} decisions have an id that starts with '{prefix}'", "mlops rules history")
    return found[0]


def listed(workspace: Workspace, name: str | None) -> list[tuple[PipelineFile, Decision | None]]:
    """Return pipelines with their newest decision; one, or all whose file has no mistake."""
    names = [name] if name else sorted(lookup.pipeline_files(workspace))
    found = []
    for one in names:
        try:
            settings, _ = lookup.pipeline(workspace, one)
        except MlopsError:
            if name or len(names) == 1:
                raise
            continue  # status tells what is wrong with it
        with workspace.catalogue.read() as act:
            newest = rows.decisions(act, settings.name, limit=1)
        found.append((settings, newest[0] if newest else None))
    return found
