"""What serving costs beside bare ASGI, BentoML and MLflow, with the same model: 30 numbers, 100 trees, one worker each.

All servers are up during the whole run and are asked in turn. MLOPS_BENCH_JSON=path writes the figures as JSON.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightgbm as lgb
import pytest

from tests.bench import serving_field, serving_model
from tests.bench.measured import show
from tests.bench.serving_field import Contestant
from tests.bench.serving_runs import (
    CONNECTIONS,
    CORES,
    PACE,
    PAIRED,
    ROUNDS,
    SECONDS,
    Leg,
    keep,
    leg,
    middle,
    on_core,
    paced_leg,
    predict,
    ratios,
    rounds,
    said,
    together,
)

pytestmark = pytest.mark.bench
ALIKE = 3  # processes of ours and of the bare app, of which one-row requests take the mean
OTHERS = {str(number) for number in range(2, ALIKE + 1)}
BARS = {"bare": 0.85, "BentoML": 10.0, "MLflow": 40.0}


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
        for number in range(2, ALIKE + 1):
            more = serving_field.ours(home, bento), serving_field.bare(home)
            known += [replace(one, name=f"{one.name} {number}") for one in more]
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


def test_one_row(field: dict[str, Contestant]) -> None:
    requests = {name: one.requests(256, 1) for name, one in field.items()}
    with on_core(1):
        each_one = rounds(list(field.values()), lambda one: leg(one, requests[one.name]))
    found = {name: legs for name, legs in each_one.items() if name.split()[-1] not in OTHERS}
    for name in ("ours", "bare"):
        found[name] = together([legs for one, legs in each_one.items() if one.split()[0] == name])
    table, kept = [], dict[str, Any]()
    for name, legs in found.items():
        more = ratios(found["ours"], legs, "rate")
        least = f"{more[1]:.2f}–{more[2]:.2f}"
        cost = ratios(legs, found["ours"], "cpu")[0]
        each = [middle(legs, figure) for figure in ("rate", "p50", "p99", "cpu")]
        table.append((name, round(each[0]), f"{more[0]:.2f}", least, BARS.get(name, ""), *each[1:], cost))
        kept[name] = dict(zip(("rate", "p50_ms", "p99_ms", "cpu_us"), each, strict=True))
        kept[name] |= {"ours_by_it": more, "cpu_by_ours": cost, "bar": BARS.get(name)}
    title = (
        f"one-row requests, {CONNECTIONS} connections, {ROUNDS} rounds of {SECONDS:g} s, {ALIKE} of ours and of bare"
    )
    columns = ("server", "requests/s", "ours ÷ it", "from–to", "bar ≥", "p50 ms", "p99 ms", "CPU µs", "CPU ÷ ours")
    show(said(title), columns, table)
    keep({"one_row": kept})


def test_latency_at_the_same_load(field: dict[str, Contestant]) -> None:
    known = [field[name] for name in ("ours", "bare", "constant")]
    requests = {one.name: one.requests(256, 1) for one in known}
    with on_core(1):
        found = rounds(known, lambda one: paced_leg(one, requests[one.name]))
    table, kept = [], dict[str, Any]()
    for name, legs in found.items():
        by, low, high = ratios(legs, found["constant"], "p99")
        bar = 3 if name == "ours" else ""
        table.append((name, middle(legs, "p50"), middle(legs, "p99"), by, f"{low:.2f}–{high:.2f}", bar))
        kept[name] = {"p99_ms": middle(legs, "p99"), "by_constant": (by, low, high)}
    title = f"one-row requests, {PACE} a second over {CONNECTIONS} connections, {ROUNDS} rounds of {SECONDS:g} s"
    show(said(title), ("server", "p50 ms", "p99 ms", "p99 ÷ constant's", "from–to", "bar <"), table)
    keep({"latency": kept})


@pytest.mark.parametrize("cores", [1, 2])
def test_a_thousand_rows(field: dict[str, Contestant], cores: int) -> None:
    """On one core, and where the servers may use two: large requests are answered in threads."""
    booster, matrix = lgb.Booster(model_str=serving_model.booster()), serving_model.matrix(1000, 11)
    known = [field[name] for name in ("ours", "bare", "BentoML")]
    requests = {one.name: one.requests(16, 1000) for one in known}
    alone = []
    for one in known if PAIRED else ():
        one.may_use(CORES[:cores])

    def run(one: Contestant) -> Leg:
        if one.name == "ours":
            with on_core(0):
                alone.append(predict(booster, matrix))
        with on_core(1):
            return leg(one, requests[one.name], 4)

    found = rounds(known, run)
    found["Booster.predict"] = alone[1:]
    table, kept = [], dict[str, Any]()
    for name, legs in found.items():
        by, low, high = ratios(legs, found["Booster.predict"], "rate")
        each = [middle(legs, figure) for figure in ("rate", "cpu", "p99")]
        bar = 0.6 if name == "ours" else ""
        table.append((name, round(each[0] * 1000), by, f"{low:.2f}–{high:.2f}", bar, round(each[1]), each[2]))
        told = {"rows_per_s": each[0] * 1000, "cpu_us": each[1], "by_predict": (by, low, high)}
        kept[name] = told
    title = f"1,000-row requests, 4 connections, against Booster.predict on a ready matrix, {ROUNDS} rounds; "
    title += ("the servers on one core, the client on another", "the servers on both cores")[cores - 1]
    columns = ("server", "rows/s", "÷ Booster.predict", "from–to", "bar ≥", "CPU µs a request", "p99 ms")
    show(title, columns, table)
    keep({f"thousand_rows_on_{cores}": kept})
