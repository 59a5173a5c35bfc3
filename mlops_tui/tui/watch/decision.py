"""A decision: what fired, what did not and why, what held it back, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content

from mlops_tui.flows.queries import lists, watched
from mlops_tui.flows.watch import rules
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import Decision, RuleResult
from mlops_tui.texts.cells import age, cell
from mlops_tui.tui.detail import FACTS, Detail, Fact, Opens, Part
from mlops_tui.tui.verbs import Subject
from mlops_tui.tui.watch.root import came_of, decision_refs, number, verdict_cell, word_of
from mlops_tui.tui.widgets.columns import Cell, Column, Key
from mlops_tui.tui.widgets.drawn import Title, Words
from mlops_tui.tui.widgets.table import Table

RULES = (
    Column("rule", "rule", 8, 26, sorts=False), Column("verdict", "verdict", 9, 9, sorts=False),
    Column("value", "value", 5, 9, right=True, sorts=False), Column("threshold", "at", 4, 9, right=True, sorts=False),
    Column("why", "why", 16, 400, sorts=False),
)  # fmt: skip

EVIDENCE = {"age": "champion", "new_data": "dataset", "schedule": "pipeline", "change": "pipeline"}
"""What a kind of rule looks at, by the names of the facts; the others look at windows."""


class Loaded(NamedTuple):
    """A decision, the pipeline's policy as its file has it now, and its deployment where that has a report."""

    decision: Decision
    policy: str
    report: str


class DecisionPage(Detail[Loaded]):
    """One decision, by its id."""

    def __init__(self, ref: str) -> None:
        super().__init__(ref)
        self.lines: dict[int, tuple[RuleResult, int]] = {}
        self.facts: Sequence[Fact] = ()

    def title_in_path(self) -> str:
        """Whose decision it is."""
        return f"decision on {self.data.decision.pipeline}" if self.data else f"decision {self.ref}"

    def body(self) -> ComposeResult:
        """The verdict, every rule, what belongs to it; at the bottom the whole reason of what is under the cursor."""
        with VerticalScroll(id="scroll"):
            yield Words("", id="head")
            yield Title("rules", id="rules-title")
            yield Part(RULES, id="rules", most=20)
            yield Title("what it was about, and what came of it", id="facts-title")
            yield Part(FACTS, id="facts")
        yield Words("", id="reason")

    def load(self, workspace: Workspace) -> Loaded:
        """The decision, and what its pipeline's file says."""
        ids = lists.decisions(workspace, f"decision:{self.ref}")  # of 100,000 decisions, without reading all
        known = lists.decision_rows(workspace, ids[:2])
        found = known[0] if len(known) == 1 else rules.decision(workspace, self.ref)
        deployment, policy = watched.served_and_policy(workspace, found.pipeline)
        has_report = bool(deployment and watched.report_keys(workspace, deployment))
        return Loaded(found, policy, deployment if has_report else "")

    def show(self, data: Loaded) -> None:
        """The verdict in a sentence, then the tables."""
        one, now = data.decision, self.workspace.now()
        self.query_one("#head", Words).update(_head(one))
        self.lines = dict(enumerate(_flat(one.rules)))
        self.query_one("#rules", Part).put(list(self.lines), {at: _cells(*line) for at, line in self.lines.items()})
        self.facts = _facts(data, now)
        self.query_one("#facts", Part).put_facts(self.facts)

    def moved(self) -> None:
        """The whole reason of the rule under the cursor."""
        key = self.query_one("#rules", Table).current
        found = self.lines.get(key) if isinstance(key, int) and self.data else None
        told = Content("")
        if found is not None:
            rule = found[0]
            again = f"; can change by {cell(rule.next_at)} UTC" if rule.next_at else ""
            told = Content.assemble(Content.styled(f" {rule.rule}: ", "bold"), f"{rule.reason}{again}")
        self.query_one("#reason", Words).update(told)

    def behind(self, table: Table, key: Key) -> Opens | None:
        """The run, the dataset, the champion, the pipeline, the report."""
        if table.id == "rules" and isinstance(key, int):
            return self._evidence(self.lines[key][0].rule)
        return next((fact.opens for fact in self.facts if fact.name == key), None)

    def _evidence(self, rule: str) -> Opens | None:
        """What a rule looked at: windows, unless its name says otherwise."""
        opens = {fact.name: fact.opens for fact in self.facts if fact.text}
        return opens.get(EVIDENCE.get(rule, "report")) or opens.get("pipeline")

    def subject(self) -> Subject | None:
        """The decision and what belongs to it."""
        return Subject("decision", self.data.decision.id, decision_refs(self.data.decision)) if self.data else None

    def shell(self) -> list[str]:
        """The same in the CLI."""
        return ["rules", "show", self.ref]

    def keys(self) -> Sequence[tuple[str, str]]:
        """Its own keys."""
        return (("Enter", "open"), ("Tab", "next table"))


def _head(one: Decision) -> Content:
    word, tone = word_of(one)
    colour = {"warn": "bold $text-warning", "due": "bold $text-accent"}.get(tone, "bold")
    lines = [Content.assemble(Content.styled(word, colour), f"  {one.reason}")]
    faults = [fault for fault in one.faults if fault not in one.reason]
    lines += [Content.styled(f"✗ data fault: {fault}", "$text-error") for fault in faults]
    return Content("\n").join(lines)


def _flat(found: Sequence[RuleResult], depth: int = 0) -> Iterator[tuple[RuleResult, int]]:
    """Every rule, and below it those that it combines, with how deep they lie."""
    for one in found:
        yield one, depth
        yield from _flat(one.parts, depth + 1)


def _cells(one: RuleResult, depth: int) -> tuple[Cell, ...]:
    name = Cell(f"{'  ' * depth}{one.rule}", "" if depth else "lit")
    return (name, verdict_cell(one.verdict), number(one.value), number(one.threshold), Cell(one.reason))


def _facts(data: Loaded, now: datetime) -> list[Fact]:
    one = data.decision
    again = f"{cell(one.next_at)} UTC, {_in(one.next_at, now)}" if one.next_at else "when new evidence comes"
    answered = f"{cell(one.answered_at)} UTC, {age(one.answered_at, now)} ago" if one.answered_at else ""
    next_ = f"mlops run {one.pipeline}, or r" if one.fires and not one.answered_at else ""
    return [
        Fact("outcome", came_of(one), "due" if next_ else "lit", ("run", one.run) if one.run else None),
        Fact("next", next_, "due", ("pipeline", one.pipeline)),
        Fact("answered", answered),
        Fact("held", one.held, "warn"),
        Fact("pipeline", one.pipeline, "", ("pipeline", one.pipeline)),
        Fact("dataset", one.dataset or "", "", ("dataset", one.dataset or "")),
        Fact("champion", one.champion or "", "", ("model", one.champion or "")),
        Fact("report", f"the newest of {data.report}" if data.report else "", "", ("report", data.report)),
        Fact("policy", data.policy.replace("_", " ") or "cooldown 1d, as where the file says nothing"),
        Fact("asked", f"{cell(one.at)} UTC, {age(one.at, now)} ago by {one.user}"),
        Fact("asked again", again),
        Fact("decision", one.id, "dim"),
    ]


def _in(moment: datetime, now: datetime) -> str:
    return age(moment, now) if moment > now else "due by now"
