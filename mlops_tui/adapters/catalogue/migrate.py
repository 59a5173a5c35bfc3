"""Numbered forward migrations: each is a file of SQL, applied once, in one transaction with its number."""

from __future__ import annotations

import shutil
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mlops_tui.errors import InvalidInput

if TYPE_CHECKING:
    import duckdb


class Migration(NamedTuple):
    """One step: its number, its name, its SQL."""

    number: int
    name: str
    sql: str


def migrations() -> list[Migration]:
    """Return all steps that this version knows, in order."""
    folder = resources.files("mlops_tui.adapters.catalogue") / "migrations"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    return [Migration(int(file.name[:4]), file.name[5:-4], file.read_text(encoding="utf-8")) for file in files]


def pending(con: duckdb.DuckDBPyConnection, path: Path) -> list[Migration]:
    """Return the steps that the attached file lacks; raises InvalidInput if a newer version made it."""
    reached = _reached(con)
    known = migrations()
    if reached > known[-1].number:
        raise InvalidInput(
            f"the catalogue {path} has schema {reached}, this version of mlops knows {known[-1].number}",
            "install the newer version of mlops-tui that the team uses",
        )
    return [step for step in known if step.number > reached]


def _reached(con: duckdb.DuckDBPyConnection) -> int:
    """The number of the last step that the file has; asked without duckdb_tables(), which costs a listing 6 ms."""
    import duckdb

    try:
        row = con.execute("SELECT max(number) FROM migrations").fetchone()
    except duckdb.CatalogException:  # a new file; the error has ended the transaction
        con.execute("ROLLBACK")
        con.execute("BEGIN")
        return 0
    return row[0] if row and row[0] is not None else 0


def apply(con: duckdb.DuckDBPyConnection, step: Migration) -> None:
    """Run one step inside the open transaction and note its number."""
    con.execute(step.sql)
    con.execute("INSERT INTO migrations VALUES (?, ?)", [step.number, step.name])


def copy_aside(path: Path) -> Path:
    """Copy a catalogue that nobody has open to `backups/`, its WAL too, and return the copy."""
    folder = path.parent / "backups"
    folder.mkdir(exist_ok=True)
    copy = folder / f"{path.stem}-before-{migrations()[-1].number:04d}{path.suffix}"
    shutil.copy2(path, copy)
    wal = path.with_name(path.name + ".wal")
    if wal.exists():
        shutil.copy2(wal, copy.with_name(copy.name + ".wal"))
    return copy
