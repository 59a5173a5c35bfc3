"""What rules look at: windows of predictions (or of new rows, where nothing serves), and what retraining would gain."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mlops_tui.adapters.catalogue import watch as rows
from mlops_tui.errors import InvalidInput, Refused
from mlops_tui.flows import lookup
from mlops_tui.flows.watch import answers, monitor
from mlops_tui.flows.workspace import Workspace
from mlops_tui.names import parse_duration
from mlops_tui.records import DatasetVersion, Gain, ModelVersion, Progress, Trial, WindowReport, hash_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import polars as pl

    from mlops_tui.config import PipelineFile, Rule
    from mlops_tui.core.training import Trained


@dataclass(frozen=True, slots=True)
class Subject:
    """What rules are about: a pipeline, its champion, and its newest dataset version that keeps its contract."""

    settings: PipelineFile
    champion: ModelVersion
    dataset: DatasetVersion
    code: str


# ── windows ──────────────────────────────────────────────────────────────────────────────────────


def windows(workspace: Workspace, subject: Subject) -> tuple[WindowReport, ...]:
    """Return what the champion's windows show, oldest first: its deployment's last report, else the rows since.

    Raises Refused, with why, where there is nothing to look at.
    """
    served = served_windows(workspace, subject.settings.deployment, subject.champion)
    if served:
        return served
    deployment = subject.settings.deployment
    if any(one.ref == subject.champion.ref for one in answers.versions(workspace, deployment)):
        raise Refused(f"no report has windows of {subject.champion.ref} yet; next: mlops monitor run {deployment}")
    return _of_dataset(workspace, subject)


def served_windows(workspace: Workspace, deployment: str, champion: ModelVersion) -> tuple[WindowReport, ...]:
    """Return the windows of a model version in the last report of its deployment, oldest first."""
    report = monitor.newest_report(workspace, deployment, routine=True)
    if report is None or report.model != champion.model:
        return ()
    return tuple(one for one in report.windows if one.version == champion.version)


def _of_dataset(workspace: Workspace, subject: Subject) -> tuple[WindowReport, ...]:
    """Measure the rows that came after the champion's as if it had been asked about them: for who serves nothing."""
    import polars as pl

    from mlops_tui.core import labels, requests, samples, scoring
    from mlops_tui.core import monitor as core

    settings, champion = subject.settings, subject.champion
    frame = lookup.frame(workspace, subject.dataset)
    column = _time_column(settings, frame)
    fresh = frame.filter(pl.col(column) > _end_of(workspace, champion, column)).collect()
    seconds = settings.monitor.seconds
    numbers = pl.select(core.number_of(pl.lit(core.moments(fresh[column])), seconds)).to_series()
    fresh, numbers = fresh.filter(numbers.is_not_null()), numbers.drop_nulls()
    if fresh.is_empty():
        raise Refused(f"'{settings.deployment}' answered nothing, and no rows came since {champion.ref} was trained")
    scorer = lookup.scorer(workspace, champion)
    signature = scorer.signature
    inputs = requests.frame_for(signature, fresh)
    kept = {name: fresh[name] for name in (*signature.extras, column) if name not in inputs.columns}
    truth = labels.as_text(fresh[settings.target.column]).alias(settings.target.column)
    scored = inputs.with_columns(**kept, **{signature.target: labels.typed(labels.known(truth, signature), signature)})
    scored = scored.hstack(samples.score_columns(signature, scoring.score(scorer, inputs)))
    stick = monitor.yardstick(workspace, champion, settings, by_event=True)
    options = settings.monitor.model_copy(update={"multivariate": False})
    found = []
    for number in numbers.unique().sort().tail(monitor.NEWEST):
        start, end = core.window(number, seconds)
        window = scored.filter(numbers == number)
        found.append(core.look(stick, window, (start, end, champion.version), options))
    return tuple(found)


def _time_column(settings: PipelineFile, frame: pl.LazyFrame) -> str:
    """The column of the rows' times; raises Refused where there is none that new rows are known by."""
    from mlops_tui.core.monitor import is_time

    name = settings.data.time
    if name is None:
        raise Refused("the pipeline has no [data] time, by which new rows are known")
    if not is_time(frame.collect_schema().get(name)):
        raise Refused(f"[data] time: '{name}' holds no dates or times, by which new rows are known")
    return name


