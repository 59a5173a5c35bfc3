"""Train again from what the catalogue holds, and say whether the model's bytes are the same."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_tui.config import PipelineFile
from mlops_tui.errors import External, MlopsError, NotFound
from mlops_tui.flows import lookup
from mlops_tui.flows.build import runs
from mlops_tui.flows.workspace import Workspace, environment, training_code
from mlops_tui.records import DatasetVersion, ModelVersion, Run, digest, to_json

if TYPE_CHECKING:
    from mlops_tui.core.training import Trained


@dataclass(frozen=True, slots=True)
class Differing:
    """One thing that is not as it was: `what` (data, seed, code, environment, booster, …), before and now."""

    what: str
    before: str
    now: str


@dataclass(frozen=True, slots=True)
class Reproduced:
    """Whether a run's model came out the same, what differs in its causes, and what in its results."""

    run: str
    identical: bool
    causes: tuple[Differing, ...]
    results: tuple[Differing, ...]


@dataclass(frozen=True, slots=True)
class Instead:
    """What to train with instead of what the run had."""

    seed: int | None = None
    dataset: str | None = None


def reproduce(workspace: Workspace, prefix: str, instead: Instead = Instead()) -> Reproduced:
    """Train a completed run again and compare; nothing is written to the catalogue.

    Where a part of the data is not what it was, the answer is "different", whatever training on it still gives.
    Raises NotFound for a run that made no model.
    """
    run = lookup.run(workspace, prefix)
    version = runs.model_of(workspace, run)
    if version is None:
        raise NotFound(f"run {run.id} is {runs.honest(workspace, run).status}: it made no model", "mlops runs list")
    settings = _settings(run, instead.seed)
    was = lookup.dataset_version(workspace, f"{run.dataset}:{run.dataset_version}")
    dataset = lookup.dataset_version(workspace, instead.dataset) if instead.dataset else was
    damage = _damage(workspace, dataset)
    causes = [*_other_data(was, dataset), *damage, *_causes(workspace, run, settings.train.seed)]
    try:
        results = _results(workspace, run, version, _train(workspace, settings, dataset, run.threads))
    except MlopsError as error:
        if not damage:
            raise
        results = [Differing("model", version.ref, f"not trained: {error.message}")]
    return Reproduced(run.id, not (results or damage), tuple(causes), tuple(results))


def _settings(run: Run, seed: int | None) -> PipelineFile:
    """The run's own settings, as they were then."""
    sections: dict[str, Any] = {key: dict(value) for key, value in run.settings.items()}
    sections["data"]["source"] = "the catalogue"
    if seed is not None:
        sections["train"]["seed"] = seed
    return PipelineFile.model_validate({"pipeline": {"name": run.pipeline}, **sections})


def _other_data(was: DatasetVersion, now: DatasetVersion) -> list[Differing]:
    """Another dataset version."""
    same = was.hash == now.hash
    return [] if same else [Differing("data", f"{was.dataset}:{was.version}", f"{now.dataset}:{now.version}")]


def _damage(workspace: Workspace, dataset: DatasetVersion) -> list[Differing]:
    """Parts that are gone, or no longer the bytes that they were."""
    found = []
    for part in dataset.parts:
        try:
            workspace.objects.checked_path(part.hash)
        except External as error:
            found.append(Differing("data", f"part {part.hash[:12]} from {part.source}", error.message))
    return found


def _causes(workspace: Workspace, run: Run, seed: int) -> list[Differing]:
    code, now = training_code(workspace.root), environment()
    pairs = [("seed", run.seed, seed), ("code", run.code.fingerprint[:12], code.fingerprint[:12])]
    pairs += [(f"environment {name}", version, now.get(name, "")) for name, version in run.environment.items()]
    return [Differing(what, str(before), str(after)) for what, before, after in pairs if before != after]


def _train(workspace: Workspace, settings: PipelineFile, dataset: DatasetVersion, threads: int) -> Trained:
    import polars as pl

    from mlops_tui.core import dataset as core
    from mlops_tui.core import training

    paths = [workspace.objects.path(part.hash) for part in dataset.parts]
    try:
        frame = core.unify([pl.scan_parquet(path) for path in paths], dataset.schema).collect()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise External(f"the data of {dataset.dataset}:{dataset.version} cannot be read: {error}") from None
    clocks: dict[str, Any] = {"cpu": time.process_time, "clock": time.monotonic}
    return training.train(frame, settings, threads=threads, report=workspace.report, **clocks)


def _results(workspace: Workspace, run: Run, version: ModelVersion, trained: Trained) -> list[Differing]:
    """What came out otherwise: the model's pieces by hash, where its trees part, the test metrics."""
    pieces = [
        ("booster", version.booster, digest(trained.booster)),
        ("transform", version.transform, digest(to_json(trained.transform))),
        ("signature", version.signature, digest(to_json(trained.signature))),
        ("calibration", version.calibration, digest(to_json(trained.calibration)) if trained.calibration else None),
    ]
    found = [Differing(what, str(a)[:12], str(b)[:12]) for what, a, b in pieces if a != b]
    if version.booster != digest(trained.booster):
        found.append(_first_tree(workspace, version, trained.booster))
    metrics = {metric.name: metric.value for metric in trained.details.metrics["test"]}
    found += [
        Differing(f"test {name}", _told(run.metrics.get(name)), _told(metrics.get(name)))
        for name in {**run.metrics, **metrics}
        if metrics.get(name) != run.metrics.get(name)
    ]
    return found


def _told(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.6f}"


def _first_tree(workspace: Workspace, version: ModelVersion, text: str) -> Differing:
    before = workspace.objects.get(version.booster).decode().split("\nTree=")
    now = text.split("\nTree=")
    same = next((i for i, (a, b) in enumerate(zip(before[1:], now[1:], strict=False)) if a != b), None)
    where = "after the trees both have" if same is None else f"from tree {same} on"
    return Differing("trees", f"{len(before) - 1} trees", f"{len(now) - 1} trees, other {where}")
