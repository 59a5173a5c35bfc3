"""The catalogue's lock: shared to read, exclusive to write, fair, and dropped by the kernel when its holder dies.

DuckDB's own lock refuses instead of waiting, and with several processes it loses commits: `connect` reads the
file's header before it locks. So this lock is taken before the file is opened and released after it is closed.
A turnstile in front of it keeps a stream of readers from starving a writer: whoever waits for the lock holds the
turnstile, so that nobody who comes later can pass.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mlops_tui.errors import Busy, External

FIRST_PAUSE, LONGEST_PAUSE = 0.0005, 0.01


@contextmanager
def held(base: Path, *, exclusive: bool, timeout: float, user: str) -> Iterator[None]:
    """Hold the lock beside `base` for the body; raises Busy, naming the holder, after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    lock = _open(base.with_suffix(".lock"))
    try:
        turnstile = _open(base.with_suffix(".turn"))
        try:
            holder = base.with_suffix(".holder")
            _wait(turnstile, fcntl.LOCK_EX, deadline, f"the catalogue {base}", holder)
            _wait(lock, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH, deadline, f"the catalogue {base}", holder)
        finally:
            os.close(turnstile)
        with suppress(OSError):  # the note is for a person who waits; a full disk must not stop the act
            holder.write_bytes(_note(user))
        yield
    finally:
        os.close(lock)


@contextmanager
def exclusive(path: Path, what: str, *, timeout: float, user: str) -> Iterator[None]:
    """Hold `path` for a long act (a refresh, a run) that must not run twice; raises Busy after `timeout` seconds."""
    descriptor = _open(path)
    try:
        _wait(descriptor, fcntl.LOCK_EX, time.monotonic() + timeout, what, path)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, _note(user))
        yield
    finally:
        os.close(descriptor)


def is_held(path: Path) -> bool:
    """Return whether a living process holds `path`; one that is not there is not held, one hidden from us may be."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except PermissionError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def holder(path: Path) -> int | None:
    """Return the pid that whoever held `path` last wrote into it, or None."""
    try:
        return int(json.loads(path.read_bytes())["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o664)
    except OSError as error:
        raise External(f"cannot open the lock {path}: {error.strerror}") from None


def _wait(descriptor: int, kind: int, deadline: float, what: str, holder: Path) -> None:
    pause = FIRST_PAUSE
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise Busy(
                    f"{what} is in use by {_read_note(holder)}",
                    "try again, or raise [catalogue] lock_timeout in mlops.toml",
                ) from None
        time.sleep(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE)


def _note(user: str) -> bytes:
    command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:4]])
    return json.dumps({"pid": os.getpid(), "user": user, "command": command}).encode()


def _read_note(path: Path) -> str:
    try:
        note = json.loads(path.read_text())
        return f"process {note['pid']} of {note['user']}: {note['command']}"
    except (OSError, ValueError, KeyError):
        return "another process"
