"""A closed-loop load on a server of this machine: connections that ask again as soon as they are answered.

It knows just enough of HTTP/1.1 to keep a Python server busy from one process: whole requests go out as they are, and
of an answer only status, length and whether the connection ends are read. It runs an event loop in a thread of its own
and handles no signal, so that it may be called from any thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import ssl
import threading
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from mlops_tui.adapters.asking import Connection
from mlops_tui.errors import InvalidInput

MOST_SECONDS, MOST_REQUESTS, MOST_CONNECTIONS = 300.0, 1_000_000, 1_000
GRACE = 10.0  # seconds that the last answers may take beyond the end
PAUSE = 0.05  # seconds before a refused connection is tried again

OnAnswer = Callable[[int, int, bytes], None]


@dataclass(frozen=True, slots=True)
class Target:
    """A server on this machine; the certificate of one with TLS is not checked."""

    host: str
    port: int
    tls: bool = False


@dataclass(frozen=True, slots=True)
class Load:
    """How much: connections at once, and seconds and requests of which the first that is reached ends it."""

    connections: int
    seconds: float
    requests: int | None = None


@dataclass(slots=True)
class Measured:
    """What was found: seconds that it took, those of each answer in the order of their coming, and how many came.

    `statuses` counts answers by status, `failures` requests without an answer by kind: "refused", "reset", "closed",
    "unreadable", and "timeout" for those that had none long after the end.
    """

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    bytes_received: int = 0

    @property
    def requests_per_second(self) -> float:
        """Answers of any status a second."""
        return len(self.latencies) / self.seconds if self.seconds else 0.0

    def quantile(self, share: float) -> float:
        """Return the seconds within which this share (0 to 1) of the answers came, by nearest rank; 0 without any."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def build(path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    """Return the bytes of a whole POST request; `headers` may name another Content-Type and Host than the usual."""
    named = {"Host": "localhost", "Content-Type": "application/json"} | dict(headers)
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {text}" for name, text in named.items())]
    if any("\r" in line or "\n" in line for line in lines):
        raise InvalidInput("a header of a request is one line")
    head = "\r\n".join([*lines, f"Content-Length: {len(body)}"])
    return head.encode("latin-1", "replace") + b"\r\n\r\n" + body


def drive(target: Target, requests: Sequence[bytes], load: Load, on_answer: OnAnswer | None = None) -> Measured:
    """Keep a server busy with requests, taken in turn; `on_answer(index, status, body)` hears of every answer.

    It is called in another thread. Raises InvalidInput for a load beyond the bounds, or a server elsewhere than here.
    """
    return Drive(target, requests, load, on_answer).run()


class Drive:
    """A load on its way; `measured` holds what was found so far, also after a KeyboardInterrupt out of `run`."""

    def __init__(
        self, target: Target, requests: Sequence[bytes], load: Load, on_answer: OnAnswer | None = None
    ) -> None:
        _check(target, requests, load)
        self.measured = Measured()
        self._target, self._requests, self._load, self._told = target, requests, load, on_answer
        self._left = min(load.requests or MOST_REQUESTS, MOST_REQUESTS)
        self._sent, self._until = 0, 0.0
        self._open: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._context = _unverified() if target.tls else None

    def run(self) -> Measured:
        """Drive to the end, and return what was found; what `on_answer` raises ends it and is raised.

        The loop has a thread of its own: a KeyboardInterrupt, which it would take for a fault of some connection, thus
        reaches who waits for it, and ends the drive.
        """
        self._loop = _new_loop()
        self._done: asyncio.Future[None] = self._loop.create_future()
        raised: list[BaseException] = []
        thread = threading.Thread(target=self._drive, args=(raised,), name="load", daemon=True)
        try:
            thread.start()
            thread.join()
        except BaseException:
            with contextlib.suppress(RuntimeError):  # it ended meanwhile
                self._loop.call_soon_threadsafe(self._end)
            thread.join()
            raise
        if raised:
            raise raised[0]
        return self.measured

    def _drive(self, raised: list[BaseException]) -> None:
        begun = time.perf_counter()
        self._until = begun + self._load.seconds
        try:
            self._loop.run_until_complete(self._run())
        except BaseException as error:
            raised.append(error)
        finally:
            self.measured.seconds = time.perf_counter() - begun
            self._loop.run_until_complete(self._tear_down())
            self._loop.close()

    async def _run(self) -> None:
        self._running = self._load.connections
        for _ in range(self._load.connections):
            self.start(self.dial())
        try:
            await asyncio.wait_for(self._done, self._load.seconds + GRACE)
        except TimeoutError:
            for one in self._open:
                if one.asked is not None:
                    self.failed("timeout")

    async def _tear_down(self) -> None:
        for one in [*self._open]:
            one.abandon()
        for task in [*self._tasks]:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)  # what was closed says so to its protocol

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something beside; what it raises ends the drive."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.broken(error)

    def broken(self, error: BaseException) -> None:
        """End the drive with an error."""
        if not self._done.done():
            self._done.set_exception(error)

    async def dial(self) -> None:
        """Open a connection in place of one that is not there; one that is refused is a request that failed."""
        make = partial(Connection, self)
        target = self._target
        while self.next(take=False) is not None:
            try:
                await self._loop.create_connection(make, target.host, target.port, ssl=self._context)
                return
            except OSError as error:
                self._sent += 1
                self.failed("refused" if isinstance(error, ConnectionRefusedError) else "reset")
                await asyncio.sleep(PAUSE)
        self.finished()

    def next(self, take: bool = True) -> int | None:
        """Return the number of the next request, or None at the end."""
        if self._sent >= self._left or time.perf_counter() >= self._until or self._done.done():
            return None
        number = self._sent
        self._sent += take
        return number % len(self._requests)

    def finished(self) -> None:
        """Count one connection less; without any the drive is over."""
        self._running -= 1
        if not self._running:
            self._end()

    def _end(self) -> None:
        if not self._done.done():
            self._done.set_result(None)

    def failed(self, kind: str) -> None:
        """Count a request without an answer."""
        self.measured.failures[kind] = self.measured.failures.get(kind, 0) + 1

    def answered(self, number: int, begun: float, status: int, body: bytes) -> None:
        """Count an answer."""
        found = self.measured
        found.latencies.append(time.perf_counter() - begun)
        found.statuses[status] = found.statuses.get(status, 0) + 1
        if self._told is not None:
            try:
                self._told(number, status, body)
            except BaseException as error:
                self.broken(error)

    def request(self, number: int) -> bytes:
        """Return the bytes of a request."""
        return self._requests[number]

    def opened(self, one: Connection) -> None:
        """Remember a connection."""
        self._open.add(one)

    def closed(self, one: Connection) -> None:
        """Forget a connection."""
        self._open.discard(one)


def _check(target: Target, requests: Sequence[bytes], load: Load) -> None:
    if not _is_here(target.host):
        raise InvalidInput(f"a load is put on this machine only, and '{target.host}' is none of its loopback addresses")
    if not requests:
        raise InvalidInput("there is no request to send")
    for name, value, most in (
        ("connections", load.connections, MOST_CONNECTIONS),
        ("seconds", load.seconds, MOST_SECONDS),
        ("requests", 1 if load.requests is None else load.requests, MOST_REQUESTS),
    ):
        if not 0 < value <= most:
            raise InvalidInput(f"{name} of a load: more than 0 and at most {most:,.0f}; found {value:g}")


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def _unverified() -> ssl.SSLContext:
    """A certificate names the host that clients know, not this machine's loopback."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
