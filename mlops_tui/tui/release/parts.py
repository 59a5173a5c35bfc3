"""What the pages of the act release share: the page of one object, what belongs to a model version, signs of states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.events import DescendantFocus

from mlops_tui.flows.release.models import Shown
from mlops_tui.records import ModelVersion
from mlops_tui.tui.detail import Detail, Opens, Part
from mlops_tui.tui.verbs import Subject
from mlops_tui.tui.widgets.columns import Cell, Column, Key
from mlops_tui.tui.widgets.drawn import Words
from mlops_tui.tui.widgets.table import Table

T = TypeVar("T")
STATES: dict[str, tuple[str, str]] = {
    "approved": ("✓", "ok"), "waiting": ("◆", "wait"), "failed": ("✗", "fail"), "rejected": ("✗", "fail"),
    "lapsed": ("!", "warn"), "undecided": ("·", "dim"), "new": ("·", "dim"),
    "running": ("✓", "ok"), "stopped": ("·", "dim"), "down": ("✗", "fail"),
}  # fmt: skip
COLOURS = {"ok": "$text-success", "fail": "$text-error", "wait": "$text-accent", "warn": "$text-warning", "dim": "dim"}
PARTS = (Column("what", "what", 8, 14, sorts=False), Column("ref", "which", 12, 40, sorts=False),
         Column("text", "", 10, 200, sorts=False))  # fmt: skip


class Line(NamedTuple):
    """A row of a table inside a page: its cells, what it says in full, and the page behind it (noun, reference)."""

    cells: tuple[Cell, ...]
    told: str = ""
    opens: Opens | None = None


class Rows(Part):
    """A table in a page, which says what to do where it has no rows."""

    def __init__(
        self, columns: Sequence[Column] = (), *, id: str, most: int = 14, empty: str = "nothing here yet"
    ) -> None:
        super().__init__(columns, id=id, most=most)
        self.empty = empty

    def put(self, keys: Sequence[Key], rows: Mapping[Key, tuple[Cell, ...]]) -> None:
        """Show these rows, or the hint, which takes two lines."""
        super().put(keys, rows)
        if not keys:
            self.display, self.styles.height = True, 3


class Sheet(Detail[T]):
    """The page of one object: facts, then tables whose rows open what is behind them, and the full text of a row."""

    def __init__(self, ref: str) -> None:
        super().__init__(ref)
        self.lines: dict[str, Sequence[Line]] = {}

    def title_in_path(self) -> str:
        """The object."""
        return f"{self.name_in_path} {self.ref}"

    def sections(self) -> ComposeResult:
        """The widgets below the facts."""
        yield from ()

    def body(self) -> ComposeResult:
        """Facts and sections to scroll; below them what the row under the cursor says in full."""
        with VerticalScroll(id="scroll"):
            yield Words("", id="head")
            yield from self.sections()
        yield Words("", id="reason")

    def put_lines(self, name: str, lines: Sequence[Line]) -> None:
        """Fill a table."""
        self.lines[name] = lines
        self.query_one(f"#{name}", Table).put(range(len(lines)), {at: line.cells for at, line in enumerate(lines)})

    def put_text(self, name: str, text: str | Content) -> None:
        """Say something in a Words."""
        self.query_one(f"#{name}", Words).update(Content(text) if isinstance(text, str) else text)

    def behind(self, table: Table, key: Key) -> Opens | None:
        """What Enter on a row opens."""
        line = self._line(table, key)
        return line.opens if line else None

    def _line(self, table: Table, key: Key | None) -> Line | None:
        lines = self.lines.get(table.id or "", ())
        return lines[key] if isinstance(key, int) and key < len(lines) else None

    def moved(self) -> None:
        """What the row under the cursor says in full."""
        table = self.focused
        line = self._line(table, table.current) if isinstance(table, Table) else None
        self.put_text("reason", f" {line.told}" if line and line.told else "")

    def on_descendant_focus(self, event: DescendantFocus) -> None:
        """Another table has another row under its cursor."""
        self.moved()

    def keys(self) -> Sequence[tuple[str, str]]:
        """Open, and the next table."""
        return (("Enter", "open"), ("Tab", "next table"))


def part(what: str, ref: str, text: str = "", noun: str = "") -> Line:
    """Return a row of a table of `PARTS`: something that belongs to an object, and opens."""
    return Line(
        (Cell(what, "dim"), Cell(ref, "lit"), Cell(text)), f"{what} {ref}  {text}".rstrip(), (noun or what, ref)
    )


def sign(state: str) -> Content:
    """Return a state with its sign, in its colour."""
    mark, tone = STATES[state]
    return Content.styled(f"{mark} {state}", COLOURS[tone])


def stating(state: str, text: str) -> Content:
    """Return a state with its sign, and why."""
    return Content.assemble(sign(state), f"  {text}" if text else "")


def state_cell(state: str) -> Cell:
    """Return a state with its sign as a cell."""
    mark, tone = STATES[state]
    return Cell(f"{mark} {state}", tone, state)


def champion_of(found: Shown) -> str | None:
    """Return the reference of the champion of a version's model."""
    number = next((change.version for change in found.history if change.alias == "champion"), None)
    return f"{found.version.model}:{number}" if number else None


def model_subject(version: ModelVersion, *, champion: bool, deployment: str | None = None) -> Subject:
    """Return a model version as what acts are done to, with what belongs to it."""
    refs = {"pipeline": version.model, "run": version.run, "dataset": f"{version.dataset}:{version.dataset_version}"}
    if champion:
        refs["champion"] = version.ref
    if deployment:
        refs["deployment"] = deployment
    return Subject("model", version.ref, refs)
