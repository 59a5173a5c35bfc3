"""What the spool costs a service: one-row requests with and without it, in turn, in one process, without HTTP."""

from __future__ import annotations

import asyncio
import statistics
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mlops_tui.adapters import spool as reader
from mlops_tui.records import to_json
from mlops_tui.service.http import App
from mlops_tui.service.roles import Cast
from mlops_tui.spool import Spool
from tests.adapters import served
from tests.bench.measured import show

pytestmark = pytest.mark.bench
BODY = msgspec.json.encode({"rows": [served.ROWS[3]]})
SCOPE = {"type": "http", "method": "POST", "path": "/predict", "headers": [(b"content-type", b"application/json")]}
BLOCK, PAIRS = 200, 100  # as many requests as a busy service answers between two writes
HTTP = 55.0  # µs of CPU that such a request takes over HTTP (bench_serving.py)


def load(folder: Path) -> Cast:
    """Load the tiny model as a Bento does."""
    for name, data in served.contents().files.items():
        (folder / name).write_bytes(data)
    about = msgspec.json.decode((folder / "model.json").read_bytes())
    (folder / "model.json").write_bytes(to_json(about | {"model": "tiny:3"}))
    return Cast(folder, None, lambda call: call())


async def block(known: App) -> tuple[float, float]:
    """Answer a block of requests and write their lines; returns seconds and CPU, of all threads, for each."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": BODY}

    async def send(message: dict[str, Any]) -> None:
        assert message.get("status", 200) == 200

    begun, used = time.perf_counter(), time.process_time()
    for _ in range(BLOCK):
        await known(SCOPE, receive, send)
    answered = time.perf_counter()
    if known.spool is not None:
        known.spool._hurry.set()
        while known.spool._drained < known.spool._added:
            time.sleep(0.0005)
    return (answered - begun) / BLOCK * 1e6, (time.process_time() - used) / BLOCK * 1e6


async def pairs(kinds: list[App]) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """Measure two services in turn, each first as often as the other."""
    found = []
    for number in range(PAIRS):
        order = (0, 1) if number % 2 else (1, 0)
        pair = {which: await block(kinds[which]) for which in order}
        found.append((pair[0], pair[1]))
    return found[2:]


def test_the_cost_of_the_spool(tmp_path: Path) -> None:
    cast = load(tmp_path)
    spool = Spool(tmp_path / "spool", 10**9)

    async def run() -> list[tuple[tuple[float, float], tuple[float, float]]]:
        return await pairs([App().open(cast, spool), App().open(cast)])

    found = asyncio.run(run())
    spool.close(20)
    rows = []
    for at, name in enumerate(("time", "CPU")):
        with_, without = ([pair[which][at] for pair in found] for which in (0, 1))
        ratio = statistics.median(a / b for a, b in zip(with_, without, strict=True))
        rows.append((name, statistics.median(with_), statistics.median(without), ratio))
    more = statistics.median(a[1] - b[1] for a, b in found)
    show(f"{len(found)} pairs of {BLOCK} requests", ("µs a request", "spool", "no spool", "ratio"), rows)
    show("as a share of what a request over HTTP costs", ("CPU µs more", "share"), [(more, more / HTTP)])
    kept = sum(len(reader.read(tmp_path / "spool" / name, 0)[0]) for name, _, _ in reader.segments(tmp_path / "spool"))
    assert kept == PAIRS * BLOCK
