"""May this model be released? Every gate's verdict, with what was measured and why in one sentence.

docs/gates.md tells every gate's formula, source and defaults. Nothing here raises for what a model or its data did:
what cannot be measured fails, and says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from mlops_tui.core import metrics
from mlops_tui.core.bounds import bound, bounds, figure, room, rows_of, threshold, undefined
from mlops_tui.core.leak import scored_by, single_feature_scores
from mlops_tui.core.metrics import Answers, Comparison, Rival
from mlops_tui.core.slices import Slice, judge_slices
from mlops_tui.errors import near_miss
from mlops_tui.records import METRICS, GateResult, Metric

if TYPE_CHECKING:  # a container carries this module and no pydantic
    from mlops_tui.config import Gate

__all__ = ["Evidence", "judge", "single_feature_scores"]

MOST_OVERFIT = 0.1
MOST_LEAK = {"auc": 0.9, "r2": 0.95}
LISTED = 100  # unjudged slices kept in the details


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that gates look at; `slices` holds, for each slice column, the value of every test row as text."""

    test: Answers
    metrics: Mapping[str, tuple[Metric, ...]]  # by set: "train", "validation", "test"
    rival: Rival = field(default_factory=Rival)
    slices: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    latency_p99_ms: float | None = None
    http_p99_ms: float | None = None  # the same over HTTP, of a Bento that serves the model
    model_bytes: int = 0
    single_features: Mapping[str, float] = field(default_factory=dict)  # of single_feature_scores


def judge(gates: Sequence[Gate], evidence: Evidence, seed: int) -> tuple[GateResult, ...]:
    """Return the verdict of every gate, in their order; the seed is for bootstraps."""
    return tuple(_judge(gate, evidence, seed) for gate in gates)


def _judge(gate: Gate, evidence: Evidence, seed: int) -> GateResult:
    if gate.check is not None:
        return CHECKS[gate.check](gate, evidence)
    if gate.versus is not None:
        return _versus(gate, evidence, seed)
    return _slices(gate, evidence, seed) if gate.slice is not None else _absolute(gate, evidence, seed)


# ── a metric against a bound ─────────────────────────────────────────────────────────────────────


def _absolute(gate: Gate, evidence: Evidence, seed: int) -> GateResult:
    """Passes on the value itself; an interval that reaches over the bound is told."""
    name, label = gate.metric or "", f"{gate.metric} {bounds(gate)}"
    found = metrics.measure(evidence.test, name, gate.confidence, seed)
    if not math.isfinite(found.value):
        return _failed(label, threshold(gate), undefined(name, evidence.test))
    inside = room(found.value, gate) >= 0
    sentence = f"{name} is {figure(found.value, gate)} ({_doubt(found, gate)}{rows_of(evidence.test)}): "
    sentence += f"{bounds(gate)}" if inside else f"not {bounds(gate)}"
    if inside and any(end is not None and room(end, gate) < 0 for end in (found.low, found.high)):
        sentence += ", though the interval reaches beyond that"
    return GateResult(label, inside, found.value, found.low, found.high, threshold(gate, found.value), sentence)


# ── against the champion ─────────────────────────────────────────────────────────────────────────


def _versus(gate: Gate, evidence: Evidence, seed: int) -> GateResult:
    """Passes if the challenger is not worse by more than the margin: the interval's low end says so."""
    name, label, rival = gate.metric or "", f"{gate.metric} versus champion", evidence.rival
    if rival.answers is None:
        reason = "it is the champion itself" if rival.itself else "first version"
        sentence = f"cannot be compared: {rival.remark}" if rival.remark else f"{reason}: nothing to compare with"
        return GateResult(label, not rival.remark, None, None, None, -gate.margin, sentence)
    old, new = metrics.value(rival.answers, name), metrics.value(evidence.test, name)
    found = metrics.compare(name, rival.answers, evidence.test, gate.confidence, seed)
    if not math.isfinite(found.difference) or found.low is None:
        return _failed(label, -gate.margin, f"cannot be compared: {undefined(name, evidence.test)}")
    passed = found.low >= -gate.margin
    version = "the champion" if rival.version is None else f"version {rival.version}"
    sentence = (
        f"{name} is {figure(new)} against {figure(old)} of {version} on the same {rows_of(evidence.test)}: "
        f"{_outcome(found, gate)} (difference {figure(found.difference)}, {_interval(found.low, found.high, gate)} "
        f"two-sided, {found.method}; margin {figure(gate.margin)}){_told(rival)}"
    )
    details: dict[str, Any] = {"champion": old, "challenger": new, "margin": gate.margin, "confidence": gate.confidence}
    details |= {"method": found.method, "rows": len(evidence.test.y), "known_rows": rival.known_rows}
    return GateResult(label, passed, found.difference, found.low, found.high, -gate.margin, sentence, details)


