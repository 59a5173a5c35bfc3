"""Cron lines: what they may say, and when they come next, also where the clock is set forward and back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_tui.core.cron import jump, next_after, readings
from mlops_tui.names import CRON_SHORT, Cron, parse_cron

VIENNA = "Europe/Vienna"
EVERY = {"minute": range(60), "hour": range(24), "day": range(1, 32), "month": range(1, 13), "weekday": range(7)}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def coming(line: str, start: str, count: int, tz: str = "UTC") -> list[str]:
    """The next moments of a line on the clock of a zone, each with its offset."""
    found, moment = [], at(start)
    for _ in range(count):
        following = next_after(parse_cron(line), tz, moment)
        if following is None:
            break
        found.append(f"{following.astimezone(ZoneInfo(tz)):%a %Y-%m-%d %H:%M %z}")
        moment = following
    return found


# ── what a line may say ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("field", "minutes"),
    [
        ("*", list(range(60))),
        ("7", [7]),
        ("07", [7]),
        ("1-4", [1, 2, 3, 4]),
        ("*/20", [0, 20, 40]),
        ("5/20", [5, 25, 45]),
        ("10-20/5", [10, 15, 20]),
        ("3,1,1-2", [1, 2, 3]),
    ],
)
def test_a_field_is_a_star_a_number_a_range_a_step_or_a_list(field: str, minutes: list[int]) -> None:
    assert sorted(parse_cron(f"{field} * * * *").minutes) == minutes


@pytest.mark.parametrize(
    ("field", "weekdays"),
    [("0", [0]), ("7", [0]), ("5-7", [0, 5, 6]), ("sat-sun", [0, 6]), ("SUN-tue", [0, 1, 2]), ("*/2", [0, 2, 4, 6])],
)
def test_sunday_is_0_and_7_and_may_end_a_range(field: str, weekdays: list[int]) -> None:
    assert sorted(parse_cron(f"0 0 * * {field}").weekdays) == weekdays


def test_names_of_months_and_weekdays_stand_in_their_own_field_only() -> None:
    assert sorted(parse_cron("0 0 1 jan-mar *").months) == [1, 2, 3]
    for line in ("0 0 * fri *", "0 0 * * jan", "0 0 mon * *"):
        with pytest.raises(ValueError, match=r"is no (month|weekday|day) of a cron line"):
            parse_cron(line)


def test_whole_lines_have_short_names() -> None:
    for short, line in CRON_SHORT.items():
        assert parse_cron(f" {short.upper()} ") == parse_cron(line)


def test_a_field_that_starts_with_a_star_is_not_given() -> None:
    flags = {line: (parse_cron(line).either, parse_cron(line).fixed) for line in (
        "0 6 1 * 1", "0 6 * * 1", "0 6 */2 * 1", "*/5 6 1 * *", "0 * * * *", "0 6 1-31 * 0-6",
    )}  # fmt: skip
    assert list(flags.values()) == [(True, True), (False, True), (False, True), *[(False, False)] * 2, (True, True)]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", "a cron line has five fields: minute hour day month weekday, as in '0 6 * * 1'"),
        ("0 6 * *", "five fields"),
        ("0 0 6 * * 1", "five fields"),
        ("@reboot", "five fields"),
        ("60 6 * * *", "'60' is no minute of a cron line: 0 to 59, '*', a range or a step"),
        ("0 24 * * *", "'24' is no hour of a cron line: 0 to 23"),
        ("0 6 0 * *", "'0' is no day of a cron line: 1 to 31"),
        ("0 6 * 13 *", "'13' is no month of a cron line: 1 to 12 or a name such as 'jan', '*', a range or a step"),
        ("0 6 * * 8", "'8' is no weekday of a cron line: 0 to 7 or a name such as 'sun'"),
        ("0 6 * * monday", "'monday' is no weekday"),
        ("0 6 5-1 * *", "'5-1' is no day"),
        ("0 6 1, * *", "'' is no day"),
        ("*/0 6 * * *", "'*/0' is no minute"),
        ("*/90 * * * *", "'*/90' is no minute"),  # every 90 minutes cannot be said so
        ("-5 6 * * *", "'-5' is no minute"),
        ("² 6 * * *", "'²' is no minute"),
        (f"{'9' * 5000} 6 * * *", "is no minute"),
        ("0 6 L * *", "'l' is no day"),
    ],
)
def test_what_is_no_cron_line_is_answered_with_what_is(line: str, words: str) -> None:
    with pytest.raises(ValueError, match="cron line") as caught:
        parse_cron(line)
    assert words in str(caught.value)


# ── when it comes next ───────────────────────────────────────────────────────────────────────────


def test_next_is_after_the_moment_never_at_it() -> None:
    assert coming("0 6 * * *", "2026-03-02T06:00", 2) == ["Tue 2026-03-03 06:00 +0000", "Wed 2026-03-04 06:00 +0000"]
    assert coming("0 6 * * *", "2026-03-02T05:59:59.999999", 1) == ["Mon 2026-03-02 06:00 +0000"]


def test_a_day_and_a_weekday_are_either_or() -> None:
    assert coming("0 0 13 * fri", "2026-03-01", 4) == [
        "Fri 2026-03-06 00:00 +0000", "Fri 2026-03-13 00:00 +0000", "Fri 2026-03-20 00:00 +0000",
        "Fri 2026-03-27 00:00 +0000",
    ]  # fmt: skip
    assert coming("0 0 15 * mon", "2026-03-10", 2) == ["Sun 2026-03-15 00:00 +0000", "Mon 2026-03-16 00:00 +0000"]


def test_a_day_that_starts_with_a_star_and_a_weekday_are_both_and() -> None:
    assert coming("0 0 */2 * mon", "2026-03-01", 3) == [
        "Mon 2026-03-09 00:00 +0000", "Mon 2026-03-23 00:00 +0000", "Mon 2026-04-13 00:00 +0000"
    ]  # fmt: skip


def test_days_that_a_month_lacks_are_left_out() -> None:
    assert coming("0 0 31 * *", "2026-03-31T12:00", 2) == ["Sun 2026-05-31 00:00 +0000", "Fri 2026-07-31 00:00 +0000"]


def test_29_february_comes_in_leap_years() -> None:
    assert coming("0 0 29 2 *", "2026-01-01", 2) == ["Tue 2028-02-29 00:00 +0000", "Sun 2032-02-29 00:00 +0000"]
    assert coming("0 0 29 2 *", "2097-01-01", 1) == ["Fri 2104-02-29 00:00 +0000"]
    assert coming("0 0 29 2 */7", "2088-03-01", 1) == ["Sun 2128-02-29 00:00 +0000"]  # 2100 is no leap year


@pytest.mark.parametrize("line", ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "* * 30-31 feb *"])
def test_a_line_that_never_comes_has_no_next_moment(line: str) -> None:
    assert next_after(parse_cron(line), VIENNA, at("2026-03-01")) is None


def test_the_end_of_the_calendar_is_no_error() -> None:
    assert next_after(parse_cron("0 0 1 1 *"), "UTC", at("9999-06-01")) is None


# ── the clock is set forward: Europe/Vienna, 2026-03-29, 02:00 → 03:00 ───────────────────────────


def test_what_the_clock_skips_comes_when_it_jumps() -> None:
    assert coming("30 2 * * *", "2026-03-28T00:00", 3, VIENNA) == [
        "Sat 2026-03-28 02:30 +0100", "Sun 2026-03-29 03:00 +0200", "Mon 2026-03-30 02:30 +0200"
    ]  # fmt: skip
    assert coming("0,30 2,3 29 3 *", "2026-03-28T12:00", 2, VIENNA) == [
        "Sun 2026-03-29 03:00 +0200", "Sun 2026-03-29 03:30 +0200"
    ]  # fmt: skip


def test_a_line_with_a_star_leaves_the_skipped_hour_out() -> None:
    assert coming("*/30 * * * *", "2026-03-29T00:30", 2, VIENNA) == [
        "Sun 2026-03-29 03:00 +0200", "Sun 2026-03-29 03:30 +0200"
    ]  # fmt: skip
    assert coming("*/30 2 * * *", "2026-03-28T12:00", 1, VIENNA) == ["Mon 2026-03-30 02:00 +0200"]


# ── the clock is set back: Europe/Vienna, 2026-10-25, 03:00 → 02:00 ──────────────────────────────


def test_what_the_clock_shows_twice_comes_once() -> None:
    assert coming("30 2 * * *", "2026-10-24T12:00", 2, VIENNA) == [
        "Sun 2026-10-25 02:30 +0200", "Mon 2026-10-26 02:30 +0100"
    ]  # fmt: skip


def test_a_line_with_a_star_comes_in_both_hours() -> None:
    assert coming("0 * * * *", "2026-10-24T23:30", 3, VIENNA) == [
        "Sun 2026-10-25 02:00 +0200", "Sun 2026-10-25 02:00 +0100", "Sun 2026-10-25 03:00 +0100"
    ]  # fmt: skip


def test_the_clock_of_another_zone_may_jump_at_midnight_or_over_a_whole_day() -> None:
    assert coming("0 0 * * *", "2026-03-08T00:00", 1, "America/Havana") == ["Sun 2026-03-08 01:00 -0400"]
    assert coming("0 12 30 12 *", "2011-12-29T12:00", 1, "Pacific/Apia") == ["Sat 2011-12-31 00:00 +1400"]


def test_a_jump_lies_where_the_offset_changes() -> None:
    zone = ZoneInfo(VIENNA)
    for minute in (0, 1, 30, 59):
        assert jump(datetime(2026, 3, 29, 2, minute), zone) == at("2026-03-29T01:00")
        assert readings(datetime(2026, 3, 29, 2, minute), zone) == ()


# ── on any line ──────────────────────────────────────────────────────────────────────────────────


def field(name: str) -> st.SearchStrategy[str]:
    low, high = EVERY[name][0], EVERY[name][-1]
    number = st.integers(low, high)
    span = st.tuples(number, number).map(lambda ends: f"{min(ends)}-{max(ends)}")
    return st.one_of(
        st.just("*"), number.map(str), span, st.integers(1, high).map("*/{}".format)
    )  # fmt: skip


LINES = st.tuples(*(field(name) for name in EVERY)).map(" ".join)
ZONES = st.sampled_from(["UTC", VIENNA, "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"])
MOMENTS = st.datetimes(datetime(2024, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC))


def shows(cron: Cron, wall: datetime) -> bool:
    """Whether a line fits what a clock shows: written apart from the code under test."""
    day, weekday = wall.day in cron.days, wall.isoweekday() % 7 in cron.weekdays
    on_day = day or weekday if cron.either else day and weekday
    return wall.minute in cron.minutes and wall.hour in cron.hours and wall.month in cron.months and on_day


@settings(max_examples=150, deadline=None)
@given(LINES, ZONES, MOMENTS)
def test_no_moment_between_is_left_out(line: str, tz: str, start: datetime) -> None:
    """Every minute of the next two days, asked one by one, agrees with the next moment; days of a jump aside."""
    cron, zone = parse_cron(line), ZoneInfo(tz)
    minutes = [start.replace(second=0, microsecond=0) + timedelta(minutes=number) for number in range(1, 2881)]
    walls = [minute.astimezone(zone) for minute in minutes]
    if len({wall.utcoffset() for wall in walls}) > 1:
        return
    expected = next((minute for minute, wall in zip(minutes, walls, strict=True) if shows(cron, wall)), None)
    found = next_after(cron, tz, start)
    assert found == expected if expected else found is None or found > minutes[-1]


@settings(max_examples=150, deadline=None)
@given(LINES, ZONES, MOMENTS, MOMENTS)
def test_a_later_moment_has_no_earlier_next_one(line: str, tz: str, one: datetime, other: datetime) -> None:
    cron = parse_cron(line)
    early, late = sorted((one, other))
    first, second = next_after(cron, tz, early), next_after(cron, tz, late)
    if first is None:
        assert second is None
    elif first > late:
        assert second == first
    else:
        assert second is None or second > late >= first
