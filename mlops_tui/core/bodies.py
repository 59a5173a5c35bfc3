"""Bodies of requests that are not JSON: CSV as rows, Arrow as columns; and answers as CSV or Arrow."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from itertools import islice
from typing import Any, Literal

import msgspec
import polars as pl

from mlops_tui.core.inputs import Oddities
from mlops_tui.core.kinds import canonical, parse_type
from mlops_tui.core.requests import MOST, Problem, cast, to_json_rows
from mlops_tui.errors import InvalidInput, near_miss
from mlops_tui.records import InputPolicy, Signature

Kind = Literal["json", "csv", "arrow"]
CSV = "text/csv"
ARROW = "application/vnd.apache.arrow.stream"
ARROW_FILE = "application/vnd.apache.arrow.file"
PANIC: type[BaseException] = pl.exceptions.PanicException  # no Exception, though a body may cause it
UNREADABLE = (ValueError, ArithmeticError, RecursionError, MemoryError, pl.exceptions.PolarsError, PANIC)
"""What a body may cause in what reads it."""
TRUTHS = {"true": True, "false": False}


def kind_of(media: str) -> Kind:
    """Return what a media type means here; everything else is taken for JSON, as curl says a form's.

    >>> kind_of("text/csv; charset=utf-8"), kind_of("application/x-www-form-urlencoded")
    ('csv', 'json')
    """
    name = media.partition(";")[0].strip().lower()
    return {CSV: "csv", ARROW: "arrow", ARROW_FILE: "arrow"}.get(name, "json")  # type: ignore[return-value]


def csv_rows(signature: Signature, body: bytes, most: int) -> list[dict[str, Any]]:
    """Return the rows of a CSV body with a header, so many at most, as JSON would have them; raises ValueError.

    An empty field is null; what should be a number, true or false, and is not, stays a text.
    """
    try:
        lines = csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True)
        header = next(lines, [])
        rows = list(islice(filter(None, lines), most))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"the body is not CSV in UTF-8: {error}") from None
    double = next((name for name in header if header.count(name) > 1), None)
    if double is not None or not header:
        raise ValueError(f"the header names {double!r} twice" if header else "the body is CSV without a header")
    uneven = next((number for number, row in enumerate(rows) if len(row) != len(header)), None)
    if uneven is not None:
        raise ValueError(f"row {uneven} has {len(rows[uneven])} fields, and the header {len(header)}")
    types = {one.name: one.dtype for one in signature.inputs}
    kinds = [types.get(name, "") for name in header]
    return [
        {name: _value(text, kind) for name, text, kind in zip(header, row, kinds, strict=True)} for row in rows
    ]  # fmt: skip


def _value(text: str, dtype: str) -> Any:
    if text == "":
        return None
    if dtype == "Boolean":
        return TRUTHS.get(text.lower(), text)
    if dtype not in ("Int64", "Float64", "Duration(time_unit='us')"):
        return text
    try:
        return int(text) if dtype == "Int64" and text.lstrip("+-").isdecimal() else float(text)
    except ValueError:
        return text


def arrow_frame(body: bytes, most: int) -> pl.DataFrame:
    """Return the frame of an Arrow IPC stream or file, of so many rows at most; raises ValueError for what is none."""
    try:
        read = pl.read_ipc if body.startswith(b"ARROW1") else pl.read_ipc_stream
        return read(io.BytesIO(body), n_rows=most)
    except (Exception, PANIC) as error:  # polars raises what it likes for bytes that are no Arrow
        raise ValueError(f"the body is not Arrow IPC: {str(error).partition(chr(10))[0][:200]}") from None


def frame_columns(signature: Signature, frame: pl.DataFrame, policy: InputPolicy, found: Oddities) -> list[list[Any]]:
    """Return the columns of a frame as `requests.columns_of` returns those of rows; what is odd goes to `found`."""
    known = {one.name for one in signature.inputs}.union(signature.extras)
    for at, name in enumerate(name for name in frame.columns if name not in known):
        hint = near_miss(name[:100], known) if at < MOST else ""
        problem = Problem(0, name[:100], "a column of the model", f"an unknown column{hint}")
        found.judge(policy.unknown, "unknown", problem)
    return [_column(signature, at, frame, policy, found) for at in range(len(signature.inputs))]


def _column(signature: Signature, at: int, frame: pl.DataFrame, policy: InputPolicy, found: Oddities) -> list[Any]:
    one = signature.inputs[at]
    if one.name not in frame.columns:
        if not one.nullable:
            found.judge(policy.missing, "missing", Problem(0, one.name, one.dtype, "no such column"))
        return [None] * frame.height
    try:
        column = cast(canonical(frame.select(one.name)).to_series(), parse_type(one.dtype))
    except (InvalidInput, pl.exceptions.PolarsError, PANIC):
        problem = Problem(0, one.name, one.dtype, f"a column of type {frame.schema[one.name]}"[:200])
        found.judge(policy.invalid, "invalid", problem)
        return [None] * frame.height
    if column.dtype == pl.Float64 and not (finite := column.is_finite().fill_null(True)).all():
        row = finite.arg_min() or 0
        found.judge(policy.not_finite, "not_finite", Problem(row, one.name, "a finite number", str(column[row])))
        column = column.zip_with(finite, column.clear(len(column)))
    return column.to_physical().to_list()


def encode_answers(kind: Kind, answers: Sequence[dict[str, Any]]) -> bytes:
    """Return answers as CSV, or as an Arrow IPC stream: a row each, `probabilities` as a column for each class."""
    flat = [_flat(one) for one in answers]
    frame, file = pl.DataFrame(flat, infer_schema_length=None), io.BytesIO()
    if kind == "csv":
        return frame.write_csv().encode()
    frame.write_ipc_stream(file)
    return file.getvalue()


def _flat(answer: dict[str, Any]) -> dict[str, Any]:
    each = answer.get("probabilities")
    if each is None:
        return answer
    return {"prediction": answer["prediction"]} | {f"probability_{label}": value for label, value in each.items()}


def as_json(signature: Signature, frame: pl.DataFrame) -> bytes:
    """Return the rows of an Arrow body as the JSON that the spool keeps; without extras that JSON cannot hold."""
    inputs = [one.name for one in signature.inputs if one.name in frame.columns]
    try:
        rows = to_json_rows(frame.select([*inputs, *(name for name in signature.extras if name in frame.columns)]))
    except UNREADABLE:
        rows = to_json_rows(frame.select(inputs))
    return msgspec.json.encode({"rows": rows})
