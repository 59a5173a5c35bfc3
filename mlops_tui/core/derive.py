"""Derived features: an SQL expression on one row, the same in training and in serving."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Any

import polars as pl

from mlops_tui.errors import InvalidInput, near_miss

PROBED = 32  # rows from the beginning, from the end, and as many again evenly spaced over all
SEVERAL_ROWS = frozenset(
    (
        "Agg",
        "Correlation",
        "Explode",
        "Filter",
        "Len",
        "Over",
        "Quantile",
        "Range",
        "Rank",
        "Rolling",
        "Shift",
        "SubPlan",
    )
)
"""The nodes of an expression, as polars writes them, that look at more than one row."""
QUOTED = re.compile(r"""'[^']*'|"[^"]*"|`[^`]*`|--[^\n]*|/\*.*?\*/""", re.DOTALL)
CLOCK = re.compile(r"\b(now\s*\(|current_(?:date|time|timestamp)\b|local(?:time|timestamp)\b)", re.IGNORECASE)
HINT = 'derive takes SQL on one row, such as "a // 100", "a / b" or "CASE WHEN a > 1 THEN 1 ELSE 0 END"'


@lru_cache(maxsize=1024)
def parse(text: str) -> pl.Expr:
    """Return the polars expression of an SQL text; raises InvalidInput if it is none."""
    try:
        return pl.sql_expr(text)
    except (pl.exceptions.PolarsError, ValueError, TypeError) as error:
        raise InvalidInput(f"cannot read the expression {text!r}: {first_line(error)}", HINT) from None


@lru_cache(maxsize=1024)
def columns_of(text: str) -> tuple[str, ...]:
    """Return the columns that an SQL text reads, in order, each once.

    >>> columns_of("a / (a + b)")
    ('a', 'b')
    """
    return tuple(dict.fromkeys(parse(text).meta.root_names()))


def select(frame: pl.DataFrame, expressions: Sequence[pl.Expr]) -> pl.DataFrame:
    """Return `frame.select(expressions)` with the same bits for a row alone as among others.

    polars divides a lone value by a constant, and multiplies a column by its inverse: the last bit may differ. So a
    row alone gets an empty one beside it, and chunks and columns held as one value are laid out as plain columns.
    """
    columns = [column.rechunk() for column in frame.get_columns()]
    if frame.height == 1:
        columns = [column.extend_constant(None, 1) for column in columns]
    return pl.DataFrame(columns).select(expressions).head(frame.height)


def derive(frame: pl.DataFrame, expressions: dict[str, str]) -> pl.DataFrame:
    """Return the derived columns, one row for each of the frame's; raises InvalidInput if one cannot be made."""
    made = []
    for name, text in expressions.items():
        try:
            each = select(frame, [pl.repeat(0, pl.len()).alias("rows"), parse(text).alias("made")])
        except pl.exceptions.PolarsError as error:
            raise InvalidInput(f"features.derive.{name}: {text!r}: {first_line(error)}", HINT) from None
        made.append(each["made"].alias(name))
    return pl.DataFrame(made)


def check(frame: pl.DataFrame, expressions: dict[str, str], target: str | None = None) -> None:
    """Raise InvalidInput for a derived feature that is misnamed, unreadable or looks at more than its own row."""
    for name, text in expressions.items():
        where = f"features.derive.{name}"
        if name in frame.columns:
            raise InvalidInput(f"{where}: there is a column '{name}' already", "give the derived feature another name")
        _check_columns(where, text, frame.columns, expressions.keys(), target)
        _check_nodes(where, text)
        _check_alone(where, name, text, frame)


def _check_columns(where: str, text: str, known: Collection[str], derived: Collection[str], target: str | None) -> None:
    if not columns_of(text):
        raise InvalidInput(f"{where}: {text!r} reads no column", HINT)
    for column in columns_of(text):
        if column == target:
            raise InvalidInput(f"{where}: {text!r} reads the target '{target}'", "a feature cannot know the answer")
        if column in derived:
            raise InvalidInput(f"{where}: {text!r} reads the derived feature '{column}'", "write its expression out")
        if column not in known:
            raise InvalidInput(f"{where}: {text!r}: no column '{column}'{near_miss(column, known)}")


def _check_nodes(where: str, text: str) -> None:
    """Refuse what looks at other rows even where these rows do not show it, and the clock, which polars reads once."""
    clock = CLOCK.search(QUOTED.sub(" ", text))
    if clock is not None:
        hint = "derive from a time that the rows have: a model has to give the same answer tomorrow"
        raise InvalidInput(f"{where}: {text!r} reads the clock ({clock[1].rstrip('( ').upper()})", hint)
    if _nodes(json.loads(parse(text).meta.serialize(format="json"))) & SEVERAL_ROWS:
        raise InvalidInput(f"{where}: {text!r} depends on other rows", HINT)


def _nodes(tree: Any) -> set[str]:
    """The names in a written expression, without those of columns and what stands in literals."""
    if isinstance(tree, list):
        return {name for each in tree for name in _nodes(each)}
    if isinstance(tree, dict):
        return {
            *tree,
            *(name for key, each in tree.items() if key not in ("Column", "Literal") for name in _nodes(each)),
        }
    return {tree} if isinstance(tree, str) else set()


def _check_alone(where: str, name: str, text: str, frame: pl.DataFrame) -> None:
    """Compare what rows give together, backwards and alone; the empty row makes an aggregate show itself."""
    empty = pl.DataFrame({column: [None] for column in frame.columns}, schema=frame.schema)
    spaced = frame.gather_every(max(1, frame.height // PROBED)).head(PROBED)
    rows = pl.concat([frame.head(PROBED), empty, spaced, frame.tail(PROBED)]).select(columns_of(text))
    together = derive(rows, {name: text})
    backwards = derive(rows.reverse(), {name: text}).reverse()
    alone = pl.concat([derive(rows.slice(at, 1), {name: text}) for at in range(rows.height)])
    if not (together.equals(backwards) and together.equals(alone)):
        raise InvalidInput(f"{where}: {text!r} depends on other rows", HINT)


def first_line(error: Exception) -> str:
    """Return what an error of a library says, without the lines that explain its insides."""
    return str(error).partition("\n")[0].strip()
