"""Plots: never larger than asked, whatever is drawn; what is drawn is where it belongs."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from mlops_tui.texts.bars import bars, hbars
from mlops_tui.texts.grid import Grid, columns, fitted
from mlops_tui.texts.plots import Line, lines, plain
from mlops_tui.texts.scales import extent, labels, nice, step_of, ticks, widened

FINITE = st.floats(allow_nan=False, allow_infinity=False)
SIGNS = st.sampled_from("aZé –日本ｱ\n\t\x1b\x00\u202e\u200b\ud800e\u0301")
NAMES = st.text(SIGNS, max_size=30)
SIZES = st.tuples(st.integers(-1, 90), st.integers(-1, 30))
LINES = st.builds(
    lambda name, points: Line(name, tuple(x for x, _ in points), tuple(y for _, y in points)),
    NAMES, st.lists(st.tuples(st.floats(), st.none() | st.floats()), max_size=12),
)  # fmt: skip
RANGES = st.none() | st.tuples(st.floats(), st.floats())


def fits(grid: Grid, width: int, height: int) -> bool:
    """Whether a page is no larger than asked, by what a terminal makes of it too."""
    assert len({len(row) for row in grid}) <= 1
    told = plain(grid).split("\n")
    return len(grid) <= max(0, height) and all(
        len(row) <= max(0, width) and cell_len(line) <= max(0, width) for row, line in zip(grid, told, strict=False)
    )


# ── axes ─────────────────────────────────────────────────────────────────────────────────────────


@given(FINITE, FINITE, st.integers(2, 12))
def test_ticks_are_few_even_and_on_the_axis(one: float, other: float, count: int) -> None:
    axis = extent([one, other])
    step = step_of(axis, count)
    found = ticks(axis, step)
    assert step == nice(step)
    assert 1 <= len(found) <= 2 * count
    slack = 1e-6 * step + 1e-12 * abs(axis[0])
    assert all(axis[0] - slack <= tick <= axis[1] + slack for tick in found)
    assert found == sorted(set(found))
    low, high = widened(axis, step)
    assert low <= axis[0] + slack
    assert high >= axis[1] - slack
    assert (low, high) == (ticks((low, high), step)[0], ticks((low, high), step)[-1])


@given(FINITE, FINITE, st.integers(2, 12))
def test_labels_tell_ticks_apart(one: float, other: float, count: int) -> None:
    axis = extent([one, other])
    step = step_of(axis, count)
    told = labels(ticks(axis, step), step)
    assert len(set(told)) == len(told)


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_labels_are_what_the_ticks_are(low: float, span: float) -> None:
    step = step_of((low, low + span), 5)
    found = ticks((low, low + span), step)
    for tick, told in zip(found, labels(found, step), strict=True):
        value = float(told[:-1]) * {"k": 1e3, "M": 1e6}[told[-1]] if told[-1] in "kM" else float(told)
        assert math.isclose(value, tick, rel_tol=1e-9, abs_tol=1e-9 * step)


def test_whole_values_have_whole_ticks() -> None:
    assert ticks((1.0, 3.0), step_of((1.0, 3.0), 9, (1, 2, 3))) == [1, 2, 3]
    assert labels([0.0, 2e5, 4e5], 2e5) == ["0", "200k", "400k"]
    assert labels([1e-5, 1.5e-5], 5e-6) == ["1.0e-5", "1.5e-5"]
    assert labels([0.0, 2e16], 2e16) == ["0", "2e16"]


# ── curves ───────────────────────────────────────────────────────────────────────────────────────


@given(
    st.lists(LINES, max_size=4),
    st.fixed_dictionaries(
        {},
        optional={"x_range": RANGES, "y_range": RANGES, "x_label": NAMES, "y_label": NAMES,
                  "marks": st.lists(st.floats(), max_size=3)},
    ),
    SIZES,
)  # fmt: skip
def test_a_plot_is_as_large_as_asked_whatever_is_drawn(
    series: list[Line], options: dict[str, Any], size: tuple[int, int]
) -> None:
    width, height = size
    grid = lines(series, width, height, **options)
    assert fits(grid, width, height)
    assert len(grid) == height or len(grid) == min(1, max(0, height), max(0, width))
    drawn = any(math.isfinite(x) and y is not None and math.isfinite(y)
                for line in series for x, y in zip(line.x, line.y, strict=True))  # fmt: skip
    assert (len(grid) == height and height > 1) == (drawn and width >= 20 and height >= 5)


def dots(grid: Grid) -> set[tuple[int, int]]:
    """The dots of a page, by row and column from its upper left."""
    order = (0x01, 0x02, 0x04, 0x40, 0x08, 0x10, 0x20, 0x80)
    return {
        (4 * row + at % 4, 2 * column + at // 4)
        for row, line in enumerate(grid) for column, (sign, _) in enumerate(line) if "\u2800" < sign <= "\u28ff"
        for at, bit in enumerate(order) if (ord(sign) - 0x2800) & bit
    }  # fmt: skip


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100)), min_size=1, max_size=9))
def test_every_point_has_its_dot(points: list[tuple[int, int]]) -> None:
    xs, ys = tuple(x / 100 for x, _ in points), tuple(y / 100 for _, y in points)
    grid = lines([Line("", xs, ys)], 44, 12, x_range=(0, 1), y_range=(0, 1))
    left = next(column for column, (sign, _) in enumerate(grid[0]) if sign in "│┤") + 1
    wide, high = 2 * (44 - left), 4 * 10
    # a half may be rounded either way
    expected = [
        {
            (round((1 - y) * (high - 1) + down), 2 * left + round(x * (wide - 1) + right))
            for down in (-1e-9, 1e-9)
            for right in (-1e-9, 1e-9)
        }
        for x, y in zip(xs, ys, strict=True)
    ]
    found = dots(grid)
    assert all(places & found for places in expected)


def test_a_gap_is_left_where_a_value_is_missing() -> None:
    x = tuple(range(9))
    full = dots(lines([Line("", x, (1.0,) * 9)], 60, 8))
    for gap in (None, math.nan, math.inf):
        cut = dots(lines([Line("", x, (1.0, 1.0, 1.0, 1.0, gap, 1.0, 1.0, 1.0, 1.0))], 60, 8))
        missing = sorted(column for _, column in full - cut)
        assert missing == list(range(missing[0], missing[-1] + 1))
        assert len(missing) == pytest.approx(len(full) / 4, abs=2)


@given(st.floats(-3, 3), st.floats(-3, 3), st.floats(-3, 3), st.floats(-3, 3))
def test_what_lies_outside_a_range_is_cut_off_and_the_rest_stays(x: float, y: float, to_x: float, to_y: float) -> None:
    """The dots of a line that leaves the plot are those of many short ones along it."""
    assume(math.hypot(to_x - x, to_y - y) > 0.01)
    steps = [at / 2000 for at in range(2001)]
    dense = Line("", tuple(x + at * (to_x - x) for at in steps), tuple(y + at * (to_y - y) for at in steps))
    one = dots(lines([Line("", (x, to_x), (y, to_y))], 40, 10, x_range=(0, 1), y_range=(0, 1)))
    many = dots(lines([dense], 40, 10, x_range=(0, 1), y_range=(0, 1)))
    assert all(any(abs(r - row) <= 1 and abs(c - column) <= 1 for r, c in many) for row, column in one)
    assert all(any(abs(r - row) <= 1 and abs(c - column) <= 1 for r, c in one) for row, column in many)


def test_points_so_close_that_they_share_dots_are_not_drawn_one_by_one() -> None:
    x = tuple(at / 5000 for at in range(5001))
    y = tuple(math.sin(40 * at) for at in x)
    thick = lines([Line("", x, y)], 60, 12)
    apart = [Line("", (x[at], x[at + 1]), (y[at], y[at + 1])) for at in range(5000)]
    one_by_one = set().union(
        *(dots(lines([line], 60, 12, x_range=(0, 1), y_range=(-1, 1))) for line in apart[::10])
    )  # fmt: skip
    assert one_by_one <= dots(thick)


def test_curves_are_told_apart_without_colour() -> None:
    x = tuple(range(50))
    series = [Line(name, x, tuple(slope * at for at in x)) for name, slope in (("up", 1), ("down", -1), ("flat", 0))]
    grid = lines(series, 60, 12, x_label="round", y_label="auc")
    assert plain(grid).splitlines()[0] == "auc  A up  B down  C flat"
    drawn = plain(grid[1:])
    assert [drawn.count(letter) for letter in "ABC"] == [1, 1, 1]
    by_tone = [sum(sign > "\u2800" and tone == at for row in grid[1:] for sign, tone in row) for at in (1, 2, 3)]
    assert by_tone[0] > by_tone[1] > 0 < by_tone[2]
    same = lines([Line("a", x, x), Line("b", x, x)], 40, 8)
    assert {"A", "B"} <= {sign for row in same[1:] for sign, _ in row}


def test_marks_are_dotted_lines_behind_the_curve() -> None:
    grid = lines([Line("auc", tuple(range(11)), (0.5,) * 11)], 40, 9, marks=(5, 99, math.nan))
    marked = [(row, column) for row, line in enumerate(grid) for column, (sign, _) in enumerate(line) if sign == "┊"]
    assert len({column for _, column in marked}) == 1
    assert len(marked) == 9 - 1 - 2 - 1


def test_a_plot_reads_as_it_did() -> None:
    x = tuple(range(8))
    grid = lines([Line("auc", x, (0.72, 0.71, 0.72, None, 0.66, 0.65, 0.61, 0.6))], 36, 8, x_label="window", marks=(4,))
    assert plain(grid).splitlines() == [
        "auc",
        "0.75┤                 ┊",
        "0.70┤⠉⠉⠑⠒⠒⠒⠒⠉⠉        ┊",
        "    │                 ⢀",
        "0.65┤                 ┊⠉⠉⠉⠑⠒⢄⡀",
        "0.60┤                 ┊      ⠈⠒⠤⠤⠤⣀⣀",
        "    └┬───────┬────────┬────── window",
        "     0       2        4        6",
    ]


# ── bars ─────────────────────────────────────────────────────────────────────────────────────────

COUNTS = st.lists(st.floats(), max_size=20)


@given(st.lists(st.floats(), max_size=20), st.dictionaries(NAMES, COUNTS, max_size=3), NAMES, NAMES, SIZES)
def test_bars_are_as_large_as_asked_whatever_is_drawn(
    edges: list[float], series: dict[str, list[float]], x_label: str, y_label: str, size: tuple[int, int]
) -> None:
    width, height = size
    grid = bars(edges, series, width, height, x_label=x_label, y_label=y_label)
    assert fits(grid, width, height)
    assert len(grid) == height or len(grid) == min(1, max(0, height), max(0, width))


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=12), st.integers(0, 11))
def test_a_bar_is_as_high_as_its_count(counts: list[int], other: int) -> None:
    grid = bars([float(at) for at in range(len(counts) + 1)], {"rows": counts}, 70, 16)
    left = next(column for column, (sign, _) in enumerate(grid[1]) if sign in "│┤") + 1
    slot = (70 - left - 1) // len(counts)
    heights = [
        sum(" ▁▂▃▄▅▆▇█".index(row[left + at * slot + 1][0]) for row in grid[1:-2]) for at in range(len(counts))
    ]  # fmt: skip
    assert [height > 0 for height in heights] == [count > 0 for count in counts]
    other %= len(counts)
    for count, height in zip(counts, heights, strict=True):
        assert count <= counts[other] or height >= heights[other]
        if min(count, counts[other]) > 0.1 * max(counts):
            assert height / heights[other] == pytest.approx(count / counts[other], rel=0.2)


def test_reference_and_window_stand_side_by_side_in_fills_of_their_own() -> None:
    edges = [float(at) for at in range(13)]
    grid = bars(edges, {"reference": [1.0] * 12, "window": [0.5] * 12}, 60, 10, x_label="temp", y_label="share")
    assert plain(grid).splitlines()[0] == "share  █ reference  ⣿ window"
    tones = {(sign, tone) for row in grid[1:] for sign, tone in row if tone}
    assert {("█", 1), ("⣿", 2)} <= tones
    assert {sign for sign, tone in tones if tone == 2} <= set("⣀⣤⣶⣿")


def test_bins_that_do_not_fit_are_added_up() -> None:
    grid = bars([float(at) for at in range(101)], {"rows": [1] * 100}, 20, 8)
    assert "10┤" in plain(grid)  # eleven together, none lost
    assert "0" in plain(grid).splitlines()[-1]


@pytest.mark.parametrize(("bins", "series", "width"), [(7, 5, 20), (12, 2, 20), (13, 4, 33), (1, 12, 20), (100, 3, 60)])
def test_every_series_has_its_bars_in_every_bin(bins: int, series: int, width: int) -> None:
    edges = [float(at) for at in range(bins + 1)]
    grid = bars(edges, {f"{at}": [1] * bins for at in range(series)}, width, 8)
    assert {tone for row in grid[2:] for _, tone in row} == set(range(series + 1))


def test_counts_too_small_for_a_scale_are_seen() -> None:
    assert "▁" in plain(bars([0.0, 1.0], {"rows": [5e-324]}, 40, 8))
    assert "0┤" in plain(bars([0.0, 1.0], {"rows": [0]}, 40, 8))


def test_open_bins_say_so() -> None:
    assert "∞" in plain(bars([-math.inf, 0.0, 1.0, math.inf], {"rows": [1, 2, 3]}, 60, 8))


ROWS = st.lists(
    st.builds(lambda label, values: (label, *values), NAMES, st.lists(st.none() | st.floats(), max_size=3)), max_size=9
)


@given(ROWS, st.lists(NAMES, max_size=3), SIZES)
def test_bars_by_name_are_no_larger_than_asked(
    rows: list[tuple[str, *tuple[float | None, ...]]], names: list[str], size: tuple[int, int]
) -> None:
    assert fits(hbars(rows, *size, names), *size)


def test_bars_by_name_share_a_scale_and_count_what_they_leave_out() -> None:
    rows: list[tuple[str, float | None, float | None]] = [
        ("carrier", 0.4, 0.2), ("temp", None, -0.1), ("humid", 0.0, 1e-9), ("wind", 0.1, 0.1),
    ]  # fmt: skip
    told = plain(hbars(rows, 60, 4, (":3", ":5"))).splitlines()
    assert told[0].split() == [":3", ":5"]
    assert told[1].count("█") == pytest.approx(1.5 * max(len(part) for part in told[1].split()[2:3]), abs=2)
    assert "-" in told[2]
    assert "░" in told[2]
    assert told[3] == "and 2 more"
    assert plain(hbars(rows, 60, 5, (":3", ":5"))).splitlines()[3].endswith("▏")


# ── text on a page ───────────────────────────────────────────────────────────────────────────────


@settings(max_examples=300)
@given(NAMES, st.integers(0, 12))
def test_a_text_takes_the_columns_it_is_given(text: str, width: int) -> None:
    assert cell_len("".join(columns(text))) == len(columns(text))
    found = fitted(text, width)
    assert len(found) <= width
    assert cell_len("".join(found)) == len(found)
    assert not set("".join(found)) & set("\x1b\x00\n\u202e\ud800")
