"""Keeping a workspace: audit, backup, restore, garbage, and a doctor that looks at all of it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from mlops_tui.adapters.catalogue import Act, audit, build, watch
from mlops_tui.errors import External, MlopsError
from mlops_tui.flows import lookup
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import Event

REPORTS_KEPT = timedelta(days=30)  # all monitor reports; of older ones, one a day and deployment
KEPT = ("catalogue.duckdb", "catalogue.duckdb.wal", "objects")


def events(workspace: Workspace, subject: str | None, limit: int) -> list[Event]:
    """Return audit events, newest first; `subject` keeps those about one thing."""
    with workspace.catalogue.read() as act:
        return audit.events(act, subject, limit)


@dataclass(frozen=True, slots=True)
class Verified:
    """Whether the audit chain holds: how many events, and which are not as they were written."""

    events: int
    broken: tuple[int, ...]


def verify(workspace: Workspace) -> Verified:
    """Check every link of the audit chain."""
    with workspace.catalogue.read() as act:
        return Verified(audit.count(act), tuple(audit.broken_links(act)))


# ── garbage ──────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Garbage:
    """Objects and unfinished files that nothing names, their size in bytes, and how many old monitor reports go."""

    objects: tuple[str, ...]
    bytes: int
    removed: bool
    reports: int = 0


def collect(workspace: Workspace, *, remove: bool) -> Garbage:
    """Find, and where asked remove, objects that no record names: what an act that was killed left behind.

    Monitor reports older than 30 days go too, but the last of each day and deployment. The catalogue is held for
    writing meanwhile, so that no act can name one of the objects; those younger than an hour are left alone, because
    a training that still works may be about to name them.
    """
    old = _forget_reports(workspace, remove=remove)
    with workspace.catalogue.write(workspace.now()) as act:
        kept = set(named(act)) - {hash_ for _, hash_ in old}
        young = workspace.now().timestamp() - 3600
        found = []
        for hash_ in workspace.objects.all():
            path = workspace.objects.path(hash_)
            if hash_ not in kept and path.stat().st_mtime < young:
                found.append(hash_)
        halves = [path for path in workspace.objects.unfinished() if path.stat().st_mtime < young]
        paths = [*(workspace.objects.path(hash_) for hash_ in found), *halves]
        size = sum(path.stat().st_size for path in paths)
        if remove:
            for path in paths:
                path.unlink()
        act.record("objects.collected", "objects", count=len(found), bytes=size, removed=remove)
    return Garbage(tuple(found), size, remove, len(old))


def _forget_reports(workspace: Workspace, *, remove: bool) -> list[tuple[str, str]]:
    """Return (id, hash) of old monitor reports, forgotten where asked: before their objects go, whatever happens."""
    with workspace.catalogue.read() as act:
        old = watch.old_monitor_reports(act, workspace.now() - REPORTS_KEPT)
    if old and remove:
        with workspace.catalogue.write(workspace.now()) as act:
            for id_, _ in old:
                watch.drop_monitor_report(act, id_)
            act.record("reports.forgotten", "reports", count=len(old))
    return old


def named(act: Act) -> Iterator[str]:
    """Yield the hash of every object that the catalogue names."""
    for dataset in build.dataset_versions(act):
        yield dataset.profile
        yield from (part.hash for part in dataset.parts)
    for run in build.runs(act, status="completed"):
        yield run.details or ""
    for model in build.model_versions(act):
        pieces = (model.booster, model.transform, model.signature, model.calibration, model.reference)
        yield from (hash_ for hash_ in (*pieces, model.golden, model.rows, model.report) if hash_)
    yield from watch.named(act)


# ── doctor ───────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that the doctor looked at."""

    check: str
    ok: bool
    text: str


def examine(workspace: Workspace) -> list[Finding]:
    """Look at the workspace, the catalogue, objects, pipelines, deployments and the machine."""
    looks = (_catalogue, _audit, _objects, _pipelines, _deployments, _disk)
    found = []
    for look in looks:
        name = look.__name__.strip("_")
        try:
            found.append(Finding(name, *look(workspace)))
        except MlopsError as error:
            found.append(Finding(name, False, error.message))
    return [Finding("python", sys.version_info >= (3, 11), sys.version.split()[0]), *found]


def _catalogue(workspace: Workspace) -> tuple[bool, str]:
    with workspace.catalogue.read() as act:
        runs, models = build.count(act, "runs"), build.count(act, "model_versions")
    return True, f"{workspace.catalogue.path}: {runs} runs, {models} model versions"


def _audit(workspace: Workspace) -> tuple[bool, str]:
    found = verify(workspace)
    broken = f", not as written: {', '.join(map(str, found.broken[:5]))}" if found.broken else ", all links hold"
    return not found.broken, f"{found.events} events{broken}"


def _objects(workspace: Workspace) -> tuple[bool, str]:
    """Every object that is named must be there with its bytes."""
    with workspace.catalogue.read() as act:
        hashes = sorted({hash_ for hash_ in named(act) if hash_})
    bad = []
    for hash_ in hashes:
        try:
            workspace.objects.checked_path(hash_)
        except External as error:
            bad.append(error.message)
    return not bad, f"{len(hashes)} objects" + (f", {len(bad)} bad: {bad[0]}" if bad else ", all have their bytes")


def _pipelines(workspace: Workspace) -> tuple[bool, str]:
    wrong = []
    files = lookup.pipeline_files(workspace)
    for path in files.values():
        try:
            lookup.pipeline(workspace, str(path))
        except MlopsError as error:
            wrong.append(error.message.splitlines()[0])
    return not wrong, "; ".join(wrong) or f"{len(files)} pipeline files, no mistake"


def _deployments(workspace: Workspace) -> tuple[bool, str]:
    from mlops_tui.flows.release import deployments

    found = deployments.list_deployments(workspace)
    down = [item.name for item in found if deployments.state(item) == "down"]
    return not down, f"down: {', '.join(down)}" if down else f"{len(found)} deployments, none is down"


def _disk(workspace: Workspace) -> tuple[bool, str]:
    free = shutil.disk_usage(workspace.root).free
    return free > 1e9, f"{free / 1e9:.1f} GB free"
