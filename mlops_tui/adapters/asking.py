"""One connection of a load: it asks as soon as it is made, and again whenever it is answered.

Of an answer only status, length and whether the connection ends are read.
"""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlops_tui.adapters.load import Drive

LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
ENDS = re.compile(rb"\r\nconnection:[ \t]*close", re.IGNORECASE)


class Connection(asyncio.Protocol):
    """One connection, which asks as soon as it is made and whenever it is answered; `asked` is what is in flight."""

    def __init__(self, drive: Drive) -> None:
        self._drive, self._got, self._needs, self._begun = drive, b"", 0, 0.0
        self._head = 0
        self._over = False
        self.asked: int | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask first."""
        self._transport: Any = transport  # uvloop's is no asyncio.Transport
        self._drive.opened(self)
        self._ask()

    def _ask(self) -> None:
        if self._transport.is_closing():  # the server took its leave in between
            return
        number = self._drive.next()
        if number is None:
            self._leave()
            self._drive.finished()
            return
        self.asked, self._begun = number, time.perf_counter()
        self._transport.write(self._drive.request(number))

    def _leave(self) -> None:
        self._over = True
        self._transport.close()

    def abandon(self) -> None:
        """Close at once, whatever is in flight."""
        self._over, self.asked = True, None
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take an answer, whole or in parts."""
        self._drive.measured.bytes_received += len(data)
        self._got = self._got + data if self._got else data
        if not self._needs and not self._measure():
            return
        if len(self._got) >= self._needs:
            self._complete()

    def _measure(self) -> bool:
        """Find where the answer ends; returns whether its head is there and can be read."""
        end = self._got.find(b"\r\n\r\n")
        if end < 0:
            return False
        found = LENGTH.search(self._got, 0, end + 2)
        if found is None or not self._got.startswith(b"HTTP/1.") or self.asked is None:
            self._lose("unreadable")
            return False
        self._head = end + 4
        self._needs = self._head + int(found[1])
        return True

    def _complete(self) -> None:
        number, whole, head = self.asked, self._got, self._head
        assert number is not None
        self.asked, self._got, self._needs = None, b"", 0
        self._drive.answered(number, self._begun, int(whole[9:12]), whole[head:])
        if ENDS.search(whole, 0, head) or whole.startswith(b"HTTP/1.0"):
            self._leave()
            self._drive.start(self._drive.dial())
        else:
            self._ask()

    def _lose(self, kind: str) -> None:
        """Give a connection up with what is in flight on it, and open another."""
        if self.asked is not None:
            self._drive.failed(kind)
        self.abandon()
        self._drive.start(self._drive.dial())

    def connection_lost(self, exc: Exception | None) -> None:
        """Open another one, unless it was closed from here; what was in flight has failed."""
        self._drive.closed(self)
        if self._over:
            return
        if self.asked is not None:
            self._drive.failed("closed" if exc is None else "reset")
        self._over, self.asked = True, None
        self._drive.start(self._drive.dial())
