"""Who may ask a service, how much and how long: keys that come and go, limits, and a port that speaks HTTPS."""

from __future__ import annotations

import asyncio
import hashlib
import json
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_tui.adapters import ports, processes
from mlops_tui.records import InputPolicy, KeyEntry, KeyFile, Limits, Serving, to_json
from mlops_tui.service import http as service
from mlops_tui.service import waiting
from mlops_tui.service.answer import Asked, answer
from mlops_tui.service.guard import Keys, Pace
from mlops_tui.service.model import Served, load, serving_as
from mlops_tui.service.roles import Cast
from tests.adapters import served
from tests.adapters.listening import until

ROW = {"a": 1.0, "b": 0.5}
SCOPE: dict[str, Any] = {"type": "http", "method": "POST", "path": "/predict", "headers": []}
TLS = Path(__file__).parent / "tls"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return served.write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def loaded(folder: Path) -> Served:
    return load(folder)


def app(folder: Path, limits: Limits | None = None, keys: Keys | None = None) -> service.App:
    serving = Serving(limits=limits) if limits else None
    return service.App().open(Cast(folder, None, lambda call: call(), serving), None, keys)


def asking(made: service.App) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(made), base_url="http://test")


def write_keys(path: Path, *names: str, required: bool = True) -> None:
    entries = tuple(KeyEntry(name, hashlib.sha256(f"key of {name}".encode()).hexdigest()) for name in names)
    part = path.with_suffix(".part")
    part.write_bytes(to_json(KeyFile(entries, required)))
    part.replace(path)


# ── keys ─────────────────────────────────────────────────────────────────────────────────────────


async def test_keys_open_what_is_asked_and_nothing_else_does(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    write_keys(path, "shop", "phone")
    keys = Keys(path)
    async with asking(app(folder, keys=keys)) as client:

        async def status(**headers: str) -> int:
            sent = {name.replace("_", "-"): text for name, text in headers.items()}
            return (await client.post("/predict", json=[ROW], headers=sent)).status_code

        assert await status() == 401
        assert await status(authorization="Bearer key of nobody") == 401
        assert await status(authorization="Basic key of shop") == 401
        assert await status(authorization="Bearer key of shop") == 200
        assert await status(authorization="bearer key of phone") == 200
        assert await status(x_api_key="key of phone") == 200
        refused = await client.post("/labels", json={"labels": []})
        assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert "key of" not in refused.text
        for path_ in ("/readyz", "/metrics", "/metadata", "/openapi.json"):
            assert (await client.get(path_)).status_code == 200
        write_keys(path, "phone", "new")  # one goes, one comes, one stays
        keys.refresh()
        assert await status(authorization="Bearer key of shop") == 401
        assert await status(authorization="Bearer key of phone") == 200
        assert await status(authorization="Bearer key of new") == 200
        path.write_text("{")  # a broken file changes nothing
        keys.refresh()
        assert await status(authorization="Bearer key of new") == 200
        path.unlink()
        keys.refresh()
        assert await status() == 401
        write_keys(path, required=False)
        keys.refresh()
        assert await status() == 200


def test_a_file_of_keys_that_cannot_be_read_at_the_start_opens_nothing(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text("[]")
    assert Keys(path).required
    assert Keys(path).name_of({b"authorization": b"Bearer x"}) is None
    assert not Keys(tmp_path / "none.json").required
    assert not Keys(None).required


# ── limits ───────────────────────────────────────────────────────────────────────────────────────


async def test_more_requests_at_once_than_the_limit_are_told_to_come_again(folder: Path) -> None:
    made = app(folder, Limits(at_once=2))
    go = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        await go.wait()
        yield json.dumps([ROW]).encode()

    class Streaming(httpx.AsyncBaseTransport):
        """httpx' own transport reads a body before it asks; this one hands it on as it comes."""

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            parts = request.stream.__aiter__()  # type: ignore[union-attr]
            found: dict[str, Any] = {"body": b""}

            async def receive() -> dict[str, Any]:
                part = await anext(parts, None)
                return {"type": "http.request", "body": part or b"", "more_body": part is not None}

            async def send(message: dict[str, Any]) -> None:
                found.update(message, body=found["body"] + message.get("body", b""))

            scope = {"type": "http", "method": "POST", "path": request.url.path, "headers": request.headers.raw}
            await made(scope, receive, send)
            return httpx.Response(found["status"], headers=found["headers"], content=found["body"])

    async with httpx.AsyncClient(transport=Streaming(), base_url="http://test") as client:
        held = [asyncio.create_task(client.post("/predict", content=slow())) for _ in range(2)]
        while made.in_flight < 2:
            await asyncio.sleep(0)
        refused = await client.post("/predict", content=slow())
        go.set()
        answers = await asyncio.gather(*held)
        again = await client.post("/predict", content=slow())
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
    assert refused.json()["error"]["kind"] == "overloaded"
    assert [one.status_code for one in answers] == [200, 200]
    assert again.status_code == 200


async def test_a_client_that_asks_too_often_is_told_when_to_come_again(folder: Path) -> None:
    async with asking(app(folder, Limits(per_second=2))) as client:
        answers = [await client.post("/predict", json=[ROW]) for _ in range(8)]
    statuses = [one.status_code for one in answers]
    assert statuses[:4] == [200] * 4  # twice what it may send a second, in a burst
    assert 429 in statuses[4:]
    late = answers[statuses.index(429)]
    assert int(late.headers["Retry-After"]) >= 1
    assert late.json()["error"]["kind"] == "too_many"


async def test_a_body_that_does_not_come_in_time_is_given_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "SWEEP_SECONDS", 0.01)
    made, sent = app(folder, Limits(seconds=0.02)), list[dict[str, Any]]()

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await asyncio.wait_for(made(SCOPE, receive, send), 10)
    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]
    assert made.in_flight == 0
    current = asyncio.current_task()
    assert current is not None
    assert current.cancelling() == 0


