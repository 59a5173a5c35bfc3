"""The one place that opens the catalogue: lock, attach, one transaction, detach, unlock.

A `:memory:` instance is kept for the life of the process and the file is attached for the length of an act only:
several times cheaper than opening a new instance, and between acts nobody holds the file.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from mlops_tui.adapters.catalogue import audit, migrate
from mlops_tui.adapters.catalogue.lock import held
from mlops_tui.errors import External, InvalidInput, MlopsError

if TYPE_CHECKING:
    import duckdb

# `threads` 1: every query here is small. Extensions are never fetched from the network.
CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "threads": "1",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",  # a table that is not there is never a variable of ours
}


@dataclass
class Act:
    """One transaction: `query` and `change` run SQL; `record` adds the audit event that every change needs."""

    con: duckdb.DuckDBPyConnection
    user: str
    now: datetime
    events: int = 0

    def query(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        return self.con.execute(sql, list(values)).fetchall()

    def one(self, sql: str, *values: object) -> tuple[Any, ...] | None:
        """Return the first row of a query, or None."""
        return self.con.execute(sql, list(values)).fetchone()

    def change(self, sql: str, *values: object) -> None:
        """Run a statement that changes rows."""
        self.con.execute(sql, list(values))

    def record(self, action: str, subject: str, **details: object) -> None:
        """Append an event to the audit chain, in this transaction."""
        audit.append(self, action, subject, details)
        self.events += 1


@dataclass
class Catalogue:
    """The catalogue of a workspace; every act on it is one transaction under the lock."""

    path: Path
    timeout: float
    user: str
    memory: str = "512MB"  # that DuckDB may take; who lives long keeps less
    _instance: duckdb.DuckDBPyConnection | None = field(default=None, repr=False)
    _schema_of: tuple[int, int] | None = field(default=None, repr=False)
    _busy: threading.RLock = field(default_factory=threading.RLock, repr=False)

    @contextmanager
    def read(self) -> Iterator[Act]:
        """One read-only transaction; other readers may be in at the same time."""
        with self._act(write=False, now=datetime.min) as act:
            yield act

    @contextmanager
    def write(self, now: datetime) -> Iterator[Act]:
        """One transaction that commits at the end of the body and rolls back if it raises."""
        with self._act(write=True, now=now) as act:
            yield act
            if not act.events:
                raise AssertionError("a change of the catalogue without an audit event")

    def stamp(self) -> tuple[int, ...]:
        """What changes on every commit and never on a read, for who polls: inode, time and size, of file and WAL."""
        found: list[int] = []
        for path in (self.path, self.path.with_name(self.path.name + ".wal")):
            with suppress(FileNotFoundError):
                stat = path.stat()
                found += [stat.st_ino, stat.st_mtime_ns, stat.st_size]
        return tuple(found)

    def close(self) -> None:
        """Let go of the instance that is kept; the next act makes another."""
        with self._busy:
            if self._instance is not None:
                self._instance.close()
                self._instance = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Keep everybody out for the body, this process too: nobody has the file open, so it may be copied or moved."""
        with self._busy, held(self.path, exclusive=True, timeout=self.timeout, user=self.user):
            yield
            self._schema_of = None

    @contextmanager
    def _act(self, *, write: bool, now: datetime) -> Iterator[Act]:
        with self._busy:
            self._ensure_schema(now)
            with (
                held(self.path, exclusive=write, timeout=self.timeout, user=self.user),
                _signals_wait(),
                self._attached(write) as con,
            ):
                yield Act(con, self.user, now)

    @contextmanager
    def _attached(self, write: bool) -> Iterator[duckdb.DuckDBPyConnection]:
        """Attach, begin, and whatever happens end the transaction and detach."""
        import duckdb

        try:
            con = self._connect(write)
        except duckdb.Error as error:
            self._instance = None
            raise _translated(error, self.path) from None
        try:
            con.execute("BEGIN")
            yield con
            con.execute("COMMIT" if write else "ROLLBACK")
        except duckdb.Error as error:
            self._abandon(con)
            raise _translated(error, self.path) from error
        except BaseException:
            self._abandon(con)
            raise
        finally:
            self._detach(con)

    def _connect(self, write: bool) -> duckdb.DuckDBPyConnection:
        import duckdb

        if self._instance is None:
            self._instance = duckdb.connect(":memory:", config=self._config())
        mode = "" if write else " (READ_ONLY)"
        self._instance.execute(f"ATTACH {_quoted(str(self.path))} AS catalogue{mode}")
        self._instance.execute("USE catalogue")
        return self._instance

    def _config(self) -> dict[str, str | bool | int | float | list[str]]:
        """What does not fit into the memory that it may take goes beside the file, and goes away with the query."""
        return CONFIG | {"memory_limit": self.memory, "temp_directory": str(self.path.with_suffix(".spill"))}

    def _abandon(self, con: duckdb.DuckDBPyConnection) -> None:
        """Roll back; COMMIT of an aborted transaction would raise nothing."""
        import duckdb

        with suppress(duckdb.Error):
            con.execute("ROLLBACK")

    def _detach(self, con: duckdb.DuckDBPyConnection) -> None:
        """Let go of the file; an instance that cannot (a failed checkpoint kills it) is thrown away."""
        import duckdb

        try:
            con.execute("USE memory")
            con.execute("DETACH catalogue")
        except duckdb.Error:
            self._instance = None
            with suppress(duckdb.Error):
                con.close()

    def _ensure_schema(self, now: datetime) -> None:
        """Bring the file to this version's schema, once a process and file."""
        try:
            stat = os.stat(self.path)
        except FileNotFoundError:
            raise External(
                f"the catalogue {self.path} is not there", "restore a backup, or make a workspace: mlops init"
            ) from None
        if self._schema_of == (stat.st_dev, stat.st_ino):
            return
        with (
            held(self.path, exclusive=False, timeout=self.timeout, user=self.user),
            self._attached(write=False) as con,
        ):
            behind = migrate.pending(con, self.path)
        if behind:
            self._migrate()
        stat = os.stat(self.path)
        self._schema_of = (stat.st_dev, stat.st_ino)

    def _migrate(self) -> None:
        with held(self.path, exclusive=True, timeout=self.timeout, user=self.user):
            migrate.copy_aside(self.path)
            with self._attached(write=True) as con:
                for step in migrate.pending(con, self.path):
                    migrate.apply(con, step)

    def create(self) -> None:
        """Make an empty catalogue with this version's schema; one that is there already is left alone."""
        with self._busy, held(self.path, exclusive=True, timeout=self.timeout, user=self.user):
            if self.path.exists():
                return
            with self._attached(write=True) as con:
                for step in migrate.pending(con, self.path):
                    migrate.apply(con, step)


