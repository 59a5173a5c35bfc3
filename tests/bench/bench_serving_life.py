"""How soon a server answers, and what its worker weighs, beside BentoML's own and processes that only import."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest

from tests.bench import serving_field, serving_model
from tests.bench.measured import show
from tests.bench.serving_field import Contestant
from tests.bench.serving_runs import CONNECTIONS, driven, keep

pytestmark = pytest.mark.bench
STARTS, WARMING = 5, 2000
IMPORTS = {
    "import lightgbm, polars, bentoml": "import lightgbm, polars, bentoml",
    "the same, and bentoml.service": "import lightgbm, polars, bentoml; bentoml.service",
}


def test_start_and_memory(tmp_path: Path) -> None:
    """Starts in pairs, alone on the machine; then what a worker weighs after some thousand requests."""
    bento = serving_model.bento(tmp_path / "home").folder
    kinds: dict[str, Callable[[], Contestant]] = {
        "ours": lambda: serving_field.ours(tmp_path, bento),
        "bentoml serve": lambda: serving_field.plain_bento(tmp_path),
        "BentoML's worker alone": lambda: serving_field.plain_bento(tmp_path, supervised=False),
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
    table, kept = [], dict[str, Any]()
    for name, found in seconds.items():
        took, cpu = (statistics.median(one[at] for one in found[1:]) for at in (0, 1))
        by = statistics.median(a[0] / b[0] for a, b in zip(found[1:], seconds["bentoml serve"][1:], strict=True))
        table.append((name, took, min(one[0] for one in found), cpu, by, 3 if name == "ours" else ""))
        kept[name] = {"seconds": took, "cpu_s": cpu, "by_bentoml": by}
    show(f"from start to the first answer, {STARTS} pairs",
         ("server", "seconds", "least", "CPU s", "÷ bentoml serve", "bar < s"), table)  # fmt: skip
    keep({"start": kept})


def memory(weights: dict[str, tuple[float, float]]) -> None:
    """Print what the workers weigh against processes that only import."""
    weights |= {name: importing(code) for name, code in IMPORTS.items()}
    least = weights[next(iter(IMPORTS))]
    table, kept = [], dict[str, Any]()
    for name, (rss, uss) in weights.items():
        bar = 1.3 if name == "ours" else ""
        table.append((name, round(rss), round(uss), rss / least[0], uss / least[1], bar))
        kept[name] = {"rss_mb": rss, "uss_mb": uss, "by_imports": rss / least[0]}
    show(f"a worker's memory after {WARMING} requests and more",
         ("process", "RSS MB", "USS MB", "RSS ÷ imports", "USS ÷ imports", "bar <"), table)  # fmt: skip
    keep({"memory": kept})


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
