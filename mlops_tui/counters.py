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


def spooled(kind: str, lines: int) -> None:
    """Count lines that the spool has taken, of kind "predict" or "labels"."""
    _spool_counters()[0].labels(kind).inc(lines)


def spool_dropped(reason: str, lines: int) -> None:
    """Count lines that the spool has not taken, by reason: "queue", "size" or "disk"."""
    _spool_counters()[1].labels(reason).inc(lines)


def spool_size(size: int) -> None:
    """Tell how many bytes lie in the spool's folder, of all processes."""
    _spool_counters()[2].set(size)


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


@cache
def _spool_counters() -> tuple[Any, Any, Any]:
    """Lines kept and dropped, and the spool's size; all at 0 from the start, so that a first drop shows as a rise."""
    from prometheus_client import Counter, Gauge

    kept = Counter("mlops_spooled", "Requests kept in the spool.", ["kind"])
    dropped = Counter("mlops_spool_dropped", "Requests that the spool could not keep.", ["reason"])
    for kind in ("predict", "labels"):
        kept.labels(kind)
    for reason in ("queue", "size", "disk"):
        dropped.labels(reason)
    size = Gauge("mlops_spool_bytes", "What lies in the spool's folder.", multiprocess_mode="mostrecent")
    return kept, dropped, size
