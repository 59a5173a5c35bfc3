"""What a service counts about itself: plain numbers while it answers, Prometheus' text format when it is asked.

A request adds to a few dictionaries; the library's own counters would cost five times as much. Each is written by one
thread, the event loop's or the spool's, and what reads them in between may be one request behind. The usual request
only adds to a list, from which some hundred are counted at a time, and all of them before they are told.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import Any

EDGES = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds
FINE = tuple(0.0001 * 1.25**step for step in range(58))  # seconds, up to half a minute: what latencies are judged by
SHARES = tuple(step / 10 for step in range(1, 10))  # of a probability


MANY = 100  # values, from which on numpy counts them faster


@dataclass(slots=True)
class Distribution:
    """Counts between edges, from below the first to beyond the last, and the sum of all values."""

    edges: tuple[float, ...]
    counts: list[int] = field(default_factory=list)
    sum: float = 0.0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.edges) + 1)

    def add(self, value: float) -> None:
        """Count one value; an edge belongs to what lies below it."""
        self.counts[bisect_left(self.edges, value)] += 1
        self.sum += value

    def add_all(self, values: Sequence[float]) -> None:
        """Count values: many of them at once, by numpy, in the bins of `add`, though a NaN goes beyond the last."""
        if len(values) < MANY:
            for value in values:
                self.add(value)
            return
        import numpy as np

        many = np.asarray(values)
        found = np.bincount(np.searchsorted(self.edges, many), minlength=len(self.counts)).tolist()
        self.counts = [mine + more for mine, more in zip(self.counts, found, strict=True)]
        self.sum += float(many.sum())

    @property
    def total(self) -> int:
        """How many values there were."""
        return sum(self.counts)


@dataclass(slots=True)
class Held:
    """All that is counted; keys are the values of the labels."""

    requests: dict[tuple[str, str], int] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, Distribution] = field(default_factory=dict)
    odd: dict[tuple[str, str], int] = field(default_factory=dict)
    predictions: dict[tuple[str, str], Distribution] = field(default_factory=dict)
    swaps: dict[str, int] = field(default_factory=dict)
    models: tuple[tuple[str, str, str], ...] = ()  # model, role, approved
    spooled: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("predict", "labels", "shadow"), 0))
    dropped: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("queue", "size", "disk"), 0))
    spool_bytes: int = 0
    in_flight: int = 0
    canary_share: float = 0.0
    shadow_dropped: int = 0
    started: float = field(default_factory=time.time)


held = Held()
PENDING = 500
_pending: list[tuple[str, tuple[float, ...], float, float]] = []  # model, edges, seconds, value


def count(endpoint: str, outcome: str, rows: int, seconds: float) -> None:
    """Count one request; `endpoint` must come from a closed list, for every new one is kept for ever."""
    place = (endpoint, outcome)
    held.requests[place] = held.requests.get(place, 0) + 1
    times = held.seconds.get(endpoint)
    if times is None:
        times = held.seconds[endpoint] = Distribution(EDGES)
    times.add(seconds)
    if rows:
        held.rows[endpoint] = held.rows.get(endpoint, 0) + rows


def odd(counts: Mapping[tuple[str, str], int]) -> None:
    """Count odd values by column and finding; columns must come from a closed list."""
    for place, number in counts.items():
        held.odd[place] = held.odd.get(place, 0) + number


def predicted(model: str, role: str, scores: Sequence[float], edges: tuple[float, ...] = SHARES) -> None:
    """Count what a model predicted: probabilities, or values of which without edges only number and sum are kept."""
    place = (model, role)
    found = held.predictions.get(place)
    if found is None:
        found = held.predictions[place] = Distribution(edges)
    found.add_all(scores)


def one_row(model: str, edges: tuple[float, ...], seconds: float, value: float) -> None:
    """Count a /predict of one row that the live model answered: what `count` and `predicted` do, a little later."""
    _pending.append((model, edges, seconds, value))
    if len(_pending) >= PENDING:
        settle()


def settle() -> None:
    """Count what waits."""
    waiting = _pending.copy()
    _pending.clear()
    if not waiting:
        return
    place, times = ("/predict", "ok"), held.seconds.setdefault("/predict", Distribution(EDGES))
    held.requests[place] = held.requests.get(place, 0) + len(waiting)
    held.rows["/predict"] = held.rows.get("/predict", 0) + len(waiting)
    for (model, edges), some in groupby(waiting, key=itemgetter(0, 1)):
        told = held.predictions.setdefault((model, "live"), Distribution(edges))
        for _, _, seconds, value in some:
            times.add(seconds)
            told.add(value)


def swapped(reason: str) -> None:
    """Count a change of what is served, by a reason from a closed list."""
    held.swaps[reason] = held.swaps.get(reason, 0) + 1


def spooled(kind: str, lines: int) -> None:
    """Count lines that the spool has taken, of kind "predict", "labels" or "shadow"."""
    held.spooled[kind] += lines


def spool_dropped(reason: str, lines: int) -> None:
    """Count lines that the spool has not taken, by reason: "queue", "size" or "disk"."""
    held.dropped[reason] += lines


def spool_size(size: int) -> None:
    """Tell how many bytes lie in the spool's folder, of all processes."""
    held.spool_bytes = size


