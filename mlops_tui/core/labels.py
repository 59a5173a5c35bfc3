"""Labels that come after the predictions: how rows are told by text, what may be a label, and which of several stands.

A row is told by request and row number, or by its key's columns as canonical text: the same value is the same text
whether it came in JSON, a CSV or a Parquet file. A history of labels is a frame of `__request` and `__row` or the key's
columns (null where the row is told the other way), `__label` (null: taken back), `__at` and `__order`; the last stands.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from math import isfinite, isnan
from typing import Any

import polars as pl

from mlops_tui.core.kinds import parse_type
from mlops_tui.records import Signature

REQUEST, ROW, LABEL, AT, ORDER = "__request", "__row", "__label", "__at", "__order"
BY_REQUEST = (REQUEST, ROW)
OWN: dict[str, pl.DataType] = {
    REQUEST: pl.String(),
    ROW: pl.Int32(),
    LABEL: pl.String(),
    AT: pl.Datetime("us", "UTC"),
}
MOMENT = r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)? ?(Z|[+-]\d{2}:?\d{2}(:?\d{2})?)?$"
IS_MOMENT = re.compile(MOMENT, re.ASCII)
MOST_VALUE, MOST_RELEVANCE = 1e15, 30  # what a model can learn, as core.target has it
ALSO_BOOLEAN = {"1": "true", "0": "false", "True": "true", "False": "false", "TRUE": "true", "FALSE": "false"}


# ── values as text ───────────────────────────────────────────────────────────────────────────────


def text_of(value: Any) -> str | None:
    """Return a value as canonical text: whole numbers without a point, moments in ISO 8601 UTC; None for null and NaN.

    A moment without an offset is taken for UTC; text that shows no moment stays as it is.

    >>> text_of(7.0), text_of("2013-01-01 06:00:00+01:00")
    ('7', '2013-01-01T05:00:00Z')
    """
    match value:
        case str():
            return _moment_of(value) if IS_MOMENT.match(value) else value
        case bool():
            return "true" if value else "false"
        case float():
            whole = isfinite(value) and value == int(value)
            return str(int(value)) if whole else None if isnan(value) else repr(value)
        case Decimal():
            return str(int(value)) if value == int(value) else repr(float(value))
        case datetime():
            utc = value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)
            return f"{utc.isoformat()}Z"
        case date() | time():
            return value.isoformat()
        case timedelta():
            return text_of(value.total_seconds())  # as requests give durations
        case _:
            return None if value is None else str(value)


def _moment_of(text: str) -> str:
    try:
        return str(text_of(datetime.fromisoformat(text.replace(" ", "T", 1).replace(" ", ""))))
    except (ValueError, OverflowError):
        return text  # it only looks like one


def as_text(column: pl.Series) -> pl.Series:
    """Return a column as canonical text, each value as `text_of` gives it; at once where the type allows."""
    if isinstance(column.dtype, pl.Datetime):
        return _moments_as_text(column)
    if column.dtype.is_integer() or column.dtype in (pl.Boolean, pl.Date, pl.Null):
        return column.cast(pl.String)
    if column.dtype == pl.String and not column.str.contains(MOMENT).any():
        return column
    return pl.Series(column.name, [text_of(value) for value in column.to_list()], pl.String())


def _moments_as_text(column: pl.Series) -> pl.Series:
    utc = column if column.dtype.time_zone is None else column.dt.convert_time_zone("UTC")  # type: ignore[attr-defined]
    utc = utc.dt.replace_time_zone(None).dt.cast_time_unit("us")
    whole, fine = (utc.dt.strftime(f"%Y-%m-%dT%H:%M:%S{rest}Z") for rest in ("", "%.6f"))
    return whole.zip_with(utc.dt.microsecond().fill_null(0) == 0, fine)


def texts(names: Sequence[str]) -> list[pl.Expr]:
    """Return expressions that read columns as canonical text; our own columns as they are."""
    return [
        pl.col(name) if name in OWN else pl.col(name).map_batches(as_text, pl.String(), is_elementwise=True)
        for name in names
    ]


# ── what may be a label ──────────────────────────────────────────────────────────────────────────


def known(given: pl.Series, signature: Signature) -> pl.Series:
    """Return labels in canonical text as the model's own: its classes, or numbers it can learn; null for others.

    A boolean target also takes 1 and 0. Numbers are finite, whole where the target's are; a relevance is 0 to 30. What
    it returned once it returns again.
    """
    if signature.classes:
        kind, classes = parse_type(signature.target_dtype), pl.Series(signature.classes, dtype=pl.String)
        names = as_text(classes.cast(kind) if kind.is_numeric() else classes).to_list()
        words = {name: name for name in signature.classes} | (ALSO_BOOLEAN if kind == pl.Boolean else {})
        words |= dict(zip(names, signature.classes, strict=True))
        return given.replace_strict(words, default=None, return_dtype=pl.String())
    numbers = given.cast(pl.Float64, strict=False)
    fits = numbers.is_finite() & (numbers.abs() <= MOST_VALUE)
    if signature.task == "ranking":
        fits &= numbers.is_between(0, MOST_RELEVANCE)
    if signature.task == "ranking" or signature.target_dtype == "Int64":
        fits &= numbers == numbers.round()
    return as_text(numbers.set(~fits.fill_null(False), None))


def expected(signature: Signature) -> str:
    """Return in words what a label may be."""
    if signature.classes:
        more = f" and {len(signature.classes) - 8} more" if len(signature.classes) > 8 else ""
        return ", ".join(signature.classes[:8]) + more
    if signature.task == "ranking":
        return f"a whole number from 0 to {MOST_RELEVANCE}"
    return "a whole number" if signature.target_dtype == "Int64" else "a finite number"


def typed(labels: pl.Series, signature: Signature) -> pl.Series:
    """Return labels as the target's column: its name and type; null where there is none."""
    kind = parse_type(signature.target_dtype)
    values = labels == "true" if kind == pl.Boolean else labels.cast(kind)
    return values.alias(signature.target)


