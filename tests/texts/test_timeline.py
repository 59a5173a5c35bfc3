"""Axes of time: to scale, never squashed by what lies far off, and saying what they leave out."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from mlops_tui.cli.monitor_texts import report_text
from mlops_tui.texts.plots import Line, lines, plain
from mlops_tui.texts.rules import UNREAD
from mlops_tui.texts.timeline import CUT, KEPT, Span, cuts_before, gaps_text, timeline
from mlops_tui.tui.watch.report import performance
from tests.tui import made_watch
from tests.tui.made_base import moment

FIRST = datetime(2013, 5, 2, tzinfo=UTC)
WEEK = timedelta(days=7)
PLACES = st.lists(st.integers(0, 900), min_size=1, max_size=40)


def weeks(*numbers: int) -> list[Span]:
    """Windows of a week each, by how many weeks after the first."""
    return [(FIRST + at * WEEK, FIRST + (at + 1) * WEEK) for at in numbers]


@given(PLACES, st.integers(1, 30))
def test_neighbours_are_never_far_apart_and_all_that_is_left_out_is_counted(numbers: list[int], most: int) -> None:
    found = timeline(weeks(*numbers))
    places = list(found.places.values())
    assert places == sorted(set(places))
    assert max((b - a for a, b in itertools.pairwise(places)), default=0.0) <= KEPT + 1
    known = sorted(set(numbers))
    missing = (b - a - 1 for a, b in itertools.pairwise(known))
    assert sum(gap.windows for gap in found.gaps) == sum(one for one in missing if one > KEPT)
    ticks = found.ticks(most)
    assert ticks[0][0] == 0.0
    assert {place for place, _ in ticks} <= set(places)
    assert len(ticks) <= max(1, most)


def test_dates_have_their_year_where_it_changes_and_hours_their_day() -> None:
    assert [label for _, label in timeline(weeks(0, 1, 680)).ticks(9)] == ["2013-05-02", "05-09", "2026-05-14"]
    hours = [(FIRST + timedelta(hours=at), FIRST + timedelta(hours=at + 12)) for at in (0, 12, 24)]
    assert [label for _, label in timeline(hours).ticks(9)] == ["05-02 00:00", "12:00", "05-03 00:00"]


def test_the_first_window_after_a_gap_has_its_date() -> None:
    assert timeline(weeks(0, 1, 2, 3, 4, 5, 680)).ticks(3)[-1][1] == "2026-05-14"


def test_a_curve_stops_at_a_gap_which_is_marked_on_the_axis_and_told() -> None:
    spans = weeks(0, 1, 2, 680, 681)
    axis = timeline(spans)
    x, y = axis.curve([start for start, _ in spans], [0.5] * 5)
    assert y == (0.5, 0.5, 0.5, None, 0.5, 0.5)
    told = plain(lines([Line("auc", x, y)], 60, 10, dates=axis)).splitlines()
    assert told[-2].count(CUT) == 1
    assert told[-1].split() == ["2013-05-02", "05-09", "05-16", "2026-05-14", "05-21"]
    assert gaps_text(axis.gaps) == f"{CUT} left out: 677 windows without a prediction, 2013-05-23 to 2026-05-14"
    assert gaps_text(timeline(weeks(0, 9, 99)).gaps).endswith("97 windows without a prediction in 2 stretches")
    assert gaps_text(timeline(weeks(0, 1, 1 + KEPT)).gaps) == ""


def test_of_two_versions_in_one_window_the_first_has_the_mark() -> None:
    spans = weeks(0, 99, 99)
    assert cuts_before(timeline(spans).gaps, [start for start, _ in spans]) == {1}


def test_a_stray_prediction_years_later_does_not_squash_the_report() -> None:
    week = made_watch.window(7, 3)
    stray = replace(week, start=week.start + 680 * WEEK, end=week.end + 680 * WEEK, rows=1, features=(),
                    performance=None, estimate=None, remark="1 rows, judged from 30 on")  # fmt: skip
    known = made_watch.report("flight-delay", "flight-delay", 3, range(8), moment("10-15 11:58"))
    draw, drawn = performance((*known.windows, stray)), performance(known.windows)
    assert draw is not None
    assert drawn is not None
    assert plain(draw(80, 16)) == plain(drawn(80, 16))  # of that window no metric is known
    told = report_text(replace(known, windows=(*known.windows, stray)))
    assert f"{CUT} left out: 679 windows without a prediction, 2013-10-10 to 2026-10-15" in told
    assert all(CUT in line for line in told.splitlines() if line.startswith(("temp ", "humid ")))
    assert CUT not in report_text(known)


def test_a_report_of_a_range_says_that_rules_do_not_read_it() -> None:
    known = made_watch.report("flight-delay", "flight-delay", 3, range(8), moment("10-15 11:58"))
    assert UNREAD not in report_text(known)
    assert report_text(replace(known, routine=False)).splitlines()[1] == UNREAD
