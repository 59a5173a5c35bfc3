"""A served Bento, as its clients meet it: real requests over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlops_tui.adapters import ports, processes
from mlops_tui.adapters import spool as reader
from mlops_tui.records import Input, Signature
from mlops_tui.service import http as service
from mlops_tui.service.answer import EXPLAINED, Asked, answer
from mlops_tui.service.model import Served, load
from mlops_tui.service.roles import Cast
from mlops_tui.spool import Spool
from tests.adapters import served

ROW = {"a": 1.0, "b": 0.5}


@pytest.fixture(scope="module")
def spool_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("spool")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, spool_folder: Path) -> Iterator[httpx.Client]:
    _, _, built = served.store()
    folder = tmp_path_factory.mktemp("server")
    server = processes.Server(
        built.folder, folder / "home", folder / "log", port=ports.free_port(), spool=spool_folder, spool_mb=5
    )
    process = processes.start(server)
    try:
        processes.wait_ready(server, process, "tiny:3")
        with httpx.Client(base_url=server.url, timeout=30, trust_env=False) as session:
            yield session
        assert processes.stop(process.pid, process.born, grace=8)
        assert "cleanup finalized" in server.log.read_text(), "a request was left hanging"
        assert "Traceback" not in server.log.read_text()
    finally:
        processes.stop(process.pid, process.born)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return served.write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def loaded(folder: Path) -> Served:
    return load(folder)


def make_app(folder: Path, spool: Spool | None = None) -> service.App:
    """The service's own application, in this process."""
    return service.App().open(Cast(folder, None, lambda call: call()), spool)


def test_predict_answers_rows_or_the_bare_list_with_the_models_answers(client: httpx.Client) -> None:
    expected = list(served.golden(served.booster()).answers)
    for body in ({"rows": list(served.ROWS)}, list(served.ROWS)):
        answer = client.post("/predict", json=body)
        assert answer.status_code == 200
        assert answer.json()["predictions"] == expected
        assert answer.json()["model"] == "tiny:3"
        assert answer.json()["request_id"] == answer.headers["X-Request-Id"]
        assert answer.headers["X-Model-Approved"] == "false"


def test_explain_adds_up_to_something_for_every_row(client: httpx.Client) -> None:
    explained = client.post("/explain", json=[ROW, ROW]).json()["explanations"]
    assert len(explained) == 2
    assert set(explained[0]) == {"base", "contributions"}


def test_a_sane_request_id_is_kept_and_another_replaced(client: httpx.Client) -> None:
    assert client.post("/predict", json=[ROW], headers={"X-Request-Id": "order-7"}).json()["request_id"] == "order-7"
    odd = client.post("/predict", json=[ROW], headers={"X-Request-Id": "a b<script>"}).json()["request_id"]
    assert len(odd) == 32


