"""Everything that can go wrong, and the exit code that says so.

    MlopsError
    ├── InvalidInput   2   what the user gave is wrong: a key, a file's content, a name
    ├── NotFound       2   a name that nothing answers to
    ├── Refused        1   a gate, a contract, an approval or a stale plan said no
    ├── Busy           3   somebody else holds what is needed, and the deadline has passed
    └── External       3   the outside world failed: disk, network, a child process

A message says what happened and names the known values; the hint gives the next command.
"""

from __future__ import annotations

from collections.abc import Iterable

EXIT_BUG = 70
EXIT_INTERRUPTED = 130


class MlopsError(Exception):
    """An error that the user can act on: one line, a hint, an exit code."""

    kind = "error"
    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class InvalidInput(MlopsError):
    """What the user gave is wrong: a key of a file, the content of a file, an argument."""

    kind = "invalid_input"
    exit_code = 2


class NotFound(MlopsError):
    """A name that nothing answers to."""

    kind = "not_found"
    exit_code = 2


class Refused(MlopsError):
    """A gate, a contract, an approval or a stale plan said no."""

    kind = "refused"
    exit_code = 1


class Busy(MlopsError):
    """Somebody else holds what is needed, and the deadline has passed."""

    kind = "busy"
    exit_code = 3


class External(MlopsError):
    """The outside world failed: disk, network, a child process."""

    kind = "external"
    exit_code = 3


def near_miss(name: str, known: Iterable[str]) -> str:
    """Return "; did you mean 'x'?" for the closest known name, or the known names, or "".

    >>> near_miss("fligth", ["flight", "sea"])
    "; did you mean 'flight'?"
    >>> near_miss("zzz", ["flight", "sea"])
    '; known: flight, sea'
    """
    import difflib

    names = sorted(set(known))
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"; did you mean '{close[0]}'?"
    if not names:
        return ""
    shown = ", ".join(names[:8])
    return f"; known: {shown}" + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def unknown(noun: str, name: str, known: Iterable[str], hint: str = "") -> NotFound:
    """Return a NotFound that says what is known instead: "no model 'fligth'; did you mean 'flight'?"."""
    return NotFound(f"no {noun} '{name}'{near_miss(name, known)}", hint)
