"""What all made workspaces share: the moment they stand at, and the one act in which everything is put."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from mlops_tui.adapters.catalogue import Act, audit, build
from mlops_tui.config import PipelineFile, load_pipeline
from mlops_tui.flows.workspace import Workspace, init, training_code
from mlops_tui.records import Event, digest, hash_of, to_json

NOW = datetime(2013, 10, 15, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Making:
    """A workspace in the making: everything is put in one act, and told to the audit chain in order at its end."""

    workspace: Workspace
    act: Act
    code: str  # the fingerprint of the code that trains now
    story: list[tuple[datetime, str, str, str, dict[str, object]]] = field(default_factory=list)

    def put(self, record: object) -> str:
        """Store a record as an object and return its hash."""
        return self.keep(to_json(record))

    def keep(self, data: bytes) -> str:
        """Store bytes as an object, without the wait for the disk that the product takes."""
        path = self.workspace.objects.path(digest(data))
        path.parent.mkdir(exist_ok=True)
        if not path.exists():
            path.write_bytes(data)
            path.chmod(0o444)
        return path.name

    def tell(self, at: datetime, user: str, action: str, subject: str, **details: object) -> None:
        """Remember an audit event."""
        self.story.append((at, user, action, subject, details))

    def end(self) -> None:
        """Write the audit chain, oldest first, in one statement: event by event takes half a second."""
        number, previous = self.act.one("SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1") or (
            0,
            audit.START,
        )
        values: list[object] = []
        for at, user, action, subject, details in sorted(self.story, key=lambda event: event[0]):
            number += 1
            event = Event(number, at, user, action, subject, details, previous, "")
            values += [number, at.isoformat(), user, action, subject, to_json(details).decode(), previous]
            values.append(previous := hash_of(event))
        self.act.change(
            f"INSERT INTO audit VALUES {', '.join(['(?, ?, ?, ?, ?, ?, ?, ?)'] * len(self.story))}", *values
        )
        self.act.events += len(self.story)


def moment(text: str) -> datetime:
    """A moment of 2013 in UTC, as in "10-15 12:00"."""
    return datetime.fromisoformat(f"2013-{text}").replace(tzinfo=UTC)


def id_of(*words: object) -> str:
    """An id of 12 hex digits that is the same every time."""
    return hash_of([str(word) for word in words])[:12]


def empty(root: Path) -> Workspace:
    """A workspace without a pipeline; its clock stands at NOW, and its user is ada."""
    workspace, _ = init(root)
    workspace.catalogue.user = "ada"
    return replace(workspace, user="ada", now=lambda: NOW)


@contextmanager
def making_of(workspace: Workspace) -> Iterator[Making]:
    """Put what the body makes, all or nothing."""
    with workspace.catalogue.write(NOW) as act:
        making = Making(workspace, act, training_code(workspace.root).fingerprint)
        yield making
        making.end()


def pipeline(making: Making, name: str, text: str) -> PipelineFile:
    """Write a pipeline file, and let the catalogue know it."""
    where = f"pipelines/{name}.toml"
    path = making.workspace.root / where
    path.write_text(text, encoding="utf-8")
    build.put_pipeline(making.act, name, where)
    making.tell(moment("05-30 14:00"), "ada", "pipeline.seen", name, path=where)
    return load_pipeline(path)
