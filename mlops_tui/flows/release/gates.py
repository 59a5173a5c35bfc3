"""model version → gate report: judged on the rows that neither trained it nor stopped its training."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mlops_tui.adapters.catalogue import build
from mlops_tui.errors import NotFound
from mlops_tui.flows import lookup
from mlops_tui.flows.release import approvals, latency
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import GateReport, ModelVersion, Progress, RunDetails, from_json, to_json

if TYPE_CHECKING:
    import polars as pl

    from mlops_tui.config import PipelineFile
    from mlops_tui.core.gates import Evidence
    from mlops_tui.core.scoring import Scorer

LATENCY = "latency_p99_ms"


def judge(workspace: Workspace, settings: PipelineFile, version: ModelVersion) -> tuple[ModelVersion, GateReport]:
    """Judge a model version by a pipeline's gates and keep the report with it; an approval of an older report lapses.

    The champion is scored on the same rows, through its own transform.
    """
    from mlops_tui.core import gates

    workspace.report(Progress("gates", f"judging {version.ref}"))
    champion = champion_of(workspace, version)
    evidence = _evidence(workspace, settings, version, champion)
    results = gates.judge(settings.gates, evidence, settings.train.seed)
    report = GateReport(
        model=version.model,
        version=version.version,
        champion=champion.version if champion else None,
        settings_hash=settings.gates_hash(),
        versus=any(gate.versus for gate in settings.gates),
        approval=settings.approval.mode,
        reviewers=settings.approval.reviewers,
        passed=all(result.passed for result in results),
        results=results,
        created_at=workspace.now(),
    )
    judged = replace(
        version,
        report=workspace.objects.put(to_json(report)),
        gates_passed=report.passed,
        approval=report.approval,
        reviewers=report.reviewers,
    )
    failed = [result.gate for result in results if not result.passed]
    with workspace.catalogue.write(report.created_at) as act:
        build.update_model_version(act, judged)
        act.record("model.judged", version.ref, passed=report.passed, failed=failed, report=judged.report)
    return judged, report


def champion_of(workspace: Workspace, version: ModelVersion) -> ModelVersion | None:
    """Return the champion that a version would replace; None if there is none or it is the version itself."""
    with workspace.catalogue.read() as act:
        number = approvals.champion(act, version.model)
        return build.model_version(act, version.model, number) if number not in (None, version.version) else None


def report_of(workspace: Workspace, version: ModelVersion) -> GateReport:
    """Return a version's gate report; raises NotFound if no gate has judged it yet."""
    if version.report is None:
        raise NotFound(f"{version.ref} has no gate report yet", f"mlops run {version.model}")
    return from_json(workspace.objects.get(version.report), GateReport)


def _evidence(
    workspace: Workspace, settings: PipelineFile, version: ModelVersion, champion: ModelVersion | None
) -> Evidence:
    import polars as pl

    from mlops_tui.core import versus
    from mlops_tui.core.gates import Evidence
    from mlops_tui.core.metrics import Rival
    from mlops_tui.core.target import answers_for

    frame = lookup.frame(workspace, lookup.dataset_version(workspace, f"{version.dataset}:{version.dataset_version}"))
    rows = pl.read_parquet(workspace.objects.checked_path(version.rows))
    run = lookup.run(workspace, version.run)
    details = from_json(workspace.objects.get(run.details or ""), RunDetails)
    scorer = lookup.scorer(workspace, version)
    test = lookup.rows_in(frame, rows, "test")
    wanted = {(gate.check, gate.over) for gate in settings.gates}
    slices = {gate.slice for gate in settings.gates if gate.slice}
    answers = answers_for(scorer, test, settings.target)
    rival = Rival(itself=_is_champion(workspace, version))
    if champion is not None and any(gate.versus for gate in settings.gates):
        rival = versus.rival(lookup.scorer(workspace, champion), scorer, answers, test, settings.target)
        known = _known_rows(workspace, version, champion, rows)
        rival = replace(rival, version=champion.version, known_rows=known)
    return Evidence(
        test=answers,
        metrics=details.metrics,
        rival=rival,
        slices={name: slices_of(test, name) for name in sorted(slices & set(test.columns))},
        latency_p99_ms=latency.in_process(workspace, version, scorer) if (LATENCY, "process") in wanted else None,
        http_p99_ms=latency.over_http(workspace, version) if (LATENCY, "http") in wanted else None,
        model_bytes=workspace.objects.path(version.booster).stat().st_size,
        single_features=_single_features(scorer, settings, lookup.rows_in(frame, rows, "train"), test)
        if ("leak", "process") in wanted
        else {},
    )


def slices_of(rows: pl.DataFrame, name: str) -> Any:
    """Return the slice of each row as text, by a column: its value, or ∅."""
    import polars as pl

    return rows[name].cast(pl.String).fill_null("∅").to_numpy()


def _is_champion(workspace: Workspace, version: ModelVersion) -> bool:
    with workspace.catalogue.read() as act:
        return approvals.champion(act, version.model) == version.version


def _known_rows(workspace: Workspace, version: ModelVersion, champion: ModelVersion, rows: pl.DataFrame) -> int | None:
    """How many test rows the champion learned from: they favour it. None if its data is not in this workspace."""
    import polars as pl

    dataset = lookup.dataset_version(workspace, f"{version.dataset}:{version.dataset_version}")
    known = lookup.learned(workspace, champion, dataset, rows.filter(pl.col("set") == "test"))
    return None if known is None else known.height


def _single_features(
    scorer: Scorer, settings: PipelineFile, train: pl.DataFrame, test: pl.DataFrame
) -> dict[str, float]:
    from mlops_tui.core import features, leak, target

    samples = [
        (
            features.encode(scorer.transform, frame).to_numpy(),
            target.codes(frame[settings.target.column], scorer.signature),
        )
        for frame in (train, test)
    ]
    return leak.single_feature_scores(settings.target.task, scorer.transform.features, *samples)
