"""A load driver for servers on this machine: a closed loop over a few kept connections, cheap to share two cores with.

Every connection has one request under way at most and sends the next when its answer is complete. A request that
gets no answer is counted as failed and never sent again; only where a server has said `Connection: close` is a new
connection opened before the next request.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import cast

from mlops_tui.adapters.loopback import is_loopback
from mlops_tui.errors import InvalidInput

MOST_REQUESTS = 1_000_000
MOST_SECONDS = 300.0
MOST_CONNECTIONS = 1_000
AGAIN = 0.02  # seconds before a connection that failed is tried again
LENGTH = re.compile(rb"\ncontent-length:[ \t]*(\d{1,12})[ \t]*\r", re.IGNORECASE)
CLOSE = re.compile(rb"\nconnection:[ \t]*close[ \t]*\r", re.IGNORECASE)
BARE = frozenset({204, 304})  # have no body, whatever their head says

OnAnswer = Callable[[int, int, bytes], None]


@dataclass(frozen=True, slots=True)
class Target:
    """A server on this machine; with `tls` its certificate is taken as it is, for nobody is between."""

    host: str
    port: int
    tls: bool = False


@dataclass(frozen=True, slots=True)
class Load:
    """How much: ends after `seconds`, or that many `requests` if they come first; an answer may take `patience`."""

    connections: int = 8
    seconds: float = 5.0
    requests: int = MOST_REQUESTS
    patience: float = 30.0


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of it: seconds that each answered request took, sorted; answers by status; requests without an answer
    by why (connect, reset, closed, timeout, malformed); seconds and bytes received in all; whether Ctrl-C cut it short.
    """

    latencies: array[float]
    statuses: dict[int, int]
    failures: dict[str, int]
    seconds: float
    bytes: int
    interrupted: bool = False

    @property
    def answered(self) -> int:
        """How many requests were answered, whatever the status."""
        return len(self.latencies)

    def quantile(self, share: float) -> float:
        """Return the seconds that this share of the answered requests took at most (nearest rank); NaN without any."""
        count = len(self.latencies)
        return self.latencies[min(count - 1, max(0, -int(-share * count // 1) - 1))] if count else float("nan")


def build(path: str, body: bytes = b"", headers: Mapping[str, str] = {}, method: str = "POST") -> bytes:
    """Return the bytes of an HTTP/1.1 request; `headers` are added to, or take the place of, the usual ones.

    >>> build("/readyz", method="GET")
    b'GET /readyz HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n'
    """
    usual = {"Host": "localhost"}
    if body or method != "GET":
        usual |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in (usual | dict(headers)).items())]
    if any("\r" in line or "\n" in line for line in lines):
        raise InvalidInput("a header of a request cannot hold a line break")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def drive(target: Target, requests: Sequence[bytes], load: Load, on_answer: OnAnswer | None = None) -> Measured:
    """Send the requests in turn, again and again, and return what was measured; Ctrl-C gives the figures so far.

    `on_answer` gets each answer's place in `requests`, its status and body; what it raises ends the load and is raised
    here. Raises InvalidInput for a host that is not this machine and for a load beyond the bounds.
    """
    _check(target, requests, load)
    run = _Run(target, requests, load, on_answer)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        interrupted = runner.run(run.all())
    if run.broken is not None:
        raise run.broken
    latencies = array("d", sorted(run.latencies))
    seconds = max(run.last - run.begun, 0.0)
    return Measured(latencies, dict(run.statuses), dict(run.failures), seconds, run.bytes, interrupted)


def _check(target: Target, requests: Sequence[bytes], load: Load) -> None:
    if not is_loopback(target.host):
        raise InvalidInput(f"load is sent to this machine only, and {target.host!a} is not on loopback")
    if not requests:
        raise InvalidInput("there is no request to send")
    for name, found, most in (
        ("connections", load.connections, MOST_CONNECTIONS),
        ("seconds", load.seconds, MOST_SECONDS),
        ("requests", load.requests, MOST_REQUESTS),
        ("seconds of patience", load.patience, MOST_SECONDS),
    ):
        if not 0 < found <= most:
            raise InvalidInput(f"a load has more than 0 and at most {most:,g} {name}, not {found:g}")


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


@dataclass(slots=True)
class _Run:
    """What the connections of one load share."""

    target: Target
    requests: Sequence[bytes]
    load: Load
    on_answer: OnAnswer | None
    latencies: array[float] = field(default_factory=lambda: array("d"))
    statuses: Counter[int] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    bytes: int = 0
    sent: int = 0
    begun: float = 0.0
    last: float = 0.0  # when the last request was done with
    end: float = 0.0
    broken: Exception | None = None
    open: set[_Connection] = field(default_factory=set)

    async def all(self) -> bool:
        """Keep every connection at work until the load is over; returns whether it was cut short."""
        self.begun = self.last = perf_counter()
        self.end = self.begun + self.load.seconds
        try:
            async with asyncio.TaskGroup() as group:
                keepers = [group.create_task(self._keep()) for _ in range(self.load.connections)]
                watch = group.create_task(self._watch())
                await asyncio.wait(keepers)
                watch.cancel()
        except asyncio.CancelledError:  # Ctrl-C, as the runner tells it
            self.last = perf_counter()
            for one in list(self.open):
                one.drop()
            return True
        return False

    def take(self, now: float) -> int:
        """Return the place of the next request to send, or -1 when the load is over."""
        number = self.sent
        if number >= self.load.requests or now >= self.end or self.broken is not None:
            return -1
        self.sent = number + 1
        return number % len(self.requests)

    def fail(self, why: str) -> None:
        """Count a request that gets no answer."""
        self.failures[why] += 1
        self.last = perf_counter()

    async def _keep(self) -> None:
        """Have one connection, opened again whenever it is lost, until the load is over."""
        context = _trusting() if self.target.tls else None
        while (place := self.take(perf_counter())) >= 0:
            connection = _Connection(self, place)
            try:
                await asyncio.wait_for(self._open(connection, context), self.load.patience)
            except (OSError, TimeoutError):
                self.fail("connect")
                await asyncio.sleep(AGAIN)
                continue
            await connection.lost.wait()

    async def _open(self, connection: _Connection, context: ssl.SSLContext | None) -> None:
        host, port = self.target.host.strip("[]"), self.target.port
        farewell = 1.0 if context else None  # seconds; TLS would wait for 30
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: connection, host, port, ssl=context, ssl_shutdown_timeout=farewell)

    async def _watch(self) -> None:
        """End the requests that have waited for too long."""
        while True:
            await asyncio.sleep(min(0.5, self.load.patience / 4))
            late = perf_counter() - self.load.patience
            for one in [one for one in self.open if one.begun < late]:
                one.give_up("timeout")


def _trusting() -> ssl.SSLContext:
    """TLS without a look at the certificate: a server on this machine has one that it signed itself."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class _Connection(asyncio.Protocol):
    """One connection: sends a request, reads its answer, sends the next. `place` is -1 while none is under way."""

    __slots__ = ("begun", "held", "lost", "need", "place", "run", "transport")

    def __init__(self, run: _Run, place: int) -> None:
        self.run, self.place, self.lost = run, place, asyncio.Event()
        self.held, self.need, self.begun = bytearray(), 0, perf_counter()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's are none by their class
        self.run.open.add(self)
        self._send()

    def _send(self) -> None:
        self.begun = perf_counter()
        self.transport.write(self.run.requests[self.place])

    def data_received(self, data: bytes) -> None:
        if self.place < 0:
            return
        if self.held:
            self.held += data
            if len(self.held) < self.need:
                return
            data = bytes(self.held)
        head = data.find(b"\r\n\r\n")
        if head < 0:
            self._hold(data, 0)
            return
        try:
            status, size = _read_head(data[: head + 2])
        except ValueError:
            self.give_up("malformed")
            return
        if len(data) < head + 4 + size:
            self._hold(data, head + 4 + size)
        elif len(data) > head + 4 + size:
            self.give_up("malformed")
        else:
            self._answered(status, data, head + 4)

    def _hold(self, data: bytes, need: int) -> None:
        if not self.held:
            self.held += data
        self.need = need

    def _answered(self, status: int, data: bytes, start: int) -> None:
        run, now = self.run, perf_counter()
        run.latencies.append(now - self.begun)
        run.statuses[status] += 1
        run.bytes += len(data)
        run.last = now
        if self.held:
            self.held, self.need = bytearray(), 0
        if run.on_answer is not None:
            try:
                run.on_answer(self.place, status, data[start:])
            except Exception as error:
                run.broken = error
        closes = CLOSE.search(data, 0, start) is not None
        self.place = -1 if closes else run.take(now)
        if self.place < 0:
            self.transport.close()
        else:
            self._send()

    def give_up(self, why: str) -> None:
        """Count the request under way as failed and drop the connection."""
        if self.place >= 0:
            self.run.fail(why)
        self.drop()

    def drop(self) -> None:
        """Close the connection at once, without a word about the request under way."""
        self.place = -1
        self.transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        if self.place >= 0:
            self.run.fail("closed" if error is None else "reset")
            self.place = -1
        self.run.open.discard(self)
        self.lost.set()


def _read_head(head: bytes) -> tuple[int, int]:
    """Return status and size of the body; raises ValueError for what is no answer or does not tell its size."""
    if not head.startswith(b"HTTP/1."):
        raise ValueError
    status = int(head[9:12])
    found = LENGTH.search(head)
    if found is None and status not in BARE:
        raise ValueError
    return status, 0 if found is None or status in BARE else int(found[1])