def _told(rival: Rival) -> str:
    """What to know about the champion's answers."""
    known = (
        f"; the champion learned from {rival.known_rows:,} of these rows, which favours it" if rival.known_rows else ""
    )
    if rival.known_rows is None:
        known = "; whether the champion learned from these rows is not known, as its data is not here"
    return known + (f"; {rival.remark}" if rival.remark else "")


def _outcome(found: Comparison, gate: Gate) -> str:
    if found.low is not None and found.low > 0:
        return "better"
    if found.low is not None and found.low >= -gate.margin:
        return "as good"
    return "worse" if found.high is not None and found.high < 0 else "not shown to be as good"


# ── in every slice ───────────────────────────────────────────────────────────────────────────────


def _slices(gate: Gate, evidence: Evidence, seed: int) -> GateResult:
    """Passes if no slice is shown to lie beyond the bound, and at least one could be judged."""
    column, label = gate.slice or "", f"{gate.metric} {bounds(gate)} by {gate.slice}"
    if column not in evidence.slices:
        known = near_miss(column, evidence.slices)
        return _failed(label, threshold(gate), f"the test rows have no column '{column}'{known}")
    every = judge_slices(evidence.test, evidence.slices[column], gate, seed)
    judged = [one for one in every if one.verdict != "unjudged"]
    unjudged = [one for one in every if one.verdict == "unjudged"]
    details = {"slices": [asdict(one) for one in (*judged, *unjudged[:LISTED])], "unjudged": len(unjudged)}
    if not judged:
        sentence = (
            f"no value of '{column}' could be judged: none has {gate.min_rows:,} rows with a defined {gate.metric}"
        )
        return GateResult(label, False, None, None, None, threshold(gate), sentence, details)
    failed = [one for one in judged if one.verdict == "failed"]
    sentence = _slices_sentence(gate, judged, failed)
    if unjudged:
        sentence += f"; {len(unjudged)} not judged, with fewer than {gate.min_rows:,} rows or no defined {gate.metric}"
    worst = judged[0]
    limit = threshold(gate, worst.metric)
    return GateResult(label, not failed, worst.metric, worst.low, worst.high, limit, sentence, details)


def _slices_sentence(gate: Gate, judged: list[Slice], failed: list[Slice]) -> str:
    holm = f"Holm over {len(judged)}"
    if failed:
        named = ", ".join(f"'{one.value}' {figure(one.metric, gate)} (p = {figure(one.p)})" for one in failed[:5])
        more = f" and {len(failed) - 5} more" if len(failed) > 5 else ""
        return f"{gate.metric} is not {bounds(gate)} in {len(failed)} of {len(judged)} slices ({holm}): {named}{more}"
    worst = judged[0]
    text = f"'{worst.value}' with {figure(worst.metric, gate)} on {worst.rows:,} rows"
    doubtful = sum(one.verdict == "doubtful" for one in judged)
    if doubtful:
        return f"no slice is shown not to be {bounds(gate)} ({holm}), though {doubtful} may be: the worst is {text}"
    return f"{gate.metric} is {bounds(gate)} in all {len(judged)} slices judged: the worst is {text}"


# ── checks ───────────────────────────────────────────────────────────────────────────────────────