def exposition() -> tuple[str, bytes]:
    """Return the content type and the text that a Prometheus server reads."""
    from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

    settle()
    registry = CollectorRegistry()
    registry.register(_Collector())
    return CONTENT_TYPE_LATEST, generate_latest(registry)


class _Collector:
    """What prometheus_client asks for families of samples."""

    def collect(self) -> Iterator[Any]:
        yield _counter("mlops_requests", "Requests answered.", ("endpoint", "outcome"), held.requests)
        yield _gauge("mlops_start_time_seconds", "When the service started, since 1970.", (), {(): held.started})
        yield _counter("mlops_rows", "Rows answered.", ("endpoint",), _single(held.rows))
        seconds = {(name,): one for name, one in held.seconds.copy().items()}
        yield _histogram("mlops_request_seconds", "Seconds to answer a request.", ("endpoint",), seconds)
        yield _gauge("mlops_in_flight", "Requests that are being answered.", (), {(): held.in_flight})
        told = held.predictions.copy()
        totals = {place: one.total for place, one in told.items()}
        yield _counter("mlops_predictions", "Rows that a model predicted.", ("model", "role"), totals)
        yield _histogram("mlops_prediction", "Predicted probabilities, or values.", ("model", "role"), told)
        yield _counter("mlops_inputs", "Odd values of requests.", ("column", "finding"), held.odd)
        models = dict.fromkeys(held.models, 1)
        yield _gauge("mlops_model_info", "What is served, and how.", ("model", "role", "approved"), models)
        yield _gauge("mlops_canary_share", "Share of requests to the canary.", (), {(): held.canary_share})
        yield _counter("mlops_swaps", "Changes of what is served.", ("reason",), _single(held.swaps))
        yield _counter("mlops_shadow_dropped", "Requests not shadowed.", (), {(): held.shadow_dropped})
        yield _counter("mlops_spooled", "Requests kept in the spool.", ("kind",), _single(held.spooled))
        yield _counter("mlops_spool_dropped", "Requests not kept.", ("reason",), _single(held.dropped))
        yield _gauge("mlops_spool_bytes", "What lies in the spool's folder.", (), {(): held.spool_bytes})


def _single(counts: Mapping[str, int]) -> dict[tuple[str], int]:
    return {(name,): number for name, number in dict(counts).items()}


def _counter(name: str, text: str, labels: tuple[str, ...], counts: Mapping[Any, float]) -> Any:
    from prometheus_client.core import CounterMetricFamily

    family = CounterMetricFamily(name, text, labels=labels)
    for place, number in dict(counts).items():
        family.add_metric(place, number)
    return family


def _gauge(name: str, text: str, labels: tuple[str, ...], values: Mapping[Any, float]) -> Any:
    from prometheus_client.core import GaugeMetricFamily

    family = GaugeMetricFamily(name, text, labels=labels)
    for place, number in dict(values).items():
        family.add_metric(place, number)
    return family


def _histogram(name: str, text: str, labels: tuple[str, ...], found: Mapping[Any, Distribution]) -> Any:
    from prometheus_client.core import HistogramMetricFamily

    family = HistogramMetricFamily(name, text, labels=labels)
    for place, one in found.items():
        below, buckets = 0, []
        for edge, number in zip((*map(repr, one.edges), "+Inf"), one.counts, strict=True):
            below += number
            buckets.append((edge, below))
        family.add_metric(place, buckets, one.sum)
    return family
