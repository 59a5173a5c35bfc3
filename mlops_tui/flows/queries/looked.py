"""What a look outside the catalogue tells of the pipelines: what has arrived in their sources, what is wrong in a file.

Sources are asked by name and stat alone, and a file is read again only when it has changed: so it may be done often.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from mlops_tui.adapters import sources
from mlops_tui.adapters.catalogue import build
from mlops_tui.errors import MlopsError
from mlops_tui.flows.queries.sketches import Sketch, sketch
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import SourceFile


@dataclass(frozen=True, slots=True)
class Looked:
    """By pipeline: how many files are new or changed in its source, and the first mistake of its own file."""

    arrived: dict[str, str] = field(default_factory=dict)
    mistakes: dict[str, str] = field(default_factory=dict)


def look(workspace: Workspace) -> Looked:
    """Look at the source and the file of every pipeline; no file of a source is opened.

    A file whose bytes are as they were, under a newer time, counts as changed: the next run looks into it.
    """
    files = {path: sketch(path) for path in sorted((workspace.root / "pipelines").glob("*.toml"))}
    with workspace.catalogue.read() as act:
        known = build.all_source_files(act)
    found = Looked()
    for path, one in files.items():
        if mistake := _mistake(path, *_stamp(path)):
            found.mistakes[one.name] = mistake
        elif told := _arrived(workspace, one, known.get(one.dataset, {})):
            found.arrived[one.name] = told
    return found


def _stamp(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except OSError:
        return 0, 0
    return stat.st_mtime_ns, stat.st_size


@lru_cache(maxsize=4096)
def _mistake(path: Path, mtime_ns: int, size: int) -> str:
    from mlops_tui.config import load_pipeline

    try:
        load_pipeline(path)
    except MlopsError as error:
        return " ".join(error.message.replace(str(path), path.name).split())
    return ""


def _arrived(workspace: Workspace, one: Sketch, known: dict[str, SourceFile]) -> str:
    try:
        paths = sources.discover(one.source, workspace.root)
        files = {workspace.relative(path): sources.stat_of(path) for path in paths}
    except MlopsError as error:
        return "" if known else error.message  # a source that is empty again changes nothing by itself
    new = sum(name not in known for name in files)
    changed = sum(name in known and stat != (known[name].size, known[name].mtime_ns) for name, stat in files.items())
    counts = ((new, "new"), (changed, "changed"))
    parts = [f"{count} {word} file{'s' if count != 1 else ''}" for count, word in counts if count]
    return f"{' and '.join(parts)} in {one.source}" if parts else ""
