"""The load driver against small servers that answer, hang up, break off and do not listen."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from mlops_tui.adapters import load
from mlops_tui.adapters.ports import free_port
from mlops_tui.errors import InvalidInput

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"
LAST = b"HTTP/1.1 503 Busy\r\nconnection: Close\r\ncontent-length: 0\r\n\r\n"
POST = load.build("/predict", b"[1]", {})
Reply = Callable[[int, Any], None]


class _Server(asyncio.Protocol):
    """Hands each whole request to a function, with its number on the connection and the transport."""

    def __init__(self, reply: Reply) -> None:
        self.reply, self.number = reply, 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.reply(self.number, self.transport)
        self.number += 1


@contextmanager
def serving(reply: Reply) -> Iterator[load.Target]:
    """A server in a thread of its own."""
    loop = load._new_loop()
    server = loop.run_until_complete(loop.create_server(lambda: _Server(reply), "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield load.Target("127.0.0.1", server.sockets[0].getsockname()[1])
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        loop.close()


def test_every_request_is_answered_once_and_in_turn() -> None:
    seen: list[tuple[int, int, bytes]] = []
    with serving(lambda _, transport: transport.write(OK)) as target:
        found = load.drive(target, [POST, POST, POST], load.Load(4, 60, 1000), lambda *told: seen.append(told))
    assert found.statuses == {200: 1000}
    assert not found.failures
    assert len(found.latencies) == 1000
    assert found.bytes_received == 1000 * len(OK)
    assert sorted(number for number, _, _ in seen).count(0) == 334
    assert {(status, body) for _, status, body in seen} == {(200, b"good")}
    assert 0 < found.quantile(0.5) <= found.quantile(0.99) <= found.quantile(1) == max(found.latencies)
    assert found.requests_per_second == pytest.approx(1000 / found.seconds)


def test_an_answer_in_pieces_is_one_answer() -> None:
    def rest(transport: Any, at: int) -> None:
        transport.write(OK[at : at + 1])
        if at + 1 < len(OK):
            asyncio.get_running_loop().call_soon(rest, transport, at + 1)

    def reply(number: int, transport: Any) -> None:
        rest(transport, 0)

    with serving(reply) as target:
        found = load.drive(target, [POST], load.Load(2, 60, 20))
    assert found.statuses == {200: 20}
    assert not found.failures


def test_a_server_that_says_goodbye_is_asked_anew_without_a_failure() -> None:
    def reply(number: int, transport: Any) -> None:
        transport.write(LAST if number == 2 else OK)
        if number == 2:
            transport.close()

    with serving(reply) as target:
        alone = load.drive(target, [POST], load.Load(1, 60, 300))
        found = load.drive(target, [POST], load.Load(3, 60, 300))
    assert alone.statuses == {200: 200, 503: 100}
    assert sum(found.statuses.values()) == 300
    assert not alone.failures | found.failures


@pytest.mark.parametrize(("leave", "kind"), [(lambda one: one.close(), "closed"), (lambda one: one.abort(), "reset")])
def test_what_was_in_flight_on_a_lost_connection_has_failed(leave: Callable[[Any], None], kind: str) -> None:
    def reply(number: int, transport: Any) -> None:
        if number < 4:
            transport.write(OK)
        else:
            _no_linger(transport) if kind == "reset" else None
            leave(transport)

    with serving(reply) as target:
        found = load.drive(target, [POST], load.Load(1, 60, 50))
    assert found.statuses == {200: 40}
    assert found.failures == {kind: 10}


def _no_linger(transport: Any) -> None:
    import socket
    import struct

    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def test_nobody_listens() -> None:
    found = load.drive(load.Target("127.0.0.1", free_port()), [POST], load.Load(2, 60, 6))
    assert not found.statuses
    assert found.failures == {"refused": 6}


def test_an_answer_that_is_no_http_is_told() -> None:
    with serving(lambda _, transport: transport.write(b"what?\r\n\r\n")) as target:
        found = load.drive(target, [POST], load.Load(1, 60, 3))
    assert found.failures == {"unreadable": 3}


def test_a_server_that_never_answers_ends_with_the_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "GRACE", 0.1)
    with serving(lambda *_: None) as target:
        found = load.drive(target, [POST], load.Load(2, 0.1))
    assert found.failures == {"timeout": 2}
    assert found.seconds < 5


def test_time_ends_it() -> None:
    with serving(lambda _, transport: transport.write(OK)) as target:
        found = load.drive(target, [POST], load.Load(2, 0.2))
    assert 0.2 <= found.seconds < 5
    assert found.statuses[200] == len(found.latencies) > 0


def test_it_runs_in_a_thread_and_what_the_listener_raises_ends_it() -> None:
    errors: list[BaseException] = []

    def listen(number: int, status: int, body: bytes) -> None:
        raise InterruptedError("enough")

    def run() -> None:
        try:
            load.drive(target, [POST], load.Load(2, 60), listen)
        except InterruptedError as error:
            errors.append(error)

    with serving(lambda _, transport: transport.write(OK)) as target:
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    assert [str(error) for error in errors] == ["enough"]


def test_ctrl_c_ends_it_wherever_it_arrives() -> None:
    """Most of the time is spent in callbacks of the loop, where it must not be taken for a fault of a connection."""

    def interrupt(number: int, status: int, body: bytes) -> None:
        if len(drive.measured.latencies) == 100:
            os.kill(os.getpid(), signal.SIGINT)

    with serving(lambda _, transport: transport.write(OK)) as target:
        drive = load.Drive(target, [POST], load.Load(4, 60), interrupt)
        with pytest.raises(KeyboardInterrupt):
            drive.run()
    assert drive.measured.statuses[200] >= 100
    assert drive.measured.seconds < 30
    assert not drive.measured.failures


@pytest.mark.parametrize(
    ("target", "amount", "what"),
    [
        (load.Target("example.org", 80), load.Load(1, 1), "this machine only"),
        (load.Target("10.0.0.1", 80), load.Load(1, 1), "this machine only"),
        (load.Target("::1", 80), load.Load(1, 301), "at most 300"),
        (load.Target("localhost", 80), load.Load(1, 1, 1_000_001), "at most 1,000,000"),
        (load.Target("localhost", 80), load.Load(0, 1), "connections"),
        (load.Target("localhost", 80), load.Load(1, 1, 0), "requests"),
    ],
)
def test_bounds(target: load.Target, amount: load.Load, what: str) -> None:
    with pytest.raises(InvalidInput, match=what):
        load.drive(target, [POST], amount)


def test_a_request_is_whole_and_a_header_cannot_add_another() -> None:
    assert POST == (
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 3\r\n\r\n[1]"
    )
    with pytest.raises(InvalidInput):
        load.build("/predict", b"", {"X-Key": "a\r\nX-Other: b"})
