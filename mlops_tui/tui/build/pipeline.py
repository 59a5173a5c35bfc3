"""A pipeline: where each station of its cycle stands and why, what a run would do now, and every setting."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from textual.app import ComposeResult
from textual.containers import Container, Vertical, VerticalScroll
from textual.content import Content

from mlops_tui.core.compare import flatten
from mlops_tui.errors import MlopsError
from mlops_tui.flows.queries.board import Line, board
from mlops_tui.flows.queries.looked import look
from mlops_tui.flows.workspace import Workspace
from mlops_tui.texts.cells import MARKS, age
from mlops_tui.tui.detail import Detail, Opens, Part
from mlops_tui.tui.home import TONES, WORDS, of_use
from mlops_tui.tui.verbs import Subject, Verb
from mlops_tui.tui.widgets.columns import Cell, Column, Key
from mlops_tui.tui.widgets.drawn import Title, Words, facts
from mlops_tui.tui.widgets.table import Table

if TYPE_CHECKING:
    from mlops_tui.flows.planning import Step

STATIONS = (
    Column("station", "station", 8, 9, sorts=False), Column("state", "state", 8, 21, sorts=False),
    Column("age", "age", 4, 7, sorts=False), Column("why", "why", 10, 200, sorts=False),
)  # fmt: skip
STEPS = (
    Column("step", "step", 8, 9, sorts=False), Column("would", "would", 8, 9, sorts=False),
    Column("why", "why", 10, 200, sorts=False),
)  # fmt: skip
ACTIONS = {"run": ("▶", "due"), "skip": ("·", "dim"), "wait": ("◆", "wait"), "blocked": ("✗", "fail")}


class Loaded(NamedTuple):
    """A pipeline's line, what a run would do, every setting; or what is wrong with its file, or its source."""

    line: Line
    steps: tuple[Step, ...]
    path: str
    settings: dict[str, Any]
    wrong: MlopsError | None


class Pipeline(Detail[Loaded]):
    """One pipeline, by name."""

    breathes = 5.0  # files arrive, ages grow

    def body(self) -> ComposeResult:
        """Stations and plan left, settings right; one below the other where there is no room."""
        with VerticalScroll(id="scroll", can_focus=False):
            yield Words("", id="head")
            with Container(classes="two"):
                with Vertical():
                    yield Part(STATIONS, id="stations")
                    yield Words("", id="told")
                    yield Title("A run now would", id="steps-title")
                    yield Part(STEPS, id="steps")
                with Vertical():
                    yield Title("Settings, defaults too", id="settings-title")
                    yield Words("", id="settings")

    def load(self, workspace: Workspace) -> Loaded:
        """Its line on the board, its plan, its settings; raises NotFound for one that there is not."""
        from mlops_tui.flows import cycle, pipelines

        looked = look(workspace)
        lines = board(workspace, looked.arrived, looked.mistakes)
        line = next((line for line in lines if line.name == self.ref), None)
        try:
            _, path, settings = pipelines.show(workspace, self.ref)
        except MlopsError as error:
            if line is None:
                raise
            return Loaded(line, (), line.path, {}, error)
        assert line is not None, "its file has been read"
        try:
            return Loaded(line, cycle.plan(workspace, self.ref).steps, path, settings, None)
        except MlopsError as error:
            return Loaded(line, (), path, settings, error)

    def show(self, data: Loaded) -> None:
        """All of it."""
        told = str(data.settings.get("pipeline", {}).get("description", ""))
        self.query_one("#head", Words).update(_head(data, told))
        now = self.workspace.now()
        stations: dict[Key, tuple[Cell, ...]] = {
            one.name: (Cell(one.name, "lit"), Cell(f"{MARKS[one.mark]} {WORDS[one.mark]}", TONES[one.mark]),
                       Cell(age(one.at, now) if one.at else "", "dim"), Cell(f"{one.text}{' ▸' if one.noun else ''}"))
            for one in data.line.stations
        }  # fmt: skip
        self.query_one("#stations", Part).put(list(stations), stations)
        steps: dict[Key, tuple[Cell, ...]] = {
            step.step: (Cell(step.step), Cell(f"{ACTIONS[step.action][0]} {step.action}", ACTIONS[step.action][1]),
                        Cell(step.reason))
            for step in data.steps
        }  # fmt: skip
        self.query_one("#steps", Part).put(list(steps), steps)
        settings = flatten(data.settings)
        texts = [(key, json.dumps(value, ensure_ascii=False, default=str)) for key, value in settings.items()]
        self.query_one("#settings", Words).update(facts(texts))
        self.query_one("#steps-title").display = bool(steps)
        self.query_one("#settings-title").display = bool(settings)

    def moved(self) -> None:
        """The whole reason of the line under the cursor, which may be too long for it."""
        if self.data is None:
            return
        table = self.focused if isinstance(self.focused, Part) else self.query_one("#stations", Part)
        texts: dict[str, str] = {one.name: one.text for one in self.data.line.stations}
        if table.id == "steps":
            texts = {step.step: step.reason for step in self.data.steps}
        name = str(table.current)
        told = Content.assemble(Content.styled(f"{name}: ", "bold"), texts[name]) if name in texts else Content("")
        self.query_one("#told", Words).update(told)

    def on_descendant_focus(self) -> None:
        """Another table has the keys."""
        self.moved()

    def behind(self, table: Table, key: Key) -> Opens | None:
        """The object of a station."""
        stations = self.data.line.stations if self.data and table.id == "stations" else ()
        return next(((one.noun, one.ref) for one in stations if one.name == key and one.noun), None)

    def subject(self) -> Subject:
        """The pipeline, with what belongs to it."""
        line = self.data.line if self.data else None
        return Subject("pipeline", self.ref, line.refs, line.waits) if line else Subject("pipeline", self.ref)

    def acts(self) -> list[Verb]:
        """Those that are of use where it stands."""
        return of_use(super().acts(), self.data.line if self.data else None)

    def keys(self) -> tuple[tuple[str, str], ...]:
        """Its own key."""
        return (("Enter", "open"),)

    def shell(self) -> list[str]:
        """The same in the CLI."""
        return ["pipelines", "show", self.ref]


def _head(data: Loaded, told: str) -> Content:
    wrong = data.wrong
    needs = Content.styled(data.line.needs, "$text-accent" if data.line.urgency == 0 else "")
    named = [("about", told), ("champion", data.line.champion), ("needs", needs)]
    lines = [facts([("file", f"{data.path}   E opens it in $EDITOR"), *named])]
    if wrong is not None:
        hint = f"\nnext: {wrong.hint}" if wrong.hint else ""
        lines.append(Content.assemble(Content.styled(f"✗ {wrong.message}", "$text-error"), hint))
    return Content("\n").join(lines)
