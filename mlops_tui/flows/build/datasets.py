"""source → dataset version: only what is new is read, parts are shared, and the contract decides what is trained on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_tui.adapters.catalogue import build
from mlops_tui.errors import External, InvalidInput, Refused, unknown
from mlops_tui.flows import lookup
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import (
    DatasetVersion,
    Finding,
    Part,
    Profile,
    Progress,
    Shift,
    SourceFile,
    from_json,
    hash_of,
    to_json,
)

if TYPE_CHECKING:
    import polars as pl

    from mlops_tui.config import Data
    from mlops_tui.records import Column


@dataclass(frozen=True, slots=True)
class Survey:
    """What a source holds against what the newest version was made from; `touched` files changed in time only."""

    new: tuple[Path, ...] = ()
    changed: tuple[Path, ...] = ()
    gone: tuple[str, ...] = ()
    same: tuple[SourceFile, ...] = ()
    touched: tuple[SourceFile, ...] = ()

    @property
    def sentence(self) -> str:
        """What there is to do, in words: "2 new files, 1 changed"."""
        counts = ((len(self.new), "new"), (len(self.changed), "changed"), (len(self.gone), "gone"))
        told = [f"{count} {word} file{'s' if count > 1 else ''}" for count, word in counts if count]
        unchanged = len(self.same) + len(self.touched)
        return ", ".join(told) or f"nothing new: {unchanged} file{'s' if unchanged != 1 else ''} unchanged"


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What a refresh did: the version now, whether it is new, why, and how many parts it shares with its parent."""

    version: DatasetVersion
    changed: bool
    reason: str
    shared_parts: int


@dataclass(frozen=True, slots=True)
class _Last:
    """What the catalogue knows of a dataset before a refresh."""

    version: DatasetVersion | None
    files: dict[str, SourceFile]
    settings: str | None


def settings_of(workspace: Workspace, name: str) -> Data:
    """Return the [data] section that a dataset was last refreshed with; raises NotFound."""
    with workspace.catalogue.read() as act:
        found, known = build.dataset_settings(act, name), build.dataset_names(act)
    if found is None:
        raise unknown("dataset", name, known, f"mlops datasets add {name} SOURCE")
    from mlops_tui.config import Data

    return Data.model_validate_json(found)


def add(workspace: Workspace, data: Data) -> Refreshed:
    """Register a dataset and make its first version; one that is there with the same settings is refreshed."""
    with workspace.catalogue.read() as act:
        known = build.dataset_settings(act, data.dataset)
    if known is not None and json.loads(known) != json.loads(data.model_dump_json()):
        raise Refused(
            f"the dataset '{data.dataset}' is there already, with other settings",
            f"mlops datasets refresh {data.dataset}, or take another name",
        )
    return refresh(workspace, data)


def survey(workspace: Workspace, data: Data) -> Survey:
    """Compare a source with what the newest version was made from; unchanged files cost one stat each."""
    return _survey(workspace, data, _last(workspace, data.dataset))


def _last(workspace: Workspace, name: str) -> _Last:
    with workspace.catalogue.read() as act:
        files = {file.path: file for file in build.source_files(act, name)}
        return _Last(build.dataset_version(act, name), files, build.dataset_settings(act, name))


def _survey(workspace: Workspace, data: Data, last: _Last) -> Survey:
    from mlops_tui.adapters import sources

    new, changed, same, touched = [], [], [], []
    seen = set()
    for path in sources.discover(data.source, workspace.root):
        name = workspace.relative(path)
        seen.add(name)
        known = last.files.get(name)
        if known is None:
            new.append(path)
        elif sources.stat_of(path) == (known.size, known.mtime_ns):
            same.append(known)
        else:
            now = replace(sources.fingerprint(path), path=name)
            if now.hash == known.hash:
                touched.append(now)
            else:
                changed.append(path)
    gone = () if data.incremental else tuple(name for name in last.files if name not in seen)
    return Survey(tuple(new), tuple(changed), gone, tuple(same), tuple(touched))


