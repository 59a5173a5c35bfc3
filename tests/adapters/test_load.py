"""The load driver, against servers on loopback that answer, close, reset, dawdle and talk nonsense."""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
from array import array
from pathlib import Path

import pytest

from mlops_tui.adapters.load import Load, Measured, Target, build, drive
from mlops_tui.adapters.ports import free_port
from mlops_tui.errors import InvalidInput
from tests.adapters.scripted import answer, serving, tls

ONE = build("/predict", b'{"rows":[{"a":1}]}')


def echo(_: int, request: bytes) -> bytes:
    return answer(request.partition(b"\r\n\r\n")[2])


def test_every_answer_belongs_to_its_request() -> None:
    bodies = [b"%d" % number * (number + 1) for number in range(7)]
    seen: list[tuple[int, int, bytes]] = []
    with serving(echo) as server:
        sent = [build("/predict", body, {"Authorization": "Bearer k"}) for body in bodies]
        target, load = Target("127.0.0.1", server.port), Load(3, 30, 200)
        found = drive(target, sent, load, lambda *one: seen.append(one))
    assert found.statuses == {200: 200}
    assert found.failures == {}
    assert found.answered == len(seen) == 200
    assert list(found.latencies) == sorted(found.latencies)
    assert all(status == 200 and body == bodies[place] for place, status, body in seen)
    assert {place for place, _, _ in seen} == set(range(7))
    assert server.connections == 3
    assert all(b"\r\nAuthorization: Bearer k\r\n" in one for one in server.requests)
    assert found.bytes > 0 < found.seconds
    assert not found.interrupted


def test_time_ends_a_load() -> None:
    with serving(echo) as server:
        found = drive(Target("127.0.0.1", server.port), [ONE], Load(2, 0.3))
    assert found.answered == found.statuses[200] == len(server.requests) > 0
    assert 0.2 < found.seconds < 10


def test_statuses_are_told_apart() -> None:
    status = ["200 OK", "503 Service Unavailable", "422 Unprocessable Entity"]
    with serving(lambda number, _: answer(b"{}", status[number % 3])) as server:
        found = drive(Target("127.0.0.1", server.port), [ONE], Load(1, 30, 30))
    assert found.statuses == {200: 10, 503: 10, 422: 10}


def test_an_answer_may_come_in_pieces() -> None:
    body = b"x" * 300_000
    whole = answer(body)
    pieces = [whole[:9], whole[9:30], whole[30:200_000], whole[200_000:]]
    bodies: list[bytes] = []
    with serving(lambda *_: pieces) as server:
        target = Target("127.0.0.1", server.port)
        found = drive(target, [ONE], Load(2, 30, 20), lambda _, __, body: bodies.append(body))
    assert found.statuses == {200: 20}
    assert bodies == [body] * 20


def test_an_announced_end_costs_no_request() -> None:
    with serving(lambda *_: answer(b"{}", "200 OK", "Connection: close")) as server:
        found = drive(Target("127.0.0.1", server.port), [ONE], Load(2, 30, 40))
    assert found.statuses == {200: 40}
    assert found.failures == {}
    assert server.connections == len(server.requests) == 40


@pytest.mark.parametrize(("said", "why"), [(b"", "closed"), (None, "reset")])
def test_an_end_without_a_word_is_one_failed_request(said: bytes | None, why: str) -> None:
    with serving(lambda number, _: answer() if number % 4 else said) as server:
        found = drive(Target("127.0.0.1", server.port), [ONE], Load(1, 30, 40))
    assert found.failures == {why: 10}
    assert found.statuses == {200: 30}
    assert len(server.requests) == 40  # none was sent again


