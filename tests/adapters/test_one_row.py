"""The short ways of a request: what a prepared model answers, and what is written, is what the long ways give."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace
from typing import Any

import httpx
import msgspec
import pytest
import uvicorn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from mlops_tui.records import InputPolicy, Limits, Serving
from mlops_tui.service.answer import Asked, answer
from mlops_tui.service.model import Served, load, serving_as
from mlops_tui.service.one_row import OneRow, one_row
from mlops_tui.service.roles import Roles
from mlops_tui.service.wire import JOINED, OneWrite, direct
from tests.adapters import served

NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**60), 2**60) | st.sampled_from([0, 0.5, 1])
ROW = st.fixed_dictionaries({"a": st.none() | NUMBERS, "b": NUMBERS}) | st.fixed_dictionaries(
    {}, optional={"a": st.none() | NUMBERS, "b": st.none() | NUMBERS | st.text(max_size=2), "c": NUMBERS}
)
POLICIES = [InputPolicy(), InputPolicy(range="warn"), InputPolicy(range="refuse"), InputPolicy(range="null")]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Served:
    return load(served.write_model(tmp_path_factory.mktemp("model")))


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(ROW, min_size=1, max_size=2), policy=st.sampled_from(POLICIES), bare=st.booleans())
def test_one_row_is_answered_byte_for_byte_as_any_request(
    loaded: Served, rows: list[dict[str, Any]], policy: InputPolicy, bare: bool
) -> None:
    model = serving_as(loaded, Serving(inputs=policy))
    body = msgspec.json.encode(rows if bare else {"rows": rows})
    found, reply = OneRow(model).answer(body, b"r-1"), answer(model, Asked("/predict", body, "r-1"))
    if found is not None:
        assert found == (reply.body, reply.values[0], reply.odd)
        assert len(rows) == reply.rows == 1


@pytest.mark.parametrize("row", [{"a": 1.0, "b": 0.5}, {"a": None, "b": 0.25}, {"a": 1e6, "b": 0.5}], ids=str)
def test_usual_rows_go_the_short_way(loaded: Served, row: dict[str, Any]) -> None:
    assert OneRow(loaded).answer(msgspec.json.encode([row]), b"r") is not None


@pytest.mark.parametrize("value", [0.5, -0.0, 1e-7, 1e300, float("nan"), float("inf")])
@pytest.mark.parametrize("task", ["binary", "regression"])
def test_values_are_written_as_msgspec_writes_them(loaded: Served, task: Any, value: float) -> None:
    one = OneRow(replace(loaded, signature=replace(loaded.signature, task=task)))
    told: dict[str, Any] = {"prediction": value}
    if task == "binary":
        told = {"prediction": loaded.labels[value >= loaded.signature.threshold], "probability": value}
    sent = {"predictions": [told], "model": "tiny:3", "request_id": "r"}
    assert one._told(value, b"r") == msgspec.json.encode(sent)


def test_the_short_way_is_for_a_model_that_answers_alone_and_at_any_pace(loaded: Served) -> None:
    assert Roles(0, loaded).usual is not None
    assert Roles(0, loaded, rival=loaded).usual is None
    assert Roles(0, loaded, leaving=True).usual is None
    assert Roles(0, serving_as(loaded, Serving(limits=Limits(per_second=1.0)))).usual is None
    assert one_row(replace(loaded, signature=replace(loaded.signature, task="multiclass"))) is None


class Network:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.written.append(data)

    def writelines(self, parts: Any) -> None:
        self.write(b"".join(parts))

    def is_closing(self) -> bool:
        return self.closed

    def resume_reading(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True


HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"


@pytest.mark.parametrize("body", [b"{}", b"\r\n\r\n", HEAD, b"x" * (JOINED + 1)])
def test_an_answer_is_one_write(body: bytes) -> None:
    network = Network()
    wire = OneWrite(network)
    for _ in range(2):
        wire.write(HEAD)
        wire.write(body)
        wire.flush()
    assert network.written == [HEAD + body] * 2


def test_a_head_alone_goes_out_at_the_end_of_its_answer_and_before_the_connection() -> None:
    network = Network()
    wire = OneWrite(network)
    wire.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert network.written == [b"HTTP/1.1 100 Continue\r\n\r\n"], "who waits for it sends nothing before"
    wire.write(HEAD)
    wire.flush()
    wire.write(HEAD)
    wire.close()
    assert network.written[1:] == [HEAD, HEAD]
    assert wire.closed is network.closed is True


def test_nothing_overtakes_a_head() -> None:
    network = Network()
    wire = OneWrite(network)
    wire.write(HEAD)
    wire.writelines((b"{", b"}"))
    assert network.written == [HEAD, b"{}"]


@pytest.mark.parametrize(("trusted", "told"), [("", "127.0.0.1"), ("127.0.0.1", "10.0.0.7")])
async def test_only_a_trusted_proxy_says_who_a_client_is(trusted: str, told: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        said = scope["client"][0].encode()
        head = [(b"content-length", str(len(said)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": said})

    config = uvicorn.Config(
        app,
        http=direct(AutoHTTPProtocol, app, bool(trusted)),
        forwarded_allow_ips=trusted,
        lifespan="off",
        log_config=None,
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve([listener]))
        try:
            async with httpx.AsyncClient(trust_env=False) as client:
                url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
                assert (await client.get(url, headers={"X-Forwarded-For": "10.0.0.7"})).text == told
                assert (await client.head(url)).headers["content-length"] == str(len("127.0.0.1"))
        finally:
            server.should_exit = True
            await serving