@contextmanager
def _signals_wait() -> Iterator[None]:
    """Let SIGINT and SIGTERM wait for the end of the body, which is short.

    Within a query DuckDB turns what a handler raises into an error of its own, or loses it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # handlers run in the main thread only
        return
    came: list[tuple[int, FrameType | None]] = []
    found = {int(number): signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    ours = {number: handler for number, handler in found.items() if callable(handler)}
    for number in ours:
        signal.signal(number, lambda *told: came.append(told))
    try:
        yield
    finally:
        for number, handler in ours.items():
            signal.signal(number, handler)
        for number, frame in came[:1]:
            ours[number](number, frame)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _translated(error: Exception, path: Path) -> MlopsError:
    """DuckDB's error as ours; nobody is shown its text alone."""
    import duckdb

    first = str(error).splitlines()[0]
    if isinstance(error, duckdb.ConstraintException):
        return InvalidInput(f"the catalogue refused a double entry: {first}")
    if "Permission denied" in first:
        return External(f"the catalogue {path} may not be written by you: {first}", f"ls -l {path.parent}")
    if isinstance(error, duckdb.IOException):
        return External(f"the catalogue {path} cannot be read or written: {first}", "mlops doctor; mlops restore")
    if isinstance(error, duckdb.TransactionException | duckdb.FatalException):
        return External(f"the catalogue {path} could not keep the change (disk full?): {first}", "df -h; try again")
    damaged = ("Corrupt", "checksum", "Serialization", "deserialize", "magic bytes")
    if isinstance(error, duckdb.InternalException) or any(word in str(error) for word in damaged):
        return External(f"the catalogue {path} is damaged: {first}", "mlops restore a backup")
    raise error
