"""CSV and JSON lines into typed columns, and any frame into the flat types that a dataset holds."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl

from mlops_tui.adapters import textscan
from mlops_tui.dtypes import PLAIN, SIGNED, UNSIGNED, wider
from mlops_tui.errors import InvalidInput

Types = dict[str, pl.DataType]
MISSING = ["NA", "NaN", "nan", "null"]
"""Words that stand for no value in a column that otherwise holds numbers or times; in text they are text."""

DATE = r"^\d{4}-\d{2}-\d{2}$"
DATETIME = r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?( ?(Z|[+-]\d{2}:?\d{2}))?$"
TIME = r"^\d{2}:\d{2}:\d{2}(\.\d+)?$"
LEADING_ZERO = r"^0\d+$"


def read_csv(path: Path, known: Types) -> pl.DataFrame:
    """Return a CSV file's rows: UTF-8, commas, one header line; raises InvalidInput for anything else."""
    layout = textscan.scan_csv(path)
    as_text: Types = {name: pl.String() for name in layout.header if known.get(name) == pl.String()}
    frame = _parse(path, as_text)
    if layout.leading_zeros:
        frame = _parse(path, as_text | _codes(path, frame, known))
    if frame.height < layout.rows:
        raise InvalidInput(f"{path}: its quotes do not pair up", "double a quote that is part of a value")
    frame.columns = list(layout.header)
    # a blank line at the end of the file is no row, and NaN is how some programs write that there is no value
    return _retyped(frame.head(layout.rows).with_columns(pl.col(pl.Float64).fill_nan(None)), known)


def _parse(path: Path, types: Types) -> pl.DataFrame:
    try:
        return pl.read_csv(path, glob=False, infer_schema_length=None, schema_overrides=types, try_parse_dates=False)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        text = f"{path}: cannot be read as CSV: {str(error).strip().splitlines()[0]}"
        raise InvalidInput(text, "double a quote that is part of a value") from None


def _codes(path: Path, frame: pl.DataFrame, known: Types) -> Types:
    """The integer columns whose text has leading zeros: codes such as 00501, which a number would lose."""
    numbers = [name for name, dtype in frame.schema.items() if dtype.is_integer() and name not in known]
    if not numbers:
        return {}
    raw = pl.read_csv(path, glob=False, columns=numbers, infer_schema=False)
    zeros = raw.select(pl.all().str.contains(LEADING_ZERO).any()).row(0, named=True)
    return {name: pl.String() for name, found in zeros.items() if found}


def read_jsonl(path: Path, known: Types) -> pl.DataFrame:
    """Return the rows of a file with one JSON object a line; raises InvalidInput, with the line, for others."""
    textscan.check_text(path)
    try:
        # an open file rather than its path, which might be taken for a glob
        with path.open("rb") as file:
            frame = pl.read_ndjson(file, infer_schema_length=None)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise InvalidInput(f"{path}: {_bad_json(path, error)}", "one JSON object a line") from None
    return _retyped(frame, known)


def _bad_json(path: Path, error: BaseException) -> str:
    """What is wrong with a JSON-lines file: the first line that is no object, or polars' own words."""
    with path.open(encoding="utf-8") as file:
        lines = ((number, line) for number, line in enumerate(file, 1) if line.strip())
        seen = 0
        for seen, line in lines:
            try:
                found = json.loads(line)
            except ValueError as wrong:
                return f"line {seen} is not JSON: {wrong}"
            if not isinstance(found, dict):
                return f"line {seen} is not a JSON object"
    return str(error).strip().splitlines()[0] if seen else "holds no rows"


def _retyped(frame: pl.DataFrame, known: Types) -> pl.DataFrame:
    """Text columns that hold numbers with missing-words, dates, times in the types they show."""
    return frame.with_columns(
        _show(frame[name], known.get(name)) for name, dtype in frame.schema.items() if dtype == pl.String
    )


def _show(text: pl.Series, known: pl.DataType | None) -> pl.Series:
    """A text column in the type that all its values show, or as it is; day/month order is never guessed."""
    if known == pl.String():
        return text
    values = text.set(text.is_in(MISSING), None)
    if values.null_count() == len(values):
        return text if known is None else pl.Series(text.name, [None] * len(text), known)
    if values.str.contains(DATE).all():
        found = values.str.to_date("%Y-%m-%d", strict=False)
    elif values.str.contains(DATETIME).all():
        found = _datetimes(values)
    elif values.str.contains(TIME).all():
        found = values.str.to_time("%H:%M:%S%.f", strict=False)
    elif values.null_count() > text.null_count():
        found = _numbers(values)
    else:
        return text
    return found if found.null_count() == values.null_count() else text


def _datetimes(values: pl.Series) -> pl.Series:
    try:
        return values.str.to_datetime(strict=False, time_unit="us")
    except pl.exceptions.PolarsError:
        return values  # no pattern fits all of them: they stay text


def _numbers(values: pl.Series) -> pl.Series:
    if values.str.contains(LEADING_ZERO).any():
        return values
    whole = values.cast(pl.Int64, strict=False)
    return whole if whole.null_count() == values.null_count() else values.cast(pl.Float64, strict=False)


def flat(frame: pl.DataFrame, known: Types, path: str) -> pl.DataFrame:
    """Return the frame in the flat types, and in the known ones where that loses nothing; raises InvalidInput.

    Categories and enums become text, integers beyond 64 bits too, since only a code has that many digits.
    """
    if frame.height == 0:
        raise InvalidInput(f"{path}: has {frame.width} columns and no rows")
    textscan.check_header(tuple(frame.columns), path)
    return frame.with_columns(_fitted(_flattened(column, path), known.get(column.name)) for column in frame)


def _flattened(column: pl.Series, path: str) -> pl.Series:
    dtype = column.dtype
    if isinstance(dtype, (pl.Categorical, pl.Enum, pl.Null)) or str(dtype) in ("Int128", "UInt128"):
        return column.cast(pl.String)
    if str(dtype) == "Float16":
        return column.cast(pl.Float32)
    if dtype in PLAIN.values() or isinstance(dtype, (pl.Datetime, pl.Duration, pl.Decimal)):
        return column
    kind = "holds lists or objects" if dtype.is_nested() else f"has type {dtype}"
    raise InvalidInput(
        f"{path}: column '{column.name}' {kind}; allowed: numbers, text, booleans, dates and times",
        "give every value a column of its own",
    )


def _fitted(column: pl.Series, known: pl.DataType | None) -> pl.Series:
    """The column in its known type where no value is lost, else as it is: the contract then names the change."""
    if known is None or column.dtype == known:
        return column
    if column.null_count() == len(column):
        return pl.Series(column.name, [None] * len(column), known)
    narrower = column.dtype in (*SIGNED, *UNSIGNED) and known in (*SIGNED, *UNSIGNED)
    if wider(column.dtype, known) != known and not narrower:
        return column
    found = column.cast(known, strict=False)
    back = found.cast(column.dtype, strict=False)  # a large integer is not the same any more as a float
    return found if back.equals(column) else column
