"""A request's JSON straight into rows of values, by types made from the signature; `requests` reads what is left.

Whatever is accepted here is accepted there, with the same values (a property test compares them). What is not is
left to `requests.columns_of`, which also takes rarer spellings, and says row by row what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Annotated, Any

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
    """Reads bodies of `/predict` for one signature: `{"rows": [{…}, …]}` or the list alone."""

    def __init__(self, signature: Signature) -> None:
        fields = [_field(at, one) for at, one in enumerate(signature.inputs)]
        names = {f"c{at}": one.name for at, one in enumerate(signature.inputs)}
        known = set(names.values())
        for at, name in enumerate(one for one in signature.extras if one not in known):
            fields.append((f"x{at}", Any, None))
            names[f"x{at}"] = name
        row = msgspec.defstruct("Row", fields, rename=names, forbid_unknown_fields=True, kw_only=True, gc=False)
        rows = msgspec.defstruct("Rows", [("rows", list[row])], forbid_unknown_fields=True)  # type: ignore[valid-type]
        self._decode = msgspec.json.Decoder(rows | list[row]).decode  # type: ignore[valid-type]
        self._values = _getter(len(signature.inputs)) if len(names) > len(signature.inputs) else msgspec.structs.astuple
        self._later = [(at, how) for at, one in enumerate(signature.inputs) if (how := _later(one)) is not None]

    def rows(self, body: bytes) -> list[Row] | None:
        """Return the rows of a body, or None if it takes `requests` to read it or to say what is wrong."""
        try:
            sent: Any = self._decode(body)
            rows = list(map(self._values, sent if type(sent) is list else sent.rows))
            if self._later:
                rows = [self._read(row) for row in rows]
        except (ValueError, OverflowError, RecursionError):  # msgspec's own errors are ValueErrors
            return None
        return rows or None

    def _read(self, row: Row) -> Row:
        values = list(row)
        for at, how in self._later:
            if values[at] is not None:
                values[at] = how(values[at])
        return tuple(values)


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


def _field(at: int, one: Input) -> tuple[Any, ...]:
    kind = JSON_TYPES.get(parse_type(one.dtype).base_type(), str) | None
    return (f"c{at}", kind, None) if one.nullable else (f"c{at}", kind)


def _later(one: Input) -> Callable[[Any], Any] | None:
    """How a value is read after JSON is: times and durations."""
    kind = parse_type(one.dtype).base_type()
    return None if kind in (pl.Int64, pl.Float64, pl.Boolean, pl.String) else reader(one.dtype).read
