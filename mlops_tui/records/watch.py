"""The act watch: predictions (+ labels, late) → monitor report → rule decision → the next cycle; and the backtest."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from mlops_tui.records.build import Finding, Metric

# ── predictions and labels ───────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class PredictionPart:
    """A parquet object of what one model version answered: `__request`, `__row`, `__at`, inputs, extras, scores."""

    deployment: str
    model: str
    version: int
    hash: str
    rows: int
    first: datetime
    last: datetime
    gathered_at: datetime


@dataclass(frozen=True, slots=True)
class LabelPart:
    """A parquet object of labels: `__request` and `__row`, or the key's columns, all text; `__label` text, `__at`.

    The last label of a row stands; parts are in the order of `number`.
    """

    deployment: str
    number: int
    hash: str
    rows: int
    source: str  # a file's name, or "endpoint"
    user: str
    added_at: datetime


@dataclass(frozen=True, slots=True)
class LabelsAdded:
    """What came of adding labels: how many rows are first labels, corrections, repeats, or have no prediction."""

    deployment: str
    rows: int
    new: int
    corrected: int
    repeated: int
    unmatched: int
    examples: tuple[str, ...]  # of rows without a prediction, 5 at most


# ── monitoring ───────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Drift:
    """How far one column of a window is from the reference.

    `distance` is KS (numeric) or Jensen-Shannon (categorical); `threshold` is what it may reach: what the reference's
    own windows show, with room for a sample of this size and for the number of features. `p_value` is of KS or
    chi-squared; `wasserstein` is in standard deviations of the reference, numeric only. `fault` names a column that
    is broken rather than drifted; shares are of the window's rows.
    """

    feature: str
    kind: Literal["numeric", "categorical"]
    psi: float
    measure: Literal["ks", "js"]
    distance: float
    threshold: float
    p_value: float
    drifted: bool
    wasserstein: float | None = None
    chi2: float | None = None
    missing: float = 0.0
    missing_reference: float = 0.0
    unseen: float = 0.0
    out_of_range: float = 0.0
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Multivariate:
    """How well a classifier tells the reference from a window: its AUC (0.5: not at all), and what gave it away."""

    auc: float
    low: float
    high: float
    threshold: float
    drifted: bool
    features: tuple[tuple[str, float], ...]  # share of the classifier's gain, largest first


@dataclass(frozen=True, slots=True)
class Estimate:
    """A metric estimated without labels, with its interval; `error` is estimate minus truth, once labels came."""

    metric: str
    value: float
    low: float
    high: float
    method: Literal["cbpe", "dle"]
    error: float | None = None


@dataclass(frozen=True, slots=True)
class WindowReport:
    """What one window of one model version's predictions shows, against the reference kept with the model.

    `start` ≤ a row's time < `end`. `features` are the worst first. `performance` is on the `labelled` rows; `expected`
    is the same metric on the rows that the model was tested on when it was trained.
    """

    start: datetime
    end: datetime
    version: int
    rows: int
    labelled: int = 0
    findings: tuple[Finding, ...] = ()
    features: tuple[Drift, ...] = ()
    prediction: Drift | None = None
    multivariate: Multivariate | None = None
    performance: Metric | None = None
    expected: Metric | None = None
    estimate: Estimate | None = None
    remark: str = ""  # why something is not there

    @property
    def faults(self) -> tuple[str, ...]:
        """The data faults of the window, in words."""
        return tuple(f"{one.feature}: {one.fault}" for one in self.features if one.fault)

    @property
    def drifted(self) -> tuple[str, ...]:
        """The features that drifted, the worst first; broken ones are faults, not drift."""
        return tuple(one.feature for one in self.features if one.drifted and not one.fault)

    @property
    def drifted_share(self) -> float:
        """The share of the sound features that drifted."""
        sound = [one for one in self.features if not one.fault]
        return sum(one.drifted for one in sound) / len(sound) if sound else 0.0


@dataclass(frozen=True, slots=True)
class MonitorReport:
    """One look at a deployment's predictions, by the model that answered last: windows, oldest first.

    `routine` says that nobody asked for a range or a window of their own: rules and status read only such reports.
    """

    id: str
    deployment: str
    model: str
    created_at: datetime
    user: str
    window: str
    by: Literal["event", "received"]
    rows: int
    windows: tuple[WindowReport, ...]
    routine: bool = True


@dataclass(frozen=True, slots=True)
class Spread:
    """A column of one sample, counted over the bins or labels of a FeatureReport; `rest` have a value in none."""

    rows: int
    missing: int
    counts: tuple[int, ...]
    rest: int


@dataclass(frozen=True, slots=True)
class FeatureWindow:
    """One feature in one window, beside the reference of the model version that answered it.

    `drift` is what the report says; None where the window was not judged. Rows that came since are counted here.
    """

    start: datetime
    end: datetime
    version: int
    reference: Spread
    window: Spread
    drift: Drift | None = None
    remark: str = ""


@dataclass(frozen=True, slots=True)
class FeatureReport:
    """One feature, or the prediction, in windows of a monitor report, all counted over the same bins or labels.

    Numbers have `edges`, one more than bins, times as seconds since 1970; others have `labels`. `dtype` is what the
    model reads.
    """

    report: str
    deployment: str
    model: str
    feature: str
    dtype: str
    kind: Literal["numeric", "categorical"]
    edges: tuple[float, ...]
    labels: tuple[str, ...]
    windows: tuple[FeatureWindow, ...]


# ── rules ────────────────────────────────────────────────────────────────────────────────────────

Verdict = Literal["fires", "quiet", "unknown"]


@dataclass(frozen=True, slots=True)
class Gain:
    """A trial challenger against the champion on labelled rows that neither has learned from; positive is better.

    `low` is what the difference is at least, at the one-sided `confidence`, with rows of one of the `blocks` of time
    (days, where there are enough) counted as alike; None where that is not known.
    """

    metric: str
    champion: float
    challenger: float
    difference: float
    low: float | None
    confidence: float
    rows: int
    blocks: int
    start: datetime
    end: datetime
    cpu_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Trial:
    """What training a trial challenger showed, by all that determines it; without a gain, `remark` says why."""

    key: str
    gain: Gain | None
    remark: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class RuleResult:
    """One rule's verdict: the value seen, the threshold, and why, in one sentence.

    `next_at` is when the verdict can change by time alone; None: when new evidence comes. `parts` are the rules
    that an `all` or `any` combines.
    """

    rule: str
    value: float | None
    threshold: float | None
    verdict: Verdict
    reason: str
    next_at: datetime | None = None
    parts: tuple[RuleResult, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """One evaluation of a pipeline's rules, kept whether it fired or not.

    `held` says what kept rules that fired from asking for a cycle: policy or data fault. A decision that fires is
    open until a cycle answers it: then `run` and `outcome` say what came of it.
    """

    id: str
    pipeline: str
    at: datetime
    user: str
    fires: bool
    reason: str
    rules: tuple[RuleResult, ...]
    held: str = ""
    faults: tuple[str, ...] = ()
    dataset: str | None = None
    champion: str | None = None
    next_at: datetime | None = None
    run: str | None = None
    outcome: str = ""
    answered_at: datetime | None = None


# ── the agent ────────────────────────────────────────────────────────────────────────────────────

NoticeKind = Literal[
    "fired", "gate_failed", "waiting", "promoted", "deployment_down", "deployment_up", "canary_withdrawn", "failed"
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to tell the team: delivered at least once; `id` lets a receiver tell repeats."""

    id: str
    kind: NoticeKind
    subject: str
    text: str
    created_at: datetime
    attempts: int = 0
    next_at: datetime | None = None
    delivered_at: datetime | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Backoff:
    """How often a deployment was restarted without staying up, and when it is tried next; None: given up."""

    deployment: str
    failures: int
    next_at: datetime | None
    error: str


