"""The language of every filter: `auc>0.9 status:failed flight -note "two words"`; what it says, and of which rows."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from mlops_tui.errors import InvalidInput, near_miss

Op = Literal[":", "=", ">", ">=", "<", "<="]
MOST = 32  # terms; each is a condition of a query
PIECE = re.compile(r'(?:[^\s"]|"[^"]*"?)+')  # quotes protect the blanks between them
TERM = re.compile(r'(?P<sign>[-!]?)(?:(?P<field>[^":=<>]+)(?P<op>>=|<=|[:=<>]))?(?P<rest>.*)', re.DOTALL)
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq, ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le,
}  # fmt: skip
EXAMPLE = 'auc>0.9 status:failed flight -note "two words"'


@dataclass(frozen=True, slots=True)
class Term:
    """One condition: a number is compared; of a text, ":" asks for a part, whatever its case, "=" for the whole.

    Without a `field` any text field will do. `negated` turns the answer round, for rows that lack the field too.
    """

    field: str | None
    op: Op
    value: str | float
    negated: bool = False


def parse(text: str, fields: Collection[str], numbers: Collection[str] = ()) -> tuple[Term, ...]:
    """Return the terms of a filter, all of which have to hold; `fields` are texts, `numbers` are numbers.

    Raises InvalidInput for whatever is no filter, half a term included.

    >>> parse('auc>0.9 -"two words"', ["status"], ["auc"])
    (Term(field='auc', op='>', value=0.9, negated=False), Term(field=None, op=':', value='two words', negated=True))
    """
    pieces = PIECE.findall(text)
    if len(pieces) > MOST:
        raise InvalidInput(f"a filter has {MOST} terms at the most, this one has {len(pieces)}")
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise InvalidInput("the filter is not text: it holds bytes that are no UTF-8")
    return tuple(_term(piece, fields, numbers) for piece in pieces)


def _term(piece: str, fields: Collection[str], numbers: Collection[str]) -> Term:
    match = TERM.fullmatch(piece)
    assert match is not None, "it matches any text"
    field, op, rest = match["field"], match["op"], match["rest"]
    if rest.count('"') % 2:
        raise InvalidInput(f"{piece} lacks its second quote")
    if field is None and (not rest or rest[0] in ":=<>"):
        raise InvalidInput(f"{piece} is half a term", f"write terms as in {EXAMPLE}")
    if field is not None and field not in fields and field not in numbers:
        hint = f'texts are {", ".join(fields)}; to look for the letters themselves, quote them: "{piece}"'
        raise InvalidInput(f"no field '{field}'{near_miss(field, [*fields, *numbers])}", hint)
    if field is not None and not rest:
        raise InvalidInput(f"{piece} is half a term: {'a number' if field in numbers else 'a text'} is to follow")
    value = rest.replace('"', "")
    negated = bool(match["sign"])
    if field in numbers:
        return Term(field, "=" if op == ":" else cast(Op, op), _number(piece, value), negated)
    if op in (">", ">=", "<", "<="):
        raise InvalidInput(f"{piece} compares a text: write {field}:… for a part of it, {field}=… for the whole")
    return Term(field, cast(Op, op or ":"), value, negated)


def _number(piece: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InvalidInput(f"{piece} compares with '{text}', which is no number")
    return value


def matches(terms: Sequence[Term], row: Mapping[str, object]) -> bool:
    """Return whether a row, its values by field, has all that a filter asks for; a list has what one of its items has.

    >>> matches(parse("late auc>0.7", ["name"], ["auc"]), {"name": "flight-LATE", "auc": 0.71})
    True
    """
    return all(_holds(term, row) != term.negated for term in terms)


def _holds(term: Term, row: Mapping[str, object]) -> bool:
    values = row.values() if term.field is None else (row.get(term.field),)
    return any(_fits(term, one) for value in values for one in (value if isinstance(value, list | tuple) else (value,)))


def _fits(term: Term, value: object) -> bool:
    if isinstance(term.value, float):
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and COMPARE[term.op](value, term.value)
    if not isinstance(value, str):
        return False
    return value == term.value if term.op == "=" else term.value.lower() in value.lower()