def _end_of(workspace: Workspace, model: ModelVersion, column: str) -> Any:
    """The newest moment that a model's dataset version holds."""
    import polars as pl

    known = lookup.dataset_version(workspace, f"{model.dataset}:{model.dataset_version}")
    return lookup.frame(workspace, known).select(pl.col(column).max()).collect().item()


# ── gain ─────────────────────────────────────────────────────────────────────────────────────────


def gain(workspace: Workspace, subject: Subject, rule: Rule) -> Gain:
    """Return what a model trained now would have gained over the champion; raises Refused, with why, if unknown.

    The trial is trained once for the same data, settings, code and champion, and its result is kept.
    """
    settings, champion = subject.settings, subject.champion
    basis = (subject.dataset.hash, settings.training_hash(), subject.code)
    if champion.key == hash_of(basis):
        raise Refused(f"{champion.ref} was trained on exactly the data, settings and code of now")
    asked = (settings.watched_metric, rule.confidence, rule.max_cpu)
    key = hash_of(("gain", *basis, champion.subject(), *asked))
    with workspace.catalogue.read() as act:
        known = rows.trial(act, key)
    if known is None:
        known = _try(workspace, subject, rule, key)
        with workspace.catalogue.write(known.created_at) as act:
            rows.put_trial(act, known)
            difference = known.gain.difference if known.gain else None
            act.record("trial.kept", settings.name, key=key, gain=difference, remark=known.remark)
    if known.gain is None:
        raise Refused(known.remark)
    return known.gain


def _try(workspace: Workspace, subject: Subject, rule: Rule, key: str) -> Trial:
    """Train the trial and test it; where data or settings say no, that is kept too, so that nobody tries in vain."""
    begun = time.process_time()
    try:
        found = _measure(workspace, subject, rule)
    except (InvalidInput, Refused) as error:
        return Trial(key, None, error.message, workspace.now())
    return Trial(key, replace(found, cpu_seconds=time.process_time() - begun), "", workspace.now())


def _measure(workspace: Workspace, subject: Subject, rule: Rule) -> Gain:
    import polars as pl

    from mlops_tui.core import gain as core
    from mlops_tui.core import scoring, target, versus

    settings, champion = subject.settings, subject.champion
    metric, frame = settings.watched_metric, lookup.frame(workspace, subject.dataset)
    column = _time_column(settings, frame)
    workspace.report(Progress("trial", f"a trial challenger to {champion.ref} on {subject.dataset.rows:,} rows"))
    trained = _train(workspace, settings, frame.collect(), parse_duration(rule.max_cpu))
    taught = lookup.learned(workspace, champion, subject.dataset, trained.rows.filter(pl.col("set") == "test"))
    if taught is None:
        raise Refused(
            f"the data that {champion.ref} learned from is not in this workspace: no row is known to be new to it"
        )
    fresh = trained.rows.join(taught, on="row", how="anti", maintain_order="left")
    rows_ = lookup.rows_in(frame, fresh, "test").filter(pl.col(column).is_not_null())
    if rows_.height < core.FEWEST_ROWS:
        raise Refused(f"{rows_.height} labelled rows are new to both models, judged from {core.FEWEST_ROWS} on")
    trial = scoring.load(trained.booster, trained.transform, trained.signature, trained.calibration, workspace.threads)
    answers = target.answers_for(trial, rows_, settings.target)
    rival = versus.rival(lookup.scorer(workspace, champion), trial, answers, rows_, settings.target)
    if rival.answers is None:
        raise Refused(rival.remark.partition("; ")[0])  # what follows is for who reads a gate
    labelled, _, _ = target.labelled(rows_, settings.target)
    return core.gain(metric, rival.answers, answers, labelled[column], rule.confidence)


def _train(workspace: Workspace, settings: PipelineFile, frame: pl.DataFrame, limit: float) -> Trained:
    """Train as a cycle would; raises Refused once it has cost so many CPU seconds."""
    from mlops_tui.core import training

    report = _bounded(workspace.report, time.process_time() + limit, limit)
    clocks = {"cpu": time.process_time, "clock": time.monotonic}
    return training.train(frame, settings, threads=workspace.threads, report=report, **clocks)


def _bounded(report: Callable[[Progress], None], end: float, limit: float) -> Callable[[Progress], None]:
    """Progress that stops the work after a moment of CPU time; training reports after every round."""

    def told(event: Progress) -> None:
        if time.process_time() > end:
            raise Refused(f"a trial challenger costs more than {limit:g} s of CPU, which max_cpu allows", "max_cpu")
        report(replace(event, step="trial"))

    return told