@pytest.mark.parametrize(
    "said",
    [b"HTTP/1.1 what\r\n\r\n", b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n{}", answer() + b"more"],
    ids=["status", "protocol", "length", "more"],
)
def test_nonsense_is_a_failure(said: bytes) -> None:
    with serving(lambda *_: said) as server:
        found = drive(Target("127.0.0.1", server.port), [ONE], Load(1, 30, 3))
    assert found.failures == {"malformed": 3}
    assert found.answered == 0
    assert math.isnan(found.quantile(0.5))


def test_silence_is_a_failure_after_the_patience() -> None:
    with serving(lambda *_: [b"HTTP/1.1 200 OK\r\n"]) as server:
        found = drive(Target("127.0.0.1", server.port), [ONE], Load(2, 30, 2, patience=0.2))
    assert found.failures == {"timeout": 2}


def test_nobody_listening_is_a_failure_of_each_request() -> None:
    found = drive(Target("127.0.0.1", free_port()), [ONE], Load(2, 30, 6))
    assert found.failures == {"connect": 6}
    assert found.statuses == {}


def test_a_server_that_comes_back_is_found_again() -> None:
    """The rollout's case: the first server goes away in the middle, and another takes its port."""
    with serving(lambda number, _: answer() if number < 5 else b"") as server:
        found = drive(Target("127.0.0.1", server.port), [ONE], Load(4, 30, 20))
    assert found.statuses == {200: 5}
    assert found.failures == {"closed": 15}


def test_what_the_listener_raises_ends_the_load() -> None:
    def fail(place: int, status: int, body: bytes) -> None:
        raise AssertionError(f"answer {place} is wrong")

    with serving(echo) as server, pytest.raises(AssertionError, match="answer 0 is wrong"):
        drive(Target("127.0.0.1", server.port), [ONE], Load(1, 30), fail)
    assert len(server.requests) == 1


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate, and is not here")
def test_over_tls(tmp_path: Path) -> None:
    with serving(echo, tls(tmp_path)) as server:
        found = drive(Target("127.0.0.1", server.port, tls=True), [ONE], Load(2, 30, 20))
    assert found.statuses == {200: 20}
    assert found.failures == {}


INTERRUPTED = """
import os, signal, sys
from mlops_tui.adapters.load import Load, Target, build, drive
seen = []
def stop(*_):
    seen.append(1)
    if len(seen) == 50:
        os.kill(os.getpid(), signal.SIGINT)
found = drive(Target("127.0.0.1", int(sys.argv[1])), [build("/predict", b"{}")], Load(2, 60), stop)
print(found.interrupted, found.answered >= 50, found.seconds < 50, found.failures)
"""


def test_ctrl_c_gives_the_figures_so_far() -> None:
    with serving(echo) as server:
        done = subprocess.run(
            [sys.executable, "-c", INTERRUPTED, str(server.port)],
            capture_output=True,
            text=True,
            timeout=50,
            check=True,
        )
    assert done.stdout == "True True True {}\n"


@pytest.mark.parametrize("host", ["10.0.0.1", "example.org", "8.8.8.8", "0.0.0.0"])
def test_another_machine_is_never_driven(host: str) -> None:
    with pytest.raises(InvalidInput, match="this machine only"):
        drive(Target(host, 80), [ONE], Load(1, 1, 1))


@pytest.mark.parametrize(
    "load", [Load(0), Load(1001), Load(1, 0), Load(1, 301), Load(1, 1, 0), Load(1, 1, 1_000_001), Load(1, math.nan)]
)
def test_a_load_is_bounded(load: Load) -> None:
    with pytest.raises(InvalidInput, match="at most"):
        drive(Target("127.0.0.1", 1), [ONE], load)


def test_something_is_sent() -> None:
    with pytest.raises(InvalidInput, match="no request"):
        drive(Target("127.0.0.1", 1), [], Load())


def test_a_header_cannot_smuggle_another() -> None:
    with pytest.raises(InvalidInput, match="line break"):
        build("/predict", b"{}", {"Authorization": "Bearer k\r\nX: y"})


def test_quantiles_are_by_nearest_rank() -> None:
    found = Measured(array("d", range(1, 101)), {200: 100}, {}, 1.0, 0)
    assert [found.quantile(share) for share in (0.0, 0.01, 0.5, 0.9, 0.99, 0.999, 1.0)] == [1, 1, 50, 90, 99, 100, 100]
