"""What a service answered, kept for the monitor: lines in segment files, bounded, and never in a request's way.

A request costs one append to a queue. A thread takes what has gathered, every 0.2 s, and appends whole lines with
one write; what finds no room is dropped and counted. A kill loses what was answered in the last 0.2 s, a power cut what
the kernel had not written yet (30 s or so); labels are on disk before they are answered.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Literal

import msgspec

from mlops_tui import counters
from mlops_tui.errors import InvalidInput

MEGABYTES = 256
QUEUE_BYTES = 32 * 2**20
SEGMENT_BYTES = 16 * 2**20
BATCH_BYTES = 2**20  # of one write: each costs the requests some switches between threads
ITEM_BYTES = 500  # what an item takes in memory besides its bodies
PAUSE = 0.2  # seconds; lines of that time share a write
MEASURE_SECONDS = 30.0  # how old the size in /metrics may be
WARN_SECONDS = 60.0
REASONS = {
    "queue": "requests come faster than the disk takes their lines",
    "size": "the spool is full until it is gathered",
    "disk": "the spool cannot be written",
}
Reason = Literal["queue", "size", "disk"]
log = logging.getLogger("mlops_tui.spool")


class Item(msgspec.Struct, gc=False, frozen=True):
    """A line to be; `kept` tells whoever waits for it: None once it is on disk, or why it was dropped."""

    kind: Literal["predict", "labels", "shadow"]
    request_id: str
    at: float
    body: bytes
    answer: bytes = b""
    kept: Future[Reason | None] | None = None


def from_environment(environment: Mapping[str, str]) -> Spool | None:
    """Return the spool that MLOPS_SPOOL (a folder) and MLOPS_SPOOL_MB name, or None; raises InvalidInput."""
    folder, most = environment.get("MLOPS_SPOOL"), environment.get("MLOPS_SPOOL_MB", str(MEGABYTES))
    if not folder:
        return None
    if not re.fullmatch(r"[1-9][0-9]{0,8}", most):
        raise InvalidInput(f"MLOPS_SPOOL_MB is a whole number of megabytes, at least 1; found {most!r}")
    return Spool(Path(folder), int(most) * 10**6)


class Segments:
    """The files that this process appends to, `TIME-PID-NUMBER.jsonl`, each locked for as long as it may grow.

    Other processes may write to the same folder; `limit` bounds the bytes of all that lies in it, past which each of
    them can go by one batch at most, where they write at the same moment.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.fault = ""  # what the disk said last
        self._folder, self._limit = folder, limit
        self._most = min(SEGMENT_BYTES, limit // 8)  # of a segment: what is being written to cannot be removed
        self._file: int | None = None
        self._size = self._number = 0

    def used(self) -> int:
        """Return the bytes of all files in the folder."""
        size = 0
        with contextlib.suppress(FileNotFoundError), os.scandir(self._folder) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):  # gathered and removed meanwhile
                    size += entry.stat().st_size
        return size

    def append(self, data: bytes, durable: bool) -> tuple[int, Reason]:
        """Append whole lines; returns how many of their bytes, from the first line, were kept, and why not the rest."""
        done = 0
        try:
            room = max(0, self._limit - self.used())
            fits = data if len(data) <= room else data[: data.rfind(b"\n", 0, room) + 1]
            if fits:
                done = self._write(self._open(len(fits)), fits)
            if durable and self._file is not None:
                os.fsync(self._file)
            if len(fits) < len(data):
                self.close()  # for whoever gathers: only what nobody writes to can be removed to make room
        except OSError as error:
            self.fault = error.strerror or str(error)
            return 0, "disk"
        return done, "size" if done == len(fits) else "disk"

    def close(self) -> None:
        """Finish the segment: its lock goes, and it will not grow again."""
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):
                os.close(file)

    def _open(self, more: int) -> int:
        """Return the file that takes so many bytes: the present one, or a new one if that is full or gone."""
        if self._file is not None and (
            (self._size and self._size + more > self._most) or not os.fstat(self._file).st_nlink
        ):
            self.close()
        if self._file is None:
            with contextlib.suppress(FileExistsError):
                os.mkdir(self._folder)  # alone: where the folder above is gone too, so is the workspace
            self._file, self._size = self._create(), 0
        return self._file

    def _create(self) -> int:
        """Return a new file, which gets its name once it is locked: a segment without a lock never grows."""
        self._number += 1
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{os.getpid()}-{self._number}.jsonl"
        unlocked = self._folder / f".{name}"
        file = os.open(unlocked, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            unlocked.rename(self._folder / name)
        except OSError:
            os.close(file)
            unlocked.unlink(missing_ok=True)
            raise
        return file

    def _write(self, file: int, data: bytes) -> int:
        """Write lines, whole ones only: what a full disk cuts off is taken back; returns the bytes that stay."""
        done = os.write(file, data)
        if done < len(data):
            self.fault = "no room for a whole batch"
            done = data.rfind(b"\n", 0, done) + 1
            try:
                os.ftruncate(file, self._size + done)
            except OSError:
                self.close()  # the rest of a line stays at its end, where it spoils no other
        self._size += done
        return done


class Spool:
    """A queue, bounded in bytes, and the thread that empties it into segments; no method but `close` ever waits."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._segments = Segments(folder, limit)
        self._batch = max(BATCH_BYTES // 4, min(BATCH_BYTES, limit // 64))
        self._queue: deque[Item] = deque()
        self._added = self._shadowed = self._drained = 0  # bytes so far, each counted by one thread alone
        self._wake, self._hurry, self._ending = threading.Event(), threading.Event(), False
        self._sleeps = True
        self._quiet_until = 0.0
        self._thread = threading.Thread(target=self._run, name="spool", daemon=True)
        self._thread.start()

    def predicted(self, request_id: str, body: bytes, answer: bytes) -> None:
        """Keep what was answered to a request; called on one thread only, as is `labelled`."""
        size = len(body) + len(answer) + ITEM_BYTES
        item = Item("predict", request_id, time.time(), body, answer)
        if self._added + self._shadowed - self._drained + size > QUEUE_BYTES:
            self._drop([item], "queue")
            return
        self._added += size
        self._put(item)

    def shadowed(self, request_id: str, body: bytes, answer: bytes) -> None:
        """Keep what a challenger in the shadow would have answered; may be called on a thread of its own."""
        item = Item("shadow", request_id, time.time(), body, answer)
        if self._has_room(item):
            self._shadowed += _cost(item)
            self._put(item)

    def labelled(self, request_id: str, body: bytes) -> Future[Reason | None]:
        """Keep labels; the future gives None once they are on disk, or why they are not, and may be cancelled."""
        kept: Future[Reason | None] = Future()
        item = Item("labels", request_id, time.time(), body, kept=kept)
        if self._has_room(item):
            self._added += _cost(item)
            self._put(item)
        self._hurry.set()
        return kept

    def close(self, seconds: float = 5.0) -> None:
        """Write what is queued, for so many seconds at most, and finish the segment."""
        self._ending = True
        self._wake.set()
        self._hurry.set()
        self._thread.join(seconds)
        if self._thread.is_alive():
            log.warning("%d lines were not written in %g s, and are lost", len(self._queue), seconds)

    def _has_room(self, item: Item) -> bool:
        if self._added + self._shadowed - self._drained + _cost(item) <= QUEUE_BYTES:
            return True
        self._drop([item], "queue")
        return False

    def _put(self, item: Item) -> None:
        self._queue.append(item)
        if self._sleeps:
            self._sleeps = False
            self._wake.set()

    def _run(self) -> None:
        while not self._ending:
            if self._wake.wait(MEASURE_SECONDS):
                self._hurry.wait(PAUSE)  # labels and the end don't wait
            self._wake.clear()
            self._hurry.clear()
            self._sleeps = True  # from here on what comes wakes it, though it may be written just now
            while self._queue:
                self._drain()
            with contextlib.suppress(OSError):
                counters.spool_size(self._segments.used())
        while self._queue:  # what came between the last batch and the end
            self._drain()
        self._segments.close()

    def _drain(self) -> None:
        """Write one batch of the queue."""
        batch, size, is_durable = [], 0, False
        while self._queue and size < self._batch:
            item = self._queue.popleft()
            size += _cost(item)
            if item.kept is not None:
                if not item.kept.set_running_or_notify_cancel():
                    continue
                is_durable = True
            batch.append(item)
        try:
            if batch:
                self._keep(batch, is_durable)
        finally:
            self._drained += size

    def _keep(self, batch: list[Item], durable: bool) -> None:
        reason: Reason
        try:
            data = b"".join([part for item in batch for part in _line(item)])
            done, reason = self._segments.append(data, durable)
            count = len(batch) if done == len(data) else data.count(b"\n", 0, done)
        except Exception as error:  # the thread must live, or nothing would be kept any more
            count, reason, self._segments.fault = 0, "disk", repr(error)
        for kind, number in Counter(item.kind for item in batch[:count]).items():
            counters.spooled(kind, number)
        for item in batch[:count] if durable else ():
            if item.kept:
                item.kept.set_result(None)
        if count < len(batch):
            self._drop(batch[count:], reason)

    def _drop(self, items: Sequence[Item], reason: Reason) -> None:
        counters.spool_dropped(reason, len(items))
        for item in items:
            if item.kept:
                item.kept.set_result(reason)
        if time.monotonic() >= self._quiet_until:
            self._quiet_until = time.monotonic() + WARN_SECONDS
            why = f"{REASONS[reason]}{f' ({self._segments.fault})' if reason == 'disk' else ''}"
            log.warning("answers are not kept: %s; mlops_spool_dropped_total in /metrics counts them", why)


def _cost(item: Item) -> int:
    return len(item.body) + len(item.answer) + ITEM_BYTES


def _line(item: Item) -> tuple[bytes, ...]:
    """Return the parts of an item's line of JSON; a raw line break in a body that was JSON can only be a blank."""
    body, answer = item.body, item.answer
    if b"\n" in body or b"\r" in body:
        body = body.replace(b"\n", b" ").replace(b"\r", b" ")
    when = _when(int(item.at * 1000))
    return _HEADS[item.kind], item.request_id.encode(), when, body, b',"answer":' if answer else b"", answer, b"}\n"


_HEADS = {kind: f'{{"kind":"{kind}","id":"'.encode() for kind in ("predict", "labels", "shadow")}


@lru_cache(maxsize=16)
def _when(milliseconds: int) -> bytes:
    """The middle of a line, which says when: a busy service answers several requests in a millisecond."""
    at = datetime.fromtimestamp(milliseconds // 1000, UTC).replace(microsecond=milliseconds % 1000 * 1000)
    return f'","at":"{at.isoformat(timespec="milliseconds").removesuffix("+00:00")}Z","body":'.encode()
