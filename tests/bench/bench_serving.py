"""What serving costs beside bare ASGI, BentoML and MLflow, with the same model: 30 numbers, 100 trees, one worker each.

All servers are up during the whole run and are asked in turn. MLOPS_BENCH_JSON=path writes the figures as JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightgbm as lgb
import psutil  # type: ignore[import-untyped]
import pytest

from mlops_tui.adapters.load import Load, Measured, Target, drive
from tests.bench import serving_field, serving_model
from tests.bench.driving import pace
from tests.bench.measured import show
from tests.bench.serving_field import Contestant

pytestmark = pytest.mark.bench
ROUNDS, SECONDS, CONNECTIONS, PACE = 7, 2.0, 16, 1000
STARTS, WARMING = 5, 2000
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
PAIRED = len(CORES) >= 2
BARS = {"bare": 0.85, "BentoML": 10.0, "MLflow": 40.0}
IMPORTS = {
    "import lightgbm, polars, bentoml": "import lightgbm, polars, bentoml",
    "the same, and bentoml.service": "import lightgbm, polars, bentoml; bentoml.service",
}
figures: dict[str, Any] = {}


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


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the model's Bento, built."""
    folder = tmp_path_factory.mktemp("serving")
    serving_model.bento(folder / "home")
    return folder


@pytest.fixture(scope="module")
def field(home: Path) -> Iterator[dict[str, Contestant]]:
    """All contestants, ready; without MLflow where it is not installed."""
    with on_core(0):
        bento = home / "home" / "bentos" / "bench" / "1"
        known = [serving_field.ours(home, bento), serving_field.bare(home), serving_field.bare(home, "constant")]
        known.append(serving_field.plain_bento(home))
        found = [serving_field.mlflow(home, how) for how in ("signature", "plain")]
    known += [one for one in found if one is not None]
    if None in found:
        print("\n\nMLflow takes no part: `make bench` installs it into .venv-mlflow where the network lets it")
    try:
        for one in known:
            one.ready()
        yield {one.name: one for one in known}
    finally:
        for one in known:
            one.stop()


@pytest.fixture(scope="module", autouse=True)
def kept() -> Iterator[None]:
    """Print all figures as JSON at the end, or write them where MLOPS_BENCH_JSON says."""
    yield
    path = os.environ.get("MLOPS_BENCH_JSON")
    told = json.dumps(figures, indent=1)
    if path:
        Path(path).write_text(told + "\n", encoding="utf-8")
    print(f"\n\n{told}")


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


def middle(legs: list[Leg], name: str) -> float:
    """Return the median of one figure."""
    return statistics.median(getattr(one, name) for one in legs)


def ratios(mine: list[Leg], theirs: list[Leg], name: str) -> tuple[float, float, float]:
    """Return the median, least and largest ratio of pairs of one figure."""
    found = [getattr(a, name) / getattr(b, name) for a, b in zip(mine, theirs, strict=True)]
    return statistics.median(found), min(found), max(found)


def test_one_row(field: dict[str, Contestant]) -> None:
    requests = {name: one.requests(256, 1) for name, one in field.items()}
    with on_core(1):
        found = rounds(list(field.values()), lambda one: leg(one, requests[one.name]))
    table = []
    for name, legs in found.items():
        more = ratios(found["ours"], legs, "rate")
        least = f"{more[1]:.2f}–{more[2]:.2f}"
        cost = ratios(legs, found["ours"], "cpu")[0]
        each = [middle(legs, figure) for figure in ("rate", "p50", "p99", "cpu")]
        table.append((name, round(each[0]), f"{more[0]:.2f}", least, BARS.get(name, ""), *each[1:], cost))
        figures.setdefault("one_row", {})[name] = dict(zip(("rate", "p50_ms", "p99_ms", "cpu_us"), each, strict=True))
        figures["one_row"][name] |= {"ours_by_it": more, "cpu_by_ours": cost, "bar": BARS.get(name)}
    title = f"one-row requests, {CONNECTIONS} connections, {ROUNDS} rounds of {SECONDS:g} s"
    columns = ("server", "requests/s", "ours ÷ it", "from–to", "bar ≥", "p50 ms", "p99 ms", "CPU µs", "CPU ÷ ours")
    show(said(title), columns, table)


def test_latency_at_the_same_load(field: dict[str, Contestant]) -> None:
    known = [field[name] for name in ("ours", "bare", "constant")]
    requests = {one.name: one.requests(256, 1) for one in known}
    with on_core(1):
        found = rounds(known, lambda one: paced_leg(one, requests[one.name]))
    table = []
    for name, legs in found.items():
        by, low, high = ratios(legs, found["constant"], "p99")
        bar = 3 if name == "ours" else ""
        table.append((name, middle(legs, "p50"), middle(legs, "p99"), by, f"{low:.2f}–{high:.2f}", bar))
        figures.setdefault("latency", {})[name] = {"p99_ms": middle(legs, "p99"), "by_constant": (by, low, high)}
    title = f"one-row requests, {PACE} a second over {CONNECTIONS} connections, {ROUNDS} rounds of {SECONDS:g} s"
    show(said(title), ("server", "p50 ms", "p99 ms", "p99 ÷ constant's", "from–to", "bar <"), table)


