"""Files that rows come from, and files that rows go to: finding, fingerprinting, reading, writing.

What a library would let through in silence (a doubled column, a short row, another encoding) is refused
here, with the file and the line, because a dataset version that nobody can trust is worse than none.
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_tui.adapters.files import unfinished
from mlops_tui.errors import External, InvalidInput, NotFound
from mlops_tui.records import Column, SourceFile

if TYPE_CHECKING:
    import polars as pl

FORMATS = {
    ".csv": "csv",
    ".parquet": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".arrow": "arrow",
    ".ipc": "arrow",
    ".feather": "arrow",
}
ALLOWED = f"a path, a folder or a glob of {' '.join(FORMATS)}"
SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+]+):")
PARQUET_MARK = b"PAR1"
ARROW_MARK = b"ARROW1"


def discover(source: str, root: Path) -> tuple[Path, ...]:
    """Return the files that a source names, sorted, each once; relative to `root` unless absolute.

    A folder is read through all its levels, without hidden names; a file, folder or glob that holds no file of
    a known format is NotFound, a scheme such as s3: or what is not a plain file is InvalidInput.
    """
    try:
        place = root / Path(source).expanduser()
    except RuntimeError:
        raise InvalidInput(f"source '{source}': no such user", "write the path in full") from None
    scheme = SCHEME.match(source)
    if scheme and not place.exists():
        raise InvalidInput(f"source '{source}': {scheme[1]}: is not read by this version", f"allowed: {ALLOWED}")
    if place.is_dir():
        found = [path for path in place.rglob("*") if not _hidden(path, place)]
    elif place.exists():
        _known_format(place)
        found = [place]
    else:
        found = [Path(path) for path in glob.glob(str(place), recursive=True)]
    files = sorted({path for path in found if path.suffix.lower() in FORMATS and not path.is_dir()})
    if not files:
        raise _nothing(source, place, len(found))
    for path in files:
        stat_of(path)
    return tuple(files)


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _known_format(path: Path) -> str:
    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        ending = f"ends in '{path.suffix}'" if path.suffix else "has no ending"
        raise InvalidInput(f"{path}: its name {ending}; allowed: {' '.join(FORMATS)}", "a packed file: unpack it first")
    return kind


def _nothing(source: str, place: Path, seen: int) -> NotFound:
    if place.is_dir() or seen:
        what = "folder" if place.is_dir() else "glob"
        return NotFound(f"source '{source}': the {what} holds no file of a known format", f"allowed: {ALLOWED}")
    if glob.has_magic(source):
        return NotFound(f"source '{source}': no file matches", f"it was looked for as {place}")
    near = place.parent
    while not near.is_dir():
        near = near.parent
    return NotFound(f"source '{source}': no such file or folder", f"looked for {place}; {near} exists")


def stat_of(path: Path) -> tuple[int, int]:
    """Return a plain file's size in bytes and its time of change in ns.

    Raises NotFound without the file, InvalidInput for a name that is not UTF-8, and for a pipe, socket, device or
    folder, on which a read would hang or fail, External where the system refuses.
    """
    _check_encoding(path)
    try:
        found = path.stat()
    except FileNotFoundError:
        raise NotFound(f"no file {path}") from None
    except OSError as error:
        raise External(f"{path}: {error.strerror}") from None
    if not stat.S_ISREG(found.st_mode):
        raise InvalidInput(f"{path}: is not a plain file", "a pipe, socket, device or folder cannot be a source file")
    return found.st_size, found.st_mtime_ns


def _check_encoding(path: Path) -> None:
    """A name that is no text cannot be kept: neither the catalogue nor JSON can hold it."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        shown = os.fsencode(path).decode("utf-8", "backslashreplace")
        raise InvalidInput(f"{shown}: the name is not UTF-8", "rename the file") from None