def test_head_continue_and_pipelined_requests_are_answered_on_one_connection(client: httpx.Client) -> None:
    body = msgspec.json.encode([ROW])
    post = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n" % len(body)
    with socket.create_connection((client.base_url.host, client.base_url.port or 0), 10) as connection:
        reader = connection.makefile("rb")

        def head() -> bytes:
            return b"".join(iter(reader.readline, b"\r\n"))

        connection.sendall(b"HEAD /metadata HTTP/1.1\r\nHost: x\r\n\r\n")
        assert head().startswith(b"HTTP/1.1 200")
        connection.sendall(post + b"Expect: 100-continue\r\n\r\n")
        assert head().startswith(b"HTTP/1.1 100")
        connection.sendall(body + (post + b"\r\n" + body) * 2)
        for _ in range(3):
            told = head()
            assert told.startswith(b"HTTP/1.1 200")
            length = int(told.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            assert b'"model":"tiny:3"' in reader.read(length)
        connection.sendall(post + b"Connection: close\r\n\r\n" + body)
        assert head().startswith(b"HTTP/1.1 200")
        assert reader.read().endswith(b'"}')


def test_metadata_tells_where_the_model_comes_from(client: httpx.Client) -> None:
    about = client.get("/metadata").json()
    assert (about["model"], about["bento"], about["approved"]) == ("tiny:3", "tiny:3", False)
    assert about["approval"] == {"approved": False, "name": "Ada"}
    assert [item["name"] for item in about["signature"]["inputs"]] == ["a", "b"]


def test_openapi_is_ours_and_its_example_works(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert {"/predict", "/explain", "/metadata"} <= set(document["paths"])
    content = document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]
    example = content["example"] if "example" in content else next(iter(content["examples"].values()))["value"]
    assert client.post("/predict", json=example).status_code == 200


def test_the_page_has_no_outside_resource(client: httpx.Client) -> None:
    page = client.get("/")
    assert page.headers["Content-Type"].startswith("text/html")
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "//" not in page.text
    assert "Not approved" in page.text


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz"])
def test_the_probes_of_bentoml_answer(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code == 200


def test_metrics_count_by_endpoint_and_outcome_and_not_by_path(client: httpx.Client) -> None:
    def value(text: str, line: str) -> float:
        return sum(float(found.split()[-1]) for found in text.splitlines() if found.startswith(line))

    rows, bad = (
        'mlops_rows_total{endpoint="/predict"}',
        'mlops_requests_total{endpoint="/predict",outcome="invalid_input"}',
    )
    before = client.get("/metrics").text
    client.post("/predict", json=[ROW] * 5)
    client.post("/predict", json=[])
    client.get("/secret-path-7")
    after = client.get("/metrics").text
    assert value(after, rows) - value(before, rows) == 5
    assert value(after, bad) - value(before, bad) == 1
    assert 'mlops_request_seconds_bucket{endpoint="/predict",le="0.01"}' in after
    assert "secret-path-7" not in after


WRONG = (
    rb"""
{ | nonsense | null | 7 | "rows" | {} | [] | {"rows": []} | {"rows": {}} | {"row": []} | {"rows": [], "x": 1}
[1] | [null] | [[]] | [{"a": NaN, "b": 1}] | [{"a": 1e999, "b": 1}] | [{"a": true, "b": 1}] | [{"a": "1.5", "b": 1}]
[{"a": 1, "b": [1]}] | [{"a": 1, "b": 1, "zz": 1}] | [{"a": "\ud800", "b": 1}]
""".strip()
    .replace(b"\n", b" | ")
    .split(b" | ")
)


@pytest.mark.parametrize("body", [*WRONG, b"", b"\xff\xfe", b"[" * 50000, b'[{"a": 1' + b"0" * 5000 + b', "b": 1}]'])
@pytest.mark.parametrize("path", ["/predict", "/explain"])
def test_what_is_wrong_is_told_with_400_or_422(client: httpx.Client, path: str, body: bytes) -> None:
    answer = client.post(path, content=body)
    error = answer.json()["error"]
    assert answer.status_code in (400, 422)
    assert error["kind"] == "invalid_input"
    assert error["message"]
    assert all(set(problem) == {"row", "column", "expected", "found"} for problem in error["problems"])
    assert "/tmp" not in answer.text
    assert ".py" not in answer.text


def test_a_bad_row_is_told_by_row_and_column(client: httpx.Client) -> None:
    problems = client.post("/predict", json=[ROW, {"a": "x", "b": 1.0}]).json()["error"]["problems"]
    assert [(problem["column"], problem["row"]) for problem in problems] == [("a", 1)]


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/predict", 405, "method_not_allowed"),
        ("PUT", "/predict", 405, "method_not_allowed"),
        ("POST", "/metadata", 405, "method_not_allowed"),
        ("POST", "/healthz", 405, "method_not_allowed"),
        ("GET", "/nope", 404, "not_found"),
        ("POST", "/predict/", 404, "not_found"),
        ("GET", "/../../etc/passwd", 404, "not_found"),
        ("GET", "/docs.json", 404, "not_found"),
        ("GET", "/static_content/index.css", 404, "not_found"),
    ],
)
def test_a_wrong_method_or_path_is_told_in_json(
    client: httpx.Client, method: str, path: str, status: int, kind: str
) -> None:
    answer = client.request(method, path)
    assert (answer.status_code, answer.json()["error"]["kind"]) == (status, kind)