async def test_who_cancels_a_request_from_outside_is_obeyed(folder: Path) -> None:
    made = app(folder)

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: dict[str, Any]) -> None:
        raise AssertionError

    task = asyncio.create_task(made(SCOPE, receive, send))
    while not made.in_flight:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert made.in_flight == 0


def test_a_key_is_hashed_once_however_it_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = {"name": "team", "sha256": hashlib.sha256(b"secret").hexdigest()}
    (tmp_path / "keys.json").write_bytes(msgspec.json.encode({"keys": [entry], "required": True}))
    keys, hashed = Keys(tmp_path / "keys.json"), []
    real = hashlib.sha256
    monkeypatch.setattr(hashlib, "sha256", lambda given: (hashed.append(given), real(given))[1])
    for headers in (
        {b"x-api-key": b"secret"},
        {b"authorization": b"Bearer secret"},
        {b"authorization": b"bearer secret"},
    ):
        assert [keys.name_of(headers) for _ in range(3)] == ["team"] * 3
    assert len(hashed) <= 3
    assert keys.name_of({b"authorization": b"secret"}) is None, "what is no Bearer is none, though its text was met"
    assert keys.name_of({b"authorization": b"Basic secret", b"x-api-key": b"secret"}) == "team"
    assert keys.name_of({b"authorization": b"Basic secret"}) is None


SENT = {"Content-Type": "application/json"}


async def test_rows_and_bytes_have_limits_of_their_own(folder: Path) -> None:
    async with asking(app(folder, Limits(rows=3, body_mb=0.001))) as client:
        assert (await client.post("/predict", json=[ROW] * 3)).status_code == 200
        many = await client.post("/predict", json=[ROW] * 4)
        assert (many.status_code, many.json()["error"]["message"]) == (
            413, "4 rows, and /predict takes 3 at most; send them in several requests",
        )  # fmt: skip
        odd = await client.post("/predict", json=[{"x": 1}] * 4)
        assert odd.status_code == 413
        large = await client.post("/predict", json=[ROW] * 3 + [{"b": "x" * 2000}])
        assert (large.status_code, large.json()["error"]["kind"]) == (413, "too_large")
        padded = await client.post("/predict", content=msgspec.json.encode([ROW]) + b" " * 2000, headers=SENT)
        assert (padded.status_code, padded.json()["error"]["kind"]) == (413, "too_large")