def fingerprint(path: Path) -> SourceFile:
    """Return a file's size, time of change and SHA-256, read in pieces; External if it changes meanwhile."""
    before = stat_of(path)
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise External(f"{path}: {error.strerror}") from None
    if stat_of(path) != before:
        raise External(f"{path}: changed while it was read", "run it again when the file is whole")
    return SourceFile(str(path), *before, found)


def read(path: Path, schema: tuple[Column, ...] | None = None) -> pl.DataFrame:
    """Return the rows of a CSV, Parquet, JSON-lines or Arrow file, in flat types, in the file's order.

    `schema` gives types already known, by column name: text is parsed with them, so that a batch whose
    numbers are all missing does not come out as text; values that do not fit keep the type they show.
    Raises InvalidInput, with the file and what is wrong, for anything that is not a whole table of rows.
    """
    from mlops_tui.adapters import tables
    from mlops_tui.dtypes import polars_type

    size, _ = stat_of(path)
    kind = _known_format(path)
    if size == 0:
        raise InvalidInput(f"{path}: is empty")
    known = {column.name: polars_type(column.dtype) for column in schema or ()}
    try:
        match kind:
            case "csv":
                frame = tables.read_csv(path, known)
            case "jsonl":
                frame = tables.read_jsonl(path, known)
            case "parquet":
                frame = _read_parquet(path)
            case _:
                frame = _read_arrow(path)
    except OSError as error:
        if error.errno is None:  # how polars says that the bytes end too early
            raise InvalidInput(f"{path}: the file is cut off: {error}", "copy or write it again") from None
        raise External(f"{path}: {error.strerror}") from None
    if kind in ("parquet", "arrow"):  # these say their types: only a column without any value has none to say
        known = {name: dtype for name, dtype in known.items() if name in frame and not frame[name].count()}
    return tables.flat(frame, known, str(path))


def _read_parquet(path: Path) -> pl.DataFrame:
    import polars as pl

    with path.open("rb") as file:
        head = file.read(4)
        file.seek(-min(4, path.stat().st_size), os.SEEK_END)
        tail = file.read(4)
    if head != PARQUET_MARK:
        raise InvalidInput(f"{path}: is not a Parquet file, whatever its name says", "name it by what it holds")
    if tail != PARQUET_MARK:
        raise InvalidInput(f"{path}: the Parquet file is cut off", "copy or write it again")
    try:
        return pl.read_parquet(path, glob=False, hive_partitioning=False)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        text = f"{path}: the Parquet file is damaged: {_first_line(error)}"
        raise InvalidInput(text, "copy or write it again") from None


def _read_arrow(path: Path) -> pl.DataFrame:
    import polars as pl

    with path.open("rb") as file:
        head = file.read(6)
    try:
        # an open file rather than its path: a path would be memory-mapped, or taken for a glob
        with path.open("rb") as file:
            return pl.read_ipc(file) if head == ARROW_MARK else pl.read_ipc_stream(file)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        what = "the Arrow file is cut off or damaged" if head == ARROW_MARK else "is not a whole Arrow file or stream"
        raise InvalidInput(f"{path}: {what}: {_first_line(error)}", "copy or write it again") from None


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def write_table(frame: pl.DataFrame | pl.LazyFrame, path: Path) -> None:
    """Write rows as CSV, Parquet, JSON lines or Arrow, by the name's ending; the file is whole or not there.

    A lazy frame is streamed. Raises InvalidInput for another ending, External where the disk refuses.
    """
    import polars as pl

    kind = _known_format(path)
    lazy, part = frame.lazy(), unfinished(path)
    try:
        match kind:
            case "csv":
                lazy.sink_csv(part)
            case "jsonl":
                lazy.sink_ndjson(part)
            case "parquet":
                lazy.sink_parquet(part)
            case _:
                lazy.sink_ipc(part)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise External(f"{path}: cannot be written: {_first_line(error)}") from None
    finally:
        part.unlink(missing_ok=True)