def refresh(workspace: Workspace, data: Data) -> Refreshed:
    """Read what is new or changed in a source, and make a version if that changes the dataset or its findings.

    A version that breaks the contract is kept and marked "broken". Raises InvalidInput for a file that cannot
    be read as a table, before anything is stored; Busy if the same dataset is being refreshed elsewhere.
    """
    with workspace.exclusive(f"dataset-{data.dataset}", f"the dataset '{data.dataset}'"):
        last = _last(workspace, data.dataset)
        found = _survey(workspace, data, last)
        same_settings = last.settings is not None and json.loads(last.settings) == json.loads(data.model_dump_json())
        idle = not (found.new or found.changed or found.gone)
        if last.version is not None and idle and same_settings:
            if found.touched:
                _keep_stat(workspace, data, last, found)
            return Refreshed(last.version, False, found.sentence, len(last.version.parts))
        reason = found.sentence if not idle else "the contract changed"
        return _make(workspace, data, (last, found), reason)


def _keep_stat(workspace: Workspace, data: Data, last: _Last, found: Survey) -> None:
    """Remember the new times of files whose bytes are the same, so that they need no hashing again."""
    files = last.files | {file.path: file for file in found.touched}
    with workspace.catalogue.write(workspace.now()) as act:
        build.put_source_files(act, data.dataset, list(files.values()))
        act.record("dataset.touched", data.dataset, files=len(found.touched))


def _make(workspace: Workspace, data: Data, known: tuple[_Last, Survey], reason: str) -> Refreshed:
    """Read, check and profile; then write the version in one transaction."""
    last, found = known
    parts, told, files = _read_new(workspace, data, last, found)
    if not parts:
        raise InvalidInput(f"the source of dataset '{data.dataset}' holds no rows: {data.source}")
    findings = (*told, *_judge(workspace, data, parts))
    old = last.version
    if old and [p.hash for p in old.parts] == [p.hash for p in parts] and set(findings) == set(old.findings):
        _store(workspace, data, None, files)
        return Refreshed(old, False, f"{reason}, but no row and no finding is different", len(parts))
    version = _version(workspace, data, (parts, findings), old)
    _store(workspace, data, version, files)
    shared = len({part.hash for part in parts} & {part.hash for part in old.parts}) if old else 0
    return Refreshed(version, True, reason, shared)


def _read_new(
    workspace: Workspace, data: Data, last: _Last, found: Survey
) -> tuple[list[Part], list[Finding], list[SourceFile]]:
    """Store a part for every new file and for what is new in every changed one; unchanged parts are shared."""
    from mlops_tui.adapters import sources
    from mlops_tui.core import dataset

    parts = [part for part in (last.version.parts if last.version else ()) if part.source not in found.gone]
    told: list[Finding] = []
    files = {name: file for name, file in last.files.items() if name not in found.gone}
    files |= {file.path: file for file in found.touched}
    todo = [*found.changed, *found.new]
    for number, path in enumerate(todo):
        name = workspace.relative(path)
        workspace.report(Progress("data", f"reading {name}", number, len(todo)))
        seen = replace(sources.fingerprint(path), path=name)
        schema = _agreed(workspace, parts)
        frame = sources.read(path, schema)
        if sources.stat_of(path) != (seen.size, seen.mtime_ns):
            raise External(f"{name} changed while it was read", "try again when it is complete")
        parts, frame = _without_known(workspace, parts, name, frame, data.incremental)
        told += dataset.schema_drift(schema, dataset.schema_of(frame), data.checks, name) if schema else ()
        fresh = dataset.new_rows(frame, _scan(workspace, parts), data.key, name)
        told += [finding for finding in fresh.findings if finding.level == "warning"]
        if fresh.frame.height:
            parts = [*parts, _store_part(workspace, dataset.conform(fresh.frame, schema, data.checks), name)]
        files[name] = seen
    warnings = [finding for finding in told if finding.level == "warning"]
    return parts, warnings, list(files.values())


