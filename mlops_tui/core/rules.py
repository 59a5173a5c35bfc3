"""Should the cycle run again? Every rule of a pipeline against the evidence, and what the policy says; pure.

A rule fires, is quiet, or is unknown where its evidence is not there; `all` and `any` combine them by Kleene's logic.
Without a champion the first cycle is due. Rules that fire are held back by the policy, and fire again until they are
not: nothing is lost in quiet hours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from mlops_tui.core import symptoms
from mlops_tui.core.cron import next_after
from mlops_tui.core.gain import FEWEST_BLOCKS, is_known, least
from mlops_tui.core.policy import fault_words, hold
from mlops_tui.core.verdicts import VERDICTS, compare, counted, later, moment, not_yet, number, result
from mlops_tui.names import parse_cron, parse_duration
from mlops_tui.records import Gain, RuleResult, Verdict, WindowReport

if TYPE_CHECKING:  # core carries no pydantic
    from mlops_tui.config import Policy, Rule, RuleSet

Evidence = Literal["windows", "performance", "estimate", "gain", "changes"]
EVIDENCE: dict[str, frozenset[Evidence]] = {
    "drift": frozenset(("windows",)),
    "prediction_drift": frozenset(("windows",)),
    "decay": frozenset(("windows", "performance")),
    "estimated_decay": frozenset(("windows", "estimate")),
    "gain": frozenset(("gain",)),
    "change": frozenset(("changes",)),
}
DAY = 86_400.0
FIRST = RuleResult("first", None, None, "fires", "there is no champion yet")


@dataclass(frozen=True, slots=True)
class Facts:
    """All that rules look at, times in UTC; for evidence that is not there, `why_not` says why, by kind of rule or
    for all "windows" at once.

    `checked_at` is the moment of the last decision that was not held, so that what came due while one was held is
    still due; None: there was none. `cycles` are the moments at which cycles trained. `windows` are of the champion's
    predictions, oldest first. `rows` are of the newest dataset version, `trained_rows` of the one that the champion
    was trained on. `changes` says what changed since then, by "pipeline", "code" and "contract". `faults` are the
    broken columns of the newest data, to be looked for wherever the policy holds on faults.
    """

    now: datetime
    trained_at: datetime | None  # None: there is no champion
    champion: str | None
    checked_at: datetime | None
    cycles: tuple[datetime, ...] = ()
    rows: int = 0
    trained_rows: int | None = None
    changes: Mapping[str, str] = field(default_factory=dict)
    windows: tuple[WindowReport, ...] = ()
    gain: Gain | None = None
    faults: tuple[str, ...] = ()
    why_not: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Judged:
    """Whether a cycle is asked for, and why (not) in one sentence.

    `held` says what keeps rules that fire from asking; `next_at` is when time alone can change the verdict, and, where
    it fires, when to look again at the latest; None: only new evidence can.
    """

    fires: bool
    reason: str
    rules: tuple[RuleResult, ...]
    held: str = ""
    next_at: datetime | None = None


def needs(rule_set: RuleSet) -> frozenset[Evidence]:
    """Return which evidence the rules look at: what a caller has to gather."""
    kinds = {kind for rule in rule_set.chosen for kind in rule.kinds()}
    return frozenset().union(*(EVIDENCE.get(kind, frozenset()) for kind in kinds))


def evaluate(rule_set: RuleSet, facts: Facts) -> Judged:
    """Return whether a cycle is asked for: by the rules as the policy combines them, unless something holds it back."""
    results = tuple(_judge(rule, facts) for rule in rule_set.chosen)
    if not results:
        return Judged(False, "there are no rules, so nothing asks for a cycle", ())
    policy, first = rule_set.policy, facts.trained_at is None
    verdict = "fires" if first else _combined(policy.combine, results)
    results = (FIRST, *results) if first else results
    coming = min((one.next_at for one in results if one.next_at), default=None)
    if verdict != "fires":
        fault = f"; {fault_words(facts.faults)}" if facts.faults else ""
        return Judged(False, _why_not(policy, results) + fault, results, next_at=coming)
    why = _why(results)
    held = hold(policy, facts.faults, facts.cycles, facts.now)
    if held is not None:
        return Judged(False, f"{why}, but held back {held.reason}", results, held.reason, held.until)
    again = later(facts.now, parse_duration(policy.cooldown))
    return Judged(True, why, results, next_at=min((at for at in (coming, again) if at), default=None))


def _why(results: Sequence[RuleResult]) -> str:
    """Why a cycle is asked for: the first rule that fires, and the names of the others."""
    one, *others = [found for found in results if found.verdict == "fires"]
    also = f" (also: {', '.join(other.rule for other in others)})" if others else ""
    return f"{one.rule}: {one.reason}{also}"


def _why_not(policy: Policy, results: Sequence[RuleResult]) -> str:
    """Why no cycle is asked for: the one rule's sentence, or each rule's verdict."""
    if len(results) == 1:
        return f"{results[0].rule}: {results[0].reason}"
    count = sum(one.verdict == "fires" for one in results)
    head = f"{count} of {len(results)} rules fire, and all must" if policy.combine == "all" else "no rule fires"
    return f"{head}: " + ", ".join(f"{one.rule} {_verb(one)}" for one in results)


def _verb(one: RuleResult) -> str:
    return "fires" if one.verdict == "fires" else f"is {one.verdict}"


# ── one rule ─────────────────────────────────────────────────────────────────────────────────────


def _judge(rule: Rule, facts: Facts) -> RuleResult:
    if rule.when is None:
        return _combination(rule, tuple(_judge(part, facts) for part in rule.all or rule.any or []))
    if facts.trained_at is None and rule.when != "schedule":
        return RuleResult(rule.label, None, None, "unknown", "there is no champion to compare with yet")
    if rule.when in WINDOWED:
        why_not = facts.why_not.get(rule.when) or facts.why_not.get("windows", "")
        return WINDOWED[rule.when](rule, facts.windows, why_not)
    return KINDS[rule.when](rule, facts)


def _combined(how: str, parts: Sequence[RuleResult]) -> Verdict:
    """The verdict of `all` or `any` in Kleene's logic: what is unknown matters only if the others leave it open."""
    order: tuple[Verdict, ...] = ("quiet", "unknown", "fires")
    verdicts = {part.verdict for part in parts}
    return next(one for one in (order if how == "all" else order[::-1]) if one in verdicts)


