"""The API put to the test by machines: cases made from its own OpenAPI document, and bodies mutated by chance."""

from __future__ import annotations

import io
import random
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import polars as pl
import psutil
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from mlops_tui.adapters import load, ports, processes
from mlops_tui.core.bodies import ARROW, CSV
from tests.adapters import served

CASES, BODIES = 2_000, 10_000
POSTS = 3
WORDS = (
    b"", b'"', b"{", b"}", b"[", b"]", b",", b":", b"null", b"NaN", b"1e999", b"-Infinity", b"true", b"\xff", b"\x00",
    b"\r\n", b"99999999999999999999", b'"x":1', b"\\ud800", b"0.1", b"-", b";", b"\xef\xbb\xbf",
)  # fmt: skip
Running = tuple[processes.Server, processes.Process]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    _, _, built = served.store()
    folder = tmp_path_factory.mktemp("fuzzed")
    server = processes.Server(
        built.folder, folder / "home", folder / "log", port=ports.free_port(), spool=folder / "spool", spool_mb=500
    )
    process = processes.start(server)
    try:
        processes.wait_ready(server, process, "tiny:3")
        yield server, process
        assert "Traceback" not in server.log.read_text()
        assert not re.search(r"request \S+ failed", server.log.read_text())
    finally:
        processes.stop(process.pid, process.born)


def operations(url: str) -> list[Any]:
    """Every endpoint and method of the service's own document."""
    return [one.ok() for one in schemathesis.openapi.from_url(f"{url}/openapi.json").get_all_operations()]


def test_every_case_that_the_document_allows_or_forbids_is_answered_as_it_says(running: Running) -> None:
    found: Counter[str] = Counter()
    for operation in operations(running[0].url):
        many = CASES // (2 * POSTS) + 20 if operation.method.upper() == "POST" else 5
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            if mode == GenerationMode.NEGATIVE and operation.method.upper() != "POST":
                continue  # there is nothing to be wrong in a GET without parameters

            @settings(max_examples=many, suppress_health_check=list(HealthCheck), database=None)
            @given(case=operation.as_strategy(generation_mode=mode))
            def ask(case: Any) -> None:
                answer = case.call()
                found[f"{case.method} {answer.status_code}"] += 1
                opaque = case.media_type in (CSV, ARROW)  # no schema says what is in them
                case.validate_response(answer, excluded_checks=[positive_data_acceptance] if opaque else [])

            ask()
    print(f"{found.total()} cases: {dict(found)}")
    assert found.total() >= CASES
    assert httpx.get(f"{running[0].url}/readyz", trust_env=False).status_code == 200


def worker(process: processes.Process) -> psutil.Process:
    (found,) = psutil.Process(process.pid).children()
    return found


def mutated(chance: random.Random) -> bytes:
    """A request of a sound body of which a few bytes are lost or others, sometimes said to be of another kind."""
    rows = [dict(chance.choice(served.ROWS)) for _ in range(chance.choice((1, 1, 1, 3, 40)))]
    frame = pl.DataFrame(rows)
    arrow = io.BytesIO()
    frame.write_ipc_stream(arrow)
    labels = [{"request_id": "r", "row": 0, "label": True}]
    path, kind, body = chance.choice(
        (
            ("/predict", "application/json", msgspec.json.encode({"rows": rows})),
            ("/predict", "application/json", msgspec.json.encode(rows)),
            ("/predict", CSV, frame.write_csv().encode()),
            ("/predict", ARROW, arrow.getvalue()),
            ("/explain", "application/json", msgspec.json.encode({"rows": rows[:3]})),
            ("/labels", "application/json", msgspec.json.encode({"labels": labels})),
        )
    )
    for _ in range(chance.choice((0, 1, 1, 2, 5, 20))):
        at, word = chance.randrange(len(body) + 1), chance.choice(WORDS)
        body = body[:at] + word + body[at + chance.choice((0, 0, 1, len(word), 9)) :]
    if chance.random() < 0.1:
        body = body[: chance.randrange(len(body) + 1)]
    headers = {
        "Content-Type": kind if chance.random() < 0.9 else chance.choice((CSV, ARROW, "application/json", "a/b"))
    }
    if chance.random() < 0.1:
        headers["Accept"] = chance.choice((CSV, ARROW, "*/*", "nonsense"))
    if chance.random() < 0.05:
        headers |= {"X-Routing-Key": "k", "X-Request-Id": "odd id", "Authorization": "Bearer nobody"}
    return load.build(path, body, headers)


def test_ten_thousand_mutated_bodies_are_no_fault_and_cost_no_memory(running: Running) -> None:
    server, process = running
    chance = random.Random(20261128)
    requests = [mutated(chance) for _ in range(BODIES)]
    target, grown = load.Target(server.host, server.port), []
    statuses: Counter[int] = Counter()
    for part in (requests[: BODIES // 2], requests[BODIES // 2 :], requests):
        found = load.drive(target, part, load.Load(8, 250, len(part)))
        assert found.failures == {}
        statuses.update(found.statuses)
        grown.append(worker(process).memory_info().rss)
    print(f"{dict(statuses)}, memory in MB after each part: {[round(size / 1e6) for size in grown]}")
    assert {status for status in statuses if status >= 500} == set()
    assert statuses[200] > 1000
    assert statuses[400] + statuses[422] > 5000
    assert grown[2] < 1.05 * grown[1] + 5e6  # once more all of them, after half of them twice
    assert httpx.get(f"{server.url}/readyz", trust_env=False).status_code == 200
    answer = httpx.post(f"{server.url}/predict", json=list(served.ROWS), trust_env=False)
    assert answer.json()["predictions"] == list(served.golden(served.booster()).answers)