def from_requests(sent: Sequence[tuple[Mapping[str, Any], datetime]]) -> pl.DataFrame:
    """Return the history (without `__order`) of label objects and the moments they came; raises ValueError, KeyError.

    An object has `label`, and `request_id` with `row` (by default 0) or a key's columns. What may be a label the
    service that took it has judged, by the model that it served then: here it stays whatever it is.
    """
    rows = [_told(one) | {LABEL: text_of(one["label"]), AT: moment} for one, moment in sent]
    names = dict.fromkeys((*OWN, *(name for row in rows for name in row)))
    return pl.DataFrame([pl.Series(n, [row.get(n) for row in rows], OWN.get(n, pl.String())) for n in names])


def _told(one: Mapping[str, Any]) -> dict[str, Any]:
    """The columns that tell which row a label is of."""
    if "request_id" in one:
        request, row = one["request_id"], one.get("row", 0)
        if isinstance(request, str) and type(row) in (int, float) and 0 <= row < 2**31 and row == int(row):
            return {REQUEST: request, ROW: int(row)}
    else:
        key = {name: text_of(value) for name, value in one.items() if name != "label"}
        if key and not key.keys() & {*OWN, ORDER} and None not in key.values():
            return key
    raise ValueError(f"it names no row: {dict(one)}")


# ── which label stands ───────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Changes:
    """What a batch of labels changes: the rows to keep, how many are first labels, corrections, and no change."""

    frame: pl.DataFrame
    new: int
    corrected: int
    repeated: int


def ways(history: pl.DataFrame) -> list[tuple[str, ...]]:
    """Return the ways in which a history tells rows: the columns of each."""
    names = [name for name in history.columns if name not in (LABEL, AT, ORDER)]
    patterns = history.select(pl.col(names).is_not_null()).unique(maintain_order=True)
    return [tuple(name for name in names if row[name]) for row in patterns.to_dicts()]


def standing(history: pl.DataFrame, identity: Sequence[str]) -> pl.DataFrame:
    """Return the last label of every row that is told by these columns and no others."""
    others = [name for name in history.columns if name not in (*identity, LABEL, AT, ORDER)]
    mine = [pl.col(name).is_not_null() for name in identity] + [pl.col(name).is_null() for name in others]
    return history.filter(mine).sort(ORDER).unique(list(identity), keep="last", maintain_order=True)


def changes(given: pl.DataFrame, history: pl.DataFrame, identity: Sequence[str]) -> Changes:
    """Return what a batch, in its order, changes of what stands; a row that comes twice in it counts once.

    Taking back what has no label changes nothing.
    """
    batch = given.with_row_index(ORDER)
    last = standing(batch, identity)
    held = standing(pl.concat([batch.clear(), history], how="diagonal"), identity).select(
        *identity, pl.col(LABEL).alias("held"), is_held=pl.lit(True)
    )
    both = last.join(held, on=list(identity), how="left", maintain_order="left")
    changed = both.filter(pl.col(LABEL).ne_missing(pl.col("held")))
    corrected = int(changed["is_held"].sum())
    frame = changed.select(given.columns)
    return Changes(frame, changed.height - corrected, corrected, given.height - changed.height)


def attach(frame: pl.DataFrame, history: pl.DataFrame) -> pl.DataFrame:
    """Return `__label` and `__order` for each of the frame's rows, in their order; both null where there is no label.

    A row that was told in several ways has the label that came last; `__order` without `__label` was taken back.
    """
    size = frame.height
    best = pl.DataFrame([pl.Series(LABEL, [None] * size, pl.String()), pl.Series(ORDER, [-1] * size, pl.Int64())])
    for identity in ways(history):
        if set(identity) <= set(frame.columns):
            labels = standing(history, identity).select(*identity, LABEL, pl.col(ORDER).cast(pl.Int64))
            rows = frame.select(texts(identity))
            found = rows.join(labels, on=list(identity), how="left", maintain_order="left").select(LABEL, ORDER)
            newer = found[ORDER].fill_null(-1) > best[ORDER]
            best = pl.DataFrame([found[name].zip_with(newer, best[name]) for name in (LABEL, ORDER)])
    return best.with_columns(pl.col(ORDER).replace(-1, None))
