"""When a cron line comes next, by the clock of a time zone that is set forward and back.

As in Vixie cron, a line with a fixed minute and hour comes once a day, whatever the clock does: what the clock skips
comes when it jumps, what it shows twice comes the first time. Any other line comes whenever the clock shows it.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator
from datetime import MAXYEAR, UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from mlops_tui.names import Cron

YEARS = 40  # a 29 February that is a Sunday can be so far away; what does not come by then never does


def next_after(cron: Cron, tz: str, moment: datetime) -> datetime | None:
    """Return the first moment (UTC) of a cron line after another one; None if it never comes.

    >>> from mlops_tui.names import parse_cron
    >>> next_after(parse_cron("0 6 * * mon"), "Europe/Vienna", datetime(2026, 3, 25, tzinfo=UTC)).isoformat()
    '2026-03-30T04:00:00+00:00'
    """
    zone = ZoneInfo(tz)
    for day in _days(cron, moment.astimezone(zone).date()):
        walls = (datetime.combine(day, time(hour, minute)) for hour in cron.hours for minute in cron.minutes)
        coming = [found for wall in walls for found in _moments(cron, wall, zone) if found > moment]
        if coming:
            return min(coming)
    return None


def _days(cron: Cron, first: date) -> Iterator[date]:
    """The days of a cron line, from one on."""
    for year in range(first.year, min(first.year + YEARS, MAXYEAR) + 1):
        for month in sorted(cron.months):
            for number in range(1, monthrange(year, month)[1] + 1):
                day = date(year, month, number)
                fits = (day.day in cron.days, day.isoweekday() % 7 in cron.weekdays)
                if day >= first and (any(fits) if cron.either else all(fits)):
                    yield day


def _moments(cron: Cron, wall: datetime, zone: ZoneInfo) -> tuple[datetime, ...]:
    found = readings(wall, zone)
    if not cron.fixed:
        return found
    return found[:1] or (jump(wall, zone),)


def readings(wall: datetime, zone: ZoneInfo) -> tuple[datetime, ...]:
    """Return the moments (UTC) at which a zone's clock shows a naive time: one, two, or none where it is skipped."""
    early, late = _both(wall, zone)
    if early > late:  # PEP 495: of a time that is skipped, fold 0 is the later one
        return ()
    return (early,) if early == late else (early, late)


def jump(wall: datetime, zone: ZoneInfo) -> datetime:
    """Return the moment (UTC) at which a zone's clock jumps over a naive time that it skips."""
    after, before = _both(wall, zone)
    offset = after.astimezone(zone).utcoffset()
    while after - before > timedelta.resolution:
        middle = before + (after - before) // 2
        if middle.astimezone(zone).utcoffset() == offset:
            after = middle
        else:
            before = middle
    return after


def _both(wall: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    first, second = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    return first, second
