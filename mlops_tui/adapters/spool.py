"""A deployment's spool, read: segments that services append to, taken by byte offset, whole lines only."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from mlops_tui.errors import Busy, External

SEGMENT = re.compile(r"\d{8}T\d{12}-\d+-\d+\.jsonl")  # as mlops_tui.spool names them: by time, process, number
LIMIT = 16 * 2**20


def segments(folder: Path) -> list[tuple[str, int, bool]]:
    """Return (name, bytes, live) of a spool's segments, oldest first; what is not live does not grow any more."""
    found = []
    with _naming(folder):
        names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
        for name in filter(SEGMENT.fullmatch, names):
            with contextlib.suppress(FileNotFoundError), (folder / name).open("rb") as file:
                live = not _locked(file, fcntl.LOCK_SH)
                found.append((name, os.fstat(file.fileno()).st_size, live))
    return found


def read(path: Path, offset: int, limit: int = LIMIT) -> tuple[list[dict[str, Any]], int, int]:
    """Return the lines from a byte offset on, the offset after them, and how many of them are no JSON objects.

    About `limit` bytes are read, one line at least. The rest of a line at the end of a segment is left until it is
    whole; in one that does not grow any more it counts as one bad line. Raises External if the file cannot be read.
    """
    with _naming(path), path.open("rb") as file:
        finished = _locked(file, fcntl.LOCK_SH)  # and stays so while we read
        file.seek(offset)
        data = file.read(limit)
        while b"\n" not in data and (more := file.read(limit)):
            data += more
        ended = not file.read(1)
    end = data.rfind(b"\n") + 1
    lines, bad = [], 0
    for line in data[:end].split(b"\n")[:-1]:
        try:
            lines.append(msgspec.json.decode(line, type=dict[str, Any]))
        except (msgspec.MsgspecError, ValueError, RecursionError):
            bad += 1
    if finished and ended and end < len(data):
        end, bad = len(data), bad + 1
    return lines, offset + end, bad


def remove(path: Path) -> None:
    """Remove a segment, if it is there; raises Busy for one that may still grow."""
    with _naming(path), contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        if not _locked(file, fcntl.LOCK_EX):
            raise Busy(f"a service still writes to {path}")
        path.unlink()


def _locked(file: BinaryIO, how: int) -> bool:
    """Lock a segment until the file is closed, if no service holds it; returns whether that was so."""
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Make External of what the disk says."""
    try:
        yield
    except OSError as error:
        raise External(f"cannot read the spool {path}: {error.strerror or error}") from None
