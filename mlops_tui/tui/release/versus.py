"""Champion against challenger: at once what the catalogue knows, then both on the same rows by a child process."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
from textual import work
from textual.app import ComposeResult
from textual.containers import Container, Vertical
from textual.content import Content

from mlops_tui.flows.release import models
from mlops_tui.flows.release.models import Difference, Shown
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import Contest, from_json
from mlops_tui.texts.bars import hbars
from mlops_tui.texts.cells import cell
from mlops_tui.texts.contest import rows_text
from mlops_tui.tui import jobs
from mlops_tui.tui.release import contest as drawing
from mlops_tui.tui.release.parts import Line, Rows, Sheet, champion_of, model_subject, stating
from mlops_tui.tui.verbs import Subject
from mlops_tui.tui.widgets.columns import Cell, Column
from mlops_tui.tui.widgets.drawn import Drawn, Title, facts
from mlops_tui.tui.widgets.table import Table

COMPUTING = "computing on the test rows…"


@dataclass(frozen=True, slots=True)
class Sides:
    """The challenger, and what it is held against: the champion, or another version; None where there is none."""

    old: Shown | None
    new: Shown
    difference: Difference | None
    champion: str | None

    @property
    def refs(self) -> list[str]:
        """What it is held against, and the challenger, as they are named."""
        return [one.version.ref for one in (self.old, self.new) if one]


class Versus(Sheet[Sides]):
    """Two model versions side by side; `ref` is "OLD NEW", or a version alone, to be held against its champion."""

    name_in_path = "versus"

    def __init__(self, ref: str) -> None:
        super().__init__(ref)
        self.contest: Contest | None = None
        self.trouble = ""  # why there is no contest
        self._measured: list[str] = []

    def title_in_path(self) -> str:
        """Both."""
        return " ⇄ ".join(self.ref.split())

    def sections(self) -> ComposeResult:
        """Metrics, curves, slices and importance, settings."""
        yield Title("Metrics", id="metrics-title")
        yield Rows(id="metrics", empty="neither has metrics")
        with Container(classes="two", id="plots"):
            with Vertical():
                yield Title("", id="first-title")
                yield Drawn(id="first")
            with Vertical():
                yield Title("", id="second-title")
                yield Drawn(id="second")
        with Container(classes="two"):
            with Vertical():
                yield Title("Slices", id="slices-title")
                yield Rows(id="slices", empty=COMPUTING)
            with Vertical():
                yield Title("Importance: share of the gain")
                yield Drawn(id="importance")
        yield Title("Settings that differ")
        yield Rows(id="settings", empty="none")

    def load(self, workspace: Workspace) -> Sides:
        """Both versions, and how their runs differ."""
        words = self.ref.split()
        new = models.show(workspace, words[-1])
        champion = champion_of(new)
        held = words[0] if len(words) > 1 else champion
        if held is None or held == new.version.ref:
            return Sides(None, new, None, champion)
        old = models.show(workspace, held)
        return Sides(old, new, models.diff(workspace, held, words[-1]), champion)

    def show(self, data: Sides) -> None:
        """What is known at once; the contest is asked for when the two are new here."""
        self.ref = " ".join(data.refs)
        if self._measured != data.refs:
            self._measured, self.contest, self.trouble = data.refs, None, ""
            self._measure(self.shell())
        self._show_importance(data)
        self._show_settings(data)
        self.put_contest(self.contest)

    # ── what a child process measures ────────────────────────────────────────────────────────────

    @work(exclusive=True, group="contest", exit_on_error=False)
    async def _measure(self, words: Sequence[str]) -> None:
        answer: dict[str, Any] = await jobs.answer(self.workspace.root, words)
        error = answer.get("error")
        if error:
            self.trouble = f"✗ {error['message']}" + (f"; next: {error['hint']}" if error.get("hint") else "")
            self.put_contest(None)
            return
        try:
            found = from_json(json.dumps(answer).encode(), Contest)
        except msgspec.ValidationError as wrong:
            self.trouble = f"✗ the answer is another version's: {wrong}"
            self.put_contest(None)
        else:
            self.put_contest(found)

    def action_reload(self) -> None:
        """Measure again, too."""
        self._measured = []
        super().action_reload()

    def put_contest(self, found: Contest | None) -> None:
        """Show what was measured on the same rows; without it the metrics of each version's own test rows."""
        self.contest = found
        data = self.data
        if data is None:
            return
        self.put_text("head", self._facts(data))
        table, refs = self.query_one("#metrics", Table), data.refs
        table.columns = drawing.metric_columns(refs, found)
        self.put_text("metrics-title", drawing.metric_title(found))
        self.put_lines(
            "metrics", drawing.metric_lines(found) if found else drawing.own_metrics(data.difference, data.new)
        )
        self.put_text("slices-title", drawing.slice_title(found))
        self.query_one("#slices", Table).columns = drawing.slice_columns(refs)
        self.query_one("#slices", Table).empty = "no column to slice by" if found else self.trouble or COMPUTING
        self.put_lines("slices", drawing.slice_lines(found) if found else ())
        self._show_plots(found)

    def _show_plots(self, found: Contest | None) -> None:
        drawn = drawing.plots_of(found) if found else []
        self.query_one("#plots").display = bool(drawn)
        for at, name in enumerate(("first", "second")):
            plot = self.query_one(f"#{name}", Drawn)
            plot.display = at < len(drawn)
            self.put_text(f"{name}-title", drawn[at][0] if at < len(drawn) else "")
            if at < len(drawn):
                plot.put(drawn[at][1])

    # ── what the catalogue knows ─────────────────────────────────────────────────────────────────

    def _facts(self, data: Sides) -> Content:
        pairs: list[tuple[str, object]] = []
        for one in (data.old, data.new):
            if one is not None:
                name = f"{one.version.ref}{' (champion)' if one.version.ref == data.champion else ''}"
                pairs.append((name, stating(one.standing.state, one.standing.sentence)))
        if data.old is None:
            pairs.append(
                ("against", "nothing: it is the champion itself" if data.champion else "nothing: there is no champion")
            )
        told, remarks = self.trouble or COMPUTING, ""
        if self.contest is not None:
            told = rows_text(self.contest)
            remarks = "; ".join(
                filter(None, [self.contest.remark, *dict.fromkeys(one.remark for one in self.contest.models)])
            )
        return facts([*pairs, ("rows", told), ("note", remarks)])

    def _show_importance(self, data: Sides) -> None:
        plot = self.query_one("#importance", Drawn)
        rows: list[tuple[str, *tuple[float | None, ...]]] = list(data.new.details.importance)
        if data.difference is not None:
            rows = [(name, *shares) for name, shares in data.difference.importance.items()]
        plot.styles.height = max(2, min(len(rows) + 1, 16))
        plot.put(partial(hbars, rows, names=data.refs))

    def _show_settings(self, data: Sides) -> None:
        table = self.query_one("#settings", Table)
        table.columns = (Column("key", "setting", 8, 40, sorts=False),
                         *(Column(ref, ref, 8, 60, sorts=False) for ref in data.refs))  # fmt: skip
        settings = data.difference.settings if data.difference else {}
        self.put_lines("settings", [
            Line((Cell(key), *(Cell(cell(value), "lit" if at else "dim") for at, value in enumerate(values))),
                 f"{key}: " + " → ".join(cell(value) for value in values))
            for key, values in settings.items()
        ])  # fmt: skip

    def subject(self) -> Subject | None:
        """The challenger."""
        if self.data is None:
            return None
        version = self.data.new.version
        return model_subject(version, champion=self.data.champion == version.ref)

    def shell(self) -> list[str]:
        """The command that measures them: how much better the first is, so the challenger stands first."""
        return ["models", "curves", *reversed(self.ref.split())]
