"""How rules, decisions and backtests read on a screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mlops_tui.cli.output import facts, mark, paint, table
from mlops_tui.records import Backtest, Decision
from mlops_tui.texts.cells import cell
from mlops_tui.texts.rules import backtest_chart, rule_lines

if TYPE_CHECKING:
    from mlops_tui.config import PipelineFile
    from mlops_tui.flows.watch.agent_file import AgentStatus


def decision_text(decision: Decision) -> str:
    """A decision: whether it fires and why, then every rule."""
    word = paint("FIRES", "33;1") if decision.fires else "does not fire"
    lines = [f"{decision.pipeline}: {word}: {decision.reason}"]
    lines += [f"  {mark(False)} data fault: {fault}" for fault in decision.faults if fault not in decision.reason]
    for rule in decision.rules:
        lines += rule_lines(rule, 1)
    lines.append(f"decision {decision.id}, {cell(decision.at)} UTC")
    if decision.answered_at:
        lines.append(f"answered {cell(decision.answered_at)} UTC by run {decision.run or '-'}: {decision.outcome}")
    elif decision.fires:
        lines.append(f"next: mlops run {decision.pipeline}")
    return "\n".join(lines)


def decisions_text(found: Sequence[Decision]) -> str:
    """Decisions as a table."""
    columns = ("decision", "pipeline", "at", "fires", "why", "run", "outcome")
    rows = [
        (one.id, one.pipeline, one.at, one.fires, one.held or one.reason, one.run, one.outcome or None) for one in found
    ]
    return table(columns, rows, "no decisions yet; next: mlops rules check PIPELINE")


def rules_text(found: Sequence[tuple[PipelineFile, Decision | None]]) -> str:
    """The rules of pipelines, each with the verdict of the last decision."""
    rows = []
    for settings, decision in found:
        verdicts = {rule.rule: rule for rule in decision.rules} if decision else {}
        source = "default" if settings.rules is None else "file"
        for rule in settings.rule_set.chosen:
            last = verdicts.get(rule.label)
            rows.append((settings.name, rule.label, rule_keys(rule.model_dump(exclude_unset=True)), source,
                         last.verdict if last else None, last.reason if last else None))  # fmt: skip
        if not settings.rule_set.chosen:
            rows.append((settings.name, "none", "never retrained by itself", source, None, None))
    return table(("pipeline", "rule", "settings", "from", "last verdict", "why"), rows, "no pipelines yet")


def rule_keys(values: dict[str, object]) -> str:
    """What a rule was given, in short."""
    return ", ".join(f"{key} {value}" for key, value in values.items() if key not in ("when", "name")) or "all defaults"


# ── backtest ─────────────────────────────────────────────────────────────────────────────────────


def backtest_text(found: Backtest) -> str:
    """A backtest: the table, the metric by window as sparklines, who retrained when, and the recommendation."""
    better = "higher is better" if found.higher else "lower is better"
    head = (
        f"{found.pipeline} on {found.dataset}, {found.start:%Y-%m-%d} to {found.end:%Y-%m-%d} by {found.step}: "
        f"{found.metric_name} ({better}), labels after {found.label_delay}"
    )
    columns = ("policy", "mean", "worst", "gain", "cycles", "refused", "gain a cycle", "CPU s")
    rows = [
        (one.policy, f"{one.metric:.4f}", f"{one.worst:.4f}", f"{one.gain:+.4f}", one.cycles, one.refused,
         None if one.gain_per_cycle is None else f"{one.gain_per_cycle:+.4f}", f"{one.cpu_seconds:.1f}")
        for one in found.policies
    ]  # fmt: skip
    chart = backtest_chart(found)
    end = f"{paint('recommended:', '32;1')} {found.recommended}: {found.why}"
    return "\n\n".join([head, table(columns, rows, "no policy"), chart, *_bought(found), *found.remarks, end])


def _bought(found: Backtest) -> list[str]:
    lines = [
        f"{one.policy}: its new champions bought {', '.join(f'{value:+.4f}' for value in one.bought)}"
        for one in found.policies
        if one.bought and len(one.bought) <= 12
    ]
    return ["\n".join(lines)] if lines else []


# ── the agent ────────────────────────────────────────────────────────────────────────────────────


def agent_text(found: AgentStatus) -> str:
    """How the agent does."""
    state = found.state
    if state is None:
        return "no agent has worked for this workspace yet; next: mlops agent run"
    lines = [facts([
        ("agent", f"works as process {state.pid}" if found.alive else "does not work; next: mlops agent run"),
        ("user", state.user), ("started", state.started_at), ("woke", state.woke_at),
        *([("wakes", state.wakes_at), ("doing", state.doing or "asleep")] if found.alive else []),
    ])]  # fmt: skip
    for one in state.backoffs:
        then = f"next try {cell(one.next_at)}" if one.next_at else "given up: start it by hand"
        restarts = f"{one.failures} restart{'' if one.failures == 1 else 's'}"
        lines.append(f"{mark(False)} {one.deployment}: {restarts}, {then}; {one.error or 'not up for a minute yet'}")
    lines += [f"  {line}" for line in state.last]
    for notice in found.undelivered:
        how = "not delivered yet" if notice.next_at else "given up"
        lines.append(f"{mark(None)} {how}: {notice.kind} of {notice.subject}: {notice.error or 'due'}")
    return "\n".join(lines)
