"""Made decisions of the rules, notices, and what the agent says of itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from mlops_tui.adapters.catalogue import watch
from mlops_tui.flows.watch import agent_file
from mlops_tui.records import AgentState, Backoff, Decision, Notice, NoticeKind, RuleResult, Verdict, WindowReport
from tests.tui.made_base import NOW, Making, id_of, moment
from tests.tui.made_release import alive_or_not

# ── rules ────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Asked:
    """What a decision was about: whose, when, and what came of it."""

    pipeline: str
    at: datetime
    dataset: str
    champion: str
    user: str = "ada"
    held: str = ""
    faults: tuple[str, ...] = ()
    run: str | None = None
    outcome: str = ""
    answered_at: datetime | None = None


def rule(name: str, fires: bool, reason: str, value: float, threshold: float) -> RuleResult:
    """A rule's verdict with its value and threshold."""
    return RuleResult(name, round(value, 4), threshold, "fires" if fires else "quiet", reason)


def flight_rules(newest: WindowReport, labelled: WindowReport, at: datetime, trained: datetime) -> list[RuleResult]:
    """What the rules of flight-delay say of its newest window, and of the newest that has labels."""
    days, auc, expected = (at - trained) / timedelta(days=1), labelled.performance, labelled.expected
    assert auc is not None
    assert expected is not None
    gain = (
        "retrained now, auc would have been 0.7301 instead of 0.7278 on the newest 5,139 labelled rows: better by "
        "0.0023, at least by -0.0008 ≤ 0.01 (80 % confidence, 21 blocks of time); can change with the next labels"
    )
    lost = expected.value - auc.value
    fell = (
        f"auc is {auc.value:.3g} in {_week(labelled)} ({labelled.labelled:,} labelled rows) against "
        f"{expected.value:.3g} expected: {lost:.3g} {'≥' if lost >= 0.03 else '<'} 0.03 worse"
    )
    return [
        rule("gain", False, gain, -0.0008, 0.01),
        _drift(newest),
        rule("decay", lost >= 0.03, fell, lost, 0.03),
        rule(
            "age", False, f"the champion was trained {trained:%Y-%m-%d %H:%M} UTC, {days:.3g} < 90 days ago", days, 90
        ),
        _silent(newest),
    ]


def _week(window: WindowReport) -> str:
    return f"{window.start:%Y-%m-%d}..{window.end:%Y-%m-%d}"


def _drift(window: WindowReport) -> RuleResult:
    share, fires = window.drifted_share, window.drifted_share >= 0.3
    sound = [one for one in window.features if not one.fault]
    worst = f"{sound[0].feature}, KS {sound[0].distance:.3g} {'>' if sound[0].drifted else '≤'} {sound[0].threshold}"
    where = f"of {len(sound)} features drifted in {_week(window)} (worst: {worst})"
    if not window.drifted:
        return rule("drift", False, f"none {where}; can change with the next window", share, 0.3)
    words = f"{len(window.drifted)} {where}, which is {100 * share:.3g} % {'≥' if fires else '<'} 30 %"
    return rule("drift", fires, words, share, 0.3)


def _silent(window: WindowReport) -> RuleResult:
    """A rule of two that both must fire; of the second nothing is known."""
    found = window.prediction
    assert found is not None
    verb, sign = ("drifted", ">") if found.drifted else ("did not drift", "≤")
    words = f"the predictions {verb} in {_week(window)}: KS {found.distance:.3g} {sign} {found.threshold}"
    unknown = RuleResult(
        "estimated_decay", None, None, "unknown", "what auc was when the champion was tested is not known"
    )
    parts = (rule("prediction_drift", found.drifted, words, found.distance, found.threshold), unknown)
    verdict: Verdict = "unknown" if found.drifted else "quiet"
    return RuleResult("silent decay", None, None, verdict, f"{parts[0].rule} {parts[0].verdict}", parts=parts)


def decide(making: Making, asked: Asked, rules: Sequence[RuleResult]) -> Decision:
    """Put a decision: it fires where a rule does and nothing holds it."""
    fired = [one for one in rules if one.verdict == "fires"]
    also = f" (also: {', '.join(one.rule for one in fired[1:])})" if fired[1:] else ""
    reason = f"{fired[0].rule}: {fired[0].reason}{also}" if fired else "no rule fires: " + ", ".join(
        f"{one.rule} is {one.verdict}" for one in rules
    )  # fmt: skip
    reason += f", but held back {asked.held}" if asked.held else ""
    found = Decision(
        id_of("decision", asked.pipeline, asked.at), asked.pipeline, asked.at, asked.user,
        bool(fired) and not asked.held, reason, tuple(rules), asked.held, asked.faults, asked.dataset, asked.champion,
        asked.at + timedelta(hours=12), asked.run, asked.outcome, asked.answered_at,
    )  # fmt: skip
    watch.put_decision(making.act, found)
    making.tell(
        asked.at, asked.user, "rules.checked", asked.pipeline, decision=found.id, fires=found.fires, reason=reason
    )
    if asked.answered_at:
        making.tell(
            asked.answered_at, asked.user, "decision.answered", found.id, pipeline=asked.pipeline, run=asked.run,
            outcome=asked.outcome,
        )  # fmt: skip
    return found


# ── notices and the agent ────────────────────────────────────────────────────────────────────────


def notice(  # noqa: PLR0913
    making: Making, kind: NoticeKind, subject: str, text: str, at: datetime, *, error: str = "", again: bool = False
) -> None:
    """Put a notice: delivered at once, or failed with an error, to be tried `again` or given up."""
    found = Notice(
        id_of(kind, subject, at), kind, subject, text, at, attempts=3 if error else 1, error=error,
        next_at=NOW + timedelta(minutes=5) if again else None, delivered_at=None if error else at,
    )  # fmt: skip
    watch.put_notice(making.act, found)
    making.tell(at, "ada", "notice.told", subject, notice=found.id, kind=kind)


def agent(making: Making, *, alive: bool = True) -> None:
    """Write what the agent says of itself: this very process where it is to count as alive."""
    woke = NOW - timedelta(seconds=20)
    state = AgentState(
        *alive_or_not(alive), "ada", moment("10-01 06:00"), woke, woke + timedelta(minutes=1),
        last=("flight-delay: gathered 41 predictions, 0 labels", "churn: quiet: no rule fires"),
    )  # fmt: skip
    if not alive:
        backoff = Backoff("flight-delay", 5, None, "the server died while starting; its log is empty")
        state = replace(state, backoffs=(backoff,), last=("flight-delay: given up after 5 restarts",))
    agent_file.save(making.workspace, state)
