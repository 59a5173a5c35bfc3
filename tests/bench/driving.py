"""Requests at a given pace: each has its time, and an answer is late by that, not by when a connection was free for it.

`mlops_tui.adapters.load` asks as fast as it is answered, which tells how much a server can do. How long answers take
can only be compared between servers that are asked equally often.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass(slots=True)
class Paced:
    """What is sent until when, `step` seconds apart on each connection; what came: seconds of each answer, no 200s."""

    requests: Sequence[bytes]
    until: float
    step: float
    latencies: list[float] = field(default_factory=list)
    failed: int = 0
    sent: int = 0


class _Connection(asyncio.Protocol):
    def __init__(self, paced: Paced, done: asyncio.Future[None]) -> None:
        self._paced, self._done, self._got, self._needs = paced, done, b"", 0
        self._due = time.perf_counter()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._ask()

    def _ask(self) -> None:
        if self._due >= self._paced.until:
            self._transport.close()
            return
        request = self._paced.requests[self._paced.sent % len(self._paced.requests)]
        self._transport.write(request)  # type: ignore[attr-defined]
        self._paced.sent += 1

    def data_received(self, data: bytes) -> None:
        self._got += data
        if not self._needs:
            end = self._got.find(b"\r\n\r\n")
            found = LENGTH.search(self._got, 0, end) if end >= 0 else None
            if found is None:
                return
            self._needs = end + 4 + int(found[1])
        if len(self._got) < self._needs:
            return
        now = time.perf_counter()
        self._paced.latencies.append(now - self._due)
        self._paced.failed += not self._got.startswith(b"HTTP/1.1 200")
        self._got, self._needs = b"", 0
        self._due += self._paced.step
        asyncio.get_running_loop().call_later(max(0.0, self._due - now), self._ask)

    def connection_lost(self, exc: Exception | None) -> None:
        self._paced.failed += self._due < self._paced.until
        if not self._done.done():
            self._done.set_result(None)


async def _run(port: int, paced: Paced, connections: int) -> None:
    loop, ends = asyncio.get_running_loop(), []
    for _ in range(connections):
        ends.append(end := loop.create_future())
        await loop.create_connection(lambda end=end: _Connection(paced, end), "127.0.0.1", port)
        await asyncio.sleep(paced.step / connections)  # so that they do not ask all at once
    await asyncio.gather(*ends)


def pace(port: int, requests: Sequence[bytes], seconds: float, connections: int, rate: float) -> Paced:
    """Send so many requests a second to a server of this machine; returns what came."""
    import uvloop

    paced = Paced(requests, time.perf_counter() + seconds, connections / rate)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(port, paced, connections))
    return paced
