"""A page of lists side by side, each declared as a `Tab`: columns, where rows come from, what they stand for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widgets import Input

from mlops_tui.core import query
from mlops_tui.errors import MlopsError
from mlops_tui.flows.workspace import Workspace
from mlops_tui.tui.page import Page
from mlops_tui.tui.verbs import WORKSPACE, Subject
from mlops_tui.tui.widgets.columns import Cell, Column, Key
from mlops_tui.tui.widgets.drawn import Words
from mlops_tui.tui.widgets.table import Table

NEAR = 90  # rows around the cursor that come with the list itself


class Row(NamedTuple):
    """A row: its cells, what acts are done to, and the page that it opens (noun, reference)."""

    cells: tuple[Cell, ...]
    subject: Subject
    opens: tuple[str, str]


class Found(NamedTuple):
    """What a list holds: the keys in order, and all rows where they are few, or else those `near` the cursor."""

    keys: Sequence[Key]
    rows: Mapping[Key, Row] | None = None
    near: Mapping[Key, Row] = {}  # nobody writes to it


@dataclass(frozen=True)
class Tab:
    """One list. `find` gets the workspace, the filter's text and the order; `fetch`, of long lists, the rows of keys.

    `shell` gets the text and the order too, and says which command prints the same.
    """

    name: str
    columns: tuple[Column, ...]
    find: Callable[[Workspace, str, str], Found]
    shell: Callable[[str, str], list[str]]
    fetch: Callable[[Workspace, Sequence[Key]], Mapping[Key, Row]] | None = None
    empty: str = "nothing here yet"
    marks: bool = False
    keys: tuple[tuple[str, str], ...] = ()


class Asked(NamedTuple):
    """Which list is to be loaded, with which filter and order, and the row whose neighbours come with it."""

    tab: Tab
    text: str
    by: str
    at: Key | None


@dataclass
class _State:
    text: str = ""
    by: str = ""
    at: Key | None = None
    rows: dict[Key, Row] = field(default_factory=dict)


def kept(rows: Mapping[Key, Row], columns: Sequence[Column], text: str) -> Found:
    """Return those of a short list's rows that a filter leaves; raises InvalidInput for what is no filter."""
    names = [column.key for column in columns]
    terms = parsed(columns, text)
    found = {
        key: row for key, row in rows.items()
        if query.matches(terms, {name: cell.text if cell.value is None else cell.value
                                 for name, cell in zip(names, row.cells, strict=False)})
    }  # fmt: skip
    return Found(list(found), found)


def parsed(columns: Sequence[Column], text: str) -> tuple[query.Term, ...]:
    """Return a filter on a table's columns, ages left out: those that lean to the right are numbers.

    Raises InvalidInput for what is no filter.
    """
    fields = [column for column in columns if column.key != "age"]  # its text is another one a moment later
    texts = [column.key for column in fields if not column.right]
    return query.parse(text, texts, [column.key for column in fields if column.right])


