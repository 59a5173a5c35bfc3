"""Score a file to a file, batch by batch: memory does not grow with the file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mlops_tui.adapters.files import unfinished
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

    from mlops_tui.adapters import scans
    from mlops_tui.core import requests, scoring

    version = lookup.model_version(workspace, reference)
    if not source.exists():
        raise NotFound(f"no file {source}")
    if target.exists() and target.samefile(source):
        raise InvalidInput(f"{target} is the file to score: name another one to write")
    if target.suffix not in FORMATS:
        raise InvalidInput(f"cannot write {target}: known endings are {', '.join(FORMATS)}")
    scorer = lookup.scorer(workspace, version)
    rows = scans.scan(source, {one.name: one.dtype for one in scorer.signature.inputs})
    schema = rows.collect_schema()
    with scans.naming(source):
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

    with scans.naming(source):
        _sink(rows.map_batches(batch, streamable=True, schema={**schema, **scored.schema}), target)
    return version, total


def _sink(rows: pl.LazyFrame, target: Path) -> None:
    part = unfinished(target)
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
    finally:
        part.unlink(missing_ok=True)