def _without_known(
    workspace: Workspace, parts: list[Part], name: str, frame: pl.DataFrame, incremental: bool
) -> tuple[list[Part], pl.DataFrame]:
    """Return the parts to keep and the rows to add of a file: what was appended, or the whole of a rewritten one."""
    own = [part for part in parts if part.source == name]
    if not own:
        return parts, frame
    held = _scan(workspace, own)
    rows = sum(part.rows for part in own)
    if incremental and held is not None and rows <= frame.height:
        head = frame.head(rows)
        if head.columns == held.collect_schema().names() and head.equals(held.collect()):
            return parts, frame.slice(rows)
    return [part for part in parts if part.source != name], frame


def _store_part(workspace: Workspace, frame: pl.DataFrame, source: str) -> Part:
    with workspace.objects.temporary() as file:
        frame.write_parquet(file, compression="zstd")
        size = file.stat().st_size
        return Part(workspace.objects.put_file(file), frame.height, size, source)


def _schemas(workspace: Workspace, parts: Iterable[Part]) -> list[tuple[Column, ...]]:
    import polars as pl

    from mlops_tui.core import dataset

    return [dataset.schema_of(pl.scan_parquet(workspace.objects.path(part.hash))) for part in parts]


def _schema(workspace: Workspace, parts: Sequence[Part]) -> tuple[Column, ...]:
    """Return the schema that holds all parts; types in conflict (a broken version) as text."""
    from mlops_tui.core import dataset

    return dataset.merge(_schemas(workspace, parts), lenient=True)


def _agreed(workspace: Workspace, parts: Sequence[Part]) -> tuple[Column, ...]:
    """Return the schema of the parts that go together: by the types of a broken one, a good file would break too."""
    from mlops_tui.core import dataset

    agreed: tuple[Column, ...] = ()
    for schema in _schemas(workspace, parts):
        with suppress(InvalidInput):
            agreed = dataset.merge((agreed, schema))
    return agreed


def _scan(workspace: Workspace, parts: Sequence[Part]) -> pl.LazyFrame | None:
    """Return the rows of parts as one lazy frame, or None if there are none."""
    import polars as pl

    from mlops_tui.core import dataset

    if not parts:
        return None
    frames = [pl.scan_parquet(workspace.objects.checked_path(part.hash)) for part in parts]
    return dataset.unify(frames, _schema(workspace, parts), lenient=True)


def _judge(workspace: Workspace, data: Data, parts: Sequence[Part], before: int | None = None) -> list[Finding]:
    """Return the contract's findings on all parts together: drift that it refuses, then its checks.

    A part that drifts is told and does not count for those after it: what is good is not measured by it.
    """
    from mlops_tui.config import Checks
    from mlops_tui.core import contract, dataset

    findings: list[Finding] = []
    schemas = _schemas(workspace, parts)
    known = _baseline(workspace, data, parts, before) or schemas[0]
    for part, schema in zip(parts, schemas, strict=True):
        drift = dataset.schema_drift(known, schema, data.checks, part.source)
        errors = [finding for finding in drift if finding.level == "error"]
        known = known if errors else dataset.merge((known, schema))
        findings += errors
    frame = _scan(workspace, parts)
    assert frame is not None
    workspace.report(Progress("data", "checking the contract"))
    findings += contract.check(frame, known, data.checks)
    if data.key and data.key != data.checks.unique:
        findings += contract.check(frame, known, Checks(unique=data.key))  # a key must identify, whatever the contract
    return findings


def _baseline(workspace: Workspace, data: Data, parts: Sequence[Part], before: int | None = None) -> tuple[Column, ...]:
    """Return the schema of the newest good version if no part of it is left: a file written anew may drift as well.

    With `before`, the newest good version that is older than that.
    """
    with workspace.catalogue.read() as act:
        versions = build.dataset_versions(act, data.dataset)
    older = (one for one in versions if before is None or one.version < before)
    good = next((one for one in older if one.state == "ok"), None)
    if good is None or {part.hash for part in good.parts} & {part.hash for part in parts}:
        return ()
    return good.schema


