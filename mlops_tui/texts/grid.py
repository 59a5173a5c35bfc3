"""A page of characters with a tone each, and the axes of a plot on it."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

Cell = tuple[str, int]
"""What one column of the screen shows, and its tone: 0 plain, 1, 2, … the number of a series.

The column after a wide character is empty, so that a row always has as many cells as columns.
"""
Grid = list[list[Cell]]
BLANK: Cell = (" ", 0)
LEAST = (20, 5)  # the smallest plot that says something


@dataclass(frozen=True, slots=True)
class Box:
    """Where on a grid something is drawn: the first row and column, and how many of each."""

    top: int
    left: int
    rows: int
    columns: int


def blank(width: int, height: int) -> Grid:
    """Return an empty page."""
    return [[BLANK] * width for _ in range(height)]


def hint(text: str, width: int, height: int) -> Grid:
    """Return a page of one row, at most, that says why there is no plot."""
    return [[(sign, 0) for sign in fitted(text, width)]] if width > 0 and height > 0 else []


def plain(grid: Grid) -> str:
    """Return a page as text, for where nobody colours it."""
    return "\n".join("".join(sign for sign, _ in row).rstrip() for row in grid)


def columns(text: str) -> list[str]:
    """Return a text by columns of the screen: wide characters take two, marks go with their letter, control goes."""
    found: list[str] = []
    for sign in text:
        kind = unicodedata.category(sign)
        if kind in ("Mn", "Me"):
            found[-1:] = [found[-1] + sign] if found and found[-1] else found[-1:]
        elif kind != "Cf":  # what is not seen, but may turn the text around
            found.append(" " if kind in ("Cc", "Zl", "Zp") else "\ufffd" if kind[0] == "C" else sign)
            found += [""] if unicodedata.east_asian_width(sign) in "WF" else []
    return found


def fitted(text: str, width: int) -> list[str]:
    """Return a text by columns, cut to a width."""
    found = columns(text)
    if len(found) <= width:
        return found
    kept = found[: max(0, width - 1)]
    if kept and found[len(kept)] == "":  # half of a wide character
        kept[-1] = " "
    return [*kept, "…"][:width]


def write(grid: Grid, row: int, left: int, text: Sequence[str], tone: int = 0) -> None:
    """Put a text, by columns, on a page; what does not fit on it is left out."""
    for at, sign in enumerate(text, left):
        if 0 <= row < len(grid) and 0 <= at < len(grid[row]):
            grid[row][at] = (sign, tone)


def legend(names: Sequence[tuple[str, int]], width: int, rows: int) -> list[list[Cell]]:
    """Return names with their tones, in as many rows as they need and no more than are there."""
    lines: list[list[Cell]] = [[]]
    for name, tone in names:
        item = [(sign, tone) for sign in fitted(name, width)]
        if lines[-1] and len(lines[-1]) + 2 + len(item) > width and len(lines) < rows:
            lines.append([])
        lines[-1] += [BLANK] * (2 if lines[-1] else 0) + item
    return [line if len(line) <= width else [*_whole(line, width - 1), ("…", 0)] for line in lines if line]


def _whole(line: list[Cell], width: int) -> list[Cell]:
    """The beginning of a longer line; instead of half of a wide character a blank."""
    kept = line[:width]
    if kept and line[width][0] == "":
        kept[-1] = BLANK
    return kept


def headed(width: int, height: int, head: Sequence[list[Cell]]) -> Grid:
    """Return an empty page below rows that stand already."""
    return [row + [BLANK] * (width - len(row)) for row in head] + blank(width, height - len(head))


def y_axis(grid: Grid, top: int, marks: Sequence[tuple[float, str]]) -> Box:
    """Draw an axis on the left of a page from a row on, with (height from 0 to 1, label) in rising order.

    Returns the box on its right, which leaves two rows below it for the other axis. Of labels that fall into one row
    the lowest of all and the highest of all stand, else the lower one.
    """
    width, rows = len(grid[0]), len(grid) - top - 2
    texts = [fitted(label, width // 3) for _, label in marks]
    left = max(map(len, texts), default=0) + 1
    places = [(4 * rows - 1 - round(share * (4 * rows - 1))) // 4 for share, _ in marks]
    labels = list(zip(places, texts, strict=True))
    taken = dict([*reversed(labels), *labels[-1:], *labels[:1]])  # the last of a row stands
    for row in range(rows):
        text = taken.get(row, [])
        write(grid, top + row, left - 1 - len(text), text)
        write(grid, top + row, left - 1, "┤" if row in taken else "│")
    return Box(top, left, rows, width - left)


def x_axis(grid: Grid, box: Box, marks: Sequence[tuple[int, str]], name: str) -> None:
    """Draw the axis below a box, with (column, label); a label that would touch the one before it is left out."""
    bottom, width = box.top + box.rows, len(grid[0])
    write(grid, bottom, box.left - 1, "└" + "─" * box.columns)
    free = 0
    for column, label in marks:
        write(grid, bottom, box.left + column, "┬")
        text = columns(label)
        start = min(max(0, box.left + column - len(text) // 2), width - len(text))
        if start >= free:
            write(grid, bottom + 1, start, text)
            free = start + len(text) + 1
    if name:
        text = [" ", *fitted(name, box.columns // 2)]
        write(grid, bottom, width - len(text), text)
