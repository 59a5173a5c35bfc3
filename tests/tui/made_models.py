"""Made runs, model versions, gate reports, approvals, Bentos and deployments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from mlops_tui.adapters.catalogue import build
from mlops_tui.config import PipelineFile
from mlops_tui.records import (
    LOWER_IS_BETTER,
    Code,
    Curve,
    DatasetVersion,
    Feature,
    FeatureKind,
    Fold,
    GateReport,
    GateResult,
    Golden,
    Input,
    Metric,
    ModelVersion,
    Run,
    RunDetails,
    Signature,
    Task,
    Transform,
    digest,
    hash_of,
)
from tests.tui.made_base import Making, id_of
from tests.tui.made_data import DTYPES, Drawn, Source, version_hash

CODE = Code(digest("the code"), "4f1c2a9be07d53c18a6f0b7d2e94c1538ad06b7f", False)
ENVIRONMENT = {
    "python": "3.11.7", "machine": "x86_64", "lightgbm": "4.7.0", "polars": "2.1.0", "numpy": "2.4.6",
    "mlops-tui": "0.1.0",
}  # fmt: skip
Judged = tuple[int | None, Sequence[GateResult]]  # the champion that it was compared with, and the gates' verdicts
ROUNDS = (1, 10, 25, 50, 100, 150, 200, 250, 300)
GAINS = (0.19, 0.16, 0.14, 0.12, 0.09, 0.08, 0.07, 0.05, 0.04, 0.03, 0.02, 0.01)


# ── runs ─────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Training:
    """How one training went; `level` is the task's first metric, None where it left nothing."""

    number: int
    at: datetime
    user: str
    reason: str
    level: float | None = None
    seconds: float = 9.7
    params: tuple[tuple[str, float], ...] = ()
    status: str = "completed"
    error: str | None = None


def figures(task: Task, level: float) -> dict[str, float]:
    """All metrics of a task that go with its first."""
    found = {
        "binary": {"auc": level, "average_precision": level - 0.2361, "log_loss": 1.2256 - level,
                   "brier": 0.5262 - level / 2, "f1": level - 0.2379},
        "multiclass": {"auc": level, "log_loss": 1.5213 - level, "accuracy": level - 0.0912, "f1": level - 0.1348},
        "regression": {"rmse": level, "mae": level * 0.7421, "r2": 1 - level / 2, "mape": level / 8},
    }  # fmt: skip
    return {name: round(value, 4) for name, value in found[task].items()}


def _metrics(task: Task, level: float, wide: float | None = None) -> tuple[Metric, ...]:
    return tuple(
        Metric(name, value, wide and round(value - wide, 4), wide and round(value + wide, 4),
               higher=name not in LOWER_IS_BETTER)
        for name, value in figures(task, level).items()
    )  # fmt: skip