def test_a_thousand_rows(field: dict[str, Contestant]) -> None:
    booster, matrix = lgb.Booster(model_str=serving_model.booster()), serving_model.matrix(1000, 11)
    known = [field[name] for name in ("ours", "bare", "BentoML")]
    requests = {one.name: one.requests(16, 1000) for one in known}
    alone = []

    def run(one: Contestant) -> Leg:
        if one.name == "ours":
            with on_core(0):
                alone.append(predict(booster, matrix))
        with on_core(1):
            return leg(one, requests[one.name], 4)

    found = rounds(known, run)
    found["Booster.predict"] = alone[1:]
    table = []
    for name, legs in found.items():
        by, low, high = ratios(legs, found["Booster.predict"], "rate")
        each = [middle(legs, figure) for figure in ("rate", "cpu", "p99")]
        bar = 0.6 if name == "ours" else ""
        table.append((name, round(each[0] * 1000), by, f"{low:.2f}–{high:.2f}", bar, round(each[1]), each[2]))
        told = {"rows_per_s": each[0] * 1000, "cpu_us": each[1], "by_predict": (by, low, high)}
        figures.setdefault("thousand_rows", {})[name] = told
    title = f"1,000-row requests, 4 connections, against Booster.predict on a ready matrix, {ROUNDS} rounds"
    columns = ("server", "rows/s", "÷ Booster.predict", "from–to", "bar ≥", "CPU µs a request", "p99 ms")
    show(said(title), columns, table)


def predict(booster: lgb.Booster, matrix: serving_model.Floats) -> Leg:
    """Predict in a loop, in one thread, for as long as a drive."""
    begun, used, each = time.perf_counter(), time.process_time(), []
    while time.perf_counter() - begun < SECONDS:
        start = time.perf_counter()
        booster.predict(matrix, num_threads=1)
        each.append((time.perf_counter() - start) * 1e3)
    seconds, each = time.perf_counter() - begun, sorted(each)
    cpu = (time.process_time() - used) / len(each) * 1e6
    return Leg(len(each) / seconds, cpu, each[len(each) // 2], each[int(len(each) * 0.99)])


def test_start_and_memory(home: Path) -> None:
    """Starts in pairs, alone on the machine; then what a worker weighs after some thousand requests."""
    bento = home / "home" / "bentos" / "bench" / "1"
    kinds: dict[str, Callable[[], Contestant]] = {
        "ours": lambda: serving_field.ours(home, bento),
        "bentoml serve": lambda: serving_field.plain_bento(home),
        "BentoML's worker alone": lambda: serving_field.plain_bento(home, supervised=False),
    }
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in kinds}
    weights: dict[str, tuple[float, float]] = {}
    for number in range(STARTS + 1):
        for name, start in kinds.items():
            begun = time.monotonic()
            one = start()
            try:
                one.ready()
                seconds[name].append((time.monotonic() - begun, one.cpu()))
                if number == STARTS:
                    drive_some(one)
                    weights[name] = weight(one.worker())
            finally:
                one.stop()
    starts(seconds)
    memory(weights)


def starts(seconds: dict[str, list[tuple[float, float]]]) -> None:
    """Print how long each took to its first answer, the first start of each left out."""
    table = []
    for name, found in seconds.items():
        took, cpu = (statistics.median(one[at] for one in found[1:]) for at in (0, 1))
        by = statistics.median(a[0] / b[0] for a, b in zip(found[1:], seconds["bentoml serve"][1:], strict=True))
        table.append((name, took, min(one[0] for one in found), cpu, by, 3 if name == "ours" else ""))
        figures.setdefault("start", {})[name] = {"seconds": took, "cpu_s": cpu, "by_bentoml": by}
    show(f"from start to the first answer, {STARTS} pairs",
         ("server", "seconds", "least", "CPU s", "÷ bentoml serve", "bar < s"), table)  # fmt: skip


def memory(weights: dict[str, tuple[float, float]]) -> None:
    """Print what the workers weigh against processes that only import."""
    weights |= {name: importing(code) for name, code in IMPORTS.items()}
    least = weights[next(iter(IMPORTS))]
    table = []
    for name, (rss, uss) in weights.items():
        bar = 1.3 if name == "ours" else ""
        table.append((name, round(rss), round(uss), rss / least[0], uss / least[1], bar))
        figures.setdefault("memory", {})[name] = {"rss_mb": rss, "uss_mb": uss, "by_imports": rss / least[0]}
    show(f"a worker's memory after {WARMING} requests and more",
         ("process", "RSS MB", "USS MB", "RSS ÷ imports", "USS ÷ imports", "bar <"), table)  # fmt: skip


def drive_some(one: Contestant) -> None:
    """Send some thousand one-row requests."""
    requests, done = one.requests(256, 1), 0
    while done < WARMING:
        done += len(driven(one, requests, CONNECTIONS, 0.5).latencies)


def weight(process: psutil.Process) -> tuple[float, float]:
    """Return the resident and the unshared megabytes of a process."""
    found = process.memory_full_info()
    return found.rss / 1e6, found.uss / 1e6


def importing(code: str) -> tuple[float, float]:
    """Return what a process weighs that imports and waits."""
    command = [sys.executable, "-c", f"{code}; print('here', flush=True); input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"here\n"
        found = weight(psutil.Process(process.pid))
        process.communicate(b"\n")
    return found
