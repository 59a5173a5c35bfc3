"""The few types that a model's inputs have: every wider or narrower polars type is read as one of these.

Int64 · Float64 · Boolean · String · Date · Time · Datetime (µs, with or without a zone) · Duration (µs).
Training and serving see the same types, so that one expression gives the same value in both.
"""

from __future__ import annotations

import re

import polars as pl

ZONE = re.compile(r"Datetime\(time_unit='us', time_zone=(?:None|'([^']+)')\)")
EXACT_INTS = (pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32)
TEMPORAL = (pl.Date, pl.Datetime, pl.Time, pl.Duration)
SIMPLE: dict[str, pl.DataType] = {
    "Int64": pl.Int64(),
    "Float64": pl.Float64(),
    "Boolean": pl.Boolean(),
    "String": pl.String(),
    "Date": pl.Date(),
    "Time": pl.Time(),
    "Duration(time_unit='us')": pl.Duration("us"),
}
SECONDS_OF = {pl.Date: 86400.0, pl.Datetime: 1e-6, pl.Time: 1e-9, pl.Duration: 1e-6}
"""How many seconds one unit of a temporal column's integer is."""


def canonical_type(dtype: pl.DataType) -> pl.DataType | None:
    """Return the type that a column of this type is read as; None if no model can read it (lists, bytes, …).

    >>> str(canonical_type(pl.Int8()))
    'Int64'
    """
    if dtype in EXACT_INTS:
        return pl.Int64()
    if dtype.is_numeric():  # decimals, and integers beyond 64 bits
        return pl.Float64()
    if dtype in (pl.String, pl.Categorical, pl.Enum):
        return pl.String()
    if isinstance(dtype, pl.Datetime):
        return pl.Datetime("us", dtype.time_zone)
    if dtype == pl.Duration:
        return pl.Duration("us")
    return dtype if dtype in (pl.Boolean, pl.Date, pl.Time, pl.Null) else None


def canonical(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame with every readable column in its canonical type; others are left as they are."""
    wanted = {name: canonical_type(dtype) for name, dtype in frame.schema.items()}
    casts = [pl.col(name).cast(kind) for name, kind in wanted.items() if kind not in (None, frame.schema[name])]
    return frame.with_columns(casts) if casts else frame


def parse_type(text: str) -> pl.DataType:
    """Return the canonical type that polars prints as this text; raises ValueError for any other text.

    >>> str(parse_type("Datetime(time_unit='us', time_zone='UTC')"))
    "Datetime(time_unit='us', time_zone='UTC')"
    """
    if text in SIMPLE:
        return SIMPLE[text]
    match = ZONE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a type of a model's input")
    return pl.Datetime("us", match[1])