@dataclass(frozen=True, slots=True)
class AgentState:
    """What the agent last said of itself."""

    pid: int
    born: float
    user: str
    started_at: datetime
    woke_at: datetime | None = None
    wakes_at: datetime | None = None
    doing: str = ""
    backoffs: tuple[Backoff, ...] = ()
    last: tuple[str, ...] = ()  # what the last wake did, in words


# ── backtest ─────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class StepResult:
    """One step of a policy's replay: how the model of that time did on the window, and what was decided after it."""

    start: datetime
    end: datetime
    rows: int
    value: float | None  # the metric on the window; None where it is undefined
    model: int  # how many challengers had passed before: 0 is the first model
    fires: bool  # and so a cycle ran
    passed: bool  # its challenger did, and became champion
    reason: str
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PolicyResult:
    """How one rule set did: mean and worst metric over the windows, the cycles that ran, and what they brought.

    `metric` is the mean over the windows; `gain` is how much better than never retraining, and `gain_per_cycle` that
    by cycle; `cpu_seconds` counts trainings, trial challengers and statistics as if this policy alone had run.
    """

    policy: str
    metric: float
    worst: float
    cycles: int  # all that ran
    refused: int  # of them: the challenger failed a gate, or could not be trained
    cpu_seconds: float
    gain: float
    gain_per_cycle: float | None
    windows: tuple[StepResult, ...]
    bought: tuple[float, ...] = ()  # by challenger that passed: mean gain over the model before it, until the next


@dataclass(frozen=True, slots=True)
class Backtest:
    """A replay of history under several rule sets; `recommended` is one of them, `why` says it in a sentence."""

    pipeline: str
    dataset: str
    metric_name: str
    higher: bool
    start: datetime
    end: datetime
    step: str
    label_delay: str
    policies: tuple[PolicyResult, ...]
    recommended: str
    why: str
    remarks: tuple[str, ...] = field(default=())