def test_a_body_past_the_limit_is_413_with_and_without_a_length(client: httpx.Client) -> None:
    large = b"[" + b" " * 8 * 2**20 + b"]"
    assert client.post("/predict", content=large).status_code == 413
    pieces = (large[i : i + 2**20] for i in range(0, len(large), 2**20))
    assert client.post("/predict", content=pieces).json()["error"]["kind"] == "too_large"
    assert client.post("/predict", json=[ROW]).status_code == 200


def test_a_large_batch_and_many_clients_get_the_same_answers(client: httpx.Client) -> None:
    one = client.post("/predict", json=[ROW]).json()["predictions"][0]
    many = client.post("/predict", json=[ROW] * 20000).json()["predictions"]
    assert many == [one] * 20000
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.post("/predict", json=[ROW]).json()["predictions"], range(80)))
    assert answers == [[one]] * 80


def test_more_rows_than_the_limit_are_413(client: httpx.Client) -> None:
    for path, limit in (("/predict", 100_000), ("/explain", EXPLAINED)):
        body = b"[" + b"{}," * limit + b"{}]"
        answer = client.post(path, content=body)
        assert (answer.status_code, answer.json()["error"]["kind"]) == (413, "too_large")
        assert f"{limit} at most" in answer.json()["error"]["message"]
        assert client.post(path, content=b"[" + b"{}," * (limit - 1) + b"{}]").status_code == 200


async def test_two_large_requests_work_at_once_and_the_others_wait(folder: Path) -> None:
    app, body = make_app(folder), msgspec.json.encode([ROW] * 20_000)
    seen: list[tuple[bool, int]] = []

    async def watch(asked: list[asyncio.Task[httpx.Response]]) -> None:
        while not all(one.done() for one in asked):
            seen.append((app._large.locked(), len(app._large._waiters or ())))
            await asyncio.sleep(0)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        asked = [asyncio.create_task(client.post("/predict", content=body)) for _ in range(6)]
        await watch(asked)
    assert [one.result().status_code for one in asked] == [200] * 6
    assert max(seen) == (True, 4)


def test_a_client_that_goes_away_or_speaks_no_http_harms_nobody(client: httpx.Client) -> None:
    for said in (
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\n[",
        b"\x16\x03\x01 nonsense\r\n\r\n",
    ):
        with socket.create_connection((client.base_url.host, client.base_url.port or 80)) as connection:
            connection.sendall(said)
    assert client.post("/predict", json=[ROW]).status_code == 200


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["rows", "a", "b", "x", "labels", "label", "request_id", "row"]), inner, max_size=3
        )
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=json_values | st.binary(max_size=30), path=st.sampled_from(["/predict", "/explain", "/labels"]))
def test_nothing_that_a_client_sends_is_a_fault_of_the_service(loaded: Served, body: object, path: str) -> None:
    sent = body if isinstance(body, bytes) else msgspec.json.encode(body)
    reply = answer(replace(loaded, key=("a",)), Asked(path, sent, "r"))
    assert reply.status in (200, 202, 400, 422)
    assert b"NaN" not in reply.body
    msgspec.json.decode(reply.body)


# ── the spool and labels ─────────────────────────────────────────────────────────────────────────


def spooled(folder: Path) -> list[dict[str, Any]]:
    """All lines of a spool so far."""
    return [line for name, _, _ in reader.segments(folder) for line in reader.read(folder / name, 0)[0]]


@contextlib.asynccontextmanager
async def answering(folder: Path, spool: Spool | None) -> AsyncIterator[httpx.AsyncClient]:
    """The service's own application, in this process, with a spool."""
    app = make_app(folder, spool)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        yield client


