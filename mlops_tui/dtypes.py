"""The flat column types: their names, which of two is the wider, and numbers out of any of them.

It stands below core and adapters because both need it: what a file is read into and what a dataset
version holds are the same types.
"""

from __future__ import annotations

import re

import polars as pl

from mlops_tui.errors import InvalidInput, near_miss
from mlops_tui.records import Column

SIGNED: tuple[pl.DataType, ...] = (pl.Int8(), pl.Int16(), pl.Int32(), pl.Int64())
UNSIGNED: tuple[pl.DataType, ...] = (pl.UInt8(), pl.UInt16(), pl.UInt32(), pl.UInt64())
FLOATS: tuple[pl.DataType, ...] = (pl.Float32(), pl.Float64())
PLAIN: dict[str, pl.DataType] = {
    str(kind): kind for kind in (*SIGNED, *UNSIGNED, *FLOATS, pl.Boolean(), pl.String(), pl.Date(), pl.Time())
}
UNITS = ("ms", "us", "ns")
KNOWN = (*PLAIN, "Datetime", "Duration", "Decimal")
PARAMETER = re.compile(r"(\w+)='?([^',)]*)'?")


def polars_type(text: str) -> pl.DataType:
    """Return the polars type that a text spells, the inverse of `str(dtype)`; raises InvalidInput.

    Categories and enums are read as text, since a dataset's parts need not share their categories.

    >>> polars_type("Datetime(time_unit='us', time_zone='UTC')")
    Datetime(time_unit='us', time_zone='UTC')
    """
    if text in PLAIN:
        return PLAIN[text]
    name, _, rest = text.partition("(")
    found = dict(PARAMETER.findall(rest))
    unit, zone = found.get("time_unit", "us"), found.get("time_zone")
    try:
        match name:
            case "Datetime":
                return pl.Datetime(unit, None if zone in (None, "None") else zone)
            case "Duration":
                return pl.Duration(unit)
            case "Decimal" if "precision" in found:
                return pl.Decimal(int(found["precision"]), int(found.get("scale", 0)))
            case "Categorical" | "Enum":
                return pl.String()
    except (ValueError, TypeError, pl.exceptions.PolarsError):
        pass  # a unit, a zone or digits that polars does not know: the line below says so
    raise InvalidInput(f"no column type '{text}'{near_miss(text, KNOWN)}", f"the types are {', '.join(KNOWN)}")


def schema_of(frame: pl.DataFrame | pl.LazyFrame) -> tuple[Column, ...]:
    """Return the columns of a frame, in its order, with their types as polars prints them."""
    return tuple(Column(name, str(dtype)) for name, dtype in frame.collect_schema().items())


def wider(one: pl.DataType, other: pl.DataType) -> pl.DataType | None:
    """Return the narrowest type that holds the values of both, or None where only text would.

    Integers widen to integers and to floats, Float32 to Float64, a date to a datetime without a zone, a
    datetime to a finer unit, a decimal to more digits.

    >>> wider(pl.Int64(), pl.Float64())
    Float64
    """
    if one == other:
        return one
    if isinstance(one, pl.Null) or isinstance(other, pl.Null):
        return other if isinstance(one, pl.Null) else one
    if one.is_numeric() and other.is_numeric():
        return _wider_number(one, other)
    return _wider_time(one, other)


def _wider_number(one: pl.DataType, other: pl.DataType) -> pl.DataType | None:
    if isinstance(one, pl.Decimal) and isinstance(other, pl.Decimal):
        scale = max(one.scale, other.scale)
        digits = max(one.precision - one.scale, other.precision - other.scale) + scale
        return pl.Decimal(digits, scale) if digits <= 38 else None
    if isinstance(one, pl.Decimal) or isinstance(other, pl.Decimal):
        return None
    if one in FLOATS or other in FLOATS:
        return pl.Float64()
    for family in (SIGNED, UNSIGNED):
        if one in family and other in family:
            return max(one, other, key=family.index)
    signed, unsigned = (one, other) if one in SIGNED else (other, one)
    place = max(SIGNED.index(signed), UNSIGNED.index(unsigned) + 1)
    return SIGNED[place] if place < len(SIGNED) else None


def _wider_time(one: pl.DataType, other: pl.DataType) -> pl.DataType | None:
    dated = other if isinstance(one, pl.Date) else one
    if isinstance(dated, pl.Datetime) and dated.time_zone is None and pl.Date() in (one, other):
        return dated
    if isinstance(one, pl.Datetime) and isinstance(other, pl.Datetime) and one.time_zone == other.time_zone:
        return max(one, other, key=lambda kind: UNITS.index(kind.time_unit))
    if isinstance(one, pl.Duration) and isinstance(other, pl.Duration):
        return max(one, other, key=lambda kind: UNITS.index(kind.time_unit))
    return None


def measurable(dtype: pl.DataType) -> bool:
    """Return whether the values of a type lie on a line: numbers and times, but neither text nor booleans."""
    return dtype.is_numeric() or dtype.is_temporal()


def as_float(values: pl.Series) -> pl.Series:
    """Return a measurable column as Float64 without nulls and NaN; a time as seconds since 1970, a
    time of day as seconds since midnight, a duration as seconds.
    """
    dtype = values.dtype
    if isinstance(dtype, pl.Date):
        values = values.to_physical().cast(pl.Float64) * 86400.0
    elif isinstance(dtype, pl.Time):
        values = values.to_physical().cast(pl.Float64) / 1e9
    elif isinstance(dtype, (pl.Datetime, pl.Duration)):
        values = values.to_physical().cast(pl.Float64) / {"ms": 1e3, "us": 1e6, "ns": 1e9}[dtype.time_unit]
    return values.cast(pl.Float64).drop_nulls().drop_nans()
