"""The columns of a table: what a cell is, how wide each column is, and which of them fit."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size

Key = Hashable  # of a row


class Cell(NamedTuple):
    """A cell's text, its tone (ok, warn, fail, wait, due, busy, dim, lit), and what it sorts and filters by."""

    text: str
    tone: str = ""
    value: object = None

    @property
    def rank(self) -> object:
        """What it sorts by; None where it is not known."""
        return (self.text or None) if self.value is None else self.value


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its title, the fewest and most characters it takes, and which way it leans."""

    key: str
    title: str
    least: int = 4
    most: int = 40
    right: bool = False
    sorts: bool = True


def widths(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], room: int, gap: int) -> list[int]:
    """As wide as what is known of each column; the widest give way until all fit, or have given what they can."""
    found = []
    for i, column in enumerate(columns):
        longest = max((cell_len(row[i].text) for row in rows if i < len(row)), default=0)
        found.append(max(column.least, len(column.title) + (2 if column.sorts else 0), min(column.most, longest)))
    room -= gap * (len(found) - 1)
    least = [max(column.least, min(6, len(column.title))) for column in columns]
    while sum(found) > room and any(width > low for width, low in zip(found, least, strict=True)):
        widest = max(range(len(found)), key=lambda i: (found[i] > least[i], found[i]))
        found[widest] -= 1
    return found


def fitting(widths: Sequence[int], first: int, room: int, gap: int) -> tuple[list[int], int]:
    """Which columns fit from `first` on, the very first always among them, and how many are left over to the right."""
    found: list[int] = []
    pinned = [0] if first else []
    for i in [*pinned, *range(max(first, len(pinned)), len(widths))]:
        if found and room < widths[i]:
            return found, len(widths) - i
        found.append(i)
        room -= widths[i] + gap
    return found, 0


def fit(text: str, width: int, right: bool) -> str:
    """Cut or fill a text to so many characters of the terminal."""
    size = cell_len(text)
    if size > width:
        return set_cell_size(text, max(0, width - 1)) + "…"
    return " " * (width - size) + text if right else text + " " * (width - size)


def ordered(keys: Sequence[Key], rows: Mapping[Key, tuple[Cell, ...]], at: int, reverse: bool) -> list[Key]:
    """Keys in the order of what stands in a column; those of which nothing is known come last, either way."""
    ranks = {key: cells[at].rank for key in keys if at < len(cells := rows.get(key, ()))}
    known = [key for key in keys if ranks.get(key) is not None]
    unknown = [key for key in keys if ranks.get(key) is None]
    try:
        known.sort(key=ranks.__getitem__, reverse=reverse)  # type: ignore[arg-type]
    except TypeError:  # numbers among texts
        known.sort(key=lambda key: str(ranks[key]), reverse=reverse)
    return known + unknown
