"""How bench_serving.py and bench_serving_life.py run: in turn, each on a core of its own, figures kept for the end."""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightgbm as lgb

from mlops_tui.adapters.load import Load, Measured, Target, drive
from tests.bench.driving import pace
from tests.bench.serving_field import Contestant
from tests.bench.serving_model import Floats

ROUNDS, SECONDS, CONNECTIONS, PACE = 7, 2.0, 16, 1000
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
PAIRED = len(CORES) >= 2
figures: dict[str, Any] = {}


def keep(found: dict[str, Any]) -> None:
    """Print figures as JSON, and write all that were found so far where MLOPS_BENCH_JSON says."""
    figures.update(found)
    print(f"\n{json.dumps(found)}")
    path = os.environ.get("MLOPS_BENCH_JSON")
    if path:
        Path(path).write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Leg:
    """One drive of one contestant: answers a second, CPU µs of the server for each, milliseconds."""

    rate: float
    cpu: float
    p50: float
    p99: float


@contextlib.contextmanager
def on_core(number: int) -> Iterator[None]:
    """Run what is inside, and the processes that it starts, on one core: 0 the servers', 1 the client's."""
    if PAIRED:
        os.sched_setaffinity(0, {CORES[number]})
    try:
        yield
    finally:
        if PAIRED:
            os.sched_setaffinity(0, CORES)


def said(title: str) -> str:
    """A table's title, with where everything ran."""
    return f"{title}; {'servers on one core, the client on another' if PAIRED else 'no core was set apart'}"


def driven(one: Contestant, requests: list[bytes], connections: int, seconds: float = SECONDS) -> Measured:
    """Ask one contestant as fast as it answers; every answer must be a 200."""
    found = drive(Target("127.0.0.1", one.port), requests, Load(connections, seconds))
    assert set(found.statuses) == {200}, f"{one.name} answered {found.statuses}"
    assert not found.failures, f"{one.name} failed: {found.failures}"
    return found


def leg(one: Contestant, requests: list[bytes], connections: int = CONNECTIONS) -> Leg:
    """Drive one contestant for some seconds."""
    before = one.cpu()
    found = driven(one, requests, connections)
    time.sleep(0.3)  # the spool's last lines are written after the answers, and are part of what they cost
    cpu = (one.cpu() - before) / len(found.latencies) * 1e6
    return Leg(found.requests_per_second, cpu, found.quantile(0.5) * 1e3, found.quantile(0.99) * 1e3)


def paced_leg(one: Contestant, requests: list[bytes]) -> Leg:
    """Ask one contestant at the pace that all are asked at."""
    before = one.cpu()
    found = pace(one.port, requests, SECONDS, CONNECTIONS, PACE)
    assert not found.failed, f"{found.failed} of {found.sent} requests to {one.name} failed"
    times, cpu = sorted(found.latencies), (one.cpu() - before) / len(found.latencies) * 1e6
    return Leg(PACE, cpu, times[len(times) // 2] * 1e3, times[int(len(times) * 0.99)] * 1e3)


def rounds(known: list[Contestant], run: Callable[[Contestant], Leg]) -> dict[str, list[Leg]]:
    """Run all in turn, each as often first as last, after one round that does not count."""
    found: dict[str, list[Leg]] = {one.name: [] for one in known}
    for number in range(ROUNDS + 1):
        for one in known if number % 2 else reversed(known):
            measured = run(one)
            if number:
                found[one.name].append(measured)
    return found


def together(alike: Sequence[list[Leg]]) -> list[Leg]:
    """Return the mean of some processes of one kind for each round: how one lies in memory makes it a fifth slower."""
    return [
        Leg(*(statistics.fmean(getattr(one, name) for one in legs) for name in ("rate", "cpu", "p50", "p99")))
        for legs in zip(*alike, strict=True)
    ]


def middle(legs: list[Leg], name: str) -> float:
    """Return the median of one figure."""
    return statistics.median(getattr(one, name) for one in legs)


def ratios(mine: list[Leg], theirs: list[Leg], name: str) -> tuple[float, float, float]:
    """Return the median, least and largest ratio of pairs of one figure."""
    found = [getattr(a, name) / getattr(b, name) for a, b in zip(mine, theirs, strict=True)]
    return statistics.median(found), min(found), max(found)


def predict(booster: lgb.Booster, matrix: Floats) -> Leg:
    """Predict in a loop, in one thread, for as long as a drive."""
    begun, used, each = time.perf_counter(), time.process_time(), []
    while time.perf_counter() - begun < SECONDS:
        start = time.perf_counter()
        booster.predict(matrix, num_threads=1)
        each.append((time.perf_counter() - start) * 1e3)
    seconds, each = time.perf_counter() - begun, sorted(each)
    cpu = (time.process_time() - used) / len(each) * 1e6
    return Leg(len(each) / seconds, cpu, each[len(each) // 2], each[int(len(each) * 0.99)])
