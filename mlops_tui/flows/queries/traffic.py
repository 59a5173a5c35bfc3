"""What a deployment answers: counted by its own server, asked over loopback, kept nowhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from math import isfinite, isnan

from mlops_tui.adapters import scrape
from mlops_tui.flows.release import deployments
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import Deployment

ASKED = ("/predict", "/explain", "/labels")  # what clients are for; not the probes, nor this scrape
PREDICT = ("/predict",)


@dataclass(frozen=True, slots=True)
class Counted:
    """What a server counted since it started: the clients' `requests`, and the `errors` among them by outcome.

    `rows` are predictions; `buckets` counts /predict by seconds up to an edge, as in {"0.001": 7, …, "+Inf": 9};
    `dropped` are requests that its spool could not keep, by reason.
    """

    requests: int = 0
    rows: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    buckets: dict[str, int] = field(default_factory=dict)
    started: float | None = None  # epoch seconds


@dataclass(frozen=True, slots=True)
class Traffic:
    """What a deployment's server counted, and how busy it was for the last `seconds`; a remark if it tells nothing.

    Latencies are of /predict, in milliseconds, None without any such request. Rates are a second.
    """

    deployment: str
    at: datetime
    pid: int
    total: Counted | None = None
    seconds: float | None = None
    requests_per_second: float | None = None
    rows_per_second: float | None = None
    errors_per_second: float | None = None
    latency_ms_p50: float | None = None
    latency_ms_p99: float | None = None
    remark: str | None = None


def traffic(workspace: Workspace, item: Deployment, before: Traffic | None = None) -> Traffic:
    """Ask a deployment's server what it answered: since `before`, if it is the same server still, or its start.

    Waits a second at most, and leaves the catalogue alone.
    """
    state = deployments.state(item)
    text = scrape.fetch(item.url) if state == "running" else None
    now = Traffic(item.name, workspace.now(), item.pid)
    if text is None:
        silent = f"its server does not answer at {item.url}/metrics" if state == "running" else f"it is {state}"
        return replace(now, remark=silent)
    total = counted(scrape.parse(text))
    known = before.total if before is not None and before.pid == item.pid else None
    if before is None or known is None or known.requests > total.requests:
        return _paced(replace(now, total=total), total, now.at.timestamp() - (total.started or item.born))
    return _paced(replace(now, total=total), _since(known, total), (now.at - before.at).total_seconds())


def counted(samples: Iterable[scrape.Sample]) -> Counted:
    """Return the sums of what counters.py exposes; `errors` and `dropped` name only what there is."""
    found = list(samples)
    outcomes = _sums(found, "mlops_requests_total", "outcome", ASKED)
    dropped = _sums(found, "mlops_spool_dropped_total", "reason")
    return Counted(
        requests=sum(outcomes.values()),
        rows=sum(_sums(found, "mlops_rows_total", "endpoint", PREDICT).values()),
        errors={outcome: count for outcome, count in outcomes.items() if count and outcome != "ok"},
        dropped={reason: count for reason, count in dropped.items() if count},
        buckets={
            edge: count
            for edge, count in _sums(found, "mlops_request_seconds_bucket", "le", PREDICT).items()
            if _is_edge(edge)
        },
        started=next((one.value for one in found if one.name == "mlops_start_time_seconds"), None),
    )


def _is_edge(text: str) -> bool:
    """Whether a text is a number, infinity among them: whoever listens at the port may say anything."""
    try:
        return not isnan(float(text))
    except ValueError:
        return False


def _sums(samples: list[scrape.Sample], name: str, label: str, endpoints: tuple[str, ...] = ()) -> dict[str, int]:
    """The values of a series, of some endpoints or of all, by one of its labels."""
    sums: dict[str, int] = {}
    for sample in samples:
        is_asked = not endpoints or sample.labels.get("endpoint") in endpoints
        if sample.name == name and is_asked and label in sample.labels:
            key = sample.labels[label]
            sums[key] = sums.get(key, 0) + int(sample.value)
    return sums


def _since(before: Counted, now: Counted) -> Counted:
    def less(later: dict[str, int], earlier: dict[str, int]) -> dict[str, int]:
        return {key: count - earlier.get(key, 0) for key, count in later.items()}

    return Counted(
        now.requests - before.requests,
        now.rows - before.rows,
        less(now.errors, before.errors),
        less(now.dropped, before.dropped),
        less(now.buckets, before.buckets),
    )


def _paced(now: Traffic, span: Counted, seconds: float) -> Traffic:
    """Add the rates and latencies of a span of time; no rates if the clock was set back meanwhile."""
    p50, p99 = quantile(span.buckets, 0.5), quantile(span.buckets, 0.99)
    now = replace(
        now,
        latency_ms_p50=None if p50 is None else 1000 * p50,
        latency_ms_p99=None if p99 is None else 1000 * p99,
    )
    if seconds <= 0:
        return now
    errors = sum(span.errors.values())
    return replace(
        now,
        seconds=seconds,
        requests_per_second=span.requests / seconds,
        rows_per_second=span.rows / seconds,
        errors_per_second=errors / seconds,
    )


def quantile(buckets: Mapping[str, int], share: float) -> float | None:
    """Return a quantile (0 < share <= 1) of a cumulative histogram in the unit of its edges; None if it is empty.

    Linear within the bucket, whose lower edge is 0 for the first; beyond the last finite edge, that edge: as
    Prometheus' histogram_quantile has it (https://prometheus.io/docs/prometheus/latest/querying/functions/).
    """
    counts = sorted((float(edge), count) for edge, count in buckets.items())
    rank = share * counts[-1][1] if counts else 0.0
    lower, below = 0.0, 0
    for edge, count in counts:
        if rank and count >= rank:
            return lower + (edge - lower) * (rank - below) / (count - below) if isfinite(edge) else lower
        lower, below = edge, count
    return None
