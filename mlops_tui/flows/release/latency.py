"""How long one row waits for its answer: in this process, or over HTTP from a Bento made for the purpose."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec

from mlops_tui.flows import lookup
from mlops_tui.flows.release import bentos
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import Golden, ModelVersion, Progress, Serving, from_json, to_json

if TYPE_CHECKING:
    from mlops_tui.adapters import bento as store
    from mlops_tui.core.scoring import Scorer

REQUESTS, ROUNDS = 300, 3
WARM_UP = 20
SECONDS = 2.0  # of load over HTTP
DIFFERENT = 256  # requests, sent in turn


def in_process(workspace: Workspace, version: ModelVersion, scorer: Scorer) -> float:
    """Return the 99th percentile of answering one row in this process, in milliseconds: from JSON to answers.

    The least of three rounds: what else the machine does makes answers slower, never faster.
    """
    from mlops_tui.core import scoring
    from mlops_tui.core.decode import Decoder
    from mlops_tui.core.matrix import Encoder
    from mlops_tui.core.requests import columns_of

    decoder, encoder = Decoder(scorer.signature), Encoder(scorer.transform, scorer.signature)
    golden = from_json(workspace.objects.get(version.golden), Golden)
    bodies = [msgspec.json.encode([row]) for row in golden.rows]

    def answer(body: bytes) -> None:  # the way of a service's request, see service.answer
        read = decoder.rows(body)
        row = read[0][0] if read else [one[0] for one in columns_of(scorer.signature, msgspec.json.decode(body))]
        msgspec.json.encode(scoring.told(scorer.signature, scoring.score_row(scorer, encoder.row(row))))

    for number in range(WARM_UP):
        answer(bodies[number % len(bodies)])
    return 1000 * min(_p99(answer, bodies) for _ in range(ROUNDS))


def _p99(answer: Callable[[bytes], None], bodies: Sequence[bytes]) -> float:
    seconds = []
    for number in range(REQUESTS):
        begun = time.perf_counter()
        answer(bodies[number % len(bodies)])
        seconds.append(time.perf_counter() - begun)
    return sorted(seconds)[int(0.99 * REQUESTS)]


def over_http(workspace: Workspace, version: ModelVersion) -> float:
    """Return the 99th percentile of one row a request, over HTTP on one connection, in milliseconds.

    A Bento is made, served and driven for two seconds, and is gone afterwards, what a killed one left here too. Raises
    External if it does not start or does not answer every request.
    """
    from mlops_tui.adapters import processes, timing

    bodies = [msgspec.json.encode({"rows": [row]}) for row in sample(workspace, version)[:DIFFERENT]]
    runtime, name = workspace.home / "bentos" / "runtime", f"gate-{version.model}-v{version.version}"
    with workspace.exclusive(f"gate-{version.model}", f"the latency gate of {version.model}", timeout=600):
        for left in processes.serving_from(runtime, f"{name}{os.sep}"):
            processes.stop(left.pid, left.born)
        shutil.rmtree(runtime / name, ignore_errors=True)
        workspace.report(Progress("gates", f"serving {version.ref} to measure its latency over HTTP"))
        try:
            return 1000 * timing.p99(
                _unpaced(bentos.contents(workspace, version, False)), bodies, runtime / name, SECONDS
            )
        finally:
            shutil.rmtree(runtime / name, ignore_errors=True)


def _unpaced(contents: store.Contents) -> store.Contents:
    """What goes into a Bento, without the bound on one client's pace: we are one, and in a hurry."""
    serving = from_json(contents.files["serving.json"], Serving)
    free = replace(serving, limits=replace(serving.limits, per_second=None))
    return replace(contents, files=contents.files | {"serving.json": to_json(free)})


def sample(workspace: Workspace, version: ModelVersion) -> list[dict[str, Any]]:
    """Return rows of a version's reference sample as clients would send them, else its golden rows."""
    import polars as pl

    from mlops_tui.core import requests

    signature = lookup.signature(workspace, version)
    frame = pl.read_parquet(workspace.objects.checked_path(version.reference))
    names = [one.name for one in signature.inputs]
    if frame.height and set(names) <= set(frame.columns):
        extras = [name for name in signature.extras if name in frame.columns]
        return requests.to_json_rows(frame.select(*names, *extras))
    return list(from_json(workspace.objects.get(version.golden), Golden).rows)
