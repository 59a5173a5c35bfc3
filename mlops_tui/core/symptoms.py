"""What the windows of a champion's predictions show: drift, and decay, seen on labels or estimated without them.

Only a window that could be judged counts; one between that could not (few rows, no labels yet) does not end a row of
windows. A broken column is a data fault, never drift.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_tui.core.metrics import higher_is_better, limits
from mlops_tui.core.verdicts import compare, counted, not_yet, number, result, window_of
from mlops_tui.errors import near_miss
from mlops_tui.records import METRICS, Drift, RuleResult, WindowReport

if TYPE_CHECKING:  # core carries no pydantic
    from mlops_tui.config import Rule

Windows = Sequence[WindowReport]
SHARE = 0.3  # of the features, where a rule names neither a share nor features
DROP = 0.02  # where a rule names neither a drop nor a least value; a share of the expected if the metric has no bound


@dataclass(frozen=True, slots=True)
class Seen:
    """What a rule makes of one window."""

    over: bool
    value: float
    threshold: float
    words: str


def _in_a_row(rule: Rule, seen: Sequence[Seen | None], unjudged: RuleResult) -> RuleResult:
    """Fires if so many of the newest judged windows in a row are over; `unjudged` is the verdict where none is."""
    judged = [one for one in seen if one is not None]
    if not judged:
        return unjudged
    count = next((before for before, one in enumerate(reversed(judged)) if not one.over), len(judged))
    newest = judged[-1]
    row = f", for {counted(count, 'window')} in a row of {rule.windows} that it takes"
    row = row if rule.windows > 1 else ""
    return result(rule, count >= rule.windows, newest.words + row, (newest.value, newest.threshold))


def _unjudged(rule: Rule, windows: Windows, why_not: str) -> RuleResult:
    """The verdict where no window could be judged; `why_not` says why there can be none."""
    if why_not:
        return result(rule, None, why_not)
    if not windows:
        return not_yet(rule, "there is no window of predictions yet")
    newest = windows[-1]
    why = newest.remark or "; ".join(newest.faults) or counted(newest.rows, "row")
    return not_yet(rule, f"no window could be judged; of the newest, {window_of(newest)}: {why}")


# ── drift ────────────────────────────────────────────────────────────────────────────────────────


def drift(rule: Rule, windows: Windows, why_not: str) -> RuleResult:
    """Fires if a share of the features drifted, or one of those that the rule names."""
    judged = [window for window in windows if any(not one.fault for one in window.features)]
    names = {one.feature for window in judged for one in window.features}
    strange = [name for name in rule.features or [] if name not in names]
    if judged and strange:
        why = f"the model reads no feature '{strange[0]}'{near_miss(strange[0], names)}"
        return RuleResult(rule.label, None, None, "unknown", why)
    return _in_a_row(rule, [_drift_in(rule, window) for window in judged], _unjudged(rule, windows, why_not))


def _drift_in(rule: Rule, window: WindowReport) -> Seen | None:
    named = _named_in(rule.features, window) if rule.features else None
    if rule.features and (rule.share is None or (named and named.over)):
        return named
    return _share_in(SHARE if rule.share is None else rule.share, window)


def _share_in(share: float, window: WindowReport) -> Seen:
    sound = [one for one in window.features if not one.fault]
    count, found = len(window.drifted), window.drifted_share
    where = f"of {len(sound)} features drifted in {window_of(window)} (worst: {_distance(sound[0])})"
    words = f"{count} {where}, which is {compare(100 * found, 100 * share, ' %')}" if count else f"none {where}"
    return Seen(count > 0 and found >= share, found, share, words)


def _named_in(names: Sequence[str], window: WindowReport) -> Seen | None:
    """What the worst of some features shows; None if all of them are broken or missing in the window."""
    sound = [one for one in window.features if one.feature in names and not one.fault]
    if not sound:
        return None
    worst = max(sound, key=lambda one: (one.drifted, one.distance - one.threshold))
    verb = "drifted" if worst.drifted else "did not drift"
    return Seen(worst.drifted, worst.distance, worst.threshold, f"{_distance(worst)}: {verb} in {window_of(window)}")


def prediction_drift(rule: Rule, windows: Windows, why_not: str) -> RuleResult:
    """Fires if the predictions drifted."""
    return _in_a_row(rule, [_predictions_in(window) for window in windows], _unjudged(rule, windows, why_not))


def _predictions_in(window: WindowReport) -> Seen | None:
    found = window.prediction
    if found is None or found.fault:
        return None
    verb = "drifted" if found.drifted else "did not drift"
    words = f"the predictions {verb} in {window_of(window)}: {_figures(found)}"
    return Seen(found.drifted, found.distance, found.threshold, words)


def _distance(one: Drift) -> str:
    return f"{one.feature}, {_figures(one)}"


def _figures(one: Drift) -> str:
    return f"{one.measure.upper()} {compare(one.distance, one.threshold, signs=('>', '≤'))}"


# ── decay ────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Reading:
    """A metric of one window with its interval, and what was expected of it."""

    metric: str
    value: float
    low: float
    high: float
    expected: float | None
    words: str

    @property
    def best(self) -> float:
        """The better end of the interval."""
        return self.high if higher_is_better(self.metric) else self.low

    def worse(self, value: float, than: float) -> float:
        """How much worse a value is than another, whichever way the metric goes."""
        return than - value if higher_is_better(self.metric) else value - than


def decay(rule: Rule, windows: Windows, why_not: str) -> RuleResult:
    """Fires if the metric on labelled rows surely fell: by a drop from what was expected, or below a least value."""
    return _decay(rule, [_on_labels(window) for window in windows], _unlabelled(rule, windows, why_not))


def estimated_decay(rule: Rule, windows: Windows, why_not: str) -> RuleResult:
    """Fires as `decay` does, on the metric that is estimated without labels."""
    return _decay(rule, [_estimated(window) for window in windows], _unestimated(rule, windows, why_not))


def _on_labels(window: WindowReport) -> Reading | None:
    found = window.performance
    if window.remark or found is None or found.low is None or found.high is None or not math.isfinite(found.value):
        return None
    interval = f"{100 * found.confidence:.4g} % interval {number(found.low)} to {number(found.high)}"
    words = (
        f"{found.name} is {number(found.value)} in {window_of(window)} ({interval}, {window.labelled:,} labelled rows)"
    )
    expected = window.expected.value if window.expected and window.expected.name == found.name else None
    return Reading(found.name, found.value, found.low, found.high, expected, words)


def _estimated(window: WindowReport) -> Reading | None:
    found = window.estimate
    if window.remark or found is None or not math.isfinite(found.value):
        return None
    interval = f"interval {number(found.low)} to {number(found.high)}, {window.rows:,} rows"
    words = f"{found.metric} is estimated at {number(found.value)} in {window_of(window)} ({interval})"
    expected = window.expected.value if window.expected and window.expected.name == found.metric else None
    return Reading(found.metric, found.value, found.low, found.high, expected, words)


def _unlabelled(rule: Rule, windows: Windows, why_not: str) -> RuleResult:
    """The verdict where the labels of no window could be judged."""
    why_not, judged = why_not or _ranks(windows), [window for window in windows if not window.remark]
    if why_not or not judged:
        return _unjudged(rule, windows, why_not)
    newest = judged[-1]
    rows = f"{newest.labelled:,} of {counted(newest.rows, 'row')} in {window_of(newest)}"
    return not_yet(rule, f"too few labels, or of one class: {rows}")


def _unestimated(rule: Rule, windows: Windows, why_not: str) -> RuleResult:
    """The verdict where no window has an estimate; a model that has none for one window has none for any."""
    judged = any(not window.remark for window in windows)
    never = "this model's metric is not estimated without labels" if judged else ""
    return _unjudged(rule, windows, why_not or _ranks(windows) or never)


def _ranks(windows: Windows) -> str:
    """Why windows of a model that ranks have no metric; "" for any other."""
    names = {window.expected.name for window in windows if window.expected}
    return "" if names.isdisjoint(METRICS["ranking"]) else "ranking is not judged window by window"


def _decay(rule: Rule, readings: Sequence[Reading | None], unjudged: RuleResult) -> RuleResult:
    found = [one for one in readings if one is not None]
    if rule.min is None and found and all(one.expected is None for one in found):
        return result(rule, None, f"what {found[-1].metric} was when the champion was tested is not known")
    return _in_a_row(rule, [_decay_in(rule, one) for one in found], unjudged)


def _decay_in(rule: Rule, one: Reading) -> Seen | None:
    """A drop, a least value, or whichever of the two is broken; both must be sure, beyond the interval."""
    below = None if rule.min is None else _below(rule.min, one)
    if below is not None and (below.over or rule.drop is None):
        return below
    return below if one.expected is None else _dropped(rule.drop, one, one.expected)


def _below(limit: float, one: Reading) -> Seen:
    side = "below" if higher_is_better(one.metric) else "above"
    beyond, sure = one.worse(one.value, limit) > 0, one.worse(one.best, limit) > 0
    words = f"{one.words}, {'surely ' if sure else '' if beyond else 'not '}{side} {number(limit)}"
    return Seen(sure, one.value, limit, words + (_doubt(one) if beyond and not sure else ""))


def _dropped(drop: float | None, one: Reading, expected: float) -> Seen:
    little = DROP if limits(one.metric)[1] == 1.0 else DROP * abs(expected)
    limit, lost = little if drop is None else drop, one.worse(one.value, expected)
    sure = one.worse(one.best, expected) > 0
    figures = f"{compare(lost, limit)} worse" if lost > 0 else "not worse"
    words = f"{one.words} against {number(expected)} expected: {figures}"
    return Seen(sure and lost >= limit, lost, limit, words + (_doubt(one) if lost >= limit and not sure else ""))


def _doubt(one: Reading) -> str:
    return f", but it may be noise, as the interval reaches {number(one.best)}"
