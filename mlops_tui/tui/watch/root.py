"""Watch: all monitor reports, rules, decisions and audit events, and how the agent does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import ClassVar, Literal

from textual.app import ComposeResult
from textual.content import Content

from mlops_tui.core import query
from mlops_tui.errors import MlopsError
from mlops_tui.flows.queries import lists, watched
from mlops_tui.flows.queries.watched import ReportKey, Ruled
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import Decision, Event, MonitorReport
from mlops_tui.texts.cells import age, cell
from mlops_tui.texts.heat import DRIFTED, HEAT
from mlops_tui.texts.rules import VERDICTS
from mlops_tui.texts.sparks import sparkline, thin
from mlops_tui.texts.windows import tracks
from mlops_tui.tui.lists import Found, Lists, Row, Tab, kept
from mlops_tui.tui.verbs import WORKSPACE, Subject
from mlops_tui.tui.watch.agent import AGENT
from mlops_tui.tui.widgets.columns import Cell, Column, Key
from mlops_tui.tui.widgets.drawn import Words
from mlops_tui.tui.widgets.table import Table

VERDICT_TONES = {"fires": "due", "quiet": "dim", "unknown": "warn"}
SPARK = 12  # characters of a live metric
NOWHERE = ("", "")

# ── reports ──────────────────────────────────────────────────────────────────────────────────────

REPORT_COLUMNS = (
    Column("deployment", "deployment", 12, 24), Column("age", "age", 6, 6, sorts=False),
    Column("windows", "windows", 7, 7, right=True, sorts=False), Column("drifted", "drifted", 14, 34, sorts=False),
    Column("faults", "faults", 12, 30, sorts=False), Column("live", "live metric", 18, 34, sorts=False),
    Column("rows", "rows", 5, 12, right=True, sorts=False), Column("by", "by", 3, 12, sorts=False),
    Column("report", "report", 6, 12),
)  # fmt: skip


def _reports(workspace: Workspace, text: str, by: str) -> Found:
    """Reports by name and id: their content is not read for a list."""
    terms = query.parse(text, ("deployment", "report"))
    found = [
        key for key in watched.report_keys(workspace) if query.matches(terms, {"report": key[0], "deployment": key[1]})
    ]
    if by:
        place = 0 if by.removeprefix("-") == "report" else 1
        found.sort(key=lambda key: key[place], reverse=by.startswith("-"))
    return Found(found)


def _report_rows(workspace: Workspace, keys: Sequence[Key]) -> Mapping[Key, Row]:
    return {key: _report_row(workspace, key) for key in keys if isinstance(key, tuple)}


def _report_row(workspace: Workspace, key: ReportKey) -> Row:
    id_, deployment, _ = key
    try:
        report = watched.report_of(workspace, key)
    except MlopsError as error:
        lost = (Cell(deployment, "lit"), Cell(""), Cell(""), Cell(""), Cell(f"✗ {error.message}", "fail"))
        return Row((*lost, *[Cell("")] * 3, Cell(id_)), Subject("report", id_), ("report", id_))
    refs = {"deployment": deployment, "pipeline": report.model}
    return Row(_report_cells(report, workspace.now()), Subject("report", id_, refs), ("report", id_))


def _report_cells(report: MonitorReport, now: datetime) -> tuple[Cell, ...]:
    newest = next((one for one in reversed(report.windows) if one.features), None)
    drifted, faults = (newest.drifted, newest.faults) if newest else ((), ())
    told = (
        f"{HEAT[DRIFTED]} {len(drifted)}: {', '.join(drifted)}" if drifted else "✓ none" if newest else "· not judged"
    )
    asked = "" if report.routine else ", of a range"
    return (
        Cell(report.deployment, "lit"), Cell(age(report.created_at, now), "dim"), Cell(str(len(report.windows))),
        Cell(told, "warn" if drifted else "ok" if newest else "dim"),
        Cell(f"✗ {faults[0]}" if faults else "✓ none" if newest else "", "fail" if faults else "ok"),
        Cell(_live(report), "lit"), Cell(f"{report.rows:,}"), Cell(f"{report.user}{asked}"), Cell(report.id, "dim"),
    )  # fmt: skip


def _live(report: MonitorReport) -> str:
    """The metric by window, as it was realised or else estimated, and its newest value."""
    track = next((one for one in tracks(report.windows) if one.label.endswith(("realised", "estimated"))), None)
    if track is None:
        return ""
    last = next(value for value in reversed(track.values) if value is not None)
    sign = "≈" if track.label.endswith("estimated") else ""
    return f"{sparkline(thin(track.values, SPARK))} {sign}{last:.3f} {track.label.partition(' ')[0]}"


# ── rules ────────────────────────────────────────────────────────────────────────────────────────

RULE_COLUMNS = (
    Column("pipeline", "pipeline", 12, 24), Column("rule", "rule", 8, 20), Column("verdict", "verdict", 9, 9),
    Column("value", "value", 7, 9, right=True), Column("threshold", "threshold", 9, 9, right=True),
    Column("age", "age", 6, 6, sorts=False), Column("why", "why", 17, 200), Column("settings", "settings", 8, 60),
)  # fmt: skip


def _rules(workspace: Workspace, text: str, by: str) -> Found:
    now = workspace.now()
    rows: dict[Key, Row] = {}
    for at, one in enumerate(watched.rules(workspace)):
        refs = {"deployment": one.deployment} if one.deployment else {}
        opens = ("decision", one.decision.id) if one.decision else ("pipeline", one.pipeline)
        rows[one.pipeline, one.label, at] = Row(_rule_cells(one, now), Subject("pipeline", one.pipeline, refs), opens)
    return kept(rows, RULE_COLUMNS, text)


def _rule_cells(one: Ruled, now: datetime) -> tuple[Cell, ...]:
    name, settings = Cell(one.pipeline, "lit"), Cell(one.settings, "dim")
    since = Cell(age(one.decision.at, now) if one.decision else "", "dim")
    if one.mistake or not one.label:
        word = Cell("✗ mistake", "fail", "mistake") if one.mistake else Cell("· none", "dim", "none")
        said = Cell(one.mistake or one.settings, "fail" if one.mistake else "dim")
        return (name, Cell(""), word, Cell(""), Cell(""), since, said, Cell(""))
    if one.result is None:
        told = "not in the newest decision; c asks" if one.decision else "never asked; c asks"
        return (name, Cell(one.label), Cell("· new", "wait", "new"), Cell(""), Cell(""), since, Cell(told), settings)
    found = one.result
    return (
        name, Cell(one.label), verdict_cell(found.verdict), number(found.value), number(found.threshold),
        since, Cell(found.reason), settings,
    )  # fmt: skip


def verdict_cell(verdict: Literal["fires", "quiet", "unknown"]) -> Cell:
    """Return a verdict with its sign."""
    return Cell(f"{VERDICTS[verdict]} {verdict}", VERDICT_TONES[verdict], verdict)


def number(value: float | None) -> Cell:
    """Return a value or a threshold as a cell; blank where there is none."""
    return Cell("" if value is None else cell(value), "", value)


# ── decisions ────────────────────────────────────────────────────────────────────────────────────

DECISION_COLUMNS = (
    Column("age", "age", 6, 6, sorts=False), Column("pipeline", "pipeline", 12, 24), Column("verdict", "verdict", 7, 9),
    Column("why", "why", 26, 80), Column("outcome", "outcome", 16, 44), Column("by", "by", 3, 12),
    Column("decision", "decision", 6, 12),
)  # fmt: skip


def _decision_rows(workspace: Workspace, keys: Sequence[Key]) -> Mapping[Key, Row]:
    ids = [key for key in keys if isinstance(key, int)]
    found = lists.decision_rows(workspace, ids)
    if len(found) != len(ids):  # the list is about to be loaded again
        return {}
    now = workspace.now()
    return {
        key: Row(_decision_cells(one, now), Subject("decision", one.id, decision_refs(one)), ("decision", one.id))
        for key, one in zip(ids, found, strict=True)
    }


def decision_refs(one: Decision) -> dict[str, str]:
    """Return what belongs to a decision, by noun."""
    refs = {"pipeline": one.pipeline, "run": one.run or "", "dataset": one.dataset or ""}
    return {noun: ref for noun, ref in refs.items() if ref}


def word_of(one: Decision) -> tuple[str, str]:
    """Return what a decision came to, with its sign, and its tone."""
    return ("! held", "warn") if one.held else ("▶ fires", "due") if one.fires else ("· quiet", "dim")


def came_of(one: Decision) -> str:
    """Return what came of a decision, in a few words; empty where nothing was asked for."""
    if one.answered_at is None:
        return one.outcome or ("open" if one.fires else "")
    return f"{one.outcome}{f' by run {one.run}' if one.run else ''}"


def _decision_cells(one: Decision, now: datetime) -> tuple[Cell, ...]:
    word, tone = word_of(one)
    return (
        Cell(age(one.at, now), "dim"), Cell(one.pipeline, "lit"), Cell(word, tone), Cell(one.held or one.reason),
        Cell(came_of(one), "due" if one.fires and not one.answered_at else ""), Cell(one.user), Cell(one.id, "dim"),
    )  # fmt: skip


# ── audit ────────────────────────────────────────────────────────────────────────────────────────

EVENT_COLUMNS = (
    Column("number", "number", 6, 8, right=True), Column("at", "at UTC", 19, 19, sorts=False),
    Column("by", "by", 3, 12), Column("action", "action", 14, 20), Column("subject", "subject", 12, 30),
    Column("details", "details", 10, 400),
)  # fmt: skip
SUBJECTS = {
    "deployment": "deployment", "monitor": "deployment", "labels": "deployment", "predictions": "deployment",
    "model": "model", "bento": "bento", "run": "run", "cycle": "pipeline", "rules": "pipeline", "trial": "pipeline",
    "pipeline": "pipeline", "dataset": "dataset",
}  # fmt: skip
"""By the first word of an action: what its subject is."""


def _event_rows(workspace: Workspace, keys: Sequence[Key]) -> Mapping[Key, Row]:
    ids = [key for key in keys if isinstance(key, int)]
    return {
        one.number: Row(_event_cells(one), WORKSPACE, behind_event(one)) for one in lists.event_rows(workspace, ids)
    }


def _event_cells(one: Event) -> tuple[Cell, ...]:
    details = "  ".join(f"{key} {cell(value)}" for key, value in one.details.items() if value not in (None, "", []))
    return (
        Cell(str(one.number), "dim", one.number), Cell(cell(one.at), "dim"), Cell(one.user), Cell(one.action, "lit"),
        Cell(one.subject), Cell(details),
    )  # fmt: skip


def behind_event(one: Event) -> tuple[str, str]:
    """Return the object that an event is about, as (noun, reference): what it made, else what it was done to."""
    if one.action == "monitor.run":
        return "report", str(one.details.get("report", ""))
    if one.action == "rules.checked":
        return "decision", str(one.details.get("decision", ""))
    if one.action == "decision.answered":
        return "decision", one.subject
    noun = SUBJECTS.get(one.action.partition(".")[0], "")
    return (noun, one.subject) if noun else NOWHERE


# ── the page ─────────────────────────────────────────────────────────────────────────────────────

REPORTS = Tab(
    "reports", REPORT_COLUMNS, _reports, lambda text, by: ["monitor", "list"], _report_rows,
    empty="no monitor reports yet: g on a deployment (key 2) makes one, or: mlops monitor run DEPLOYMENT",
)  # fmt: skip
RULES = Tab("rules", RULE_COLUMNS, _rules, lambda text, by: ["rules", "list"],
            empty="no pipelines yet: N writes one from what the data looks like, or: mlops demo")  # fmt: skip
DECISIONS = Tab(
    "decisions", DECISION_COLUMNS, lambda workspace, text, by: Found(lists.decisions(workspace, text, by)),
    lambda text, by: ["rules", "history"], _decision_rows,
    empty="no decisions yet: c on a pipeline (key 0) asks its rules, or: mlops rules check PIPELINE",
)  # fmt: skip
AUDIT = Tab("audit", EVENT_COLUMNS, lambda workspace, text, by: Found(lists.events(workspace, text, by)),
            lambda text, by: ["audit", "list"], _event_rows)  # fmt: skip


class Watch(Lists):
    """The lists of the act watch."""

    name_in_path = "watch"
    breathes = 5.0  # what the agent says of itself is not in the catalogue
    tabs: ClassVar[tuple[Tab, ...]] = (REPORTS, RULES, DECISIONS, AUDIT, AGENT)

    def body(self) -> ComposeResult:
        """The list, and what of the row under the cursor may not fit into it."""
        yield from super().body()
        yield Words("", id="reason")

    def moved(self) -> None:
        """The longest text of the row, in full."""
        row = self.row()
        told = max((one.text for one in row.cells), key=len) if row else ""
        self.query_one("#reason", Words).update(Content(f" {told}"))

    def on_table_chosen(self, event: Table.Chosen) -> None:
        """Say all of a row that nothing is behind; the others open, as in every list."""
        row = self.row()
        if row is not None and not row.opens[0]:
            self.app_.tell(" ".join(one.text for one in row.cells if one.text))
