"""The act build: source files → parts → dataset version → run → model version."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from mlops_tui.records.codec import Task, hash_of

# ── datasets ─────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a schema: its name and its polars type, spelled as polars prints it."""

    name: str
    dtype: str


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file that a dataset was read from, as it was then; unchanged stat means unchanged bytes.

    `left_out` counts its rows that another file held already: they are read again if that one goes.
    """

    path: str
    size: int
    mtime_ns: int
    hash: str
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """An immutable parquet file in the object store; `source` is the path its rows came from."""

    hash: str
    rows: int
    bytes: int
    source: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing a check found; `level` "error" breaks the version, "warning" is told and kept."""

    check: str
    level: Literal["error", "warning"]
    message: str
    column: str | None = None
    value: float | None = None
    allowed: str = ""


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts of a numeric column: `edges` has one value more than `counts`."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """What a column holds; the numeric figures are None for columns that are not numbers or times."""

    name: str
    dtype: str
    nulls: int
    null_share: float
    distinct: int
    mean: float | None = None
    std: float | None = None
    quantiles: tuple[float, ...] = ()  # 0, 1, 5, 25, 50, 75, 95, 99, 100 %
    top: tuple[tuple[str, int], ...] = ()
    histogram: Histogram | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """What a dataset version holds, column by column."""

    rows: int
    columns: tuple[ColumnProfile, ...]


@dataclass(frozen=True, slots=True)
class Shift:
    """How far one column moved between two versions: PSI, and KS (numbers) or Jensen-Shannon (others)."""

    column: str
    psi: float
    distance: float
    measure: Literal["ks", "js"]
    null_share_old: float
    null_share_new: float
    moved: bool


@dataclass(frozen=True, slots=True)
class DatasetVersion:
    """An immutable manifest: schema, row count, and an ordered list of parts, shared with its parent."""

    dataset: str
    version: int
    hash: str
    rows: int
    schema: tuple[Column, ...]
    parts: tuple[Part, ...]
    profile: str  # the hash of its Profile
    findings: tuple[Finding, ...]
    state: Literal["ok", "broken"]
    source: str
    parent: int | None
    author: str
    created_at: datetime


# ── the model's inputs ────────────────────────────────────────────────────────────────────

FeatureKind = Literal["numeric", "boolean", "categorical", "temporal"]


@dataclass(frozen=True, slots=True)
class Feature:
    """One column of the model's matrix, `f0`, `f1`, … by position, and how it is made from a row.

    `expression` is SQL on one row for a derived feature, else None and `column` is read as it is.
    `part` names what is taken of a temporal column (hour, weekday, month, day, seconds).
    """

    name: str
    kind: FeatureKind
    column: str
    expression: str | None = None
    part: str | None = None
    categories: tuple[str, ...] = ()
    monotone: int = 0


@dataclass(frozen=True, slots=True)
class Transform:
    """From raw rows to the model's matrix: the same code and the same record in training and serving."""

    features: tuple[Feature, ...]


@dataclass(frozen=True, slots=True)
class Input:
    """A raw column that a request carries: its type, and what training saw of it."""

    name: str
    dtype: str
    nullable: bool
    min: float | None = None
    max: float | None = None
    categories: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Signature:
    """What a model takes and what it answers.

    `classes` are the target's labels as text, in score order (binary: the label that counts as 0, then 1);
    `target_dtype` gives them their type back; `threshold` is the binary score from which 1 is predicted;
    `extras` are columns that a request may carry though the model does not read them (key, time).
    """

    task: Task
    target: str
    target_dtype: str
    inputs: tuple[Input, ...]
    classes: tuple[str, ...] = ()
    threshold: float = 0.5
    quantile: float = 0.5
    extras: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Calibration:
    """A map from raw to calibrated probability: step points (isotonic) or slope and intercept (sigmoid)."""

    method: Literal["isotonic", "sigmoid"]
    x: tuple[float, ...]
    y: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Golden:
    """Raw rows, as a client would send them, and the answers that every form of the model must give."""

    rows: tuple[dict[str, Any], ...]
    answers: tuple[dict[str, Any], ...]


# ── runs and model versions ───────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric on one set of rows, with its interval where it has one; `higher` says which way is better."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    confidence: float = 0.95
    higher: bool = True


@dataclass(frozen=True, slots=True)
class Curve:
    """A learning curve: the metric watched, by round, on train and validation rows."""

    metric: str
    rounds: tuple[int, ...]
    train: tuple[float, ...]
    validation: tuple[float, ...]
    best_round: int


@dataclass(frozen=True, slots=True)
class Code:
    """Which code trained: a fingerprint of the library's own code, and the workspace's git commit."""

    fingerprint: str
    commit: str | None = None
    dirty: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """One training, from the moment it starts; `key` is the hash of all that determines its result."""

    id: str
    pipeline: str
    status: Literal["running", "completed", "failed", "interrupted"]
    key: str
    settings: dict[str, Any]  # the pipeline's sections that training reads, as they were
    dataset: str
    dataset_version: int
    code: Code
    environment: dict[str, str]
    seed: int
    threads: int
    author: str
    reason: str
    started_at: datetime
    ended_at: datetime | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    details: str | None = None  # the hash of its RunDetails
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Fold:
    """One cross-validation fold: how many rows it trained on and was tested on, and its metrics."""

    train_rows: int
    test_rows: int
    metrics: tuple[Metric, ...]


@dataclass(frozen=True, slots=True)
class RunDetails:
    """Everything large that a run leaves behind, stored as one object."""

    parameters: dict[str, Any]
    rows: dict[str, int]  # train, validation, test
    metrics: dict[str, tuple[Metric, ...]]  # by set of rows
    folds: tuple[Fold, ...]
    curve: Curve
    importance: tuple[tuple[str, float], ...]  # share of the total gain, largest first
    timings: dict[str, float]  # CPU seconds by step
    messages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A trained model, every piece named by its hash; `run` is the parent."""

    model: str
    version: int
    run: str
    task: Task
    dataset: str
    dataset_version: int
    created_at: datetime
    author: str
    key: str
    booster: str  # LightGBM's text format
    transform: str
    signature: str
    calibration: str | None
    reference: str  # parquet: a sample of the training rows, with predictions
    golden: str  # a Golden
    rows: str  # parquet: `row` (number in the dataset version) and `set` (train, validation, test)
    dataset_hash: str
    pipeline_hash: str
    code_hash: str
    report: str | None = None  # the hash of its GateReport
    gates_passed: bool | None = None
    approval: Literal["manual", "auto"] = "manual"
    reviewers: int = 1
    metrics: dict[str, float] = field(default_factory=dict)

    @property
    def ref(self) -> str:
        """How a person names it: `flight-delay:3`."""
        return f"{self.model}:{self.version}"

    def subject(self) -> str:
        """The hash of all that an approval covers: model, data, pipeline, code and gate report."""
        pieces = (self.booster, self.transform, self.signature, self.calibration)
        return hash_of((*pieces, self.dataset_hash, self.pipeline_hash, self.code_hash, self.report))
