"""What a source holds against what a dataset was made from: unchanged files cost one stat each."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_tui.adapters.catalogue import build
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import DatasetVersion, SourceFile

if TYPE_CHECKING:
    from mlops_tui.config import Data

DECIDING = ("source", "key", "incremental", "checks")
"""The keys of [data] that decide a dataset version; the others are read where the version is used."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the catalogue knows of a dataset: its newest version, the newest that keeps its contract, its files."""

    version: DatasetVersion | None
    good: DatasetVersion | None
    files: dict[str, SourceFile]
    settings: str | None

    def same_settings(self, data: Data) -> bool:
        """Return whether the dataset was last refreshed with the same deciding keys."""
        if self.settings is None:
            return False
        before, now = json.loads(self.settings), json.loads(data.model_dump_json())
        return all(before.get(key) == now.get(key) for key in DECIDING)


@dataclass(frozen=True, slots=True)
class Survey:
    """What there is to read; `touched` files changed in time only."""

    new: tuple[Path, ...] = ()
    changed: tuple[Path, ...] = ()
    gone: tuple[str, ...] = ()
    same: tuple[SourceFile, ...] = ()
    touched: tuple[SourceFile, ...] = ()
    kept: tuple[str, ...] = ()  # gone too, but their rows stay

    @property
    def idle(self) -> bool:
        """Whether no file has anything new."""
        return not (self.new or self.changed or self.gone)

    @property
    def sentence(self) -> str:
        """What there is to do, in words: "2 new files, 1 changed"."""
        counts = ((len(self.new), "new"), (len(self.changed), "changed"), (len(self.gone), "gone"))
        told = [f"{count} {word} file{'s' if count > 1 else ''}" for count, word in counts if count]
        unchanged = len(self.same) + len(self.touched)
        kept = f", {len(self.kept)} gone from the source and kept" if self.kept else ""
        return (", ".join(told) or f"nothing new: {unchanged} file{'s' if unchanged != 1 else ''} unchanged") + kept


def known(workspace: Workspace, dataset: str) -> Known:
    """Return what the catalogue knows of a dataset."""
    with workspace.catalogue.read() as act:
        files = {file.path: file for file in build.source_files(act, dataset)}
        good = build.good_dataset_version(act, dataset)
        return Known(build.dataset_version(act, dataset), good, files, build.dataset_settings(act, dataset))


def survey(workspace: Workspace, data: Data, before: Known) -> Survey:
    """Compare a source's files with what is known: by stat, and by hash where the stat differs."""
    from mlops_tui.adapters import sources

    new, changed, same, touched = [], [], [], []
    seen = set()
    for path in sources.discover(data.source, workspace.root):
        name = workspace.relative(path)
        seen.add(name)
        file = before.files.get(name)
        if file is None:
            new.append(path)
        elif sources.stat_of(path) == (file.size, file.mtime_ns):
            same.append(file)
        else:
            now = replace(sources.fingerprint(path), path=name, left_out=file.left_out)
            if now.hash == file.hash:
                touched.append(now)
            else:
                changed.append(path)
    vanished = [name for name in before.files if name not in seen]
    kept = tuple(name for name in vanished if data.incremental and _was_good(before, name))
    gone = tuple(name for name in vanished if name not in kept)
    return Survey(tuple(new), tuple(changed), gone, tuple(same), tuple(touched), kept)


def _was_good(before: Known, name: str) -> bool:
    """Whether all that a file brought was once in a good version: what never was goes with its file."""
    good = {part.hash for part in before.good.parts} if before.good else set()
    return all(part.hash in good for part in (before.version.parts if before.version else ()) if part.source == name)


def keep_times(workspace: Workspace, data: Data, before: Known, found: Survey) -> None:
    """Remember the new times of files whose bytes are the same, so that they need no hashing again."""
    files = before.files | {file.path: file for file in found.touched}
    with workspace.catalogue.write(workspace.now()) as act:
        build.put_source_files(act, data.dataset, list(files.values()))
        act.record("dataset.touched", data.dataset, files=len(found.touched))
