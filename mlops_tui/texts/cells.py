"""One value as a person reads it: cells of tables, sizes, ages, intervals, days, what a column holds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from mlops_tui.texts.sparks import spark

if TYPE_CHECKING:
    from mlops_tui.flows.queries.stations import Mark
    from mlops_tui.records import ColumnProfile

MARKS: dict[Mark, str] = {"ok": "✓", "due": "▶", "wait": "◆", "fail": "✗", "warn": "!", "busy": "◌", "off": "·"}
"""Of a station of a cycle."""
DAY = 86400
AGES = ((730 * DAY, 365 * DAY, "y"), (14 * DAY, 7 * DAY, "w"), (DAY, DAY, "d"), (3600, 3600, "h"), (60, 60, "min"))
"""From how many seconds on a unit is used, and its seconds."""
UNSEEN = dict.fromkeys((*range(10), *range(11, 32), *range(127, 160)), "�")
"""Control characters, which would speak to the terminal instead of to a person."""
PROFILE_COLUMNS = ("column", "type", "null", "distinct", "min", "median", "max", "shape or most frequent")


def cell(value: object) -> str:
    """Return a value as a table shows it."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.1f}"
        case datetime():
            return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
        case list() | tuple() | set() | frozenset():
            return ", ".join(str(item) for item in value)
        case _:
            return " ".join(str(value).translate(UNSEEN).split("\n"))


def brief(value: float | None) -> str:
    """Return a number where room is short: counts without decimals, the rest as in a cell."""
    return f"{value:,.0f}" if value is not None and value % 1 == 0 and value > 1 else cell(value)


def bytes_text(size: int) -> str:
    """Return a number of bytes for a person: 12.3 KB."""
    for power, unit in ((3, "GB"), (2, "MB"), (1, "KB")):
        if size >= 1000**power:
            return f"{size / 1000**power:.1f} {unit}"
    return f"{size} B"


def age(moment: datetime | None, now: datetime) -> str:
    """Return how long ago a moment was, in at most 6 characters ("in " stands before what is to come).

    >>> now = datetime(2013, 10, 15, 12, tzinfo=UTC)
    >>> [age(now - timedelta(seconds=s), now) for s in (3, 300, 7_200, 345_600, 1_814_400, -300)]
    ['3 s', '5 min', '2 h', '4 d', '3 w', 'in 5 min']
    """
    if moment is None:
        return "-"
    seconds = int((now - moment).total_seconds())
    size, unit = next(((size, unit) for since, size, unit in AGES if abs(seconds) >= since), (1, "s"))
    return f"{'in ' if seconds < 0 else ''}{abs(seconds) // size} {unit}"


def figure(value: float | None, low: float | None = None, high: float | None = None) -> str:
    """Return a metric, with its interval where it is known: 0.7012 (0.6900 to 0.7124)."""
    if value is None:
        return "-"
    return f"{value:.4f}" + (f" ({low:.4f} to {high:.4f})" if low is not None and high is not None else "")


def day(moment: datetime) -> str:
    """Return the day on which something begins, or month, day and time where that is not midnight."""
    return f"{moment:%Y-%m-%d}" if (moment.hour, moment.minute, moment.second) == (0, 0, 0) else f"{moment:%m-%d %H:%M}"


def profile_value(value: float | None, dtype: str) -> object:
    """Return a quantile, which of a date or time is seconds since 1970, as its column would write it."""
    if value is not None and dtype.startswith("Date"):
        try:
            moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=value)
        except (OverflowError, ValueError):  # beyond the year 9999, or not a number
            return value
        return f"{moment:%Y-%m-%d}" if dtype == "Date" else f"{moment:%Y-%m-%d %H:%M}"
    return int(value) if value is not None and value % 1 == 0 and "Int" in dtype else value


def profile_row(column: ColumnProfile) -> tuple[Any, ...]:
    """Return what a column holds, one value for each of `PROFILE_COLUMNS`."""
    quantiles = column.quantiles
    chosen = (quantiles[0], quantiles[4], quantiles[8]) if quantiles else (None, None, None)
    low, middle, high = (profile_value(value, column.dtype) for value in chosen)
    top = ", ".join(f"{value} {count}" for value, count in column.top[:3])
    shape = spark(column.histogram.counts) if column.histogram else top
    return (column.name, column.dtype, f"{column.null_share:.1%}", column.distinct, low, middle, high, shape)
