"""Files by content hash: written once, read-only from then on, checked when they are read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mlops_tui.errors import External
from mlops_tui.records import digest


@dataclass(frozen=True)
class Objects:
    """The object store below a folder: `ab/abcdef…` holds the bytes whose SHA-256 is `abcdef…`."""

    folder: Path

    def path(self, hash_: str) -> Path:
        """Return where an object lies, or would lie."""
        return self.folder / hash_[:2] / hash_

    def put(self, data: bytes) -> str:
        """Store bytes and return their hash; what is there already is not written again, unless it is damaged."""
        hash_ = digest(data)
        if not self._holds(hash_):
            with self.temporary() as file:
                file.write_bytes(data)
                self._keep(file, hash_)
        return hash_

    def put_file(self, file: Path) -> str:
        """Move a file, made by `temporary`, into the store and return its hash."""
        hash_ = file_hash(file)
        if self._holds(hash_):
            file.unlink()
        else:
            self._keep(file, hash_)
        return hash_

    def temporary(self) -> _Temporary:
        """A file name inside the store for something that `put_file` will take; removed if it does not."""
        self.folder.mkdir(exist_ok=True)
        return _Temporary(self.folder)

    def get(self, hash_: str) -> bytes:
        """Return an object's bytes; raises External if they are gone or not the bytes that were stored."""
        data = self._existing(hash_).read_bytes()
        if digest(data) != hash_:
            raise self._damaged(hash_)
        return data

    def checked_path(self, hash_: str) -> Path:
        """Return an object's path after its bytes were checked; raises External as `get` does."""
        path = self._existing(hash_)
        if file_hash(path) != hash_:
            raise self._damaged(hash_)
        return path

    def all(self) -> Iterator[str]:
        """Yield every stored object's hash."""
        for path in self.folder.glob("??/*"):
            yield path.name

    def unfinished(self) -> Iterator[Path]:
        """Yield the files that `temporary` made and nobody has taken yet: in work, or left by who was killed."""
        yield from self.folder.glob(".new-*")

    def _holds(self, hash_: str) -> bool:
        """Whether an object is there whole; it counts as new from now on, so that `gc` leaves it to who names it."""
        path = self.path(hash_)
        if not path.exists() or file_hash(path) != hash_:
            return False
        try:
            os.utime(path)
        except PermissionError:  # another member's: written again, it is ours
            return False
        return True

    def _existing(self, hash_: str) -> Path:
        path = self.path(hash_)
        if not path.exists():
            raise External(f"object {hash_[:12]} is missing from {self.folder}", "restore it from a backup")
        return path

    def _damaged(self, hash_: str) -> External:
        return External(
            f"object {self.path(hash_)} is damaged: its bytes no longer have its hash",
            "restore it from a backup, or refresh the dataset and run the pipeline again",
        )

    def _keep(self, file: Path, hash_: str) -> None:
        """Make a complete file durable under its hash: fsync, rename, fsync of the folder."""
        target = self.path(hash_)
        target.parent.mkdir(exist_ok=True)
        file.chmod(0o444)
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
        file.rename(target)
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class _Temporary:
    """A context that yields a fresh file name and removes the file if it is still there at the end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> Path:
        import tempfile

        descriptor, name = tempfile.mkstemp(prefix=".new-", dir=self.folder)
        os.close(descriptor)
        self.path = Path(name)
        return self.path

    def __exit__(self, *_: object) -> None:
        with suppress(FileNotFoundError):
            self.path.unlink()


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, read in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
