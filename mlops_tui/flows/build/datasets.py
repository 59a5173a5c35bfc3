"""source → dataset version: only what is new is read, parts are shared, and the contract decides what is trained on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_tui.adapters.catalogue import build
from mlops_tui.errors import InvalidInput, Refused, unknown
from mlops_tui.flows import lookup
from mlops_tui.flows.build import parts
from mlops_tui.flows.build.survey import Known, Survey, keep_times, known, survey
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
    from mlops_tui.config import Data
    from mlops_tui.records import Column


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What a refresh did: the version now, whether it is new, why, and how many parts it shares with its parent."""

    version: DatasetVersion
    changed: bool
    reason: str
    shared_parts: int


def settings_of(workspace: Workspace, name: str) -> Data:
    """Return the [data] section that a dataset was last refreshed with; raises NotFound."""
    with workspace.catalogue.read() as act:
        found, names = build.dataset_settings(act, name), build.dataset_names(act)
    if found is None:
        raise unknown("dataset", name, names, f"mlops datasets add {name} SOURCE")
    from mlops_tui.config import Data

    return Data.model_validate_json(found)


def add(workspace: Workspace, data: Data) -> Refreshed:
    """Register a dataset and make its first version; one that is there with the same settings is refreshed."""
    before = known(workspace, data.dataset)
    if before.settings is not None and not before.same_settings(data):
        raise Refused(
            f"the dataset '{data.dataset}' is there already, with other settings",
            f"mlops datasets refresh {data.dataset}, or take another name",
        )
    return refresh(workspace, data)


def refresh(workspace: Workspace, data: Data) -> Refreshed:
    """Read what is new or changed in a source, and make a version if that changes the dataset or its findings.

    A version that breaks the contract is kept and marked "broken". Raises InvalidInput for a file that cannot
    be read as a table, before anything is stored; Busy if the same dataset is being refreshed elsewhere.
    """
    with workspace.exclusive(f"dataset-{data.dataset}", f"the dataset '{data.dataset}'"):
        before = known(workspace, data.dataset)
        found = survey(workspace, data, before)
        if before.version is not None and found.idle and before.same_settings(data):
            if found.touched:
                keep_times(workspace, data, before, found)
            return Refreshed(before.version, False, found.sentence, len(before.version.parts))
        return _make(workspace, data, before, found)


def _make(workspace: Workspace, data: Data, before: Known, found: Survey) -> Refreshed:
    """Read, check and profile; then write the version in one transaction."""
    reason = "the contract changed" if found.idle else found.sentence
    reading = parts.read(workspace, data, before, found)
    if not reading.parts:
        raise InvalidInput(f"the source of dataset '{data.dataset}' holds no rows: {data.source}")
    findings = (*reading.warnings, *_judge(workspace, data, reading.parts))
    old, files = before.version, list(reading.files.values())
    if old and list(old.parts) == reading.parts and set(findings) == set(old.findings):
        _store(workspace, data, None, files)
        return Refreshed(old, False, f"{reason}, but no row and no finding is different", len(old.parts))
    version = _version(workspace, data, (reading.parts, findings), old)
    _store(workspace, data, version, files)
    shared = len({part.hash for part in version.parts} & {part.hash for part in old.parts}) if old else 0
    return Refreshed(version, True, reason, shared)


def _judge(workspace: Workspace, data: Data, held: Sequence[Part], before: int | None = None) -> list[Finding]:
    """Return the contract's findings on all parts together: drift that it refuses, then its checks.

    A part that drifts is told and does not count for those after it: what is good is not measured by it.
    """
    from mlops_tui.config import Checks
    from mlops_tui.core import contract, dataset

    findings: list[Finding] = []
    schemas = parts.schemas(workspace, held)
    good = _baseline(workspace, data, held, before) or schemas[0]
    for part, schema in zip(held, schemas, strict=True):
        drift = dataset.schema_drift(good, schema, data.checks, part.source)
        errors = [finding for finding in drift if finding.level == "error"]
        good = good if errors else dataset.merge((good, schema))
        findings += errors
    frame = parts.scan(workspace, held)
    assert frame is not None
    workspace.report(Progress("data", "checking the contract"))
    seen = dataset.schema_of(frame)
    findings += contract.check(frame, seen, data.checks)
    if data.key and data.key != data.checks.unique:
        findings += contract.check(frame, seen, Checks(unique=data.key))  # a key must identify, whatever the contract
    return [*findings, *_faults(workspace, data, held, before)]


def _faults(workspace: Workspace, data: Data, held: Sequence[Part], before: int | None = None) -> Iterator[Finding]:
    """Yield the broken columns of the parts that no good version has held, against those that one has."""
    import polars as pl

    from mlops_tui.core import batch

    if data.checks.faults == "off":
        return
    with workspace.catalogue.read() as act:
        versions = build.dataset_versions(act, data.dataset)
    older = [one for one in versions if one.state == "ok" and (before is None or one.version < before)]
    trusted = {part.hash for part in (older[0].parts if older else ())}
    fresh = [part for part in held if part.hash not in trusted]
    if not trusted or not fresh:
        return
    newest = older[0].parts[-batch.BATCHES :]
    kept = batch.steps([part.rows for part in newest])
    scans = [pl.scan_parquet(workspace.objects.path(part.hash)) for part in newest]
    known = [
        one.gather_every(step).collect(engine="streaming") for one, step in zip(scans, kept, strict=True)
    ]  # fmt: skip
    skip = {*data.key, *([data.time] if data.time else [])}
    level: batch.Level = "error" if data.checks.faults == "refuse" else "warning"
    for part in fresh:
        rows = pl.read_parquet(workspace.objects.path(part.hash))
        yield from batch.faults(known, rows, part.source, skip, level, kept)


def _baseline(workspace: Workspace, data: Data, held: Sequence[Part], before: int | None = None) -> tuple[Column, ...]:
    """Return the schema of the newest good version if no part of it is left: a file written anew may drift as well.

    With `before`, the newest good version that is older than that.
    """
    with workspace.catalogue.read() as act:
        versions = build.dataset_versions(act, data.dataset)
    older = (one for one in versions if before is None or one.version < before)
    good = next((one for one in older if one.state == "ok"), None)
    if good is None or {part.hash for part in good.parts} & {part.hash for part in held}:
        return ()
    return good.schema


def _version(
    workspace: Workspace, data: Data, content: tuple[list[Part], Sequence[Finding]], old: DatasetVersion | None
) -> DatasetVersion:
    import polars as pl

    from mlops_tui.core import dataset, profile

    held, findings = content
    schema = dataset.merge((_baseline(workspace, data, held), parts.schema(workspace, held)), lenient=True)
    paths = [workspace.objects.checked_path(part.hash) for part in held]
    frame = dataset.unify([pl.scan_parquet(path) for path in paths], schema, lenient=True)
    workspace.report(Progress("data", "profiling"))
    profiled = workspace.objects.put(to_json(profile.profile(frame)))
    broken = any(finding.level == "error" for finding in findings)
    return DatasetVersion(
        dataset=data.dataset,
        version=old.version + 1 if old else 1,
        hash=hash_of((schema, [part.hash for part in held])),
        rows=sum(part.rows for part in held),
        schema=schema,
        parts=tuple(held),
        profile=profiled,
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
