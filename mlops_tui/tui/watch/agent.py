"""The list that says how the agent does: a fact a row, what is wrong first."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from mlops_tui.flows.queries import watched
from mlops_tui.flows.queries.watched import Agent
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import AgentState, Backoff, Notice
from mlops_tui.texts.cells import age, cell
from mlops_tui.tui.lists import Found, Row, Tab, kept
from mlops_tui.tui.verbs import WORKSPACE
from mlops_tui.tui.widgets.columns import Cell, Column, Key

COLUMNS = (Column("what", "what", 8, 16), Column("of", "of", 4, 24), Column("text", "text", 20, 400))
START = "mlops agent run, or W for one wake"
SUBJECTS = {
    "fired": "pipeline", "failed": "pipeline", "gate_failed": "model", "waiting": "model", "promoted": "deployment",
    "deployment_down": "deployment", "deployment_up": "deployment", "canary_withdrawn": "deployment",
}  # fmt: skip
"""What a notice of each kind is about."""


def _find(workspace: Workspace, text: str, by: str) -> Found:
    rows: dict[Key, Row] = dict(enumerate(_rows(watched.agent(workspace), workspace.now())))
    return kept(rows, COLUMNS, text)


def _rows(found: Agent, now: datetime) -> Iterator[Row]:
    """How it does, deployments that do not stay up, notices that did not arrive, and what the last wake did."""
    yield _how(found, now)
    if found.state is None or not found.alive:
        yield from _unattended(found)
    if found.state is not None:
        yield from (_backoff(one, now) for one in found.state.backoffs)
    yield from (_notice(one, now) for one in found.undelivered)
    if found.state is not None:
        yield from _state(found.state, now, alive=found.alive)


def _row(what: Cell, name: str, text: Cell, opens: tuple[str, str] = ("", "")) -> Row:
    word = what._replace(value=what.text.lstrip("✓✗!· "))
    return Row((word, Cell(name, "lit"), text), WORKSPACE, opens)


def _how(found: Agent, now: datetime) -> Row:
    state = found.state
    if state is None:
        return _row(Cell("· agent", "dim"), "", Cell(f"none has worked for this workspace yet; next: {START}"))
    if not found.alive:
        said = f"does not work; {state.user}'s woke {_ago(state.woke_at, now)}; next: {START}"
        return _row(Cell("✗ agent", "fail"), state.user, Cell(said, "fail"))
    doing = state.doing or f"asleep, wakes {_when(state.wakes_at, now)}"
    return _row(Cell("✓ agent", "ok"), state.user, Cell(f"works as process {state.pid}: {doing}"))


def _unattended(found: Agent) -> Iterator[Row]:
    """Rules that nobody asks."""
    if found.ruled:
        names = ", ".join(found.ruled[:6]) + (" …" if len(found.ruled) > 6 else "")
        many = f"{len(found.ruled)} pipeline{'s have' if len(found.ruled) > 1 else ' has'} rules that nobody asks"
        yield _row(Cell("! rules", "warn"), "", Cell(f"{many}: {names}", "warn"))


def _backoff(one: Backoff, now: datetime) -> Row:
    then = f"next try {_when(one.next_at, now)}" if one.next_at else "given up: start it by hand"
    many = f"{one.failures} restart{'' if one.failures == 1 else 's'}"
    text = f"{many}, {then}; {one.error or 'not up for a minute yet'}"
    tone = "warn" if one.next_at else "fail"
    return _row(Cell("! restarts" if one.next_at else "✗ given up", tone), one.deployment, Cell(text, tone),
                ("deployment", one.deployment))  # fmt: skip


def _notice(one: Notice, now: datetime) -> Row:
    how = f"next try {_when(one.next_at, now)}" if one.next_at else "given up"
    error = f"; {' '.join(one.error.split())}" if one.error else ""
    text = f"{one.kind.replace('_', ' ')}, told {_ago(one.created_at, now)}: {one.text} (not delivered, {how}{error})"
    mark = Cell("! notice", "warn") if one.next_at else Cell("✗ notice", "fail")
    return _row(mark, one.subject, Cell(text), (SUBJECTS[one.kind], one.subject))


def _state(state: AgentState, now: datetime, *, alive: bool) -> Iterator[Row]:
    yield _row(Cell("started", "dim"), "", Cell(f"{cell(state.started_at)} UTC, {_ago(state.started_at, now)}"))
    if state.woke_at:
        yield _row(Cell("woke", "dim"), "", Cell(f"{cell(state.woke_at)} UTC, {_ago(state.woke_at, now)}"))
    if alive and state.wakes_at:
        yield _row(Cell("wakes", "dim"), "", Cell(f"{cell(state.wakes_at)} UTC, {_when(state.wakes_at, now)}"))
    for line in state.last:
        name, _, text = line.partition(": ")
        yield _row(Cell("last wake", "dim"), name if text else "", Cell(text or line))


def _ago(moment: datetime | None, now: datetime) -> str:
    return "never" if moment is None else f"{age(moment, now)} ago"


def _when(moment: datetime | None, now: datetime) -> str:
    return "at once" if moment is None or moment <= now else age(moment, now)


AGENT = Tab("agent", COLUMNS, _find, lambda text, by: ["agent", "status"])