def _version(
    workspace: Workspace, data: Data, content: tuple[list[Part], Sequence[Finding]], old: DatasetVersion | None
) -> DatasetVersion:
    import polars as pl

    from mlops_tui.core import dataset, profile

    parts, findings = content
    schema = dataset.merge((_baseline(workspace, data, parts), _schema(workspace, parts)), lenient=True)
    paths = [workspace.objects.checked_path(part.hash) for part in parts]
    frame = dataset.unify([pl.scan_parquet(path) for path in paths], schema, lenient=True)
    workspace.report(Progress("data", "profiling"))
    held = workspace.objects.put(to_json(profile.profile(frame)))
    broken = any(finding.level == "error" for finding in findings)
    return DatasetVersion(
        dataset=data.dataset,
        version=old.version + 1 if old else 1,
        hash=hash_of((schema, [part.hash for part in parts])),
        rows=sum(part.rows for part in parts),
        schema=schema,
        parts=tuple(parts),
        profile=held,
        findings=tuple(findings),
        state="broken" if broken else "ok",
        source=data.source,
        parent=old.version if old else None,
        author=workspace.user,
        created_at=workspace.now(),
    )


def _store(workspace: Workspace, data: Data, version: DatasetVersion | None, files: list[SourceFile]) -> None:
    with workspace.catalogue.write(workspace.now()) as act:
        build.put_dataset(act, data.dataset, data.model_dump_json())
        if version is None:
            build.put_source_files(act, data.dataset, files)
            act.record("dataset.settings", data.dataset)
        else:
            build.add_dataset_version(act, version, files)
            details = {"rows": version.rows, "parts": len(version.parts), "state": version.state, "hash": version.hash}
            act.record("dataset.version", f"{version.dataset}:{version.version}", **details)


# ── looking at datasets ──────────────────────────────────────────────────────────────────────────


def profile_of(workspace: Workspace, version: DatasetVersion) -> Profile:
    """Return what a version holds, column by column."""
    return from_json(workspace.objects.get(version.profile), Profile)


def list_versions(workspace: Workspace, name: str | None = None, limit: int = -1) -> list[DatasetVersion]:
    """Return dataset versions, newest first; raises NotFound for a name that is not known."""
    with workspace.catalogue.read() as act:
        found = build.dataset_versions(act, name, limit)
        if name is not None and not found:
            raise unknown("dataset", name, build.dataset_names(act), "mlops datasets list")
    return found


@dataclass(frozen=True, slots=True)
class Difference:
    """How two versions differ: columns, parts, rows, and how far each column's values moved."""

    old: DatasetVersion
    new: DatasetVersion
    added_columns: tuple[str, ...]
    removed_columns: tuple[str, ...]
    changed_types: tuple[tuple[str, str, str], ...]
    shared_parts: int
    shifts: tuple[Shift, ...]


def diff(workspace: Workspace, old: DatasetVersion, new: DatasetVersion) -> Difference:
    """Compare two versions."""
    from mlops_tui.core import shift

    before = {column.name: column.dtype for column in old.schema}
    after = {column.name: column.dtype for column in new.schema}
    both = [name for name in before if name in after and before[name] == after[name]]
    frames = [lookup.frame(workspace, version, lenient=True).select(both) for version in (old, new)]
    return Difference(
        old,
        new,
        tuple(name for name in after if name not in before),
        tuple(name for name in before if name not in after),
        tuple((n, before[n], after[n]) for n in before if n in after and before[n] != after[n]),
        len({part.hash for part in old.parts} & {part.hash for part in new.parts}),
        shift.shift(frames[0], frames[1]),
    )


def check(workspace: Workspace, version: DatasetVersion, data: Data) -> list[Finding]:
    """Return what a contract finds in a version now; changes nothing."""
    return _judge(workspace, data, version.parts, version.version)


def export(workspace: Workspace, version: DatasetVersion, path: Path) -> int:
    """Write a version's rows to a file (by its suffix: parquet, csv, jsonl, arrow) and return how many."""
    from mlops_tui.adapters import sources

    sources.write_table(lookup.frame(workspace, version, lenient=version.state == "broken"), path)
    return version.rows