def test_what_was_answered_lies_in_the_spool_and_what_was_refused_does_not(
    client: httpx.Client, spool_folder: Path
) -> None:
    for number in range(20):
        answer = client.post("/predict", json={"rows": [ROW, ROW]}, headers={"X-Request-Id": f"spool-{number}"})
        assert answer.status_code == 200
    assert client.post("/predict", json=[], headers={"X-Request-Id": "spool-bad"}).status_code == 400
    assert client.post("/explain", json=[ROW], headers={"X-Request-Id": "spool-explain"}).status_code == 200
    large = client.post("/predict", json=[ROW] * 5000, headers={"X-Request-Id": "spool-large"})
    labels = {"labels": [{"request_id": "spool-0", "row": 1, "label": True}]}
    told = client.post("/labels", json=labels, headers={"X-Request-Id": "spool-labels"})
    assert (told.status_code, told.json()) == (202, {"accepted": 1, "request_id": "spool-labels"})
    found = {line["id"]: line for line in spooled(spool_folder) if line["id"].startswith("spool-")}
    assert list(found) == [f"spool-{number}" for number in range(20)] + ["spool-large", "spool-labels"]
    assert found["spool-3"]["body"] == {"rows": [ROW, ROW]}
    assert found["spool-3"]["answer"] == answer.json() | {"request_id": "spool-3"}
    assert found["spool-large"]["answer"] == large.json()
    assert found["spool-labels"]["body"] == labels
    text = client.get("/metrics").text
    assert 'mlops_spool_dropped_total{reason="disk"} 0.0' in text
    assert 'mlops_spooled_total{kind="labels"}' in text
    assert "mlops_spool_bytes" in text


def test_a_service_that_is_told_to_stop_keeps_all_that_it_answered(tmp_path: Path) -> None:
    _, _, built = served.store()
    place = (tmp_path / "home", tmp_path / "log", "127.0.0.1", ports.free_port(), tmp_path / "spool")
    server = processes.Server(built.folder, *place)
    process = processes.start(server)
    try:
        processes.wait_ready(server, process, "tiny:3")
        with httpx.Client(base_url=server.url, trust_env=False) as session:
            for number in range(40):
                session.post("/predict", json=[ROW], headers={"X-Request-Id": f"r{number}"})
        processes.stop(process.pid, process.born)
    finally:
        processes.stop(process.pid, process.born)
    assert [line["id"] for line in spooled(tmp_path / "spool")] == [f"r{number}" for number in range(40)]
    assert [live for _, _, live in reader.segments(tmp_path / "spool")] == [False]


async def test_without_a_spool_nothing_is_kept_and_labels_are_told_so(folder: Path) -> None:
    async with answering(folder, None) as client:
        assert (await client.post("/predict", json=[ROW])).status_code == 200
        answer = await client.post("/labels", json={"labels": [{"request_id": "r", "label": True}]})
    assert (answer.status_code, answer.json()["error"]["kind"]) == (503, "unavailable")
    assert "without MLOPS_SPOOL" in answer.json()["error"]["message"]


async def test_labels_that_cannot_be_kept_are_not_accepted(folder: Path, tmp_path: Path) -> None:
    nowhere = Spool(tmp_path / "gone" / "spool", 10**6)
    body = {"labels": [{"request_id": "r", "label": False}]}
    async with answering(folder, nowhere) as client:
        for _ in range(3):
            assert (await client.post("/predict", json=[ROW])).status_code == 200
        answer = await client.post("/labels", json=body)
        assert answer.status_code == 503
        assert "send them again later: the spool cannot be written" in answer.json()["error"]["message"]
        assert str(tmp_path) not in answer.text
        (tmp_path / "gone").mkdir()
        assert (await client.post("/labels", json=body)).status_code == 202
    nowhere.close()


async def test_labels_do_not_wait_for_a_disk_that_hangs(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "LABEL_SECONDS", 0.2)
    spool, gate = Spool(tmp_path / "spool", 10**6), threading.Event()
    append = spool._segments.append
    monkeypatch.setattr(spool._segments, "append", lambda *given: (gate.wait(10), append(*given))[1])
    body = {"labels": [{"request_id": "r", "label": False}]}
    async with answering(folder, spool) as client:
        begun = time.monotonic()
        answers = [(await client.post("/labels", json=body)).status_code for _ in range(3)]
        predicted = await client.post("/predict", json=[ROW])
        assert time.monotonic() - begun < 5
    gate.set()
    spool.close()
    assert answers == [503] * 3
    assert predicted.status_code == 200
    assert [line["kind"] for line in spooled(tmp_path / "spool")] == ["labels", "predict"]


