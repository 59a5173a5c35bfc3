"""How verdicts of rules and backtests read on a screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops_tui.texts.heat import FAULT, HEAT
from mlops_tui.texts.sparks import ends, sparkline

if TYPE_CHECKING:
    from mlops_tui.records import Backtest, RuleResult, StepResult

UNREAD = "of a range or window that was asked for: rules do not read it"
VERDICTS = {"fires": "▶", "quiet": "·", "unknown": "?"}


def rule_lines(rule: RuleResult, depth: int = 0) -> list[str]:
    """Return a rule's verdict in a line, and below it, indented, those of the rules that it combines."""
    reason = rule.reason if rule.reason.startswith(rule.rule) else f"{rule.rule}: {rule.reason}"
    lines = [f"{'  ' * depth}{VERDICTS[rule.verdict]} {reason}"]
    return lines + [line for part in rule.parts for line in rule_lines(part, depth + 1)]


def backtest_chart(found: Backtest) -> str:
    """Return two lines a policy: the metric of every window against the same scale, and below it the cycles."""
    low, high = ends([step.value for one in found.policies for step in one.windows])
    width = max(len(one.policy) for one in found.policies)
    lines = []
    for one in found.policies:
        lines.append(f"{one.policy:<{width}}  {sparkline([step.value for step in one.windows], scale=(low, high))}")
        lines.append(f"{'':<{width}}  {''.join(_sign(step) for step in one.windows)}")
    span = f"{found.metric_name} {low:.3f} ▁ to █ {high:.3f}; ▲ retrained, △ cycle refused, {HEAT[FAULT]} data fault"
    return "\n".join([*lines, span])


def _sign(step: StepResult) -> str:
    """What was done after a window; a data fault only where nothing was, so that every cycle is seen."""
    if step.fires:
        return "▲" if step.passed else "△"
    return HEAT[FAULT] if step.faults else " "
