"""A rule's verdict, and the numbers, moments and windows of its sentence in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from mlops_tui.records import RuleResult, Verdict, WindowReport

if TYPE_CHECKING:  # core carries no pydantic
    from mlops_tui.config import Rule

VERDICTS: dict[bool | None, Verdict] = {True: "fires", False: "quiet", None: "unknown"}
TURNS = {
    "new_data": "the next dataset version",
    "drift": "the next window",
    "prediction_drift": "the next window",
    "decay": "the next labels",
    "estimated_decay": "the next window",
    "gain": "the next labels",
    "change": "the next edit",
}
"""What can change the verdict of a rule; the others wait for their time."""


def result(
    rule: Rule, fires: bool | None, reason: str, figures: tuple[float | None, float | None] = (None, None)
) -> RuleResult:
    """Return a rule's verdict (None: unknown) with its value and threshold; a quiet one says what can change it."""
    turn = _turn(rule) if fires is False else ""
    return RuleResult(rule.label, *figures, VERDICTS[fires], reason + turn)


def not_yet(rule: Rule, reason: str) -> RuleResult:
    """Return that a rule's evidence is not there yet, and what will bring it."""
    return result(rule, None, reason + _turn(rule))


def _turn(rule: Rule) -> str:
    return f"; can change with {TURNS[rule.when]}" if rule.when in TURNS else ""


def compare(value: float, limit: float, unit: str = "", signs: tuple[str, str] = ("≥", "<")) -> str:
    """Return a value beside its limit, with as many digits as keep apart what differs.

    >>> compare(29.41, 30, " %"), compare(0.29999, 0.3)
    ('29.4 % < 30 %', '0.29999 < 0.3')
    """
    reached = value > limit if signs[0] == ">" else value >= limit
    for digits in (3, 5, 7, 9, 12, 17):
        one, other = number(value, digits), number(limit, digits)
        if one != other or value == limit:
            break
    return f"{one}{unit} {signs[0] if reached else signs[1]} {other}{unit}"


def number(value: float, digits: int = 3) -> str:
    """Return a number with so many digits, or as many as stand before its point.

    >>> number(0.031416), number(12345.6)
    ('0.0314', '12,346')
    """
    return f"{value:,.{max(digits, len(str(int(abs(value)))))}g}"


def counted(count: int, noun: str) -> str:
    """Return so many of something.

    >>> counted(1, "row"), counted(1832, "row")
    ('1 row', '1,832 rows')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def moment(at: datetime, tz: str = "UTC") -> str:
    """Return a moment on the clock of a zone.

    >>> moment(datetime(2026, 3, 2, 5, tzinfo=UTC), "Europe/Vienna")
    '2026-03-02 06:00 Europe/Vienna'
    """
    return f"{at.astimezone(ZoneInfo(tz)):%Y-%m-%d %H:%M} {tz}"


def span(start: datetime, end: datetime) -> str:
    """Return from when to when, by day where it can be.

    >>> span(datetime(2013, 5, 1, tzinfo=UTC), datetime(2013, 5, 8, tzinfo=UTC))
    '2013-05-01..2013-05-08'
    """
    ends = start.astimezone(UTC), end.astimezone(UTC)
    whole = all((at.hour, at.minute, at.second) == (0, 0, 0) for at in ends)
    return "..".join(f"{at:%Y-%m-%d}" if whole else f"{at:%Y-%m-%d %H:%M}" for at in ends)


def window_of(window: WindowReport) -> str:
    """Return a window in words."""
    return span(window.start, window.end)


def later(at: datetime, seconds: float) -> datetime | None:
    """Return the moment so many seconds later; None where the calendar ends before."""
    try:
        return at + timedelta(seconds=seconds)
    except OverflowError:
        return None