def _latency(gate: Gate, evidence: Evidence) -> GateResult:
    if gate.over == "http":
        return _measured(gate, evidence.http_p99_ms, f"{gate.check} over HTTP")
    return _measured(gate, evidence.latency_p99_ms)


def _size(gate: Gate, evidence: Evidence) -> GateResult:
    return _measured(gate, evidence.model_bytes / 1e6 if evidence.model_bytes else None)


def _measured(gate: Gate, value: float | None, name: str | None = None) -> GateResult:
    name = name or gate.check
    label = f"{name} {bounds(gate)}"
    if value is None or not math.isfinite(value):
        return _failed(label, threshold(gate), f"{name} was not measured")
    inside = room(value, gate) >= 0
    sentence = f"{name} is {figure(value, gate)}: {'' if inside else 'not '}{bounds(gate)}"
    return GateResult(label, inside, value, None, None, threshold(gate, value), sentence)


def _overfit(gate: Gate, evidence: Evidence) -> GateResult:
    """The gap of the task's first metric between train and test: its difference, or its share where unbounded."""
    name = METRICS[evidence.test.task][0]
    most = MOST_OVERFIT if gate.max is None else gate.max
    label = f"overfit ≤ {bound(most)}"
    train, test = (_value_in(evidence.metrics.get(part, ()), name) for part in ("train", "test"))
    if train is None or test is None:
        return _failed(label, most, f"{name} was not measured on train and test rows")
    relative = math.isinf(metrics.limits(name)[1])
    gap = train - test if metrics.higher_is_better(name) else test - train
    if relative:
        gap = gap / max(train, test) if gap else 0.0
    passed = gap <= most
    shown = f"{gap:.1%} of the larger" if relative else figure(gap)
    sentence = f"{name} is {figure(train)} on train and {figure(test)} on test rows: a gap of {shown}, "
    sentence += f"{'' if passed else 'not '}≤ {bound(most)}"
    return GateResult(label, passed, gap, None, None, most, sentence, {"metric": name, "train": train, "test": test})


def _leak(gate: Gate, evidence: Evidence) -> GateResult:
    """The best that one feature alone reaches."""
    measure, scores = scored_by(evidence.test.task), evidence.single_features
    most = MOST_LEAK[measure] if gate.max is None else gate.max
    label = f"leak ≤ {bound(most)}"
    if not scores:
        return _failed(label, most, "no feature was scored alone")
    ranked = sorted(scores.items(), key=lambda item: -item[1])
    above = [f"'{name}' ({measure} {figure(score)})" for name, score in ranked if score > most]
    if above:
        more = f" and {len(above) - 5} more" if len(above) > 5 else ""
        sentence = (
            f"alone nearly decides the target: {', '.join(above[:5])}{more}; is it known when a prediction is made?"
        )
    else:
        sentence = (
            f"no feature alone decides the target: the best, '{ranked[0][0]}', has {measure} {figure(ranked[0][1])}"
        )
    details = {"measure": measure, "features": dict(ranked[:LISTED])}
    return GateResult(label, not above, ranked[0][1], None, None, most, sentence, details)


CHECKS: dict[str, Callable[[Gate, Evidence], GateResult]] = {
    "latency_p99_ms": _latency,
    "model_size_mb": _size,
    "overfit": _overfit,
    "leak": _leak,
}


# ── words ────────────────────────────────────────────────────────────────────────────────────────


def _failed(label: str, limit: float | None, sentence: str) -> GateResult:
    return GateResult(label, False, None, None, None, limit, sentence)


def _value_in(found: Sequence[Metric], name: str) -> float | None:
    return next((one.value for one in found if one.name == name and math.isfinite(one.value)), None)


def _doubt(found: Metric, gate: Gate) -> str:
    return "" if found.low is None else f"{_interval(found.low, found.high, gate)}, "


def _interval(low: float | None, high: float | None, gate: Gate) -> str:
    return f"{gate.confidence * 100:.4g} % interval {figure(low)} to {figure(high)}"
