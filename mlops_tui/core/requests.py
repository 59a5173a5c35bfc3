"""Rows of a request, or of a file, to the frame that a model reads, and back; what does not fit is told row by row.

A value may be null in any column, as the model copes with what is missing; a key may be left out only where
training saw nulls. Numbers are numbers (no text, no NaN), times are ISO 8601 text, with an offset exactly where
the column has a time zone, durations are seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from math import isfinite
from typing import Any

import polars as pl

from mlops_tui.core.kinds import canonical, parse_type
from mlops_tui.errors import InvalidInput, near_miss
from mlops_tui.records import Input, Oddity, Signature

MOST = 20
INT64 = range(-(2**63), 2**63)
NANOSECONDS = range(-(2**63) // 1000 + 1, 2**63 // 1000)  # microseconds whose nanoseconds have 64 bits, as polars asks
MICROSECOND = timedelta(microseconds=1)
EPOCH = datetime(1970, 1, 1)
MISSING = object()


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a request: where, what is allowed, what was found; rows count from 0."""

    row: int
    column: str
    expected: str
    found: str

    def __str__(self) -> str:
        where = f"row {self.row}" + (f", column '{self.column}'" if self.column else "")
        return f"{where}: expected {self.expected}, found {self.found}"


class BadRows(InvalidInput):
    """Rows that the model cannot read; `problems` names the first of them, 20 at most."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        super().__init__(f"{problems[0]}{more}", "GET /metadata tells the columns and their types")
        self.problems = problems


def _integer(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or int(value) != value:
        raise ValueError
    return INT64[INT64.index(int(value))]  # ValueError beyond


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value) or float(value) != value:
        raise ValueError
    return float(value)


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError
    value.encode()  # half a surrogate pair is no text
    return value


def _date(value: object) -> int:
    return (date.fromisoformat(_text(value)) - EPOCH.date()).days


def _time(value: object) -> int:
    found = time.fromisoformat(_text(value))
    if found.tzinfo is not None:
        raise ValueError
    return (datetime.combine(EPOCH, found) - EPOCH) // MICROSECOND * 1000


def _naive(value: object) -> int:
    found = datetime.fromisoformat(_text(value))
    if found.tzinfo is not None:
        raise ValueError
    return (found - EPOCH) // MICROSECOND


def _aware(value: object) -> int:
    found = datetime.fromisoformat(_text(value))
    if found.tzinfo is None:
        raise ValueError
    return (found - EPOCH.replace(tzinfo=UTC)) // MICROSECOND


def _duration(value: object) -> int:
    found = timedelta(seconds=_number(value)) // MICROSECOND
    return NANOSECONDS[NANOSECONDS.index(found)]  # ValueError beyond


@dataclass(frozen=True, slots=True)
class Reader:
    """How a JSON value of one type is read: what is expected, and the polars type that holds what was read."""

    read: Callable[[object], Any]
    expected: str
    held: pl.DataType


def reader(dtype: str) -> Reader:
    """Return how values of a signature's type are read from JSON."""
    kind = parse_type(dtype)
    if isinstance(kind, pl.Datetime):
        if kind.time_zone is None:
            return Reader(_naive, "a time without an offset, such as '2024-01-31T12:00:00'", pl.Int64())
        return Reader(_aware, "a time with an offset, such as '2024-01-31T12:00:00Z'", pl.Int64())
    return {
        pl.Int64: Reader(_integer, "a whole number of 64 bits", pl.Int64()),
        pl.Float64: Reader(_number, "a finite number that 64 bits can hold", pl.Float64()),
        pl.Boolean: Reader(_truth, "true or false", pl.Boolean()),
        pl.String: Reader(_text, "a text", pl.String()),
        pl.Date: Reader(_date, "a date, such as '2024-01-31'", pl.Int32()),
        pl.Time: Reader(_time, "a time of day, such as '12:00:00'", pl.Int64()),
        pl.Duration: Reader(_duration, "a duration in seconds, of less than 292 years", pl.Int64()),
    }[kind.base_type()]


def rows_to_frame(signature: Signature, rows: object) -> pl.DataFrame:
    """Return the inputs of a request's rows, a list of JSON objects, as a frame; raises BadRows for what is wrong."""
    return frame_of(signature.inputs, columns_of(signature, rows))


def frame_of(inputs: Sequence[Input], columns: Sequence[Sequence[Any]]) -> pl.DataFrame:
    """Return columns, as `columns_of` gives them, as a frame of the inputs' types."""
    made = []
    for one, values in zip(inputs, columns, strict=True):
        held = pl.Series(one.name, values, reader(one.dtype).held)
        made.append(held.cast(parse_type(one.dtype)))
    return pl.DataFrame(made)


Judge = Callable[[Oddity, Problem], bool]
"""Told of each value that does not fit, it says whether that refuses the request; else the value is read as null."""