def _combination(rule: Rule, parts: tuple[RuleResult, ...]) -> RuleResult:
    how = "all" if rule.all else "any"
    verdict = _combined(how, parts)
    count, needed = sum(part.verdict == "fires" for part in parts), len(parts) if how == "all" else 1
    head = f"{count} of {len(parts)} {'fires' if count == 1 else 'fire'}{', all must' if how == 'all' else ''}"
    said = "; ".join(f"{part.rule} {_verb(part)}: {part.reason}" for part in parts if part.verdict == verdict)
    coming = min((part.next_at for part in parts if part.next_at), default=None)
    return RuleResult(rule.label, float(count), float(needed), verdict, f"{head} ({said})", coming, parts)


def _schedule(rule: Rule, facts: Facts) -> RuleResult:
    """Fires if a moment has come since the last check; a training after it has answered it."""
    cron = parse_cron(rule.cron or "")
    since = max((at for at in (facts.checked_at, facts.trained_at, *facts.cycles) if at), default=facts.now)
    due, coming = next_after(cron, rule.tz, since), next_after(cron, rule.tz, facts.now)
    fires = due is not None and due <= facts.now
    if fires and due:
        reason = f"'{rule.cron}' was due {moment(due, rule.tz)}"
    else:
        reason = f"'{rule.cron}' " + (f"is next due {moment(coming, rule.tz)}" if coming else "never comes")
    return RuleResult(rule.label, None, None, VERDICTS[fires], reason, coming)


def _new_data(rule: Rule, facts: Facts) -> RuleResult:
    if facts.trained_rows is None:
        why = "how many rows the champion was trained on is not known"
        return result(rule, None, facts.why_not.get("new_data", why))
    more = facts.rows - facts.trained_rows
    head = f"the newest data has {counted(facts.rows, 'row')}, the champion's had {facts.trained_rows:,}: "
    if rule.growth is None:
        limit = float(rule.rows or 1)
        return result(rule, more >= limit, f"{head}{compare(more, limit)} more", (float(more), limit))
    share = more / max(facts.trained_rows, 1)
    words = f"{head}{compare(100 * share, 100 * rule.growth, ' %')} more"
    return result(rule, share >= rule.growth, words, (share, rule.growth))


def _gain(rule: Rule, facts: Facts) -> RuleResult:
    """Fires if a challenger trained now is surely better than the champion, by more than a cycle must bring."""
    found = facts.gain
    if found is None:
        return result(rule, None, facts.why_not.get("gain", "no trial challenger was trained"))
    figures = f"{found.metric} would have been {number(found.challenger, 4)} instead of {number(found.champion, 4)}"
    words = f"retrained now, {figures} on the newest {found.rows:,} labelled rows"
    if not found.blocks:
        return not_yet(rule, f"{words}, of fewer than {FEWEST_BLOCKS} days, which is too few to be sure")
    if found.low is None or not is_known(found):
        return not_yet(rule, f"{words}, too few or of one class to be sure")
    limit, confidence = (
        least(found, rule.min),
        f"{100 * found.confidence:.4g} % confidence, {found.blocks} blocks of time",
    )
    words += f": better by {number(found.difference)}, at least by {compare(found.low, limit, signs=('>', '≤'))}"
    return result(rule, found.low > limit, f"{words} ({confidence})", (found.low, limit))


def _age(rule: Rule, facts: Facts) -> RuleResult:
    assert facts.trained_at is not None
    days = rule.days or 0.0
    due, age = later(facts.trained_at, days * DAY), (facts.now - facts.trained_at) / timedelta(days=1)
    fires = due is not None and due <= facts.now
    words = f"the champion was trained {moment(facts.trained_at)}, {compare(age, days)} days ago"
    return RuleResult(rule.label, age, days, VERDICTS[fires], words, None if fires else due)


def _change(rule: Rule, facts: Facts) -> RuleResult:
    changed = [f"{what}: {words}" for what, words in facts.changes.items() if what in rule.of]
    if not changed and "change" in facts.why_not:
        return result(rule, None, facts.why_not["change"])
    words = "; ".join(changed) or f"no change of {', '.join(rule.of)} since the champion was trained"
    return result(rule, bool(changed), words, (float(len(changed)), 1.0))


KINDS: dict[str, Callable[[Rule, Facts], RuleResult]] = {
    "schedule": _schedule,
    "new_data": _new_data,
    "gain": _gain,
    "age": _age,
    "change": _change,
}
WINDOWED: dict[str, Callable[[Rule, Sequence[WindowReport], str], RuleResult]] = {
    "drift": symptoms.drift,
    "prediction_drift": symptoms.prediction_drift,
    "decay": symptoms.decay,
    "estimated_decay": symptoms.estimated_decay,
}
