"""Files read as a stream, for scoring: the columns that a model reads get their types, the others stay as they are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from mlops_tui.adapters import sources, textscan
from mlops_tui.adapters.tables import MISSING
from mlops_tui.dtypes import polars_type
from mlops_tui.errors import InvalidInput


def scan(path: Path, types: dict[str, str]) -> pl.LazyFrame:
    """Return a file's rows, read when they are needed; `types` are those of the columns that must not stay text.

    Raises InvalidInput for a file that is no table of its kind; a CSV is checked in one pass over its bytes before.
    """
    size, _ = sources.stat_of(path)
    if size == 0:
        raise InvalidInput(f"{path}: is empty")
    try:
        return _scan(path, types)
    except (pl.exceptions.PolarsError, OSError) as error:
        first = str(error).strip().splitlines()[0]
        raise InvalidInput(f"{path}: cannot be read as {path.suffix[1:]}: {first}") from None


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Raise what is wrong with rows, found where they are read, as an InvalidInput that names their file."""
    try:
        yield
    except InvalidInput as error:
        told = error.message if str(path) in error.message else f"{path}: {error.message}"
        raise InvalidInput(told, error.hint) from None
    except pl.exceptions.PolarsError as error:
        first = str(error).strip().splitlines()[0]
        raise InvalidInput(f"{path}: the rows could not be scored: {first}") from None


def _scan(path: Path, types: dict[str, str]) -> pl.LazyFrame:
    match path.suffix.lower():
        case ".parquet":
            rows = pl.scan_parquet(path, glob=False)
        case ".csv":
            layout = textscan.scan_csv(path)
            wanted = {name: dtype for name, dtype in types.items() if name in layout.header and dtype != "String"}
            rows = pl.scan_csv(path, glob=False, infer_schema=False, new_columns=list(layout.header))
            rows = rows.head(layout.rows).with_columns(_typed(name, dtype) for name, dtype in wanted.items())
        case ".jsonl" | ".ndjson":
            textscan.check_text(path)
            rows = pl.scan_ndjson(path, infer_schema_length=None)
        case ".arrow" | ".ipc" | ".feather":
            rows = pl.scan_ipc(path)
        case _:
            raise InvalidInput(f"{path}: known endings are .parquet .csv .jsonl .ndjson .arrow .ipc .feather")
    rows.collect_schema()
    return rows


def _typed(name: str, dtype: str) -> pl.Expr:
    """A text column in the type that a model was trained on; a value that is not of it raises when it is read."""
    text = pl.col(name)
    value = pl.when(text.is_in(MISSING)).then(None).otherwise(text)
    kind = polars_type(dtype)
    if isinstance(kind, pl.Datetime):
        return value.str.to_datetime(time_unit=kind.time_unit, time_zone=kind.time_zone).alias(name)
    if kind == pl.Date:
        return value.str.to_date("%Y-%m-%d").alias(name)
    if kind == pl.Time:
        return value.str.to_time("%H:%M:%S%.f").alias(name)
    if kind == pl.Boolean:
        return (
            value.str.to_lowercase().replace_strict({"true": True, "false": False}, return_dtype=pl.Boolean).alias(name)
        )
    return value.cast(kind).alias(name)