class Lists(Page[Found]):
    """Lists side by side; Tab goes to the next."""

    tabs: ClassVar[tuple[Tab, ...]] = ()
    filters = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "tab(1)", "the next list", show=False, priority=True),
        Binding("shift+tab", "tab(-1)", "the list before", show=False, priority=True),
    ]

    class Fetched(Message):
        """Rows that came into view are here."""

        def __init__(self, name: str, rows: Mapping[Key, Row]) -> None:
            super().__init__()
            self.name, self.rows = name, rows

    def __init__(self, tab: str = "") -> None:
        super().__init__()
        names = [one.name for one in self.tabs]
        self.at = names.index(tab) if tab in names else 0
        self.states = {one.name: _State() for one in self.tabs}

    @property
    def tab(self) -> Tab:
        """The list that is shown."""
        return self.tabs[self.at]

    @property
    def state(self) -> _State:
        """Its filter, order and rows."""
        return self.states[self.tab.name]

    @property
    def table(self) -> Table:
        """The table that shows it."""
        return self.query_one("#list", Table)

    def title_in_path(self) -> str:
        """The act and the list."""
        return f"{self.name_in_path} ▸ {self.tab.name}"

    def body(self) -> ComposeResult:
        """The names of the lists, and the one that is chosen."""
        yield Words("", id="tabs")
        yield Table(self.tab.columns, id="list", marks=self.tab.marks, empty=self.tab.empty)

    def on_mount(self) -> None:
        """Show the first list; Textual lets the page begin to load."""
        self._tell_tabs()

    def _tell_filter(self) -> None:
        """The field holds the filter of the list that is shown, which Esc takes away."""
        field = self.query_one("#filter", Input)
        with field.prevent(Input.Changed):
            field.value = self.text
        field.display = bool(self.text) or field.has_focus
        self.mistyped = None
        self._trouble(None)

    def _tell_tabs(self) -> None:
        parts = [Content.styled(f" {tab.name} ", "bold reverse" if tab is self.tab else "dim") for tab in self.tabs]
        text = f"   /{self.state.text}" if self.state.text else ""
        told = Content.assemble(" ", *parts, Content.styled(text, "$accent"))
        self.query_one("#tabs", Words).update(told, layout=False)

    def action_tab(self, by: int) -> None:
        """To the list beside."""
        self.state.at, self.state.by = self.table.current, self.table.by
        self.at = (self.at + by) % len(self.tabs)
        table = self.table
        table.columns, table.marks, table.empty, table.by = (
            self.tab.columns,
            self.tab.marks,
            self.tab.empty,
            self.state.by,
        )
        table.column, table.marked, table.rows = 0, {}, {}
        table.put((), {})
        self.text = self.state.text
        self._tell_filter()
        self._number += 1  # what is being loaded is of another list
        self._loading = False
        self._tell_tabs()
        self.tell_path()
        self.reload()

    # ── rows ─────────────────────────────────────────────────────────────────────────────────────

    def loader(self) -> Callable[[Workspace], Found]:
        """What loads the list as it is asked for now."""
        state = self.state
        asked = Asked(self.tab, state.text, state.by, self.table.current if state.at is None else state.at)
        return lambda workspace: self.listed(workspace, asked)

    def listed(self, workspace: Workspace, asked: Asked) -> Found:
        """The keys, and the rows around the cursor; runs in a thread, touches no widget."""
        tab = asked.tab
        found = tab.find(workspace, asked.text, asked.by)
        if found.rows is not None or tab.fetch is None:
            return found
        at = found.keys.index(asked.at) if asked.at is not None and asked.at in found.keys else 0
        near = found.keys[max(0, at - NEAR // 2) : at + NEAR]
        return found._replace(near=tab.fetch(workspace, near))

    def show(self, data: Found) -> None:
        """Put the keys into the table, and the rows that came with them."""
        table, state = self.table, self.state
        table.empty = "nothing fits the filter" if state.text else self.tab.empty
        if data.rows is not None:
            state.rows = dict(data.rows)
            table.put(data.keys, {key: row.cells for key, row in data.rows.items()})
        else:
            state.rows = {key: row for key, row in state.rows.items() if key in table.marked} | dict(data.near)
            table.put_some(data.keys, {key: row.cells for key, row in state.rows.items()})
        if state.at is not None:
            table.go_to(state.at)
            state.at = None
        self._tell_tabs()

    def on_table_wanted(self, event: Table.Wanted) -> None:
        """Fetch rows that came into view."""
        event.stop()
        if self.tab.fetch is not None:
            self._fetch(self.tab, event.keys)

    @work(thread=True, group="fetch", exit_on_error=False)
    def _fetch(self, tab: Tab, keys: tuple[Key, ...]) -> None:
        assert tab.fetch is not None
        try:
            self.post_message(self.Fetched(tab.name, tab.fetch(self.workspace, keys)))
        except MlopsError as error:
            self.post_message(self.Loaded(self._number, None, error, 0.0))

    def on_lists_fetched(self, event: Fetched) -> None:
        """Show them, if the list is still the same."""
        if self.is_open and event.name == self.tab.name:
            table, rows = self.table, {**self.state.rows, **event.rows}
            table.fill({key: row.cells for key, row in event.rows.items()})
            self.state.rows = {key: row for key, row in rows.items() if key in table.rows or key in table.marked}

    def on_table_sorted(self, event: Table.Sorted) -> None:
        """Another order of a long list."""
        event.stop()
        event.prevent_default()
        self.state.by = event.by
        self.reload()

    def narrow(self) -> None:
        """Another filter."""
        if self.tab.fetch is None:
            parsed(self.tab.columns, self.text)
        self.state.text = self.text
        self.reload()

    # ── what is under the cursor ─────────────────────────────────────────────────────────────────

    def row(self) -> Row | None:
        """The row under the cursor, if it is here."""
        current = self.table.current
        return self.state.rows.get(current) if current is not None else None

    def marked(self) -> list[Row]:
        """The marked rows, in the order in which they were marked."""
        return [self.state.rows[key] for key in self.table.marked if key in self.state.rows]

    def subject(self) -> Subject | None:
        """What the row stands for."""
        row = self.row()
        return row.subject if row else WORKSPACE

    def on_table_chosen(self, event: Table.Chosen) -> None:
        """Open what the row stands for."""
        event.stop()
        row = self.row()
        if row is not None:
            self.app_.open(*row.opens)

    def shell(self) -> list[str]:
        """The command that prints this list, so filtered and sorted."""
        return self.tab.shell(self.state.text, self.state.by)

    def keys(self) -> Sequence[tuple[str, str]]:
        """Open and the next list; the list's own."""
        return (("Enter", "open"), ("Tab", "next list"), *self.tab.keys)
