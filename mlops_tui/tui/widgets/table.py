"""A table of any length: only the rows that are seen are fetched, measured and drawn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from mlops_tui.tui.widgets.columns import Cell, Column, Key, fit, fitting, ordered, widths
from mlops_tui.tui.widgets.tones import tones

KEPT = 4000  # rows of a long list, until all but those around the cursor are dropped


class Table(ScrollView, can_focus=True):
    """Rows by key, in the order of `put`; after `put_some`, `Wanted` asks for cells that are missing, for `fill`.

    `cells` lets the arrows left and right move over columns; otherwise they move the columns that do not fit.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "up", show=False),
        Binding("down", "move(1)", "down", show=False),
        Binding("pageup", "page(-1)", "page up", show=False),
        Binding("pagedown", "page(1)", "page down", show=False),
        Binding("home", "edge(0)", "first", show=False),
        Binding("end", "edge(1)", "last", show=False),
        Binding("left", "sideways(-1)", "left", show=False),
        Binding("right", "sideways(1)", "right", show=False),
        Binding("enter", "choose", "open", show=False),
        Binding("space", "mark", "mark", show=False),
        Binding("less_than_sign", "sort(-1)", "sort by the column before", show=False),
        Binding("greater_than_sign", "sort(1)", "sort by the next column", show=False),
        Binding("exclamation_mark", "reverse", "sort the other way", show=False),
    ]
    cursor = reactive(0, repaint=False)

    class Wanted(Message):
        """Rows came into view whose cells are not here yet."""

        def __init__(self, table: Table, keys: tuple[Key, ...]) -> None:
            super().__init__()
            self.table, self.keys = table, keys

    class Chosen(Message):
        """Enter or a click on a row that the cursor was on."""

        def __init__(self, table: Table, key: Key) -> None:
            super().__init__()
            self.table, self.key = table, key

    class Moved(Message):
        """The cursor is on another row, or another column of it."""

        def __init__(self, table: Table, key: Key | None) -> None:
            super().__init__()
            self.table, self.key = table, key

    class Sorted(Message):
        """Another order is wanted, of a table whose rows are not all here: by a column, "-" in front reverses."""

        def __init__(self, table: Table, by: str) -> None:
            super().__init__()
            self.table, self.by = table, by

    def __init__(
        self, columns: Iterable[Column] = (), *, cells: bool = False, marks: bool = False,
        empty: str = "nothing here yet", id: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(id=id)
        self.columns = tuple(columns)
        self.cells, self.marks, self.empty = cells, marks, empty
        self.gap = 2  # blanks between two columns
        self.keys: Sequence[Key] = ()
        self.rows: dict[Key, tuple[Cell, ...]] = {}
        self.marked: dict[Key, None] = {}  # in the order in which they were marked
        self.by = ""
        self.column = 0  # under the cursor where `cells`, else the first that is shown
        self._asked: set[Key] = set()
        self._filled = self._whole = False  # whether rows came, and whether they are all here
        self._version = 0  # of what has been put and filled
        self._fitted: tuple[object, list[int]] = ((), [])  # what the widths were worked out for, and the widths

    # ── content ──────────────────────────────────────────────────────────────────────────────────

    def put(self, keys: Sequence[Key], rows: Mapping[Key, tuple[Cell, ...]]) -> None:
        """Show these rows in this order, all of them here; the cursor stays with its row where that is still there."""
        self._put(keys, rows, whole=True)

    def put_some(self, keys: Sequence[Key], near: Mapping[Key, tuple[Cell, ...]]) -> None:
        """As `put` for a list of any length, in the order in which it came: other rows than `near` are asked for."""
        self._put(keys, near, whole=False)

    def _put(self, keys: Sequence[Key], rows: Mapping[Key, tuple[Cell, ...]], *, whole: bool) -> None:
        before = self.current
        self._asked.clear()
        self.rows = dict(rows)
        self.keys = self._in_order(keys) if whole else keys
        if self.marked:
            here = set(self.keys)
            self.marked = {key: None for key in self.marked if key in here}
        self._filled, self._whole = True, whole
        self._version += 1
        self.virtual_size = Size(0, len(self.keys) + 1)  # no width: it follows the widget's, without another layout
        try:
            at = self.keys.index(before) if before is not None else 0
        except ValueError:
            at = min(self.cursor, len(self.keys) - 1)
        self.set_reactive(Table.cursor, max(0, at))
        self._show_cursor()
        self.refresh()
        self._ask()
        self.post_message(self.Moved(self, self.current))

    def fill(self, rows: Mapping[Key, tuple[Cell, ...]]) -> None:
        """Take cells that were asked for, or that have changed."""
        self.rows.update(rows)
        if len(self.rows) > KEPT:  # what was scrolled past long ago
            kept = set(self.keys[max(0, self.cursor - KEPT // 8) : self.cursor + KEPT // 8])
            self.rows = {key: cells for key, cells in self.rows.items() if key in kept or key in rows}
        self._asked -= set(rows)
        self._version += 1
        self.refresh()
        self.post_message(self.Moved(self, self.current))

    @property
    def current(self) -> Key | None:
        """The key of the row under the cursor; None where there is no row."""
        return self.keys[self.cursor] if 0 <= self.cursor < len(self.keys) else None

    def go_to(self, key: Key) -> None:
        """Put the cursor on a row, if it is here."""
        if key in self.keys:
            self.cursor = self.keys.index(key)

    def seen(self) -> Sequence[Key]:
        """Return the keys of the rows in view."""
        top = self.scroll_offset.y
        return self.keys[top : top + max(1, self.size.height - 1)]

    def _in_order(self, keys: Sequence[Key]) -> Sequence[Key]:
        name = self.by.lstrip("-")
        at = next((i for i, column in enumerate(self.columns) if column.key == name), None)
        return keys if at is None else ordered(keys, self.rows, at, self.by.startswith("-"))

    # ── widths ───────────────────────────────────────────────────────────────────────────────────

    @property
    def _widths(self) -> list[int]:
        """The widths of all columns, for what is here and the room there is."""
        basis = (self.size.width, self._version, self.columns, self.gap, self.marks)
        if self._fitted[0] != basis:
            self._fitted = (basis, self._measure())
        return self._fitted[1]

    def _measure(self) -> list[int]:
        near = dict.fromkeys([*self.keys[:200], *self.seen()])
        return widths(self.columns, [self.rows[key] for key in near if key in self.rows], self._room, self.gap)

    @property
    def _room(self) -> int:
        return self.size.width - (2 if self.marks else 0)

    def _shown(self) -> tuple[list[int], int]:
        """The columns that fit, from the first that is to be shown on, and how many are left over to the right."""
        first = 0 if self.cells else min(self.column, max(0, len(self.columns) - 1))
        return fitting(self._widths, first, self._room, self.gap)

    # ── drawing ──────────────────────────────────────────────────────────────────────────────────

    def render_line(self, y: int) -> Strip:
        """One line: the head, which stays, or a row."""
        width, styles = self.size.width, tones(self.app)
        if y == 0:
            return self._head(width, styles["head"])
        at = y - 1 + self.scroll_offset.y
        if at >= len(self.keys):
            text = f"  {self.empty if self._filled else '…'}" if not self.keys and y == 2 else ""
            return Strip([Segment(fit(text, width, False), styles["cell"] + styles["dim"])], width)
        return self._row(at, width, styles)

    def _head(self, width: int, style: Style) -> Strip:
        shown, more = self._shown()
        parts = ["  "] if self.marks else []
        for i in shown:
            column = self.columns[i]
            arrow = (" ▼" if self.by.startswith("-") else " ▲") if column.key == self.by.lstrip("-") else ""
            parts.append(fit(column.title + arrow, self._widths[i], column.right) + " " * self.gap)
        text = "".join(parts).rstrip()
        if more:
            note = f"+{more} →"
            text = text[: max(0, width - len(note))].ljust(width - len(note)) + note
        return Strip([Segment(fit(text, width, False), style)], width)

    def _row(self, at: int, width: int, styles: Mapping[str, Style]) -> Strip:
        key = self.keys[at]
        under, marked = at == self.cursor, key in self.marked
        base = styles["cell"] + (Style(bold=True) if marked else Style())
        lit = styles["cursor"] if under else Style()
        blank = base + lit
        segments = [Segment("● " if marked else "  ", blank)] if self.marks else []
        cells = self.rows.get(key)
        for i in self._shown()[0] if cells else ():
            assert cells is not None
            cell = cells[i] if i < len(cells) else Cell("")
            style = base + styles[cell.tone] + lit
            if under and self.cells and i == self.column and self.has_focus:
                style += Style(reverse=not style.reverse)
            text = fit(cell.text, self._widths[i], self.columns[i].right)
            segments += [Segment(text, style), Segment(" " * self.gap, blank)]
        if cells is None:
            segments.append(Segment("…", blank))
        return Strip(segments).adjust_cell_length(width, blank).crop(0, width)

    # ── moving ───────────────────────────────────────────────────────────────────────────────────

    def watch_cursor(self, before: int, after: int) -> None:
        """Keep the row in view, and tell."""
        self._show_cursor()
        self.refresh_line(before + 1)
        self.refresh_line(after + 1)
        self._ask()
        self.post_message(self.Moved(self, self.current))

    def validate_cursor(self, value: int) -> int:
        """Between the first and the last row."""
        return max(0, min(value, len(self.keys) - 1))

    def _show_cursor(self) -> None:
        height = max(1, self.size.height - 1)
        top = self.scroll_offset.y
        if self.cursor < top:
            self.scroll_to(y=self.cursor, animate=False, immediate=True)
        elif self.cursor >= top + height:
            self.scroll_to(y=self.cursor - height + 1, animate=False, immediate=True)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Ask for what came into view."""
        super().watch_scroll_y(old_value, new_value)
        self.refresh()
        self._ask()

    def _ask(self) -> None:
        top, height = self.scroll_offset.y, max(1, self.size.height)
        near = self.keys[max(0, top - height) : top + 2 * height]
        missing = tuple(key for key in near if key not in self.rows and key not in self._asked)
        if missing and any(key not in self.rows for key in self.seen()):
            self._asked |= set(missing)
            self.post_message(self.Wanted(self, missing))

    def on_resize(self, event: events.Resize) -> None:
        """Other widths, and perhaps other rows in view."""
        self._show_cursor()
        self._ask()
        self.refresh()

    def action_move(self, by: int) -> None:
        """Up or down by a row."""
        self.cursor += by

    def action_page(self, by: int) -> None:
        """Up or down by what is in view."""
        self.cursor += by * max(1, self.size.height - 2)

    def action_edge(self, last: int) -> None:
        """To the first row, or the last."""
        self.cursor = len(self.keys) - 1 if last else 0

    def action_sideways(self, by: int) -> None:
        """To the column beside, or to the columns that did not fit."""
        more = self._shown()[1]
        if not self.cells and by > 0 and not more:
            return
        self.column = max(0, min(self.column + by, len(self.columns) - 1))
        self.refresh()
        self.post_message(self.Moved(self, self.current))

    def action_choose(self) -> None:
        """Open the row under the cursor."""
        if self.current is not None:
            self.post_message(self.Chosen(self, self.current))

    def action_mark(self) -> None:
        """Mark the row, or take its mark away, and go to the next."""
        if not self.marks or self.current is None:
            return
        if self.current in self.marked:
            del self.marked[self.current]
        else:
            self.marked[self.current] = None
        self.refresh()
        self.cursor += 1
        self.post_message(self.Moved(self, self.current))

    # ── order ────────────────────────────────────────────────────────────────────────────────────

    def action_sort(self, by: int) -> None:
        """Sort by the next column that can be sorted by; past the last one, in the order of the list."""
        names = ["", *(column.key for column in self.columns if column.sorts)]
        at = names.index(self.by.lstrip("-")) if self.by.lstrip("-") in names else 0
        self.sort_by(names[(at + by) % len(names)])

    def action_reverse(self) -> None:
        """Sort the other way."""
        if self.by:
            self.sort_by(self.by[1:] if self.by.startswith("-") else f"-{self.by}")

    def sort_by(self, name: str) -> None:
        """Sort by a column ("-" in front: the other way); whoever has the rows is asked where they are not all here."""
        self.by = name
        if self._whole and name:
            self.put(self.keys, self.rows)
        else:
            self.post_message(self.Sorted(self, name))
        self.refresh()

    async def on_click(self, event: events.Click) -> None:
        """A click chooses a row, a second one opens it; on the head it sorts."""
        self.focus()
        if event.y == 0:
            self._click_head(event.x)
            return
        at = event.y - 1 + self.scroll_offset.y
        if not 0 <= at < len(self.keys):
            return
        if at == self.cursor:
            self.action_choose()
        self.cursor = at

    def _click_head(self, x: int) -> None:
        left = 2 if self.marks else 0
        for i in self._shown()[0]:
            if left <= x < left + self._widths[i] + self.gap and self.columns[i].sorts:
                name = self.columns[i].key
                self.sort_by(f"-{name}" if self.by == name else name)
                return
            left += self._widths[i] + self.gap
