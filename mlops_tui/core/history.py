"""A dataset as it was known at any moment of its past: rows in the order of their time, labels once they had come.

All that a replay trains, tests or watches comes through `History.rows`, which gives no row of a moment's future.
"""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops_tui.core.material import take
from mlops_tui.errors import InvalidInput
from mlops_tui.names import parse_duration

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
MONTHS = re.compile(r"(\d{1,3})\s*mo")
MONDAY = datetime(1970, 1, 5, tzinfo=UTC)  # steps of a week begin with the calendar's
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
LONGEST = timedelta(days=3650)
MOST = 1000  # windows of one replay


# ── steps ────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Step:
    """The length of a window: calendar months (UTC), or where that is 0 a duration."""

    months: int
    length: timedelta

    def after(self, start: datetime, count: int) -> datetime:
        """Return the moment so many steps after another; the 31st becomes the last day of a shorter month."""
        if not self.months:
            return start + count * self.length
        year, month = divmod(start.year * 12 + start.month - 1 + count * self.months, 12)
        day = min(start.day, calendar.monthrange(year, month + 1)[1])
        return start.replace(year=year, month=month + 1, day=day)

    def next(self, at: datetime, origin: datetime | None = None) -> datetime:
        """Return the first beginning of a step after a moment, counted from `origin`: by default the calendar's own."""
        if not self.months:
            origin = origin or MONDAY
            return origin + ((at - origin) // self.length + 1) * self.length
        origin = origin or EPOCH
        count = ((at.year - origin.year) * 12 + at.month - origin.month) // self.months
        return next(edge for edge in (self.after(origin, count + more) for more in (0, 1)) if edge > at)


def parse_step(text: str) -> Step:
    """Return the step that a text such as "7d" or "1mo" (a calendar month) names; raises InvalidInput.

    >>> parse_step("1mo").after(datetime(2013, 1, 31), 1)
    datetime.datetime(2013, 2, 28, 0, 0)
    """
    match = MONTHS.fullmatch(text.strip())
    if match and int(match[1]):
        return Step(int(match[1]), timedelta())
    try:
        length = timedelta(seconds=0 if match else parse_duration(text))
    except (ValueError, OverflowError):
        raise InvalidInput(f"step {text!r}: a duration such as '7d', or calendar months such as '1mo'") from None
    if not timedelta(seconds=1) <= length <= LONGEST:
        raise InvalidInput(f"step {text!r}: a step is between 1s and {LONGEST.days}d")
    return Step(0, length)


def edges(start: datetime, end: datetime, step: Step) -> tuple[datetime, ...]:
    """Return the moments between which the windows lie; the last window ends at `end`, maybe before its step does.

    Raises InvalidInput for no window, and for more than 1,000.
    """
    found = [start]
    while found[-1] < end and len(found) <= MOST + 1:
        found.append(min(step.after(start, len(found)), end))
    if len(found) == 1:
        raise InvalidInput(
            f"no window: {end:%Y-%m-%d %H:%M} is not after {start:%Y-%m-%d %H:%M} UTC", "--from and --to"
        )
    if len(found) > MOST + 1:
        raise InvalidInput(f"more than {MOST:,} windows, each of which is a training", "a longer --step")
    return tuple(found)


# ── what was known ───────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class History:
    """n rows in the order of their time; a row's number is its place.

    `times` (n,) are microseconds since 1970, UTC. A label is known `delay` after its row's time. Rows that are not
    `sound` (n,) are watched, and never learned from.
    """

    frame: pl.DataFrame
    times: Ints
    labelled: Flags
    sound: Flags
    delay: timedelta

    def time(self, number: int) -> datetime:
        """Return the time of a row."""
        return EPOCH + int(self.times[number]) * MICROSECOND

    def before(self, at: datetime, delay: timedelta = timedelta()) -> int:
        """Return how many rows came before a moment, or so long before it."""
        # as numbers: some moments that far back are in no calendar
        return int(np.searchsorted(self.times, (at - EPOCH) // MICROSECOND - delay // MICROSECOND))

    def window(self, start: datetime, end: datetime) -> Ints:
        """Return the numbers of the rows with start ≤ time < end."""
        return np.arange(self.before(start), self.before(end))

    def arrived(self, at: datetime) -> int:
        """Return how many sound rows, labelled or not, came before a moment."""
        return int(self.sound[: self.before(at)].sum())

    def known(self, at: datetime) -> Ints:
        """Return the numbers of the sound rows whose label was known at a moment."""
        count = self.before(at, self.delay)
        return np.flatnonzero(self.sound[:count] & self.labelled[:count]).astype(np.int64)

    def rows(self, numbers: Ints, at: datetime) -> pl.DataFrame:
        """Return rows by their numbers, all of which must lie before the moment that they are for."""
        if len(numbers):
            newest = self.time(int(numbers.max()))
            if newest >= at:
                raise RuntimeError(f"a leak: a row of {newest} was asked for as of {at}")
        return take(self.frame, numbers)

    def without(self, spans: list[tuple[datetime, datetime]]) -> History:
        """Return the same history in which the rows of some windows are not sound."""
        sound = self.sound.copy()
        for start, end in spans:
            sound[self.window(start, end)] = False
        return replace(self, sound=sound)


def history(frame: pl.DataFrame, time: str, target: str, delay: timedelta) -> History:
    """Return the history of a dataset; rows without a time are left out, times without a zone are UTC.

    Raises InvalidInput if the column holds no times.
    """
    kind = frame.schema[time]
    if not isinstance(kind, pl.Date | pl.Datetime):
        raise InvalidInput(f"data.time: '{time}' has type {kind}; a replay needs a time or a date")
    ordered = frame.drop_nulls(time).sort(time, maintain_order=True)
    times = ordered[time].cast(pl.Datetime("us")).to_physical().to_numpy()
    return History(ordered, times, ordered[target].is_not_null().to_numpy(), np.ones(len(times), np.bool_), delay)
