"""What the pages of one object share: tables that lie in a page that scrolls, and what Enter opens."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from textual.containers import VerticalScroll

from mlops_tui.tui.page import Page
from mlops_tui.tui.widgets.columns import Cell, Column, Key
from mlops_tui.tui.widgets.table import Table

T = TypeVar("T")
Opens = tuple[str, str]  # noun and reference
FACTS = (Column("name", "", 8, 14, sorts=False), Column("value", "", 20, 200, sorts=False))


class Fact(NamedTuple):
    """A line on an object: its name, its text, its tone, and what Enter opens."""

    name: str
    text: str
    tone: str = ""
    opens: Opens | None = None


class Detail(Page[T]):
    """The page of one object, by its reference."""

    def __init__(self, ref: str) -> None:
        super().__init__()
        self.ref = ref

    def title_in_path(self) -> str:
        """The object's reference."""
        return self.ref

    def behind(self, table: Table, key: Key) -> Opens | None:
        """What Enter on a row opens."""
        return None

    def on_table_chosen(self, event: Table.Chosen) -> None:
        """Open what is behind a row."""
        event.stop()
        opens = self.behind(event.table, event.key)
        if opens is not None:
            self.app_.open(*opens)
        else:
            self.app_.tell("nothing more is behind this line")


class Part(Table):
    """A table in a page that scrolls: as high as its rows, `most` of them; not there while it has none.

    Moving past its ends moves the page, and so do the keys that turn pages.
    """

    def __init__(self, columns: Sequence[Column] = (), *, id: str, most: int = 14) -> None:
        super().__init__(columns, id=id)
        self.most = most
        self.display = False

    def put(self, keys: Sequence[Key], rows: Mapping[Key, tuple[Cell, ...]]) -> None:
        """Show these rows, and take the room that they need."""
        self.display = bool(keys)
        self.styles.height = min(len(keys), self.most) + 1
        super().put(keys, rows)

    def put_facts(self, facts: Sequence[Fact]) -> None:
        """Show facts, those without a text left out; what Enter opens is marked."""
        shown = [fact for fact in facts if fact.text]
        rows: dict[Key, tuple[Cell, ...]] = {
            fact.name: (Cell(fact.name, "dim"), Cell(f"{fact.text}{' ▸' if fact.opens else ''}", fact.tone))
            for fact in shown
        }
        self.put(list(rows), rows)

    def action_move(self, by: int) -> None:
        """Up or down by a row; at the ends the page moves."""
        if 0 <= self.cursor + by < len(self.keys):
            self.cursor += by
            self._follow()
        else:
            self._page(lambda page: page.scroll_relative(y=by, animate=False))

    def action_page(self, by: int) -> None:
        """Up or down by what is in view: of the page, unless the rows do not fit into the table."""
        if len(self.keys) > self.most:
            super().action_page(by)
            self._follow()
        else:
            self._page(lambda page: page.scroll_relative(y=by * page.size.height, animate=False))

    def action_edge(self, last: int) -> None:
        """To the first row, or the last."""
        super().action_edge(last)
        self._follow()

    def _follow(self) -> None:
        """Move the page so that the row under the cursor is in view, the first one with the head above it."""
        row = self.region.y + 1 + self.cursor - self.scroll_offset.y

        def move(page: VerticalScroll) -> None:
            by = min(0, row - (self.cursor == 0) - page.region.y) or max(0, row + 1 - page.region.bottom)
            page.scroll_relative(y=by, animate=False, immediate=True)

        self._page(move)

    def _page(self, move: Callable[[VerticalScroll], None]) -> None:
        for page in self.screen.query("#scroll").results(VerticalScroll):
            move(page)
