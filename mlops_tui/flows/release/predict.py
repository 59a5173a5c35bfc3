"""Score a file to a file, batch by batch: memory does not grow with the file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_tui.errors import External, InvalidInput, NotFound
from mlops_tui.flows import lookup
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import ModelVersion, Progress

if TYPE_CHECKING:
    import polars as pl

FORMATS = (".parquet", ".csv", ".jsonl", ".ndjson", ".arrow", ".ipc", ".feather")


def predict(workspace: Workspace, reference: str, source: Path, target: Path) -> tuple[ModelVersion, int]:
    """Write every row of `source` with its prediction to `target`, complete or not at all; returns how many.

    Raises InvalidInput if a column that the model reads is missing or of another type.
    """
    import polars as pl

    from mlops_tui.core import requests, scoring

    version = lookup.model_version(workspace, reference)
    rows = _scan(source)
    if target.suffix not in FORMATS:
        raise InvalidInput(f"cannot write {target}: known endings are {', '.join(FORMATS)}")
    scorer = lookup.scorer(workspace, version)
    schema = rows.collect_schema()
    scored = scoring.predict(scorer, requests.frame_for(scorer.signature, pl.DataFrame(schema=schema)))
    taken = [name for name in scored.columns if name in schema]
    if taken:
        raise InvalidInput(f"{source} has a column '{taken[0]}' already, which the answer would hide")
    total = rows.select(pl.len()).collect().item()
    done = 0

    def batch(frame: pl.DataFrame) -> pl.DataFrame:
        nonlocal done
        answer = scoring.predict(scorer, requests.frame_for(scorer.signature, frame))
        done += frame.height
        workspace.report(Progress("predict", source.name, done, total))
        return frame.hstack(answer)

    _sink(rows.map_batches(batch, streamable=True, schema={**schema, **scored.schema}), target)
    return version, total


def _scan(path: Path) -> pl.LazyFrame:
    """Return a file's rows, read when they are needed; a CSV is checked in one pass before."""
    import polars as pl

    from mlops_tui.adapters import sources

    if not path.exists():
        raise NotFound(f"no file {path}")
    if path.suffix != ".parquet":
        return sources.read(path).lazy()
    sources.stat_of(path)
    try:
        rows = pl.scan_parquet(path)
        rows.collect_schema()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InvalidInput(f"{path} is no parquet file: {str(error).splitlines()[0]}") from None
    return rows


def _sink(rows: pl.LazyFrame, target: Path) -> None:
    import polars as pl

    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        match target.suffix:
            case ".parquet":
                rows.sink_parquet(part)
            case ".csv":
                rows.sink_csv(part)
            case ".jsonl" | ".ndjson":
                rows.sink_ndjson(part)
            case _:
                rows.sink_ipc(part)
        part.replace(target)
    except OSError as error:
        raise External(f"cannot write {target}: {error.strerror or error}") from None
    except pl.exceptions.ComputeError as error:
        raise InvalidInput(f"the rows could not be scored: {str(error).splitlines()[0]}") from None
    finally:
        part.unlink(missing_ok=True)
