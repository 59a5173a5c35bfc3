"""Keeping a workspace: audit, backup, restore, garbage, and a doctor that looks at all of it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_tui.adapters.catalogue import Act, audit, build
from mlops_tui.errors import External, InvalidInput, MlopsError, NotFound, Refused
from mlops_tui.flows import lookup
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import Event

if TYPE_CHECKING:
    import tarfile

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
    """Objects and run folders that nothing names, and their size in bytes."""

    objects: tuple[str, ...]
    bytes: int
    removed: bool


def collect(workspace: Workspace, *, remove: bool) -> Garbage:
    """Find, and where asked remove, objects that no record names: what an act that was killed left behind.

    The catalogue is held for writing meanwhile, so that no act can name one of them; objects younger than an
    hour are left alone, because a training that still works may be about to name them.
    """
    with workspace.catalogue.write(workspace.now()) as act:
        named = set(_named(act))
        young = workspace.now().timestamp() - 3600
        found = []
        for hash_ in workspace.objects.all():
            path = workspace.objects.path(hash_)
            if hash_ not in named and path.stat().st_mtime < young:
                found.append(hash_)
        halves = [path for path in workspace.objects.unfinished() if path.stat().st_mtime < young]
        paths = [*(workspace.objects.path(hash_) for hash_ in found), *halves]
        size = sum(path.stat().st_size for path in paths)
        if remove:
            for path in paths:
                path.unlink()
        act.record("objects.collected", "objects", count=len(found), bytes=size, removed=remove)
    return Garbage(tuple(found), size, remove)


def _named(act: Act) -> Iterator[str]:
    """Yield the hash of every object that the catalogue names."""
    for dataset in build.dataset_versions(act):
        yield dataset.profile
        yield from (part.hash for part in dataset.parts)
    for run in build.runs(act, status="completed"):
        yield run.details or ""
    for model in build.model_versions(act):
        pieces = (model.booster, model.transform, model.signature, model.calibration, model.reference)
        yield from (hash_ for hash_ in (*pieces, model.golden, model.rows, model.report) if hash_)


# ── backup and restore ───────────────────────────────────────────────────────────────────────────


def backup(workspace: Workspace, target: Path) -> int:
    """Copy the catalogue and all objects into a tar file and return its size; complete or not at all.

    The catalogue is held for the time that its copy takes, by a child process that is not the one that may
    have it open; objects never change and need no lock.
    """
    import subprocess
    import tarfile
    import tempfile

    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with tempfile.TemporaryDirectory(dir=workspace.home / "backups") as scratch:
            with workspace.exclusive("backup", "the backup"), workspace.catalogue.frozen():
                for name in KEPT[:2]:
                    if (workspace.home / name).exists():
                        subprocess.run(["cp", str(workspace.home / name), scratch], check=True)
            with tarfile.open(part, "w") as archive:
                for path in sorted(Path(scratch).iterdir()):
                    archive.add(path, path.name)
                for hash_ in sorted(workspace.objects.all()):
                    archive.add(workspace.objects.path(hash_), f"objects/{hash_}")
        part.replace(target)
    except (OSError, subprocess.CalledProcessError) as error:
        raise External(f"cannot write {target}: {error}") from None
    finally:
        part.unlink(missing_ok=True)
    return target.stat().st_size


def restore(workspace: Workspace, source: Path) -> int:
    """Put a backup's catalogue and objects into the workspace and return how many objects it held.

    The catalogue that was there is kept in `backups/`; objects are added, each checked against its hash.
    """
    import tarfile
    import tempfile

    if not source.exists():
        raise NotFound(f"no file {source}")
    running = _running(workspace)
    if running:
        raise Refused(
            f"'{', '.join(running)}' still runs, and the catalogue of the backup does not know its process",
            f"mlops deployments stop {running[0]}",
        )
    count = 0
    try:
        with tarfile.open(source) as archive, tempfile.TemporaryDirectory(dir=workspace.home / "backups") as scratch:
            for member in archive:
                if not _is_ours(member):
                    raise InvalidInput(f"{source} is no backup of a workspace: it holds {member.name!r}")
                archive.extract(member, scratch, filter="data")
            for path in sorted((Path(scratch) / "objects").glob("*")):
                if workspace.objects.put(path.read_bytes()) != path.name:
                    raise InvalidInput(f"{source} is damaged: object {path.name[:12]} does not have its hash")
                count += 1
            if not (Path(scratch) / KEPT[0]).exists():
                raise InvalidInput(f"{source} is no backup of a workspace: it has no catalogue")
            _swap(workspace, Path(scratch))
    except tarfile.TarError:
        raise InvalidInput(f"{source} is no backup of a workspace: it is not a tar file") from None
    return count


def _running(workspace: Workspace) -> list[str]:
    """The deployments that run, as far as the catalogue can be read: a damaged one is what a restore is for."""
    from mlops_tui.flows.release import deployments

    try:
        return [one.name for one in deployments.list_deployments(workspace) if deployments.state(one) == "running"]
    except MlopsError:
        return []


def _is_ours(member: tarfile.TarInfo) -> bool:
    """Whether a member is a plain file that a backup may hold: nothing that points out of it."""
    head, _, hash_ = member.name.partition("/")
    return member.isfile() and (member.name in KEPT[:2] or (head == "objects" and hash_.isalnum() and len(hash_) == 64))


def _swap(workspace: Workspace, scratch: Path) -> None:
    """Move the catalogue aside and the backup's into its place, while nobody can open either."""
    aside = workspace.home / "backups" / f"before-restore-{workspace.now():%Y%m%d-%H%M%S-%f}"
    aside.mkdir()
    with workspace.catalogue.frozen():
        for name in KEPT[:2]:
            if (workspace.home / name).exists():
                (workspace.home / name).rename(aside / name)
            if (scratch / name).exists():
                shutil.move(scratch / name, workspace.home / name)


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
        named = sorted({hash_ for hash_ in _named(act) if hash_})
    bad = []
    for hash_ in named:
        try:
            workspace.objects.checked_path(hash_)
        except External as error:
            bad.append(error.message)
    return not bad, f"{len(named)} objects" + (f", {len(bad)} bad: {bad[0]}" if bad else ", all have their bytes")


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
