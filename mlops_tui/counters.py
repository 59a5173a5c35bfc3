"""What a service counts about itself, in Prometheus's own registry."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

EDGES = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds


def count(endpoint: str, outcome: str, rows: int, seconds: float) -> None:
    """Count one request; `endpoint` must come from a closed list, for every new one is kept for ever."""
    requests_total, rows_total, duration = _counters()
    requests_total.labels(endpoint, outcome).inc()
    duration.labels(endpoint).observe(seconds)
    if rows:
        rows_total.labels(endpoint).inc(rows)


def exposition() -> tuple[str, bytes]:
    """Return the content type and the text that a Prometheus server reads."""
    from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest, multiprocess

    registry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:  # `bentoml serve` may run workers side by side; add them up
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return CONTENT_TYPE_LATEST, generate_latest(registry)


@cache
def _counters() -> tuple[Any, Any, Any]:
    """Requests by endpoint and outcome, rows, and seconds; made once a process, and only where requests come in."""
    from prometheus_client import Counter, Histogram

    return (
        Counter("mlops_requests", "Requests answered.", ["endpoint", "outcome"]),
        Counter("mlops_rows", "Rows answered.", ["endpoint"]),
        Histogram("mlops_request_seconds", "Seconds to answer a request.", ["endpoint"], buckets=EDGES),
    )
