"""A request's JSON straight into rows of values, by types made from the signature; `requests` reads what is left.

Whatever is accepted here is accepted there, with the same values (a property test compares them). What is not is
left to `requests.columns_of`, which also takes rarer spellings, and says row by row what is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from types import MappingProxyType
from typing import Annotated, Any, Literal

import msgspec
import polars as pl

from mlops_tui.core.kinds import parse_type
from mlops_tui.core.requests import reader
from mlops_tui.records import Input, Signature

EXACT = 2**53  # from here on a JSON number may lose its last digits as a float
Row = tuple[Any, ...]
"""A value, or None, for each input of the signature, in its order."""
Integer = Annotated[int, msgspec.Meta(gt=-EXACT, lt=EXACT)]
Number = Annotated[float, msgspec.Meta(gt=-EXACT, lt=EXACT)]
JSON_TYPES: dict[type[pl.DataType], Any] = {
    pl.Int64: Integer,
    pl.Float64: Number,
    pl.Boolean: bool,
    pl.String: str,
    pl.Duration: Number,
}


class Decoder:
    """Reads bodies of `/predict` for one signature: `{"rows": [{…}, …]}` or the list alone.

    It knows the ranges and categories of training by its types: a body that fits them holds nothing odd but nulls, and
    nobody needs to look at it again.
    """

    def __init__(self, signature: Signature, categories: Mapping[str, Sequence[Any]] = MappingProxyType({})) -> None:
        self._trusts = all(_are_literals(known) for known in categories.values())
        self._within = _decoder(signature, lambda one: _seen(one, categories.get(one.name)))
        self._any = _decoder(signature, lambda one: JSON_TYPES.get(parse_type(one.dtype).base_type(), str))
        width = len(signature.inputs)
        self._values = msgspec.structs.astuple if set(signature.extras) <= _names(signature) else _getter(width)
        self._later = [(at, how) for at, one in enumerate(signature.inputs) if (how := _later(one)) is not None]
        self._is_direct = self._trusts and not self._later

    def rows(self, body: bytes, looks: bool = True) -> tuple[list[Row], bool] | None:
        """Return the rows of a body, and whether all they hold is as training saw it.

        Without `looks` that is not asked: of many rows one is odd nearly always, and all are read twice then.
        None if it takes `requests` to read it or to say what is wrong.
        """
        try:
            try:
                sent, usual = (self._within(body), self._trusts) if looks else (self._any(body), False)
            except msgspec.ValidationError:
                if not looks:
                    return None
                sent, usual = self._any(body), False
            rows = list(map(self._values, sent if type(sent) is list else sent.rows))
            if self._later:
                rows = [self._read(row) for row in rows]
        except (ValueError, OverflowError, RecursionError):  # msgspec's own errors are ValueErrors
            return None
        return (rows, usual) if rows else None

    def usual_row(self, body: bytes) -> Row | None:
        """Return the row of a body that holds one, all of it as training saw it but for nulls; None for any other."""
        try:
            sent = self._within(body)
        except (ValueError, RecursionError):
            return None
        rows = sent if type(sent) is list else sent.rows
        return self._values(rows[0]) if len(rows) == 1 and self._is_direct else None

    def _read(self, row: Row) -> Row:
        values = list(row)
        for at, how in self._later:
            if values[at] is not None:
                values[at] = how(values[at])
        return tuple(values)


def _decoder(signature: Signature, kind: Callable[[Input], Any]) -> Callable[[bytes], Any]:
    """What decodes a body whose inputs are of these kinds."""
    fields = [
        (f"c{at}", kind(one) | None, None) if one.nullable else (f"c{at}", kind(one) | None)
        for at, one in enumerate(signature.inputs)
    ]
    names = {f"c{at}": one.name for at, one in enumerate(signature.inputs)}
    for at, name in enumerate(one for one in signature.extras if one not in _names(signature)):
        fields.append((f"x{at}", Any, None))
        names[f"x{at}"] = name
    row = msgspec.defstruct("Row", fields, rename=names, forbid_unknown_fields=True, kw_only=True, gc=False)
    rows = msgspec.defstruct("Rows", [("rows", list[row])], forbid_unknown_fields=True)  # type: ignore[valid-type]
    return msgspec.json.Decoder(rows | list[row]).decode  # type: ignore[valid-type]


def _names(signature: Signature) -> set[str]:
    return {one.name for one in signature.inputs}


def _seen(one: Input, categories: Sequence[Any] | None) -> Any:
    """The type of an input's values as training saw them; of times, and where it saw none, of any."""
    kind = parse_type(one.dtype).base_type()
    if categories is not None:
        return Literal[tuple(categories)] if _are_literals(categories) else JSON_TYPES.get(kind, str)
    if kind not in (pl.Int64, pl.Float64) or one.min is None or one.max is None:
        return JSON_TYPES.get(kind, str)
    low, high = max(one.min, -EXACT + 1), min(one.max, EXACT - 1)
    if kind == pl.Int64:
        return Annotated[int, msgspec.Meta(ge=math.ceil(low), le=math.floor(high))]
    return Annotated[float, msgspec.Meta(ge=low, le=high)]


def _are_literals(categories: Sequence[Any]) -> bool:
    """Whether a decoder can hold values against these categories: texts, or whole numbers that JSON keeps exact."""
    whole = all(type(value) is int and abs(value) < EXACT for value in categories)
    return bool(categories) and (whole or all(type(value) is str for value in categories))


def columns(rows: Sequence[Row]) -> list[list[Any]]:
    """Return rows as a list of values for each input.

    >>> columns([(1, "a"), (2, "b")])
    [[1, 2], ['a', 'b']]
    """
    return [list(column) for column in zip(*rows, strict=True)]


def _getter(width: int) -> Callable[[Any], Row]:
    """What takes the values of a decoded row: all at once, in C."""
    if width == 0:
        return lambda row: ()
    found = attrgetter(*(f"c{at}" for at in range(width)))
    return found if width > 1 else lambda row: (found(row),)


def _later(one: Input) -> Callable[[Any], Any] | None:
    """How a value is read after JSON is: times and durations."""
    kind = parse_type(one.dtype).base_type()
    return None if kind in (pl.Int64, pl.Float64, pl.Boolean, pl.String) else reader(one.dtype).read
