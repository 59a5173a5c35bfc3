"""Files → parts: only what is new in a source becomes a part; what is held already is shared."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_tui.errors import External, InvalidInput
from mlops_tui.flows.build.survey import Known, Survey
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import Finding, Part, Progress, SourceFile

if TYPE_CHECKING:
    import polars as pl

    from mlops_tui.config import Data
    from mlops_tui.records import Column


@dataclass
class Reading:
    """A dataset's parts and files while its source is read, and what there was to say of the files read."""

    parts: list[Part]
    files: dict[str, SourceFile]
    good: tuple[Column, ...] = ()  # the types that a file is read by: those of the newest good version
    warnings: list[Finding] = field(default_factory=list)
    dropped: bool = False  # a part went; rows that other files repeated of it are missing until those are read again


def read(workspace: Workspace, data: Data, before: Known, found: Survey) -> Reading:
    """Store a part for every new file and for what is new in every changed one; raises InvalidInput for no table."""
    held = before.version.parts if before.version else ()
    files = {name: file for name, file in before.files.items() if name not in found.gone}
    kept = [part for part in held if part.source not in found.gone]
    reading = Reading(kept, files, before.good.schema if before.good else (), dropped=bool(found.gone))
    reading.files |= {file.path: file for file in found.touched}
    for path in (*found.changed, *found.new):
        _read_file(workspace, data, reading, path)
    if reading.dropped:
        for file in (*found.same, *found.touched):
            if file.left_out:
                reading.parts = [part for part in reading.parts if part.source != file.path]
                _read_file(workspace, data, reading, workspace.root / file.path)
    return reading


def _read_file(workspace: Workspace, data: Data, reading: Reading, path: Path) -> None:
    """Read one file and keep what of it is new."""
    from mlops_tui.adapters import sources
    from mlops_tui.core import dataset

    name = workspace.relative(path)
    workspace.report(Progress("data", f"reading {name}"))
    seen = replace(sources.fingerprint(path), path=name)
    schema = reading.good or agreed(workspace, reading.parts)
    frame = sources.read(path, schema)
    if sources.stat_of(path) != (seen.size, seen.mtime_ns):
        raise External(f"{name} changed while it was read", "try again when it is complete")
    frame, left_out = _without_own(workspace, reading, name, frame, data.incremental)
    drift = dataset.schema_drift(schema, dataset.schema_of(frame), data.checks, name) if schema else ()
    fresh = dataset.new_rows(frame, scan(workspace, reading.parts), data.key, name)
    reading.warnings += [finding for finding in (*drift, *fresh.findings) if finding.level == "warning"]
    if fresh.frame.height:
        reading.parts.append(_store(workspace, dataset.conform(fresh.frame, schema, data.checks), name))
    reading.files[name] = replace(seen, left_out=left_out + fresh.repeated)


def _without_own(
    workspace: Workspace, reading: Reading, name: str, frame: pl.DataFrame, incremental: bool
) -> tuple[pl.DataFrame, int]:
    """Return the rows of a file to add, and how many were left out before: its end, if rows were appended, or all."""
    own = [part for part in reading.parts if part.source == name]
    held = scan(workspace, own)
    if held is None:
        return frame, 0
    rows = sum(part.rows for part in own)
    if incremental and rows <= frame.height and name in reading.files:
        head = frame.head(rows)
        if head.columns == held.collect_schema().names() and head.equals(held.collect()):
            return frame.slice(rows), reading.files[name].left_out
    reading.parts = [part for part in reading.parts if part.source != name]
    reading.dropped = True
    return frame, 0


def _store(workspace: Workspace, frame: pl.DataFrame, source: str) -> Part:
    with workspace.objects.temporary() as file:
        frame.write_parquet(file, compression="zstd")
        size = file.stat().st_size
        return Part(workspace.objects.put_file(file), frame.height, size, source)


def schemas(workspace: Workspace, parts: Iterable[Part]) -> list[tuple[Column, ...]]:
    """Return the schema of every part."""
    import polars as pl

    from mlops_tui.core import dataset

    return [dataset.schema_of(pl.scan_parquet(workspace.objects.path(part.hash))) for part in parts]


def schema(workspace: Workspace, parts: Sequence[Part]) -> tuple[Column, ...]:
    """Return the schema that holds all parts; types in conflict (a broken version) as text."""
    from mlops_tui.core import dataset

    return dataset.merge(schemas(workspace, parts), lenient=True)


def agreed(workspace: Workspace, parts: Sequence[Part]) -> tuple[Column, ...]:
    """Return the schema of the parts that go together: by the types of a broken one, a good file would break too."""
    from mlops_tui.core import dataset

    found: tuple[Column, ...] = ()
    for one in schemas(workspace, parts):
        with suppress(InvalidInput):
            found = dataset.merge((found, one))
    return found


def scan(workspace: Workspace, parts: Sequence[Part]) -> pl.LazyFrame | None:
    """Return the rows of parts as one lazy frame, or None if there are none; their hashes are checked elsewhere."""
    import polars as pl

    from mlops_tui.core import dataset

    if not parts:
        return None
    frames = [pl.scan_parquet(workspace.objects.path(part.hash)) for part in parts]
    return dataset.unify(frames, schema(workspace, parts), lenient=True)
