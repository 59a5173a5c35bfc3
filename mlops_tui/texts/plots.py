"""Curves drawn with braille dots, two by four in a character, with axes and a legend."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from math import ceil
from string import ascii_uppercase

from mlops_tui.texts.grid import BLANK, LEAST, Box, Cell, Grid, headed, hint, legend, plain, write, x_axis, y_axis
from mlops_tui.texts.scales import Range, extent, finite, labels, step_of, ticks, widened
from mlops_tui.texts.timeline import CUT, Timeline

__all__ = ["Cell", "Line", "lines", "plain"]

DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # of U+2800, by row and column of a character
STYLES = ("#", "####  ", "#  ")  # of the first curve, the second, the third: full, dashed, dotted; then again
DATE = 7  # columns that a date takes on an axis
FAR = 10_000.0  # widths of the plot: what is farther off is drawn as if it were there
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Line:
    """A curve by its points, in the order they are joined; None or NaN leaves a gap."""

    name: str
    x: tuple[float, ...]
    y: tuple[float | None, ...]


def lines(  # noqa: PLR0913
    series: Sequence[Line],
    width: int,
    height: int,
    *,
    x_range: Range | None = None,
    y_range: Range | None = None,
    x_label: str = "",
    y_label: str = "",
    marks: Sequence[float] = (),
    dates: Timeline | None = None,
) -> Grid:
    """Return curves as `height` rows of `width` cells, each in its own tone, with its own letter and dots.

    Without a range the axes go as far as the points; what lies outside a range is cut off. A dotted line goes up from
    each of `marks` on the x axis, which is that of `dates` where these are given. Too small a page, or no point to
    draw, gives one row that says so.
    """
    if width < LEAST[0] or height < LEAST[1]:
        return hint(f"a plot needs {LEAST[0]}×{LEAST[1]}", width, height)
    paths = [list(_pieces(line)) for line in series]
    points = [point for path in paths for piece in path for point in piece]
    if not points:
        return hint("nothing to draw yet", width, height)
    names = [(f"{_letter(at)} {line.name}" if len(series) > 1 else line.name, at) for at, line in enumerate(series, 1)]
    head = legend([(y_label, 0), *names], width, max(1, height // 4))
    grid = headed(width, height, head)
    across, step = _scale(dates.places.values() if dates else (x for x, _ in points), x_range, max(4, width // 12))
    up, y_step = _scale((y for _, y in points), y_range, max(3, (height - len(head)) // 3 + 1))
    up = up if y_range else widened(up, y_step)
    box = y_axis(grid, len(head), [(_place(y, up), text) for y, text in _labelled(up, y_step)])
    told = dates.ticks(box.columns // DATE) if dates else _labelled(across, step)
    x_axis(grid, box, [(_column(x, across, box), text) for x, text in told], x_label)
    for place in dates.cuts if dates else ():
        write(grid, box.top + box.rows, box.left + _column(place, across, box), CUT)
    _draw(grid, box, [[_scaled(piece, across, up, box) for piece in path] for path in paths])
    for mark in marks:
        _mark(grid, box, mark, across)
    return grid


def _letter(number: int) -> str:
    return ascii_uppercase[(number - 1) % 26]


def _pieces(line: Line) -> Iterator[list[Point]]:
    """The points of a curve between its gaps."""
    piece: list[Point] = []
    for x, y in zip(map(finite, line.x), map(finite, line.y), strict=False):
        if x is not None and y is not None:
            piece.append((x, y))
        elif piece:
            yield piece
            piece = []
    if piece:
        yield piece


def _scale(values: Iterable[float], given: Range | None, count: int) -> tuple[Range, float]:
    """From where to where an axis goes, and how far apart its ticks are."""
    known = list(values)
    axis = extent(known, given)
    return axis, step_of(axis, count, known)


def _labelled(axis: Range, step: float) -> list[tuple[float, str]]:
    values = ticks(axis, step)
    return list(zip(values, labels(values, step), strict=True))


def _place(value: float, axis: Range) -> float:
    """Where a value is on an axis: 0 at its start, 1 at its end."""
    return max(-FAR, min(FAR, (value - axis[0]) / (axis[1] - axis[0])))


def _column(x: float, axis: Range, box: Box) -> int:
    return round(_place(x, axis) * (2 * box.columns - 1)) // 2


def _scaled(piece: Sequence[Point], across: Range, up: Range, box: Box) -> list[Point]:
    """Points in dots from the upper left corner of a box."""
    right, bottom = 2 * box.columns - 1, 4 * box.rows - 1
    return _fewer([(_place(x, across) * right, (1 - _place(y, up)) * bottom) for x, y in piece])


def _fewer(piece: Sequence[Point]) -> list[Point]:
    """The points that draw the same: first, lowest, highest, last of each column of dots (M4, Jugel et al. 2014)."""
    kept = []
    for _, column in groupby(piece, key=lambda point: round(point[0])):
        run = list(column)
        heights = [y for _, y in run]
        chosen = {0, len(run) - 1, heights.index(min(heights)), heights.index(max(heights))}
        kept += [run[at] for at in sorted(chosen)]
    return kept


def _draw(grid: Grid, box: Box, paths: Sequence[Sequence[Sequence[Point]]]) -> None:
    """Put curves into a box, each with its letter at its end where there are several; the first is on top."""
    dots: dict[tuple[int, int], int] = {}
    tones: dict[tuple[int, int], int] = {}
    letters: dict[tuple[int, int], int] = {}
    for tone, path in enumerate(paths, 1):
        style = STYLES[(tone - 1) % len(STYLES)]
        passed = []
        for piece in path:
            for at, (x, y) in enumerate(_dots(piece, box)):
                passed.append((y // 4, x // 2))
                if style[at % len(style)] == "#":
                    dots[passed[-1]] = dots.get(passed[-1], 0) | DOTS[y % 4][x % 2]
                    tones.setdefault(passed[-1], tone)
        end = next((cell for cell in reversed(passed) if cell not in letters), None)
        if end and len(paths) > 1:
            letters[end] = tone
    for (row, column), found in dots.items():
        write(grid, box.top + row, box.left + column, chr(0x2800 + found), tones[row, column])
    for (row, column), tone in letters.items():
        write(grid, box.top + row, box.left + column, _letter(tone), tone)


def _dots(piece: Sequence[Point], box: Box) -> Iterator[tuple[int, int]]:
    """The dots of a box that the straight lines between points pass, none twice running."""
    right, bottom = 2 * box.columns - 1, 4 * box.rows - 1
    last = None
    for start, end in pairwise(piece) if len(piece) > 1 else [(piece[0], piece[0])]:
        seen = _clipped(start, end, (right, bottom))
        if seen is None:
            continue
        (x, y), (to_x, to_y) = seen
        count = max(1, ceil(max(abs(to_x - x), abs(to_y - y))))
        for at in range(count + 1):
            dot = (round(x + (to_x - x) * at / count), round(y + (to_y - y) * at / count))
            if dot != last:
                yield dot
            last = dot


def _clipped(start: Point, end: Point, corner: Point) -> tuple[Point, Point] | None:
    """What of a straight line lies between 0 and a corner, half a dot of room around (Liang and Barsky 1984)."""
    enter, leave = 0.0, 1.0
    for origin, move, last in zip(start, (end[0] - start[0], end[1] - start[1]), corner, strict=True):
        for towards, room in ((-move, origin + 0.49), (move, last + 0.49 - origin)):
            if towards == 0 and room < 0:
                return None
            if towards < 0:
                enter = max(enter, room / towards)
            elif towards > 0:
                leave = min(leave, room / towards)
    if enter > leave:
        return None
    first, second = (
        (start[0] + at * (end[0] - start[0]), start[1] + at * (end[1] - start[1])) for at in (enter, leave)
    )
    return first, second


def _mark(grid: Grid, box: Box, x: float, axis: Range) -> None:
    """A dotted line up from a place on the x axis, behind the curves."""
    known = finite(x)
    if known is None or not axis[0] <= known <= axis[1]:
        return
    column = box.left + _column(known, axis, box)
    for row in range(box.top, box.top + box.rows):
        if grid[row][column] == BLANK:
            grid[row][column] = ("┊", 0)