@given(st.floats(0.5, 50), st.lists(st.floats(0, 3), min_size=1, max_size=60))
def test_a_pace_lets_through_what_it_says_and_never_more(rate: float, gaps: list[float]) -> None:
    pace, now, passed = Pace(rate), 0.0, 0
    for gap in gaps:
        now += gap
        wait = pace.wait("client", now)
        passed += wait == 0
        assert 0 <= wait <= 1 / rate + 1e-9
    assert passed <= max(1.0, 2 * rate) + rate * now + 1e-6
    assert Pace(rate).wait("another", 0.0) == 0


# ── odd inputs, over the service's own code ──────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("body", "policy", "status", "warned"),
    [
        (b'[{"a": 1, "b": 2, "x": 3}]', InputPolicy(), 422, None),
        (b'[{"a": 1, "b": 2, "x": 3}]', InputPolicy(unknown="ignore"), 200, None),
        (b'[{"a": 1, "b": 2, "x": 3}]', InputPolicy(unknown="warn"), 200, "x"),
        (b'[{"a": NaN, "b": 2}]', InputPolicy(), 422, None),
        (b'[{"a": NaN, "b": 2}]', InputPolicy(not_finite="warn"), 200, "a"),
        (b'[{"a": 1e999, "b": 2}]', InputPolicy(not_finite="null"), 200, None),
        (b'[{"a": "1.5", "b": 2}]', InputPolicy(), 422, None),
        (b'[{"a": "1.5", "b": 2}]', InputPolicy(invalid="warn"), 200, "a"),
    ],
)
def test_what_is_odd_meets_its_policy(
    loaded: Served, body: bytes, policy: InputPolicy, status: int, warned: str | None
) -> None:
    known = serving_as(loaded, Serving(policy))
    reply = answer(known, Asked("/predict", body, "r"))
    assert reply.status == status, reply.body
    said = msgspec.json.decode(reply.body)
    assert [one["column"] for one in said.get("warnings", [])] == ([warned] if warned else [])
    assert reply.odd
    assert msgspec.json.decode(msgspec.json.encode(known.about["serving"]["inputs"])) == msgspec.to_builtins(policy)


def test_values_that_break_an_expression_are_the_clients(loaded: Served) -> None:
    broken = replace(loaded, encoder=_Broken())  # type: ignore[arg-type]
    reply = answer(broken, Asked("/predict", b'[{"a": 1, "b": 2}]', "r"))
    assert reply.status == 422


class _Broken:
    takes_all = False

    def __call__(self, columns: object) -> object:
        from mlops_tui.errors import InvalidInput

        raise InvalidInput("cannot compute the features of these rows: conversion failed")


# ── TLS ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[processes.Server]:
    _, _, built = served.store()
    server = processes.Server(
        built.folder, tmp_path / "home", tmp_path / "log", port=ports.free_port(), keys=tmp_path / "keys.json",
        tls=(TLS / "certificate.pem", TLS / "key.pem"),
    )  # fmt: skip
    process = processes.start(server)
    try:
        processes.wait_ready(server, process, "tiny:3")
        yield server
    finally:
        processes.stop(process.pid, process.born)


def test_a_port_with_a_certificate_speaks_https_and_keys_come_while_it_runs(secure: processes.Server) -> None:
    assert secure.url.startswith("https://")
    trusted = ssl.create_default_context(cafile=str(TLS / "certificate.pem"))
    with httpx.Client(base_url=secure.url, verify=trusted, trust_env=False) as client:
        assert client.post("/predict", json=[ROW]).status_code == 200
        assert secure.keys is not None
        write_keys(secure.keys, "shop")
        until(lambda: client.post("/predict", json=[ROW]).status_code == 401)
        known = {"Authorization": "Bearer key of shop"}
        assert client.post("/predict", json=[ROW], headers=known).status_code == 200
    with pytest.raises(httpx.HTTPError):
        httpx.get(secure.url.replace("https", "http") + "/readyz", trust_env=False)
    log = secure.log.read_text()
    assert "key of" not in log
