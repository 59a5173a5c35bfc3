"""Windows of time on an axis: to scale, but for long stretches without any window, which are left out and told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from math import ceil
from typing import NamedTuple

from mlops_tui.texts.cells import day

KEPT = 3  # windows without anything, one after the other, that an axis still has room for
CUT = "⋯"  # stands where more of them are left out
CUT_WIDTH = 2.0  # windows that it takes on an axis
Span = tuple[datetime, datetime]


class Gap(NamedTuple):
    """A stretch that is left out: the window before it, the one after it, and how many would lie between."""

    before: Span
    after: Span
    windows: int


@dataclass(frozen=True, slots=True)
class Timeline:
    """Where windows stand on an axis, in windows from the first one on, and what is left out of it."""

    places: dict[datetime, float]
    gaps: tuple[Gap, ...] = ()

    def curve(
        self, starts: Iterable[datetime], values: Iterable[float | None]
    ) -> tuple[tuple[float, ...], tuple[float | None, ...]]:
        """Return the points of a curve: where each window stands, and its value; none where a stretch is left out."""
        points: list[tuple[float, float | None]] = [
            (self.places[start], value) for start, value in zip(starts, values, strict=True)
        ]
        points += [(place, None) for place in self.cuts]
        points.sort(key=lambda point: point[0])
        return tuple(x for x, _ in points), tuple(y for _, y in points)

    @property
    def cuts(self) -> tuple[float, ...]:
        """Where on the axis something is left out."""
        return tuple(self.places[gap.after[0]] - CUT_WIDTH / 2 for gap in self.gaps)

    def ticks(self, most: int) -> list[tuple[float, str]]:
        """Return where about `most` windows begin, and when; rather of those that follow a gap than of others.

        >>> weeks = [datetime(2013, 12, 19) + timedelta(7 * at) for at in range(4)]
        >>> timeline(zip(weeks, weeks[1:])).ticks(3)
        [(0.0, '2013-12-19'), (1.0, '12-26'), (2.0, '2014-01-02')]
        """
        known = list(self.places.items())
        first = {known[0][0], *(gap.after[0] for gap in self.gaps)}  # of its stretch
        step = max(1.0, ceil((known[-1][1] + 1) / max(1, most)))
        chosen: list[tuple[datetime, float]] = []
        for start, place in known:
            if not chosen or place >= chosen[-1][1] + step:
                chosen.append((start, place))
            elif start in first and chosen[-1][0] not in first:
                chosen[-1] = (start, place)
        told = _labels([start for start, _ in chosen])
        return [(place, label) for (_, place), label in zip(chosen, told, strict=True)]


def timeline(spans: Iterable[Span]) -> Timeline:
    """Return the axis of windows, each from its start to its end, in any order."""
    known = sorted(dict(spans).items())
    places = {start: 0.0 for start, _ in known[:1]}
    found = []
    for before, after in pairwise(known):
        distance = (after[0] - before[0]) / max(before[1] - before[0], timedelta(microseconds=1))
        if distance - 1 > KEPT + 0.5:
            found.append(Gap(before, after, round(distance) - 1))
            distance = CUT_WIDTH
        places[after[0]] = places[before[0]] + distance
    return Timeline(places, tuple(found))


def cuts_before(gaps: Iterable[Gap], starts: Sequence[datetime]) -> frozenset[int]:
    """Return before which windows, by their places among those that are drawn side by side, something is left out."""
    return frozenset(starts.index(gap.after[0]) for gap in gaps)


def gaps_text(gaps: Sequence[Gap]) -> str:
    """Return what is left out of a drawing, in a sentence; empty where nothing is."""
    if not gaps:
        return ""
    count = sum(gap.windows for gap in gaps)
    where = f", {day(gaps[0].before[1])} to {day(gaps[0].after[0])}" if len(gaps) == 1 else f" in {len(gaps)} stretches"
    return f"{CUT} left out: {count:,} windows without a prediction{where}"


def _labels(starts: Sequence[datetime]) -> Iterator[str]:
    """Month and day, or hour and minute of windows that begin within a day; whole where what is larger has changed."""
    within = any((one.hour, one.minute, one.second) != (0, 0, 0) for one in starts)
    larger, smaller = ("%m-%d", "%H:%M") if within else ("%Y", "%m-%d")
    before = ""
    for one in starts:
        now = one.strftime(larger)
        yield one.strftime(smaller) if now == before else f"{now}{' ' if within else '-'}{one.strftime(smaller)}"
        before = now
