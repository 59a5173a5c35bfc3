"""A request's JSON straight into columns, by types made from the signature; what they cannot read, `requests` can.

Whatever is accepted here is accepted there, with the same values (a property test compares them). What is not is
left to `requests.columns_of`, which also takes rarer spellings, and says row by row what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any

import msgspec
import polars as pl

from mlops_tui.core.kinds import parse_type
from mlops_tui.core.requests import reader
from mlops_tui.records import Input, Signature

EXACT = 2**53  # from here on a JSON number may lose its last digits as a float
Columns = list[list[Any]]
"""A list for each input of the signature, in its order, with a value or None for each row."""
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
        self._width = len(signature.inputs)
        self._later = [(at, how) for at, one in enumerate(signature.inputs) if (how := _later(one)) is not None]

    def columns(self, body: bytes) -> Columns | None:
        """Return the columns of a body, or None if it takes `requests` to read it or to say what is wrong."""
        try:
            sent: Any = self._decode(body)
            rows: Sequence[Any] = sent if type(sent) is list else sent.rows
            if not rows:
                return None
            columns = _columns(rows, self._width)
            for at, how in self._later:
                columns[at] = [None if value is None else how(value) for value in columns[at]]
        except (ValueError, OverflowError, RecursionError):  # msgspec's own errors are ValueErrors
            return None
        return columns


def _columns(rows: Sequence[Any], width: int) -> Columns:
    plain = msgspec.structs.astuple
    if len(rows) == 1:
        return [[value] for value in plain(rows[0])[:width]]
    return [list(column) for column in zip(*map(plain, rows), strict=True)][:width]


def _field(at: int, one: Input) -> tuple[Any, ...]:
    kind = JSON_TYPES.get(parse_type(one.dtype).base_type(), str) | None
    return (f"c{at}", kind, None) if one.nullable else (f"c{at}", kind)


def _later(one: Input) -> Callable[[Any], Any] | None:
    """How a value is read after JSON is: times and durations."""
    kind = parse_type(one.dtype).base_type()
    return None if kind in (pl.Int64, pl.Float64, pl.Boolean, pl.String) else partial(reader(one.dtype).read)
