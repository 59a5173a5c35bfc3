"""dataset version → run → model version: one training, watched while it works, kept whole or not at all."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from mlops_tui.adapters.catalogue import Act, build, lock
from mlops_tui.errors import InvalidInput, MlopsError, Refused, near_miss, unknown
from mlops_tui.flows import lookup
from mlops_tui.flows.workspace import Workspace, environment, new_id, training_code
from mlops_tui.records import DatasetVersion, ModelVersion, Progress, Run, hash_of, to_json

if TYPE_CHECKING:
    from mlops_tui.config import PipelineFile
    from mlops_tui.core.training import Trained


def training_key(settings: PipelineFile, dataset: DatasetVersion, code: str) -> str:
    """Return the hash of all that decides what a training gives: data, settings, code."""
    return hash_of((dataset.hash, settings.training_hash(), code))


def train(workspace: Workspace, settings: PipelineFile, dataset: DatasetVersion, reason: str) -> ModelVersion:
    """Train on a dataset version and keep the model as a new version.

    The run is written when it starts and when it ends; while it works nothing is locked but its own folder. It
    ends "failed" with the error, or "interrupted"; a process that is killed leaves a run whose folder nobody
    holds, which counts as interrupted from then on. Raises Refused for a broken dataset version.
    """
    if dataset.state == "broken":
        raise broken(dataset)
    run = _new(workspace, settings, dataset, reason)
    with _live(workspace, run) as watched:
        _begin(workspace, run)
        try:
            frame = lookup.frame(watched, dataset).collect()
            trained = _fit(watched, settings, frame, run.threads)
            return _keep(workspace, settings, (run, dataset), trained)
        except BaseException as error:
            _end_badly(workspace, run, error)
            raise


def broken(dataset: DatasetVersion) -> Refused:
    """The refusal to train on a version that breaks its contract, with what it breaks."""
    errors = [finding.message for finding in dataset.findings if finding.level == "error"]
    more = f" (and {len(errors) - 3} more)" if len(errors) > 3 else ""
    ref = f"{dataset.dataset}:{dataset.version}"
    hint = f"mend or remove the file, or change [data.checks], then run again; mlops datasets show {ref} tells all"
    return Refused(f"{ref} breaks its contract: {'; '.join(errors[:3])}{more}", hint)


def _new(workspace: Workspace, settings: PipelineFile, dataset: DatasetVersion, reason: str) -> Run:
    code = training_code(workspace.root)
    return Run(
        id=new_id(),
        pipeline=settings.name,
        status="running",
        key=training_key(settings, dataset, code.fingerprint),
        settings=settings.training_settings(),
        dataset=dataset.dataset,
        dataset_version=dataset.version,
        code=code,
        environment=environment(),
        seed=settings.train.seed,
        threads=workspace.threads,
        author=workspace.user,
        reason=reason,
        started_at=workspace.now(),
    )


def _begin(workspace: Workspace, run: Run) -> None:
    """Write down that a run starts, whose folder is held already: so a running run is never taken for a dead one."""
    with workspace.catalogue.write(run.started_at) as act:
        _mark_interrupted(workspace, act, run.pipeline)
        build.add_run(act, run)
        act.record("run.started", run.id, pipeline=run.pipeline, dataset=f"{run.dataset}:{run.dataset_version}")


def _mark_interrupted(workspace: Workspace, act: Act, pipeline: str) -> None:
    """Write down which runs of a pipeline ended without a word: their process is gone."""
    for run in build.runs(act, pipeline, "running"):
        if not is_live(workspace, run):
            build.end_run(act, replace(run, status="interrupted", error="its process ended without a word"))
            act.record("run.interrupted", run.id, pipeline=pipeline)


def is_live(workspace: Workspace, run: Run) -> bool:
    """Return whether the process that trains a run still holds its folder."""
    return lock.is_held(workspace.run_folder(run.id) / "lock")


def honest(workspace: Workspace, run: Run) -> Run:
    """Return a run as it is: "running" only if a process still works on it."""
    if run.status == "running" and not is_live(workspace, run):
        return replace(run, status="interrupted", error="its process ended without a word")
    return run


@contextmanager
def _live(workspace: Workspace, run: Run) -> Iterator[Workspace]:
    """Hold the run's folder and write every progress event into it, a JSON object a line."""
    folder = workspace.run_folder(run.id)
    folder.mkdir(parents=True)
    with (
        lock.exclusive(folder / "lock", f"the run {run.id}", timeout=1, user=workspace.user),
        (folder / "progress.jsonl").open("ab", buffering=0) as stream,
    ):

        def report(event: Progress) -> None:
            stream.write(to_json({"at": workspace.now(), **_plain(event)}) + b"\n")
            workspace.report(event)

        yield replace(workspace, report=report)


