"""Labels as clients send them: which row each is for, and what came true; what does not fit is told label by label."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from mlops_tui.core.requests import MOST, BadRows, Problem, reader
from mlops_tui.core.scoring import label_values
from mlops_tui.records import Signature

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
OWN = frozenset(("request_id", "row", "label"))
LAST_ROW = 2**31 - 1
MOST_VALUE, RELEVANCES = 1e15, range(31)  # what a model can learn, as core.target has it


def usable_key(signature: Signature, key: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of a pipeline's key if requests carry all of them, else none: a request's id must do.

    >>> usable_key(Signature("binary", "late", "Boolean", (), extras=("flight_id", "time")), ["flight_id"])
    ('flight_id',)
    """
    known = {one.name for one in signature.inputs}.union(signature.extras) - OWN
    return tuple(key) if known.issuperset(key) else ()


def check(signature: Signature, key: Sequence[str], labels: Sequence[Any]) -> None:
    """Raise BadRows for labels that name no row or that the target cannot be; null takes a label back.

    >>> late = Signature("binary", "late", "Boolean", (), ("false", "true"))
    >>> check(late, (), [{"request_id": "r1", "row": 0, "label": True}, {"request_id": "r2", "label": None}])
    """
    fits, allowed = _target(signature)
    problems: list[Problem] = []
    for number, sent in enumerate(labels):
        if isinstance(sent, dict):
            problems += _place(number, sent, key)
            if not fits(sent.get("label", sent)):
                found = _shown(sent["label"]) if "label" in sent else "nothing: the key is missing"
                problems.append(Problem(number, "label", allowed, found))
        else:
            problems.append(Problem(number, "", "an object", _shown(sent)))
        if len(problems) >= MOST:
            break
    if problems:
        raise BadRows(tuple(problems[:MOST]))


def _place(number: int, sent: dict[str, Any], key: Sequence[str]) -> list[Problem]:
    """What is wrong with how a label names its row: by request and row, 0 if left out, or by all columns of the key."""
    names = sent.keys() - {"label"}
    if "request_id" in names and names <= OWN:
        found, row = sent["request_id"], sent.get("row", 0)
        problems = []
        if not (isinstance(found, str) and REQUEST_ID.fullmatch(found)):
            problems.append(Problem(number, "request_id", "the request_id of an answer", _shown(found)))
        if isinstance(row, bool) or not isinstance(row, int | float) or not (0 <= row <= LAST_ROW and row == int(row)):
            problems.append(Problem(number, "row", "the number of a row of that request, from 0", _shown(row)))
        return problems
    if key and names == set(key):
        values = ((name, sent[name]) for name in key)
        return [
            Problem(number, name, "a text, a number, true or false", _shown(value))
            for name, value in values
            if value is None or isinstance(value, dict | list)
        ]
    expected = "'request_id' and 'row'" + (f", or the key: {', '.join(map(repr, key))}" if key else "")
    return [Problem(number, "", expected, ", ".join(sorted(map(_shown, names))[:5]) or "neither")]


def _target(signature: Signature) -> tuple[Callable[[object], bool], str]:
    """Whether a value can be a label, and what can be one, in words."""
    how = reader(signature.target_dtype)
    classes = label_values(signature) if signature.classes else None

    def fits(value: object) -> bool:
        if value is None:
            return True
        try:
            found = how.read(value)
        except (ValueError, OverflowError):
            return False
        if classes is not None:
            return found in classes
        return found in RELEVANCES if signature.task == "ranking" else abs(found) <= MOST_VALUE

    allowed = how.expected if classes is None else f"one of {', '.join(map(_shown, classes[:20]))}"
    allowed = "a whole number from 0 to 30" if signature.task == "ranking" else allowed
    return fits, f"{allowed}, or null to take the label back"


def _shown(value: object) -> str:
    """A value as JSON would have it, or its kind where that is long."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return ascii(value)[:60]
