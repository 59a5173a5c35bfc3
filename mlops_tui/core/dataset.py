"""Dataset versions as frames: their schemas, how a batch may differ, and which of its rows are new.

batch → schema_drift (findings) → conform (the part's frame) → new_rows (without repeats) → merge (the
version's schema) → unify (one frame over all parts)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from mlops_tui.dtypes import polars_type, schema_of, wider
from mlops_tui.errors import InvalidInput, near_miss
from mlops_tui.records import Column, Finding

if TYPE_CHECKING:
    from mlops_tui.config import Checks

__all__ = ["NewRows", "conform", "merge", "new_rows", "polars_type", "schema_drift", "schema_of", "unify"]

Schema = tuple[Column, ...]
Frame = pl.DataFrame | pl.LazyFrame
ROW = "\0row"  # a name that no file's column can have


def schema_drift(known: Schema, batch: Schema, checks: Checks, source: str) -> tuple[Finding, ...]:
    """Return what differs in a batch's columns: errors where the contract refuses it, else warnings.

    `source` names the file in the messages. The order of columns is no difference.
    """
    old, new = _types(known), _types(batch)
    findings = []
    for name in [n for n in new if n not in old]:
        findings.append(_new_column(name, new[name], old, (checks, source)))
    for name in [n for n in old if n not in new]:
        findings.append(_missing_column(name, new, (checks, source)))
    for name in [n for n in old if n in new and old[n] != new[n]]:
        findings.append(_type_change(name, (old[name], new[name]), checks, source))
    return tuple(findings)


def _types(schema: Schema) -> dict[str, str]:
    return {column.name: column.dtype for column in schema}


def _new_column(name: str, dtype: str, old: dict[str, str], told: tuple[Checks, str]) -> Finding:
    checks, source = told
    if checks.new_column == "add":
        text = f"{source}: column '{name}' ({dtype}) is new; older rows have no value in it"
        return Finding("new_column", "warning", text, name, allowed="add")
    text = f"{source}: column '{name}' ({dtype}) is not in the dataset{near_miss(name, old)}"
    return Finding("new_column", "error", text, name, allowed='new_column = "add" lets it in')


def _missing_column(name: str, new: dict[str, str], told: tuple[Checks, str]) -> Finding:
    checks, source = told
    if checks.missing_column == "null":
        text = f"{source}: column '{name}' is missing; its rows have no value in it"
        return Finding("missing_column", "warning", text, name, allowed="null")
    text = f"{source}: column '{name}' is missing{near_miss(name, new)}"
    return Finding("missing_column", "error", text, name, allowed='missing_column = "null" lets it pass')


def _type_change(name: str, types: tuple[str, str], checks: Checks, source: str) -> Finding:
    old, new = types
    both = wider(polars_type(old), polars_type(new))
    if both is not None and checks.type_change == "widen":
        text = f"{source}: column '{name}' is {new}, was {old}; both are held as {both}"
        return Finding("type_change", "warning", text, name, allowed="widen")
    text = f"{source}: column '{name}' is {new}, was {old}"
    if both is None:
        return Finding("type_change", "error", text, name, allowed=f"{old}, or a type that holds both")
    return Finding("type_change", "error", text, name, allowed='type_change = "widen" lets it pass')


def conform(frame: pl.DataFrame, known: Schema, checks: Checks) -> pl.DataFrame:
    """Return the frame that a part stores: the dataset's column order, and what the contract lets pass made good.

    A missing column is filled with nulls under "null"; a narrower type is cast up under "widen", while a wider
    one stays and widens the version (`unify` then casts the older parts). What is refused stays as it came.
    """
    old, columns = _types(known), []
    for name, text in old.items():
        dtype = polars_type(text)
        if name not in frame.columns:
            if checks.missing_column == "null":
                columns.append(pl.Series(name, [None] * frame.height, dtype))
        elif checks.type_change == "widen" and wider(frame[name].dtype, dtype) == dtype:
            columns.append(frame[name].cast(dtype))
        else:
            columns.append(frame[name])
    return pl.DataFrame([*columns, *(column for column in frame if column.name not in old)])


def merge(schemas: Iterable[Schema], lenient: bool = False) -> Schema:
    """Return the schema that holds the rows of all: columns as first seen, each in the wider of its types.

    Types that only text could hold raise InvalidInput, or become String when `lenient` (a broken version).

    >>> merge([(Column("a", "Int64"),), (Column("a", "Float64"), Column("b", "String"))])
    (Column(name='a', dtype='Float64'), Column(name='b', dtype='String'))
    """
    found: dict[str, pl.DataType] = {}
    for column in (column for schema in schemas for column in schema):
        dtype = polars_type(column.dtype)
        both = wider(found.get(column.name, dtype), dtype)
        if both is None and not lenient:
            raise _conflict(column.name, str(found[column.name]), column.dtype)
        found[column.name] = pl.String() if both is None else both
    return tuple(Column(name, str(dtype)) for name, dtype in found.items())


def _conflict(name: str, one: str, other: str) -> InvalidInput:
    return InvalidInput(f"column '{name}' is {one} in one part and {other} in another", "the version is broken")


def unify(frames: Sequence[Frame], schema: Schema, lenient: bool = False) -> pl.LazyFrame:
    """Return one lazy frame of the schema's columns over parts: nulls for what a part lacks, narrow types cast up.

    A part's type that does not widen to the schema's raises InvalidInput, or makes the column String in all
    parts when `lenient`: so that a broken version can still be shown. Rows keep the order of the parts.
    """
    lazy = [frame.lazy() for frame in frames]
    kinds = [dict(frame.collect_schema()) for frame in lazy]
    target = {column.name: polars_type(column.dtype) for column in schema}
    for part in kinds:
        for name in target.keys() & part.keys():
            if wider(part[name], target[name]) != target[name]:
                if not lenient:
                    raise _conflict(name, str(target[name]), str(part[name]))
                target[name] = pl.String()
    if not lazy:
        return pl.LazyFrame(schema=target)
    return pl.concat([part.select(_columns(kind, target)) for part, kind in zip(lazy, kinds, strict=True)])


def _columns(found: dict[str, pl.DataType], target: dict[str, pl.DataType]) -> list[pl.Expr]:
    """One expression a column: as it is, cast up, or nulls."""
    return [
        (pl.col(name) if found[name] == dtype else pl.col(name).cast(dtype))
        if name in found
        else pl.lit(None, dtype).alias(name)
        for name, dtype in target.items()
    ]


@dataclass(frozen=True, slots=True)
class NewRows:
    """A batch without what is already held: `repeated` rows left out, `conflicting` rows kept and told."""

    frame: pl.DataFrame
    repeated: int
    conflicting: int
    findings: tuple[Finding, ...]


def new_rows(batch: pl.DataFrame, held: Frame | None, key: Sequence[str], source: str) -> NewRows:
    """Return the batch's rows that are not held yet, in their order.

    A row whose key is held, or came earlier in the batch, with the same values in every column is a repeated
    delivery: left out, with a warning. With other values it is kept, as an error: a key must identify. Rows
    without a whole key, and batches without a key, are all kept. Of a lazy `held` only the key columns are read,
    and whole rows only where a key matches. A `key` column that the batch lacks raises InvalidInput.
    """
    for name in key:
        if name not in batch.columns:
            raise InvalidInput(f"{source}: key column '{name}' is missing{near_miss(name, batch.columns)}")
    if not key:
        return NewRows(batch, 0, 0, ())
    schema = merge([schema_of(frame) for frame in (batch, held) if frame is not None], lenient=True)
    rows = unify([batch], schema, lenient=True).collect().with_row_index(ROW)
    rows = rows.filter(pl.all_horizontal(pl.col(name).is_not_null() for name in key))
    twice = rows.filter(rows.select(key).is_duplicated())
    if held is not None:
        found = _held_rows(unify([held], schema, lenient=True), rows, key)
        again = rows.join(found, on=list(key), how="semi")
        twice = pl.concat([found, twice, again], how="diagonal_relaxed")
    return _judge(batch, twice, key, source) if twice.height else NewRows(batch, 0, 0, ())


def _held_rows(held: pl.LazyFrame, rows: pl.DataFrame, key: Sequence[str]) -> pl.DataFrame:
    """The held rows whose key the batch has; whole rows are read only if there are any."""
    keys, wanted = list(key), rows.lazy().select(key)
    known = held.select(keys).join(wanted, on=keys, how="semi").collect(engine="streaming")
    if not known.height:
        return known.select(pl.lit(None, pl.UInt32).alias(ROW), *keys)
    return held.join(known.lazy(), on=keys, how="semi").collect(engine="streaming")


def _judge(batch: pl.DataFrame, twice: pl.DataFrame, key: Sequence[str], source: str) -> NewRows:
    """Tell repeats from conflicts among held rows (no row number, first) and the batch's rows with their keys."""
    arrived = twice.filter(pl.col(ROW).is_not_null()).unique(ROW).sort(ROW)
    pool = pl.concat([twice.filter(pl.col(ROW).is_null()), arrived])
    columns = [name for name in pool.columns if name != ROW]
    different = pool.unique(columns, keep="first", maintain_order=True)
    firsts = different.unique(list(key), keep="first", maintain_order=True)
    repeats = arrived.join(different.select(ROW), on=ROW, how="anti")
    conflicts = different.filter(pl.col(ROW).is_not_null()).join(firsts.select(ROW), on=ROW, how="anti")
    frame = batch.with_row_index(ROW).join(repeats.select(ROW), on=ROW, how="anti", maintain_order="left").drop(ROW)
    findings = []
    if repeats.height:
        text = f"{source}: {_rows(repeats.height, 'was', 'were')} delivered before, with the same values; left out"
        findings.append(Finding("repeated_rows", "warning", text, value=float(repeats.height)))
    if conflicts.height:
        first = conflicts.sort(ROW).row(0, named=True)
        shown = ", ".join(f"{name}={first[name]}" for name in key)
        text = f"{source}: {_rows(conflicts.height, 'has', 'have')} a key that is held with other values; first at row "
        text += f"{first[ROW] + 1}: {shown}"
        findings.append(Finding("key_conflict", "error", text, value=float(conflicts.height), allowed="one row a key"))
    return NewRows(frame, repeats.height, conflicts.height, tuple(findings))


def _rows(count: int, one: str, many: str) -> str:
    return f"1 row {one}" if count == 1 else f"{count} rows {many}"
