"""A client that keeps so many connections busy, as lightly as Python can: whole requests go out, answers are counted."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass(slots=True)
class Drive:
    """What a drive has found: seconds of each answer, how many were no 200, and how long it took."""

    requests: Sequence[bytes]
    until: float
    latencies: list[float] = field(default_factory=list)
    failed: int = 0
    sent: int = 0


class Connection(asyncio.Protocol):
    """One connection that asks again as soon as it is answered."""

    def __init__(self, drive: Drive, done: asyncio.Future[None]) -> None:
        self._drive, self._done, self._got, self._needs, self._begun = drive, done, b"", 0, 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask first."""
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self._transport = transport
        self._ask()

    def _ask(self) -> None:
        drive = self._drive
        self._begun = time.perf_counter()
        if self._begun >= drive.until:
            self._transport.close()
            return
        self._transport.write(drive.requests[drive.sent % len(drive.requests)])  # type: ignore[attr-defined]
        drive.sent += 1

    def data_received(self, data: bytes) -> None:
        """Take an answer, whole or in parts."""
        self._got = self._got + data if self._got else data
        if not self._needs:
            end = self._got.find(b"\r\n\r\n")
            if end < 0:
                return
            found = LENGTH.search(self._got, 0, end)
            self._needs = end + 4 + (int(found[1]) if found else 0)
        if len(self._got) < self._needs:
            return
        self._drive.latencies.append(time.perf_counter() - self._begun)
        if not self._got.startswith(b"HTTP/1.1 200"):
            self._drive.failed += 1
        self._got, self._needs = b"", 0
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        """Say that this one is over."""
        if not self._done.done():
            self._done.set_result(None)


async def _drive(port: int, drive: Drive, connections: int) -> None:
    loop = asyncio.get_running_loop()
    ends = [loop.create_future() for _ in range(connections)]
    for end in ends:
        await loop.create_connection(lambda end=end: Connection(drive, end), "127.0.0.1", port)
    await asyncio.gather(*ends)


def drive(port: int, requests: Sequence[bytes], connections: int, seconds: float) -> tuple[Drive, float]:
    """Keep a server busy for so long; returns what came and the seconds it took."""
    import uvloop

    begun = time.perf_counter()
    found = Drive(requests, begun + seconds)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_drive(port, found, connections))
    return found, time.perf_counter() - begun
