"""Bars: histograms of several sets of rows side by side, and shares by name."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from mlops_tui.texts.cells import cell
from mlops_tui.texts.grid import LEAST, Box, Grid, blank, fitted, headed, hint, legend, write, x_axis, y_axis
from mlops_tui.texts.scales import extent, finite, labels, step_of, ticks, widened

FILLS = ("▁▂▃▄▅▆▇█", "⣀⣤⣶⣿", "░")  # of the first series, the second, the third; then again
LENGTHS = "▏▎▍▌▋▊▉█"
OPEN = {math.inf: "∞", -math.inf: "-∞"}
BELOW = "░"  # of a bar for a value below nothing


def bars(
    edges: Sequence[float],
    series: Mapping[str, Sequence[float]],
    width: int,
    height: int,
    *,
    x_label: str = "",
    y_label: str = "",
) -> Grid:
    """Return histograms over the same bins side by side: `height` rows of `width` cells, a tone and a fill each.

    `edges` has one value more than each series has counts (or shares: they compare sets of different size). Every bin
    is as wide as the others, whatever its edges; neighbours are added up where there is no room for all.
    """
    if width < LEAST[0] or height < LEAST[1]:
        return hint(f"a plot needs {LEAST[0]}×{LEAST[1]}", width, height)
    room = width - width // 3 - 2
    edges, counts = _merged(edges, list(series.values()), room)
    if not counts or len(edges) < 2 or len(counts) > room:
        return hint("bars need more room" if len(counts) > room else "nothing to draw yet", width, height)
    names = [(f"{FILLS[at % len(FILLS)][-1]} {name}", at + 1) for at, name in enumerate(series)]
    head = legend([(y_label, 0), *names], width, max(1, height // 4))
    grid = headed(width, height, head)
    every = [value for row in counts for value in row]
    tall = (0.0, extent([0.0, max(every)])[1])
    step = step_of(tall, max(3, (height - len(head)) // 3 + 1), every)
    tall = widened(tall, step)
    values = ticks(tall, step)
    box = y_axis(grid, len(head), [(y / tall[1], text) for y, text in zip(values, labels(values, step), strict=True)])
    slot = (box.columns - 1) // (len(edges) - 1)
    x_axis(grid, box, _edge_marks(edges, slot), x_label)
    for at, row in enumerate(counts):
        _upright(grid, box, (at, len(counts), slot), [value / tall[1] for value in row])
    return grid


def _merged(
    edges: Sequence[float], series: Sequence[Sequence[float]], room: int
) -> tuple[list[float], list[list[float]]]:
    """Edges and counts of as many bins as there is room for; what is not a count is none."""
    bins = min([len(edges) - 1, *map(len, series)])
    group = max(1, math.ceil(bins / max(1, room // max(1, len(series)))))
    counts = [[max(0.0, finite(value) or 0.0) for value in row[:bins]] for row in series]
    merged = [[sum(row[at : at + group]) for at in range(0, bins, group)] for row in counts]
    return [*edges[:bins:group], *edges[bins : bins + 1]], merged


def _edge_marks(edges: Sequence[float], slot: int) -> list[tuple[int, str]]:
    """The columns of bins' edges, as many of them as have room for their labels."""
    step = step_of(extent(edges), 10 * len(edges), edges)  # so fine that every edge can be told
    known = iter(labels([edge for edge in map(finite, edges) if edge is not None], step))
    texts = [next(known) if math.isfinite(edge) else OPEN.get(edge, "?") for edge in edges]
    every = math.ceil((max(map(len, texts)) + 2) / slot)
    return [(at * slot, texts[at]) for at in range(0, len(edges), every)]


def _upright(grid: Grid, box: Box, which: tuple[int, int, int], heights: Sequence[float]) -> None:
    """The bars of one series: `which` it is, of how many, and the columns of a bin; heights from 0 to 1."""
    at, count, slot = which
    gap = 1 if slot > count else 0
    wide = (slot - gap) // count
    fill = FILLS[at % len(FILLS)]
    for number, share in enumerate(heights):
        levels = max(1, round(share * box.rows * len(fill))) if share > 0 else 0
        full, rest = divmod(levels, len(fill))
        signs = fill[-1] * full + (fill[rest - 1] if rest else "")
        for row, sign in enumerate(signs):
            left = box.left + number * slot + gap + at * wide
            write(grid, box.top + box.rows - 1 - row, left, sign * wide, at + 1)


def hbars(
    rows: Sequence[tuple[str, *tuple[float | None, ...]]], width: int, height: int, names: Sequence[str] = ()
) -> Grid:
    """Return values by name as bars from left to right, those of one name side by side against one scale.

    At most `height` rows of `width` cells: the names of the values, if given, then one row a name in the given
    order; names that do not fit are counted. A tone for each value; bars of values below 0 are shaded.
    """
    count, head = max((len(row) - 1 for row in rows), default=0), int(bool(names))
    room = height - head
    shown = rows if len(rows) <= room else rows[: max(0, room - 1)]
    values = [[finite(value) for value in row[1:]] for row in shown]
    left = max((len(fitted(row[0], width // 3)) for row in shown), default=0)
    figures = max((len(cell(value)) for row in values for value in row), default=0)
    panel = (width - left) // max(1, count)
    bar = panel - figures - 2
    if not count or not shown or bar < 2:
        return hint("bars need more room" if count else "nothing to draw yet", width, height)
    left_out = len(rows) - len(shown)
    largest = max((abs(value) for row in values for value in row if value), default=1.0)
    grid = blank(width, head + len(shown) + bool(left_out))
    for at, name in enumerate(names[:count]):
        write(grid, 0, left + at * panel + 1, fitted(name, panel - 1), at + 1)
    for down, (row, known) in enumerate(zip(shown, values, strict=True), head):
        write(grid, down, 0, fitted(row[0], left))
        for at, value in enumerate(known):
            start = left + at * panel + 1
            write(grid, down, start, cell(value).rjust(figures))
            write(grid, down, start + figures + 1, _lying(value, largest, bar), at + 1)
    if left_out:
        write(grid, len(grid) - 1, 0, fitted(f"and {left_out} more", width))
    return grid


def _lying(value: float | None, largest: float, width: int) -> str:
    """A bar from left to right, as long as a value is of the largest; something for all that is not 0."""
    if not value:
        return ""
    eighths = max(1, round(8 * width * (abs(value) / largest)))
    if value < 0:
        return BELOW * math.ceil(eighths / 8)
    return LENGTHS[-1] * (eighths // 8) + (LENGTHS[eighths % 8 - 1] if eighths % 8 else "")
