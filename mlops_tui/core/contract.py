"""The contract: what a dataset version must hold to be trained on, checked rule by rule."""

from __future__ import annotations

import math
from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING

import polars as pl

from mlops_tui.dtypes import KNOWN
from mlops_tui.errors import near_miss
from mlops_tui.records import Column, Finding

if TYPE_CHECKING:
    from mlops_tui.config import Checks, ColumnRule

Frame = pl.DataFrame | pl.LazyFrame
LONGEST = 80  # characters of a value in a message


def check(frame: Frame, schema: tuple[Column, ...], checks: Checks) -> tuple[Finding, ...]:
    """Return an error finding for every rule that the frame breaks: value found, allowed, rows, first row (from 1).

    NaN counts as null, and null breaks no rule but null_share_max. `unique` columns identify a row together.
    """
    lazy, types = frame.lazy(), {column.name: column.dtype for column in schema}
    needed = [name for name in types if name in checks.columns or name in checks.unique]
    held = lazy.select(needed).collect(engine="streaming") if needed else pl.DataFrame()
    rows = held.height if needed else int(lazy.select(pl.len()).collect().item())
    found = [*_min_rows(rows, checks), *_unique(held, types, checks)]
    for name, rule in checks.columns.items():
        if name in types:
            found += _column(held[name], types[name], rule)
        else:
            found.append(_unknown(name, types, "the contract names"))
    return tuple(found)


def _min_rows(rows: int, checks: Checks) -> Iterator[Finding]:
    if rows < checks.min_rows:
        text = f"{rows} rows; at least {checks.min_rows} are asked for"
        yield Finding("min_rows", "error", text, value=float(rows), allowed=f">= {checks.min_rows}")


def _unknown(name: str, types: dict[str, str], who: str) -> Finding:
    text = f"{who} column '{name}', which the data does not have{near_miss(name, types)}"
    return Finding("unknown_column", "error", text, name)


def _unique(held: pl.DataFrame, types: dict[str, str], checks: Checks) -> Iterator[Finding]:
    unknown = [name for name in checks.unique if name not in types]
    yield from (_unknown(name, types, "'unique' names") for name in unknown)
    if unknown or not checks.unique:
        return
    keys = held.select(checks.unique)
    repeats = pl.Series(~keys.select(pl.struct(pl.all()).is_first_distinct()).to_series())
    if repeats.any():
        first = int(repeats.arg_true()[0])
        shown = ", ".join(f"{name}={_shown(keys[name][first])}" for name in checks.unique)
        text = f"{_count(int(repeats.sum()), 'repeats', 'repeat')} an earlier {' + '.join(checks.unique)}; "
        text += f"first at row {first + 1}: {shown}"
        yield Finding("unique", "error", text, checks.unique[0], float(repeats.sum()), "one row each")


def _column(values: pl.Series, dtype: str, rule: ColumnRule) -> Iterator[Finding]:
    """The findings of one column's rules, type first."""
    name = values.name
    if rule.dtype is not None:
        yield from _dtype(name, dtype, rule.dtype)
    if values.dtype.is_float():
        values = values.fill_nan(None)
    if rule.null_share_max is not None:
        yield from _null_share(values, rule.null_share_max)
    bounds = (("min", rule.min), ("max", rule.max))
    for side, bound in bounds:
        if bound is not None:
            yield from _bound(values, side, bound)
    if rule.allowed is not None:
        yield from _allowed(values, rule.allowed)


def _dtype(name: str, found: str, asked: str) -> Iterator[Finding]:
    """A type is asked for as polars spells it, in any case; without its parameters it stands for all of them."""
    base = asked.partition("(")[0].lower()
    if base not in {known.lower() for known in KNOWN}:
        text = f"column '{name}': the contract asks for '{asked}', which is no column type{near_miss(asked, KNOWN)}"
        yield Finding("dtype", "error", text, name, allowed=", ".join(KNOWN))
    elif asked.lower() not in (found.lower(), found.partition("(")[0].lower()):
        yield Finding("dtype", "error", f"column '{name}' is {found}; {asked} is asked for", name, allowed=asked)


def _null_share(values: pl.Series, most: float) -> Iterator[Finding]:
    share = values.null_count() / len(values) if len(values) else 0.0
    if share > most:
        first = int(values.is_null().arg_true()[0]) + 1
        text = f"column '{values.name}': {_count(values.null_count(), 'has', 'have')} no value ({share:.2%}); "
        text += f"at most {most:.2%} allowed; first at row {first}"
        yield Finding("null_share_max", "error", text, values.name, share, f"<= {most:g}")


def _bound(values: pl.Series, side: str, bound: float) -> Iterator[Finding]:
    name, allowed = values.name, f"{'>=' if side == 'min' else '<='} {bound:g}"
    if not values.dtype.is_numeric():
        text = f"column '{name}': '{side}' is for numbers, the column is {values.dtype}"
        yield Finding(side, "error", text, name, allowed=allowed)
        return
    wrong = (values < bound if side == "min" else values > bound).fill_null(False)
    if wrong.any():
        off = values.filter(wrong)
        worst = off.sort(descending=side == "max")[0]
        first = int(wrong.arg_true()[0]) + 1
        below = "below" if side == "min" else "above"
        text = f"column '{name}': {_count(len(off), 'is', 'are')} {below} {bound:g}, the worst {worst}; "
        text += f"first at row {first}"
        yield Finding(side, "error", text, name, _number(worst), allowed)


def _number(value: int | float | Decimal) -> float | None:
    """The value where JSON can hold it: it has no infinity."""
    return float(value) if math.isfinite(value) else None


def _allowed(values: pl.Series, allowed: list[str | int | float | bool]) -> Iterator[Finding]:
    """Values are compared with the allowed ones of their own kind: text with text, numbers with numbers."""
    dtype = values.dtype
    shown = ", ".join(_shown(value) for value in allowed)
    if dtype == pl.Boolean:
        known = pl.Series([value for value in allowed if isinstance(value, bool)], dtype=pl.Boolean)
    elif dtype.is_numeric():
        values = values.cast(pl.Float64) if any(isinstance(value, float) for value in allowed) else values
        numbers = [v for v in allowed if isinstance(v, (int, float)) and not isinstance(v, bool)]
        known = pl.Series(numbers, dtype=pl.Float64 if values.dtype.is_float() else pl.Int128)
        values = values if values.dtype.is_float() else values.cast(pl.Int128)
    else:
        values = values.cast(pl.String)
        known = pl.Series([value for value in allowed if isinstance(value, str)], dtype=pl.String)
    wrong = (~values.is_in(known.implode())).fill_null(False)
    if wrong.any():
        first = int(wrong.arg_true()[0])
        text = f"column '{values.name}': {_count(int(wrong.sum()), 'holds', 'hold')} a value that is not allowed; "
        text += f"first at row {first + 1}: {_shown(values[first])}; allowed: {shown}"
        yield Finding("allowed", "error", text, values.name, float(wrong.sum()), shown)


def _count(rows: int, one: str, many: str) -> str:
    return f"1 row {one}" if rows == 1 else f"{rows} rows {many}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
