"""What a name, a duration and a cron line may look like: the checks that need no more than text."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mlops_tui.errors import InvalidInput

NAME = re.compile(r"(?=.*[A-Za-z0-9]\Z)[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*")
MOST = 63  # as BentoML and container registries have it
NAME_RULE = "letters, digits, '-', '_' and single dots, starting and ending with a letter or digit, 63 at most"
DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)")
BENCH = "mlops-bench-"  # begins the id of each request of a load test, which no monitor reads
LOCK_TIMEOUT = "30s"  # how long an act waits for the catalogue where the team does not say
SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


def check_name(name: str) -> str:
    """Return the name if it can name a thing here; raises ValueError with the rule if not."""
    if len(name) > MOST or not NAME.fullmatch(name):
        raise ValueError(f"a name is {NAME_RULE}")
    return name


def valid_name(noun: str, name: str) -> str:
    """Return the name if it can name a thing here; raises InvalidInput with the rule if not."""
    try:
        return check_name(name)
    except ValueError as error:
        raise InvalidInput(f"{name!r} cannot name a{'n' if noun[0] in 'aeiou' else ''} {noun}: {error}") from None


def parse_duration(text: str) -> float:
    """Return the seconds of a duration such as "90s", "10m" or "1.5d"; raises ValueError if it is none.

    >>> parse_duration("1.5h")
    5400.0
    """
    match = DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError("a duration is a number and a unit: ms, s, m, h, d or w, as in '10m'")
    return float(match[1]) * SECONDS[match[2]]


MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
CRON_FIELDS: tuple[tuple[str, int, int, tuple[str, ...]], ...] = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day", 1, 31, ()),
    ("month", 1, 12, MONTHS),
    ("weekday", 0, 7, WEEKDAYS),
)
CRON_SHORT = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
}
CRON_PART = re.compile(r"(?:(\*)|(\w{1,9})(?:-(\w{1,9}))?)(?:/(\d{1,9}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Cron:
    """The moments of a cron line, by the clock on the wall; of weekdays, 0 is Sunday.

    `either`: day and weekday are both given, and a day that fits one of them is enough; `fixed`: minute and hour are
    both given. As in Vixie cron, a field that starts with `*` is not given.
    """

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either: bool
    fixed: bool


def parse_cron(text: str) -> Cron:
    """Return the moments of a cron line; raises ValueError with what is allowed.

    A field is `*`, a number, a range `1-5`, each with a step `/15`, or a list of them; months and weekdays have names;
    `@hourly`, `@daily`, `@weekly`, `@monthly` and `@yearly` stand for whole lines.

    >>> sorted(parse_cron("0 6 * * mon-wed").weekdays)
    [1, 2, 3]
    """
    line = text.strip().lower()
    fields = CRON_SHORT.get(line, line).split()
    if len(fields) != len(CRON_FIELDS):
        raise ValueError("a cron line has five fields: minute hour day month weekday, as in '0 6 * * 1'")
    found = [_cron_field(field, *known) for field, known in zip(fields, CRON_FIELDS, strict=True)]
    minutes, hours, days, months, weekdays = found
    given = [not field.startswith("*") for field in fields]
    return Cron(
        minutes, hours, days, months, frozenset(number % 7 for number in weekdays),
        either=given[2] and given[4], fixed=given[0] and given[1],
    )  # fmt: skip


def _cron_field(text: str, what: str, low: int, high: int, names: tuple[str, ...]) -> frozenset[int]:
    numbers = {name: number for number, name in enumerate(names, low)}
    found: set[int] = set()
    for part in text.split(","):
        match = CRON_PART.fullmatch(part)
        given = [end for end in match.groups()[1:3] if end] if match else []
        ends = [numbers.get(end, int(end) if end.isdigit() else -1) for end in given]
        if what == "weekday" and len(ends) == 2 and ends[1] == 0:
            ends[1] = 7  # sat-sun
        step = int(match[4]) if match and match[4] else 1
        if (
            match is None
            or not 1 <= step <= high
            or any(not low <= end <= high for end in ends)
            or ends != sorted(ends)
        ):
            named = f" or a name such as '{names[0]}'" if names else ""
            raise ValueError(f"{part!r} is no {what} of a cron line: {low} to {high}{named}, '*', a range or a step")
        if match[1]:
            ends = [low, high]
        elif len(ends) == 1 and match[4]:
            ends = [ends[0], high]
        found.update(range(ends[0], ends[-1] + 1, step))
    return frozenset(found)