def columns_of(signature: Signature, rows: object, judge: Judge = lambda finding, problem: True) -> list[list[Any]]:
    """Return for each input its values, None where there is none, a time as the integer that polars holds it as.

    Raises BadRows for what is wrong and refused.
    """
    if not isinstance(rows, list) or not rows:
        raise BadRows((Problem(0, "", "a list of at least one row", _found(rows) if rows != [] else "an empty list"),))
    reading = _Reading(signature, judge)
    for number, row in enumerate(rows):
        if isinstance(row, dict):
            reading.row(number, row)
        else:
            reading.problems.append(Problem(number, "", "an object of columns and values", _found(row)))
        if len(reading.problems) >= MOST:
            break
    if reading.problems:
        raise BadRows(tuple(reading.problems[:MOST]))
    return list(reading.values.values())


class _Reading:
    """The values read so far by column, and the problems that refuse the request."""

    def __init__(self, signature: Signature, judge: Judge) -> None:
        self.problems: list[Problem] = []
        self.values: dict[str, list[Any]] = {one.name: [] for one in signature.inputs}
        self._readers = {one.name: reader(one.dtype) for one in signature.inputs}
        self._optional = {one.name for one in signature.inputs if one.nullable}
        self._known = self._readers.keys() | set(signature.extras)
        self._judge = judge

    def row(self, number: int, row: dict[str, Any]) -> None:
        if not row.keys() <= self._known:
            self._unknown(number, row)
        for name, how in self._readers.items():
            value = row.get(name, MISSING)
            read = None
            if value is MISSING and name not in self._optional:
                self._wrong("missing", Problem(number, name, how.expected, "nothing: the key is missing"))
            elif value is not None and value is not MISSING:
                try:
                    read = how.read(value)
                except (ValueError, OverflowError):
                    odd = isinstance(value, float) and not isfinite(value)
                    self._wrong("not_finite" if odd else "invalid", Problem(number, name, how.expected, _found(value)))
            self.values[name].append(read)

    def _unknown(self, number: int, row: dict[str, Any]) -> None:
        for at, name in enumerate(map(_printable, (name for name in row if name not in self._known))):
            hint = near_miss(name, self._known) if at < MOST else ""  # which takes a while, and a client may send many
            self._wrong("unknown", Problem(number, name, "a column of the model", f"an unknown column{hint}"))
            if len(self.problems) >= MOST:
                return

    def _wrong(self, finding: Oddity, problem: Problem) -> None:
        if self._judge(finding, problem):
            self.problems.append(problem)


def _printable(name: object) -> str:
    return str(name)[:100].encode("utf-8", "replace").decode()


def _found(value: object) -> str:
    if isinstance(value, str):
        return f"the text {value[:40]!a}" + ("…" if len(value) > 40 else "")
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return "a number of more than 128 bits" if isinstance(value, int) and value.bit_length() > 128 else f"{value}"


def frame_for(signature: Signature, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the inputs of a file's rows; other columns are left out, raises InvalidInput for what does not fit."""
    columns = []
    for one in signature.inputs:
        if one.name in frame.columns:
            columns.append(cast(canonical(frame.select(one.name)).to_series(), parse_type(one.dtype)))
        elif one.nullable:
            columns.append(pl.Series(one.name, [None], parse_type(one.dtype)).new_from_index(0, frame.height))
        else:
            raise InvalidInput(f"no column '{one.name}', which the model reads{near_miss(one.name, frame.columns)}")
    return pl.DataFrame(columns)


def cast(column: pl.Series, kind: pl.DataType) -> pl.Series:
    """The column in another type, if no value changes by it."""
    found = column.dtype
    if found == kind:
        return column
    made = None
    wider = pl.Float64 if found == pl.Int64 else pl.Datetime("us") if found == pl.Date else None
    if found == pl.Null or kind == wider:
        made = column.cast(kind)
    elif found == pl.Float64 and kind == pl.Int64:
        made = column.cast(kind, strict=False)
        made = made if (made.cast(found) == column).all() and made.null_count() == column.null_count() else None
    elif isinstance(found, pl.Datetime) and isinstance(kind, pl.Datetime) and found.time_zone and kind.time_zone:
        made = column.dt.convert_time_zone(kind.time_zone)
    if made is None:
        raise InvalidInput(f"column '{column.name}' has type {found}, the model was trained on {kind}")
    return made


def to_json_rows(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """Return raw rows as a client would send them: ISO times, durations in seconds.

    Null stands for what no client can send: a number that is not finite, a time before the year 1 or after 9999.
    """
    sendable = pl.DataFrame([_sendable(column) for column in canonical(frame)])
    return [{name: _plain(value) for name, value in row.items()} for row in sendable.to_dicts()]


def _sendable(column: pl.Series) -> pl.Series:
    if not isinstance(column.dtype, pl.Date | pl.Datetime):
        return column
    utc = column.dt.convert_time_zone("UTC") if getattr(column.dtype, "time_zone", None) else column
    within = column.dt.year().is_between(1, 9999) & utc.dt.year().is_between(1, 9999)
    return column.zip_with(within, column.clear(len(column)))


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, date | time):  # a datetime is a date
        return value.isoformat()
    return value.total_seconds() if isinstance(value, timedelta) else value
