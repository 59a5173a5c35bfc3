"""The catalogue and all objects in one tar file, and back; what comes back is looked at before it replaces any."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from mlops_tui.adapters.catalogue import Catalogue, audit
from mlops_tui.errors import External, InvalidInput, MlopsError, NotFound, Refused
from mlops_tui.flows.keep import named
from mlops_tui.flows.release import deployments
from mlops_tui.flows.workspace import Workspace

CATALOGUE = ("catalogue.duckdb", "catalogue.duckdb.wal")


def backup(workspace: Workspace, target: Path) -> int:
    """Copy the catalogue and all objects into a tar file and return its size; complete or not at all.

    The catalogue is held for the time that its copy takes, by a child process that is not the one that may
    have it open; objects never change and need no lock. Raises External naming an object that is damaged.
    """
    if target.is_dir() or not target.name:
        raise InvalidInput(f"{target} is a folder: name the file to write")
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with tempfile.TemporaryDirectory(dir=workspace.home / "backups") as scratch:
            with workspace.exclusive("backup", "the backup"), workspace.catalogue.frozen():
                for name in CATALOGUE:
                    if (workspace.home / name).exists():
                        subprocess.run(["cp", str(workspace.home / name), scratch], check=True)
            with tarfile.open(part, "w") as archive:
                for path in sorted(Path(scratch).iterdir()):
                    archive.add(path, path.name)
                for hash_ in sorted(workspace.objects.all()):
                    archive.add(workspace.objects.checked_path(hash_), f"objects/{hash_}")
        part.replace(target)
    except (OSError, subprocess.CalledProcessError) as error:
        raise External(f"cannot write {target}: {getattr(error, 'strerror', None) or error}") from None
    finally:
        part.unlink(missing_ok=True)
    return target.stat().st_size


def restore(workspace: Workspace, source: Path) -> int:
    """Put a backup's catalogue and objects into the workspace and return how many objects it held.

    Nothing is replaced before the backup has proven whole: its catalogue opens, its audit chain holds, and every
    object that it names is there. The catalogue that was there is kept in `backups/`; the audit tells of it.
    """
    if not source.exists():
        raise NotFound(f"no file {source}")
    running = _running(workspace)
    if running:
        raise Refused(
            f"'{', '.join(running)}' still runs, and the catalogue of the backup does not know its process",
            f"mlops deployments stop {running[0]}",
        )
    with tempfile.TemporaryDirectory(dir=workspace.home / "backups") as scratch:
        _unpack(source, Path(scratch))
        count = _take_objects(workspace, source, Path(scratch))
        _check(workspace, source, Path(scratch))
        aside = _swap(workspace, Path(scratch))
    with workspace.catalogue.write(workspace.now()) as act:
        act.record("workspace.restored", "catalogue", backup=source.name, objects=count, former=aside.name)
    return count


def _running(workspace: Workspace) -> list[str]:
    """The deployments that run, as far as the catalogue can be read: a damaged one is what a restore is for."""
    try:
        return [one.name for one in deployments.list_deployments(workspace) if deployments.state(one) == "running"]
    except MlopsError:
        return []


def _unpack(source: Path, scratch: Path) -> None:
    try:
        with tarfile.open(source) as archive:
            for member in archive:
                if not _is_ours(member):
                    raise InvalidInput(f"{source} is no backup of a workspace: it holds {member.name!r}")
                archive.extract(member, scratch, filter="data")
    except (tarfile.TarError, EOFError):
        raise InvalidInput(f"{source} is no backup of a workspace: it is not a whole tar file") from None
    if not (scratch / CATALOGUE[0]).exists():
        raise InvalidInput(f"{source} is no backup of a workspace: it has no catalogue")


def _is_ours(member: tarfile.TarInfo) -> bool:
    """Whether a member is a plain file that a backup may hold: nothing that points out of it."""
    head, _, hash_ = member.name.partition("/")
    return member.isfile() and (
        member.name in CATALOGUE or (head == "objects" and hash_.isalnum() and len(hash_) == 64)
    )


def _take_objects(workspace: Workspace, source: Path, scratch: Path) -> int:
    count = 0
    for path in sorted((scratch / "objects").glob("*")):
        if workspace.objects.put(path.read_bytes()) != path.name:
            raise InvalidInput(f"{source} is damaged: object {path.name[:12]} does not have its hash")
        count += 1
    return count


def _check(workspace: Workspace, source: Path, scratch: Path) -> None:
    """Open the catalogue of a backup where it lies, and look whether it is whole."""
    try:
        with Catalogue(scratch / CATALOGUE[0], workspace.catalogue.timeout, workspace.user).read() as act:
            broken = audit.broken_links(act)
            missing = [hash_ for hash_ in named(act) if hash_ and not workspace.objects.path(hash_).exists()]
    except MlopsError as error:
        raise InvalidInput(f"{source} is damaged: {error.message}") from None
    if broken or missing:
        what = f"audit event {broken[0]} is not as it was written" if broken else f"object {missing[0][:12]} is missing"
        raise InvalidInput(f"{source} is damaged: {what}")


def _swap(workspace: Workspace, scratch: Path) -> Path:
    """Put the backup's catalogue in the place of the one that is there, of which a copy is kept, and return that.

    The new file replaces the old by one rename, so that at no moment there is none.
    """
    aside = workspace.home / "backups" / f"before-restore-{workspace.now():%Y%m%d-%H%M%S-%f}"
    aside.mkdir()
    with workspace.catalogue.frozen():
        for name in CATALOGUE:
            if (workspace.home / name).exists():
                subprocess.run(["cp", str(workspace.home / name), str(aside)], check=True)
        (workspace.home / CATALOGUE[1]).unlink(missing_ok=True)
        for name in reversed(CATALOGUE):
            if (scratch / name).exists():
                shutil.move(scratch / name, workspace.home / name)
    return aside