def _plain(event: Progress) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(to_json(event))
    return values


def _fit(workspace: Workspace, settings: PipelineFile, frame: Any, threads: int) -> Trained:
    from mlops_tui.core import training

    clocks = {"cpu": time.process_time, "clock": time.monotonic}
    return training.train(frame, settings, threads=threads, report=workspace.report, **clocks)


def _end_badly(workspace: Workspace, run: Run, error: BaseException) -> None:
    """Write down that a run failed or was interrupted; the error itself goes on."""
    status: Literal["failed", "interrupted"] = "failed" if isinstance(error, Exception) else "interrupted"
    told = error.message if isinstance(error, MlopsError) else f"{type(error).__name__}: {error}"
    if status == "interrupted" and "KeyboardInterrupt" in told:  # itself, or a library's panic that it came to
        told = f"stopped by {workspace.user}"
    with workspace.catalogue.read() as act:
        if build.runs_by_prefix(act, run.id)[0].status != "running":
            return  # the interruption came after the last transaction: the run is complete
    ended = workspace.now()
    with workspace.catalogue.write(ended) as act:
        build.end_run(act, replace(run, status=status, ended_at=ended, error=told))
        act.record(f"run.{status}", run.id, pipeline=run.pipeline, error=told)


def _keep(
    workspace: Workspace, settings: PipelineFile, parents: tuple[Run, DatasetVersion], trained: Trained
) -> ModelVersion:
    """Store the objects, then end the run and add the model version in one transaction."""
    run, dataset = parents
    put = workspace.objects.put
    details = trained.details
    metrics = {metric.name: metric.value for metric in details.metrics["test"]}
    ended = workspace.now()
    done = replace(run, status="completed", ended_at=ended, metrics=metrics, details=put(to_json(details)))
    pieces = {
        "booster": put(trained.booster.encode()),
        "transform": put(to_json(trained.transform)),
        "signature": put(to_json(trained.signature)),
        "calibration": put(to_json(trained.calibration)) if trained.calibration else None,
        "reference": _put_frame(workspace, trained.reference),
        "golden": put(to_json(trained.golden)),
        "rows": _put_frame(workspace, trained.rows),
    }
    with workspace.catalogue.write(ended) as act:
        version = ModelVersion(
            model=settings.name,
            version=build.next_version(act, "model_versions", "model", settings.name),
            run=run.id,
            task=settings.target.task,
            dataset=dataset.dataset,
            dataset_version=dataset.version,
            created_at=ended,
            author=run.author,
            key=run.key,
            dataset_hash=dataset.hash,
            pipeline_hash=settings.training_hash(),
            code_hash=run.code.fingerprint,
            approval=settings.approval.mode,
            reviewers=settings.approval.reviewers,
            metrics=metrics,
            **pieces,  # type: ignore[arg-type]  # all are hashes
        )
        build.end_run(act, done)
        build.add_model_version(act, version)
        act.record("run.completed", run.id, pipeline=run.pipeline, model=version.ref)
        act.record("model.created", version.ref, run=run.id, booster=version.booster)
    return version


def _put_frame(workspace: Workspace, frame: Any) -> str:
    with workspace.objects.temporary() as file:
        frame.write_parquet(file, compression="zstd")
        return workspace.objects.put_file(file)


# ── looking at runs ──────────────────────────────────────────────────────────────────────────────


def list_runs(workspace: Workspace, pipeline: str | None, sort: str | None, limit: int) -> list[Run]:
    """Return runs as they are, newest first, or best first by a metric; raises NotFound for an unknown pipeline."""
    with workspace.catalogue.read() as act:
        found = build.runs(act, pipeline, sort=sort, limit=limit)
        known = {*build.pipelines(act), *lookup.pipeline_files(workspace)} if pipeline and not found else set()
        metrics = build.run_metrics(act) if sort and not found else []
    if known and pipeline is not None and pipeline not in known:
        raise unknown("pipeline", pipeline, known, "mlops pipelines list")
    if metrics and sort is not None and sort.lstrip("-") not in metrics:
        raise InvalidInput(f"no run has the metric '{sort.lstrip('-')}'{near_miss(sort, metrics)}")
    return [honest(workspace, run) for run in found]


def log_lines(workspace: Workspace, run: Run) -> list[dict[str, Any]]:
    """Return the progress events of a run, oldest first; a last line that was cut off is left out."""
    path = workspace.run_folder(run.id) / "progress.jsonl"
    if not path.exists():
        return []
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            break
    return found


def model_of(workspace: Workspace, run: Run) -> ModelVersion | None:
    """Return the model version that a run made, or None."""
    with workspace.catalogue.read() as act:
        versions = build.model_versions(act, run.pipeline)
    return next((version for version in versions if version.run == run.id), None)
