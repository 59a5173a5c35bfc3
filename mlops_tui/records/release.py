"""The act release: model version → gate report → approval → Bento → deployment; and the audit chain."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from mlops_tui.records.build import Histogram, Metric
from mlops_tui.records.codec import Task
from mlops_tui.records.serving import Mode


@dataclass(frozen=True, slots=True)
class GateResult:
    """One gate's verdict: what was measured, what was asked, and why, in one sentence."""

    gate: str
    passed: bool
    value: float | None
    low: float | None
    high: float | None
    threshold: float | None
    sentence: str
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GateReport:
    """All gates of one model version; it passes when every gate does."""

    model: str
    version: int
    champion: int | None
    settings_hash: str
    approval: Literal["manual", "auto"]  # who may let it go live, as the pipeline said when it was judged
    reviewers: int
    passed: bool
    results: tuple[GateResult, ...]
    created_at: datetime
    versus: bool = False  # whether a gate compared it with the champion


@dataclass(frozen=True, slots=True)
class Approval:
    """A person's word on a model version, bound to content: it lapses if `subject` no longer matches."""

    model: str
    version: int
    verdict: Literal["approved", "rejected"]
    subject: str
    name: str
    user: str
    comment: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class AliasChange:
    """An alias pointed to a version from a moment on; version None means that it was taken away."""

    model: str
    alias: str
    version: int | None
    user: str
    reason: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Parity:
    """The proof that a Bento answers as the model does: golden rows through HTTP against in-process."""

    rows: int
    max_difference: float
    ready_seconds: float
    latency_ms_p50: float
    latency_ms_p99: float
    checked_at: datetime


@dataclass(frozen=True, slots=True)
class Bento:
    """A built and proven Bento of one model version; `tag` names it in the workspace's Bento store."""

    tag: str
    model: str
    version: int
    key: str
    approved: bool
    size: int
    parity: Parity
    author: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Deployment:
    """A name that answers requests; pid and `born` (process start, epoch seconds) tell ours from a stranger's.

    A challenger beside it is one more, of the same name and process, in the mode "canary" or "shadow".
    """

    name: str
    model: str
    version: int
    bento: str
    host: str
    port: int
    pid: int
    born: float
    wanted: Literal["running", "stopped"]
    user: str
    started_at: datetime
    stopped_at: datetime | None = None
    mode: Mode = "live"
    share: float = 1.0  # of the requests
    runtime: str = ""  # the name of its server's own folder
    tls: bool = False
    container: str = ""  # its id, where it is one
    code: str = ""  # the hash of the service's code that runs
    serving: str = ""  # the hash of how it serves: policies, limits, bounds
    reason: str = ""

    @property
    def ref(self) -> str:
        """The model version that it serves, as in `flight-delay:3`."""
        return f"{self.model}:{self.version}"

    @property
    def url(self) -> str:
        """The address that answers, for a client on this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"{'https' if self.tls else 'http'}://{f'[{host}]' if ':' in host else host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the audit chain: `hash` covers the line and the hash of the line before it."""

    number: int
    at: datetime
    user: str
    action: str
    subject: str
    details: dict[str, Any]
    previous: str
    hash: str


# ── two models on the same rows ──────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Roc:
    """A receiver operating characteristic, from (0, 0) to (1, 1): two rates, point by point."""

    false_positive: tuple[float, ...]
    true_positive: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Reliability:
    """Rows of about the same prediction: its mean, and the mean of what was so, with its 95 % interval.

    A probability is held against the share of rows that are a 1, a number against the mean truth.
    """

    rows: int
    predicted: float
    observed: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Residuals:
    """Truth minus prediction: counts by bin, how many lie `beyond` all bins, and quantiles."""

    histogram: Histogram
    beyond: int
    quantiles: tuple[float, ...]  # 0, 1, 5, 25, 50, 75, 95, 99, 100 %


@dataclass(frozen=True, slots=True)
class Curves:
    """One model version's answers to some rows: its metrics, and the curves that its task has."""

    model: str  # flight-delay:3
    metrics: tuple[Metric, ...]
    roc: Roc | None = None
    reliability: tuple[Reliability, ...] = ()  # by rising prediction
    residuals: Residuals | None = None
    remark: str = ""


@dataclass(frozen=True, slots=True)
class MetricDifference:
    """How much better the first model is than the other on the same rows, positive is better, with its interval."""

    metric: str
    difference: float
    low: float | None
    high: float | None
    method: str
    confidence: float = 0.95


@dataclass(frozen=True, slots=True)
class SliceMetrics:
    """One value of a column: its rows, and the metric of each model on them, None where it is undefined."""

    value: str
    rows: int
    metrics: tuple[Metric | None, ...]


@dataclass(frozen=True, slots=True)
class Breakdown:
    """A metric by the values of a column, the most frequent first; `unlisted` counts the values left out."""

    column: str
    metric: str
    slices: tuple[SliceMetrics, ...]
    unlisted: int = 0


@dataclass(frozen=True, slots=True)
class Contest:
    """One model version, or two, on the same labelled test rows that none of them learned from.

    `sets` says in words which rows; `left_out` counts the test rows that the older model learned from, None if that
    is not known. `differences` are of the first model against the second.
    """

    task: Task
    sets: str
    rows: int
    left_out: int | None
    models: tuple[Curves, ...]
    differences: tuple[MetricDifference, ...] = ()
    breakdowns: tuple[Breakdown, ...] = ()
    remark: str = ""
