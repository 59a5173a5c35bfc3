"""What holds back rules that fire: a data fault, the cooldown, a week's cycles, quiet hours; and until when."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from mlops_tui.core.cron import jump, readings
from mlops_tui.core.verdicts import counted, later, moment
from mlops_tui.names import parse_duration

if TYPE_CHECKING:  # core carries no pydantic
    from mlops_tui.config import Policy

WEEK = timedelta(days=7)
NAMED = 3  # faults named in the sentence


@dataclass(frozen=True, slots=True)
class Hold:
    """What holds a cycle back, in one clause, and until when; None: until the data is mended."""

    reason: str
    until: datetime | None


def hold(policy: Policy, faults: Sequence[str], cycles: Sequence[datetime], now: datetime) -> Hold | None:
    """Return what holds a cycle back the longest at a moment; None if nothing does. `cycles`: when cycles trained."""
    if faults and policy.on_fault == "hold":
        return Hold(f"by {fault_words(faults)}; mend the source, it is not trained on", None)
    found = [*_cooldown(policy, cycles, now), *_week(policy, cycles, now), *_quiet_hours(policy, now)]
    return max(found, key=lambda one: one.until or now, default=None)


def fault_words(faults: Sequence[str]) -> str:
    """Return data faults in words."""
    more = f" and {len(faults) - NAMED} more" if len(faults) > NAMED else ""
    return f"data fault: {', '.join(faults[:NAMED])}{more}"


def _cooldown(policy: Policy, cycles: Sequence[datetime], now: datetime) -> Iterator[Hold]:
    last = max(cycles, default=None)
    until = later(last, parse_duration(policy.cooldown)) if last else None
    if last and (until is None or now < until):
        yield _held(until, f"the last cycle trained {moment(last)}, and the cooldown is {policy.cooldown}")


def _week(policy: Policy, cycles: Sequence[datetime], now: datetime) -> Iterator[Hold]:
    most, recent = policy.max_cycles_per_week, sorted(at for at in cycles if at + WEEK > now)
    if most is not None and len(recent) >= most:
        yield _held(recent[-most] + WEEK, f"{counted(len(recent), 'cycle')} trained in the last 7 days, {most} at most")


def _quiet_hours(policy: Policy, now: datetime) -> Iterator[Hold]:
    zone = ZoneInfo(policy.tz)
    today = now.astimezone(zone).date()
    for hours in policy.quiet_hours:
        start, end = (time.fromisoformat(text) for text in hours.split("-"))
        for day in (today - timedelta(days=1), today):
            begins = datetime.combine(day, start)
            ends = datetime.combine(day + timedelta(days=end < start), end)
            first = (readings(begins, zone) or (jump(begins, zone),))[0]
            last = (readings(ends, zone) or (jump(ends, zone),))[-1]
            if first <= now < last:
                yield _held(last, f"these are quiet hours, {hours}", policy.tz)


def _held(until: datetime | None, why: str, tz: str = "UTC") -> Hold:
    return Hold(f"until {moment(until, tz)}: {why}" if until else f"for good: {why}", until)
