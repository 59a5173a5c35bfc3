"""A client that keeps so many connections busy, as lightly as Python can: whole requests out, answers counted."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass(slots=True)
class Driven:
    """What a server was sent and how it answered: seconds of each answer, in all, and how many were no 200.

    With a `pace`, requests a second, each request has its time, and a late answer counts from that, not from when a
    free connection could send it.
    """

    requests: Sequence[bytes]
    until: float
    pace: float | None = None
    latencies: list[float] = field(default_factory=list)
    failed: int = 0
    sent: int = 0
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds

    def percentile(self, share: float) -> float:
        """Milliseconds within which so many of the answers came."""
        return sorted(self.latencies)[int(len(self.latencies) * share)] * 1e3


class Connection(asyncio.Protocol):
    """One connection that asks again as soon as it is answered, or when its next request is due."""

    def __init__(self, driven: Driven, done: asyncio.Future[None], step: float) -> None:
        self._driven, self._done, self._step = driven, done, step
        self._got, self._needs, self._due = b"", 0, 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask first."""
        self._write = transport.write  # type: ignore[attr-defined]
        self._close = transport.close
        self._due = time.perf_counter()
        self._ask()

    def _ask(self) -> None:
        if self._due >= self._driven.until:
            self._close()
            return
        self._write(self._driven.requests[self._driven.sent % len(self._driven.requests)])
        self._driven.sent += 1

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
        now = time.perf_counter()
        self._driven.latencies.append(now - self._due)
        if not self._got.startswith(b"HTTP/1.1 200"):
            self._driven.failed += 1
        self._got, self._needs = b"", 0
        self._due = self._due + self._step if self._step else now
        if self._due > now:
            asyncio.get_running_loop().call_later(self._due - now, self._ask)
        else:
            self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        """Say that this one is over; before its time that is a failure."""
        if self._due < self._driven.until:
            self._driven.failed += 1
        if not self._done.done():
            self._done.set_result(None)


async def _drive(port: int, driven: Driven, connections: int) -> None:
    loop = asyncio.get_running_loop()
    step = connections / driven.pace if driven.pace else 0.0
    ends = []
    for _ in range(connections):
        ends.append(end := loop.create_future())
        await loop.create_connection(lambda end=end: Connection(driven, end, step), "127.0.0.1", port)
        if driven.pace:
            await asyncio.sleep(1 / driven.pace)  # so that they do not ask all at once
    await asyncio.gather(*ends)


def drive(port: int, requests: Sequence[bytes], seconds: float, connections: int, pace: float | None = None) -> Driven:
    """Keep a server busy for so long; returns what came."""
    import uvloop

    begun = time.perf_counter()
    driven = Driven(requests, begun + seconds, pace)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_drive(port, driven, connections))
    driven.seconds = time.perf_counter() - begun
    return driven
