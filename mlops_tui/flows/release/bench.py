"""How much a deployment answers, and how fast: a bounded load of rows that its model was trained on, from here."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import msgspec

from mlops_tui.adapters.client import bearer, connected
from mlops_tui.adapters.load import Drive, Load, Measured, Target, build
from mlops_tui.errors import InvalidInput
from mlops_tui.flows import lookup
from mlops_tui.flows.release import clients, latency
from mlops_tui.flows.workspace import Workspace
from mlops_tui.names import BENCH
from mlops_tui.records import Deployment, ModelVersion, Progress

BODIES = 256  # different requests, which are sent in turn
MOST_ROWS = 10_000  # of a request
QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999, "max": 1.0}


@dataclass(frozen=True, slots=True)
class Wanted:
    """How much load: connections at once, rows of each request, and seconds or requests, whichever ends first."""

    seconds: float = 5.0
    connections: int = 8
    rows: int = 1
    requests: int | None = None


@dataclass(frozen=True, slots=True)
class Benched:
    """What a load found: `answered` requests had status 200, `errors` counts the others by status or kind.

    Latencies are milliseconds of every answer; rates are of the answered requests, a second.
    """

    name: str
    model: str
    url: str
    wanted: Wanted
    seconds: float
    requests: int
    answered: int
    requests_per_second: float
    rows_per_second: float
    errors: dict[str, int] = field(default_factory=dict)
    latency_ms: dict[str, float] = field(default_factory=dict)
    interrupted: bool = False


def bench(workspace: Workspace, name: str, wanted: Wanted, key: str | None = None) -> Benched:
    """Drive a running deployment with rows of its model's reference sample; a Ctrl-C ends it, and is told.

    The requests are named as ours, so that no monitor takes them for its clients'. Raises what `clients.refused` does
    if the first request is not answered, InvalidInput for a load beyond the bounds.
    """
    item = clients.running(workspace, name)
    if not 1 <= wanted.rows <= MOST_ROWS:
        raise InvalidInput(f"rows of a request: 1 to {MOST_ROWS:,}; found {wanted.rows}")
    bodies = bodies_of(workspace, lookup.model_version(workspace, item.ref), wanted.rows)
    parts = urlsplit(item.url)
    target = Target(parts.hostname or "", parts.port or 0, item.tls)
    requests = [_request(body, number, key) for number, body in enumerate(bodies)]
    drive = Drive(target, requests, Load(wanted.connections, wanted.seconds, wanted.requests), _Reporter(workspace))
    _check(item, bodies[0], key)
    interrupted = False
    try:
        drive.run()
    except KeyboardInterrupt:
        interrupted = True
    return _benched(item, wanted, drive.measured, interrupted)


def bodies_of(workspace: Workspace, version: ModelVersion, rows: int) -> list[bytes]:
    """Return JSON bodies of so many rows each, from the reference sample, else the golden rows, over and over."""
    sample = latency.sample(workspace, version)
    count = min(BODIES, math.ceil(len(sample) / rows))
    return [
        msgspec.json.encode({"rows": [sample[(at * rows + one) % len(sample)] for one in range(rows)]})
        for at in range(count)
    ]  # fmt: skip


def _request(body: bytes, number: int, key: str | None) -> bytes:
    return build("/predict", body, {"X-Request-Id": f"{BENCH}{number}"} | bearer(key))


def _check(item: Deployment, body: bytes, key: str | None) -> None:
    """Send one request first, so that what is wrong is told in a sentence and not in a column of errors."""
    with connected(item.url, key) as client:
        answer = client.post("/predict", body, {"X-Request-Id": f"{BENCH}first"})
    if answer.status != 200:
        raise clients.refused(item, answer)


class _Reporter:
    """Tells of a load on its way, four times a second."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace, self._answers, self._next = workspace, 0, 0.0

    def __call__(self, number: int, status: int, body: bytes) -> None:
        self._answers += 1
        if self._answers % 64 == 0 and (now := time.monotonic()) >= self._next:
            self._next = now + 0.25
            self._workspace.report(Progress("bench", "requests", self._answers, 0))


def _benched(item: Deployment, wanted: Wanted, found: Measured, interrupted: bool) -> Benched:
    answered = found.statuses.get(200, 0)
    rate = answered / found.seconds if found.seconds else 0.0
    errors = {str(status): count for status, count in sorted(found.statuses.items()) if status != 200}
    latency = {name: 1000 * found.quantile(share) for name, share in QUANTILES.items()} if found.latencies else {}
    return Benched(
        name=item.name, model=item.ref, url=item.url, wanted=wanted, seconds=found.seconds,
        requests=len(found.latencies) + sum(found.failures.values()), answered=answered, requests_per_second=rate,
        rows_per_second=rate * wanted.rows, errors=errors | found.failures, latency_ms=latency, interrupted=interrupted,
    )  # fmt: skip
