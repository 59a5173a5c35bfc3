"""What a server counts, read from Prometheus' text: sums, quantiles, rates, and whatever else may stand there."""

from __future__ import annotations

import math
import socket
from bisect import bisect_left
from contextlib import suppress
from threading import Thread

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from mlops_tui import counters
from mlops_tui.adapters import scrape
from mlops_tui.flows.queries import served
from mlops_tui.flows.queries.traffic import Counted, counted, quantile
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import Deployment

TEXT = """\
# HELP mlops_requests_total Requests answered.
# TYPE mlops_requests_total counter
mlops_requests_total{endpoint="/predict",outcome="ok"} 7.0
mlops_requests_total{endpoint="/predict",outcome="invalid_input"} 2.0 1395066363000
mlops_requests_total{endpoint="/labels",outcome="ok"} 1.0
mlops_requests_total{endpoint="/metrics",outcome="ok"} 900.0
mlops_requests_total{endpoint="other",outcome="not_found"} 5.0
mlops_rows_total{endpoint="/predict"} 1.4e+01
mlops_rows_total{endpoint="/labels"} 3.0
mlops_request_seconds_bucket{endpoint="/predict",le="0.001"} 0.0
mlops_request_seconds_bucket{endpoint="/predict",le="0.002"} 8.0
mlops_request_seconds_bucket{endpoint="/predict",le="+Inf"} 9.0
mlops_request_seconds_bucket{endpoint="/explain",le="+Inf"} 4.0
mlops_spool_dropped_total{reason="queue"} 0.0
mlops_spool_dropped_total{reason="size"} 6.0
mlops_spool_bytes NaN
"""


def test_the_sums_are_of_what_clients_ask() -> None:
    assert counted(scrape.parse(TEXT)) == Counted(
        10, 14, {"invalid_input": 2}, {"size": 6}, {"0.001": 0, "0.002": 8, "+Inf": 9}
    )
    assert counted([]) == Counted()


def test_the_sums_are_those_of_a_real_exposition() -> None:
    registry = CollectorRegistry()
    requests = Counter("mlops_requests", "Requests.", ["endpoint", "outcome"], registry=registry)
    seconds = Histogram("mlops_request_seconds", "S.", ["endpoint"], buckets=counters.EDGES, registry=registry)
    for outcome, value in (("ok", 0.0015), ("ok", 0.0015), ('a "quoted\\ one"\n', 20.0)):
        requests.labels("/predict", outcome).inc()
        seconds.labels("/predict").observe(value)
    found = counted(scrape.parse(generate_latest(registry).decode()))
    assert (found.requests, found.errors) == (3, {'a "quoted\\ one"\n': 1})
    assert quantile(found.buckets, 0.5) == pytest.approx(0.001 + 0.001 * 1.5 / 2)
    assert quantile(found.buckets, 0.99) == 10.0


@given(st.text())
@example('mlops_rows_total{endpoint="/predict"} inf')
@example('mlops_rows_total{endpoint="/predict} 7')
@example("mlops_rows_total nonsense")
@example('mlops_request_seconds_bucket{endpoint="/predict",le="soon"} 3')
@example('mlops_request_seconds_bucket{endpoint="/predict",le="nan"} 3')
def test_no_text_is_too_much_for_the_parser(text: str) -> None:
    assert all(math.isfinite(sample.value) for sample in scrape.parse(text))
    quantile(counted(scrape.parse(text)).buckets, 0.5)


@given(st.lists(st.floats(0, 20), min_size=1), st.sampled_from([0.5, 0.9, 0.99, 1.0]))
def test_a_quantile_lies_in_the_bucket_that_holds_it(values: list[float], share: float) -> None:
    edges = (*counters.EDGES, math.inf)
    buckets = {str(edge): sum(value <= edge for value in values) for edge in edges}
    exact = sorted(values)[math.ceil(share * len(values)) - 1]
    at = bisect_left(edges, exact)
    found = quantile(buckets, share)
    assert found is not None
    low, high = edges[at - 1] if at else 0.0, min(edges[at], edges[-2])
    assert low <= found <= high


def test_no_requests_have_no_quantile() -> None:
    assert quantile({}, 0.5) is None
    assert quantile({"0.1": 0, "+Inf": 0}, 0.5) is None


def test_a_server_that_is_wrong_or_silent_has_told_nothing() -> None:
    head = b"HTTP/1.1 %s\r\nContent-Type: text/plain\r\n\r\n"
    answers = {head % b"200 OK" + b"a 1\n": "a 1\n", head % b"500 Bug" + b"a 1\n": None, b"nonsense\r\n\r\n": None,
               head % b"200 OK" + b"a" * (scrape.LIMIT + 1): None}  # fmt: skip
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        for answer, told in answers.items():
            thread = Thread(target=_answer_once, args=(server, answer))
            thread.start()
            assert scrape.fetch(url) == told
            thread.join()
        assert scrape.fetch(url, timeout=0.05) is None
    assert scrape.fetch(url) is None


def test_asking_reads_no_catalogue(trained: Workspace) -> None:
    item = Deployment("gone", "flight-delay", 1, "tag", "127.0.0.1", 9, 0, 0.0, "stopped", "ada", trained.now())
    trained.catalogue.path.rename(trained.catalogue.path.with_suffix(".away"))
    assert served.answers(trained, [item] * 3, {})["gone"].remark == "it is stopped"


def _answer_once(server: socket.socket, answer: bytes) -> None:
    client, _ = server.accept()
    with client, suppress(OSError):  # who asks need not hear all of it
        client.recv(65536)
        client.sendall(answer)
