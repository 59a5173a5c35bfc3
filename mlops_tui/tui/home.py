"""Home: one line a pipeline, its cycle as a strip of stations; what waits for a person stands first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content

from mlops_tui.core import query
from mlops_tui.flows.queries.board import Line, board
from mlops_tui.flows.queries.looked import Looked, look
from mlops_tui.flows.queries.stations import STATIONS, Mark, Station
from mlops_tui.flows.workspace import Workspace
from mlops_tui.texts.cells import MARKS, age
from mlops_tui.texts.sparks import sparkline, thin
from mlops_tui.tui.page import WIDE, Page
from mlops_tui.tui.verbs import WORKSPACE, Noun, Subject, Verb
from mlops_tui.tui.views import versus
from mlops_tui.tui.widgets.columns import Cell, Column
from mlops_tui.tui.widgets.drawn import Words
from mlops_tui.tui.widgets.table import Table

WORDS: dict[Mark, str] = {
    "ok": "in order", "due": "due", "wait": "waits for a person", "fail": "says no", "warn": "look at it",
    "busy": "at work", "off": "not there",
}  # fmt: skip
SHORT = {"data": "data", "checks": "chk", "train": "trn", "gates": "gate", "approval": "appr", "bento": "bnto",
         "live": "live", "monitor": "mon", "rules": "rule"}  # fmt: skip
TONES: dict[Mark, str] = {
    "ok": "ok",
    "due": "due",
    "wait": "wait",
    "fail": "fail",
    "warn": "warn",
    "busy": "busy",
    "off": "dim",
}
EMPTY = "no pipelines yet: N writes one from what the data looks like, or: mlops demo"
FIRST_STATION = 1  # its column
ROOMY = 100  # columns of a screen from which there is room for why a pipeline waits


class Home(Page[list[Line]]):
    """All pipelines; left and right choose a station, Enter opens what is behind it."""

    name_in_path = "home"
    filters = True
    breathes = 2.0
    BINDINGS: ClassVar[list[BindingType]] = [Binding("v", "versus", "against what was before", show=False)]

    def __init__(self) -> None:
        super().__init__()
        self._looked = False  # outside the catalogue
        self._terms: tuple[query.Term, ...] = ()  # of the last filter that was one

    def body(self) -> ComposeResult:
        """The strip of every pipeline, and below it the reason of what is under the cursor."""
        yield Table(cells=True, id="board", empty=EMPTY)
        yield Words("", id="reason")

    def load(self, workspace: Workspace) -> list[Line]:
        """All pipelines, from one read of the catalogue; from the second time on with a look at files and sources."""
        looked = look(workspace) if self._looked else Looked()
        return board(workspace, looked.arrived, looked.mistakes)

    def show(self, data: list[Line]) -> None:
        """A row a pipeline."""
        if not self._looked:
            self._looked = True
            self.reload()
        self._columns()
        self._put()

    def on_resize(self) -> None:
        """Wide screens have room for words."""
        if self.data is not None:
            self._columns()
            self._put()

    def _columns(self) -> None:
        wide = self.app.size.width >= WIDE
        table = self.query_one("#board", Table)
        stations = [Column(name, name if wide else SHORT[name], 4, 9 if wide else 6, sorts=False) for name in STATIONS]
        table.columns = (
            Column("pipeline", "pipeline", 8, 28 if wide else 14, sorts=wide), *stations,
            *((Column("metric", "metric", 10, 22, sorts=False),) if wide else ()),
            Column("waits", "waits for", 9, 200, sorts=False),
        )  # fmt: skip
        table.column, table.gap = max(0, min(table.column, len(STATIONS))), 2 if wide else 1

    def narrow(self) -> None:
        """Another filter; raises InvalidInput for one that is half typed, and leaves the rows as they are."""
        self._terms = query.parse(self.text, ("pipeline", "waits", *STATIONS), ("metric",))
        self._put()

    def _put(self) -> None:
        """The pipelines that the filter leaves, those that wait for a person first."""
        kept = [line for line in self.data or [] if query.matches(self._terms, _fields(line))]
        wide = self.app.size.width >= WIDE
        table = self.query_one("#board", Table)
        table.empty = "no pipeline fits the filter" if self.data else EMPTY
        table.put([line.name for line in kept], {line.name: self._cells(line, wide) for line in kept})

    def _cells(self, line: Line, wide: bool) -> tuple[Cell, ...]:
        now = self.workspace.now()
        stations = [_station(station, age(station.at, now) if station.at else "", wide) for station in line.stations]
        series = thin(line.series, 14)
        live = Cell(f"{sparkline(series)} {line.live:.3f}" if line.live is not None else "", "lit")
        tone = {0: "wait", 1: "due"}.get(line.urgency, "dim")
        needs = Cell(line.needs if self.app.size.width >= ROOMY else _brief(line.needs), tone)
        return (Cell(line.name, "lit", line.name), *stations, *((live,) if wide else ()), needs)

    def moved(self) -> None:
        """The reason of the station under the cursor."""
        line, station = self._line(), self._station()
        told: Content = Content("")
        if line is not None and station is not None:
            head = Content.styled(
                f" {line.name} ▸ {station.name}: {MARKS[station.mark]} {WORDS[station.mark]} ", "bold"
            )
            told = Content.assemble(head, f" {station.text}")
        elif line is not None:
            series = sparkline(line.series).strip()
            metric = f"   live {line.metric} by window: {series}" if series else ""
            _, _, version = line.refs.get("champion", line.name).partition(":")
            head = Content.styled(f" {line.name}{f', champion :{version}' if version else ''}: ", "bold")
            told = Content.assemble(head, line.needs, Content.styled(metric, "dim"))
        self.query_one("#reason", Words).update(told, layout=False)

    def _line(self) -> Line | None:
        key = self.query_one("#board", Table).current
        return next((line for line in self.data or () if line.name == key), None)

    def _station(self) -> Station | None:
        line, at = self._line(), self.query_one("#board", Table).column - FIRST_STATION
        return line.stations[at] if line and 0 <= at < len(STATIONS) and len(line.stations) == len(STATIONS) else None

    def on_table_chosen(self, event: Table.Chosen) -> None:
        """What is behind the station, or the pipeline."""
        event.stop()
        station = self._station()
        if station is not None and station.noun:
            self.app_.open(station.noun, station.ref)
        elif station is not None:
            self.app_.tell(f"{station.name}: {station.text}")
        else:
            self.app_.open("pipeline", str(event.key))

    def action_versus(self) -> None:
        """What is under the cursor, or the pipeline's model, beside another version."""
        subject = self.subject()
        opens = versus(subject) if subject else None
        if opens is not None:
            self.app_.open(*opens)
        elif subject is not None:
            self.app_.tell("v compares two versions: there is but one" if subject.noun == "dataset" else
                           "v compares model versions: there is none yet")  # fmt: skip

    def subject(self) -> Subject | None:
        """What is behind the station under the cursor, or the pipeline; with what belongs to it."""
        line, station = self._line(), self._station()
        if line is None:
            return WORKSPACE
        if station is not None and station.noun:
            return Subject(cast("Noun", station.noun), station.ref, {**line.refs, "pipeline": line.name})
        return Subject("pipeline", line.name, line.refs, line.waits)

    def acts(self) -> list[Verb]:
        """Those that are of use where the line stands."""
        return of_use(super().acts(), self._line())

    def shell(self) -> list[str]:
        """All pipelines in the CLI."""
        return ["status"]

    def keys(self) -> Sequence[tuple[str, str]]:
        """The strip's own keys."""
        subject = self.subject()
        return (("Enter", "open"), ("←→", "station"), *((("v", "versus"),) if subject and versus(subject) else ()))


def of_use(acts: Sequence[Verb], line: Line | None) -> list[Verb]:
    """Return the acts of use on a pipeline: what trains is stopped, what waits is approved."""
    marks = {one.name: one.mark for one in line.stations} if line else {}
    useless = {command for command, fits in (
        ("runs stop", marks.get("train") == "busy"), ("models approve", marks.get("approval") == "wait"),
    ) if not fits}  # fmt: skip
    return [verb for verb in acts if verb.command not in useless]


def _station(station: Station, since: str, wide: bool) -> Cell:
    text = (
        f"{MARKS[station.mark]} {since}"
        if wide
        else f"{MARKS[station.mark]}{since.replace(' ', '').replace('min', 'm')}"
    )
    return Cell(text.rstrip(), TONES[station.mark], station.mark)


def _brief(needs: str) -> str:
    """What is to be done, without to what and why: the line below the list has all of it."""
    parts = needs.partition("; ")[0].split(": ")
    return ": ".join(parts[:2] if parts[0] == "due" else parts[:1])


def _fields(line: Line) -> dict[str, object]:
    marks: dict[str, object] = {station.name: f"{station.mark} {station.text}" for station in line.stations}
    return {"pipeline": line.name, "waits": line.needs, "metric": line.live, **marks}