WRONG_LABELS = [
    {"row": 0, "label": True}, {"request_id": "r"}, {"request_id": 7, "label": True}, {"request_id": "", "label": True},
    {"request_id": "r", "row": -1, "label": True}, {"request_id": "r", "row": 1.5, "label": True},
    {"request_id": "r", "row": True, "label": True}, {"request_id": "r", "row": 2**31, "label": True},
    {"request_id": "r", "label": "true"}, {"request_id": "r", "label": 1}, {"request_id": "r", "label": []},
    {"request_id": "r", "a": 1.0, "label": True}, {"b": 1.0, "label": True}, {"a": None, "label": True},
    {"a": [1], "label": True}, {"a": 1.0, "row": 0, "label": True}, 7, None, [], {}, {"label": True},
]  # fmt: skip


@pytest.mark.parametrize("label", WRONG_LABELS, ids=str)
def test_a_wrong_label_is_told_by_its_number_and_column(loaded: Served, label: object) -> None:
    right = {"request_id": "r", "row": 3, "label": None}
    body = msgspec.json.encode({"labels": [right, {"a": 1.5, "label": False}, label]})
    reply = answer(replace(loaded, key=("a",)), Asked("/labels", body, "r"))
    assert reply.status == 422
    problems = msgspec.json.decode(reply.body)["error"]["problems"]
    assert {problem["row"] for problem in problems} == {2}
    assert all(problem["expected"] and problem["found"] for problem in problems)


@pytest.mark.parametrize("body", ["7", "null", "[]", "{}", '{"labels": []}', '{"labels": {}}', '{"rows": [1]}', "[{}]"])
def test_a_body_that_holds_no_labels_is_refused(client: httpx.Client, body: str) -> None:
    answer = client.post("/labels", content=body)
    assert (answer.status_code, answer.json()["error"]["kind"]) == (400, "invalid_input")


@pytest.mark.parametrize(
    ("task", "dtype", "classes", "right", "wrong"),
    [
        ("multiclass", "String", ("a", "b"), ["a", "b"], ["c", 1, True]),
        ("multiclass", "Int64", ("1", "2"), [1, 2.0], [3, "1", True, 1.5]),
        ("regression", "Float64", (), [1, -2.5, 1e15], [1e16, "1", True, []]),
        ("regression", "Int64", (), [1, 2.0], [2.5]),
        ("ranking", "Float64", (), [0, 30.0], [31, -1, 0.5]),
    ],
)
def test_a_label_is_what_the_target_can_be(
    loaded: Served, task: Any, dtype: str, classes: tuple[str, ...], right: list[Any], wrong: list[Any]
) -> None:
    signature = Signature(task, "y", dtype, (Input("a", "Float64", True),), classes)
    known = replace(loaded, signature=signature)
    for value in [*right, None]:
        body = msgspec.json.encode({"labels": [{"request_id": "r", "label": value}]})
        assert answer(known, Asked("/labels", body, "r")).status == 202, value
    for value in wrong:
        body = msgspec.json.encode({"labels": [{"request_id": "r", "label": value}]})
        assert answer(known, Asked("/labels", body, "r")).status == 422, value


def test_labels_have_limits_and_an_example_that_works(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()["paths"]["/labels"]["post"]
    example = document["requestBody"]["content"]["application/json"]["example"]
    assert client.post("/labels", json=example).status_code == 202
    assert {"202", "400", "401", "408", "413", "422", "429", "503"} == set(document["responses"])
    many = b'{"labels":[' + b"{}," * 100_000 + b"{}]}"
    assert client.post("/labels", content=many).status_code == 413
    assert client.get("/labels").headers["Allow"] == "POST"


def test_the_module_imports_no_server_and_knows_no_flow() -> None:
    source = "".join(path.read_text() for path in Path(service.__file__).parent.glob("*.py"))
    assert not [
        word for word in ("flows", "catalogue", "config", "typer", "textual", "pickle") if f"import {word}" in source
    ]