def details(settings: PipelineFile, level: float, rows: int, features: Sequence[str]) -> RunDetails:
    """What a training left behind: metrics of three sets and three folds, a curve, importance."""
    task, better = settings.target.task, -1 if settings.target.task == "regression" else 1
    reached = [1 - 0.7 ** (number + 1) for number in range(len(ROUNDS))]
    train = tuple(round(level - better * (0.06 - 0.10 * one), 5) for one in reached)
    validation = tuple(round(level - better * (0.05 - 0.06 * one + 0.01 * one**4), 5) for one in reached)
    sets = {"test": rows // 5, "train": rows * 13 // 20, "validation": rows * 3 // 20}
    spread = [(level + off, 0.012) for off in (-0.006, 0.002, 0.005)] if settings.split.folds else []
    folds = tuple(
        Fold(rows * (2 + n) // 5, rows // 5, _metrics(task, value, wide)) for n, (value, wide) in enumerate(spread)
    )
    return RunDetails(
        parameters={"objective": task, "seed": settings.train.seed, "num_threads": 2} | settings.train.params,
        rows=sets,
        metrics={
            "test": _metrics(task, level, 0.0101),
            "train": _metrics(task, level + better * 0.0258),
            "validation": _metrics(task, level + better * 0.0094),
        },
        folds=folds,
        curve=Curve(next(iter(figures(task, level))), ROUNDS, train, validation, 198),
        importance=tuple(zip(features, GAINS, strict=False)),
        timings={"split": 0.02, "features": 0.18, "train": 9.31, "evaluate": 0.16, "keep": 0.01},
        messages=(f"left out {rows // 26} rows where '{settings.target.column}' is null",),
    )


def run(
    making: Making, settings: PipelineFile, version: DatasetVersion, training: Training, columns: Sequence[Drawn]
) -> Run:
    """Put a run; its `key` is the one that the product would give it, so that nothing looks due."""
    chosen = settings.training_settings()
    chosen["train"] = chosen["train"] | {"params": chosen["train"]["params"] | dict(training.params)}
    level, rows = training.level, version.rows
    features = [column.name for column in columns if column.name != settings.target.column]
    features += list(settings.features.derive)
    turn = training.number % 3  # what matters most is not the same every time
    found = Run(
        id=id_of(settings.name, training.number),
        pipeline=settings.name,
        status=training.status,  # type: ignore[arg-type]
        key=hash_of((version.hash, hash_of(chosen), making.code)),
        settings=chosen,
        dataset=version.dataset,
        dataset_version=version.version,
        code=CODE,
        environment=ENVIRONMENT,
        seed=settings.train.seed,
        threads=2,
        author=training.user,
        reason=training.reason,
        started_at=training.at,
        ended_at=None if training.status == "interrupted" else training.at + timedelta(seconds=training.seconds),
        metrics=figures(settings.target.task, level) if level else {},
        details=making.put(details(settings, level, rows, features[turn:] + features[:turn])) if level else None,
        error=training.error,
    )
    build.add_run(making.act, found)
    build.end_run(making.act, found)
    dataset = f"{version.dataset}:{version.version}"
    making.tell(training.at, training.user, "run.started", found.id, pipeline=found.pipeline, dataset=dataset)
    more = {"error": found.error} if found.error else {}
    making.tell(
        found.ended_at or training.at, training.user, f"run.{found.status}", found.id, pipeline=found.pipeline, **more
    )
    return found


# ── model versions ───────────────────────────────────────────────────────────────────────────────


def _ends(column: Drawn) -> tuple[float | None, float | None]:
    return (None, None) if column.labels else column.ends


def _signature(settings: PipelineFile, columns: Sequence[Drawn]) -> tuple[Transform, Signature]:
    kinds: dict[str, FeatureKind] = {"VARCHAR": "categorical", "BOOLEAN": "boolean"}
    target = next(column for column in columns if column.name == settings.target.column)
    features = [
        Feature(column.name, kinds.get(column.kind, "numeric"), column.name, categories=column.labels)
        for column in columns
        if column is not target
    ]
    features += [Feature(name, "numeric", name, sql) for name, sql in settings.features.derive.items()]
    inputs = tuple(
        Input(c.name, DTYPES[c.kind], bool(c.nulls), *_ends(c), categories=c.labels) for c in columns if c is not target
    )
    task = settings.target.task
    classes = () if task == "regression" else target.labels
    signature = Signature(
        task, target.name, DTYPES[target.kind], inputs, classes, threshold=0.27, extras=("id", "moment")
    )
    return Transform(tuple(features)), signature


def model(making: Making, settings: PipelineFile, by: Run, number: int, judged: Judged, source: Source) -> ModelVersion:
    """Put the model version that a run made, with its gate report; booster and rows are no more than placeholders."""
    assert by.ended_at is not None
    champion, results = judged
    sample, task = source.sample, settings.target.task
    transform, signature = _signature(settings, source.columns)
    row = {one.name: one.categories[0] if one.categories else one.max for one in signature.inputs}
    found = ModelVersion(
        model=settings.name, version=number, run=by.id, task=task, dataset=by.dataset,
        dataset_version=by.dataset_version, created_at=by.ended_at, author=by.author, key=by.key,
        booster=making.keep(f"tree {settings.name}:{number}\n".encode()),
        transform=making.put(transform), signature=making.put(signature), calibration=None,
        reference=sample, golden=making.put(Golden((row,), ({"prediction": 0.25},))), rows=sample,
        dataset_hash=version_hash(by.dataset, by.dataset_version), pipeline_hash=hash_of(by.settings),
        code_hash=CODE.fingerprint, approval=settings.approval.mode, reviewers=settings.approval.reviewers,
        metrics=by.metrics,
    )  # fmt: skip
    report = GateReport(
        settings.name, number, champion, settings.gates_hash(), found.approval, found.reviewers,
        all(one.passed for one in results), tuple(results), by.ended_at + timedelta(seconds=2),
        any(gate.versus for gate in settings.gates),
    )  # fmt: skip
    found = replace(found, report=making.put(report), gates_passed=report.passed)
    build.add_model_version(making.act, found)
    failed = [one.gate for one in results if not one.passed]
    making.tell(by.ended_at, by.author, "model.created", found.ref, run=by.id, booster=found.booster)
    making.tell(report.created_at, by.author, "model.judged", found.ref, passed=report.passed, failed=failed)
    return found
