"""What a name and a duration may look like: the checks that need no more than text."""

from __future__ import annotations

import re

from mlops_tui.errors import InvalidInput

NAME = re.compile(r"(?=.*[A-Za-z0-9]\Z)[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*")
MOST = 63  # as BentoML and container registries have it
NAME_RULE = "letters, digits, '-', '_' and single dots, starting and ending with a letter or digit, 63 at most"
DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)")
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
