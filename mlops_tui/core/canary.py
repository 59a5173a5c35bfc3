"""Which requests go to a canary, and when it is taken back: by what it answers beside the live model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

from mlops_tui.records import CanaryBounds

EARLY = 20  # requests of a canary from which its errors are judged
SLOW = 0.01  # of the live requests are beyond their 99th percentile
Z = 3.0  # of a standard normal distribution: 99.7 % two-sided, for the question is asked again and again


@dataclass(frozen=True, slots=True)
class Side:
    """What one model did: requests, failed ones among them, counts of seconds and of predictions by bin."""

    requests: int
    errors: int
    seconds: Sequence[int]
    predictions: Sequence[int]


def chosen(key: str, salt: str, share: float) -> bool:
    """Return whether a request of this key goes to the canary: always the same for the same key and salt.

    >>> [chosen(key, "flight-delay:4", 0.5) for key in ("a", "a", "b")]
    [True, True, False]
    """
    found = blake2b(f"{salt}\0{key}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(found) < share * 2**64


def verdict(bounds: CanaryBounds, edges: Sequence[float], live: Side, canary: Side) -> str:
    """Return why a canary is to be taken back, in one sentence, or "" if it may go on.

    `edges` are of the counts of seconds. A bound is broken once chance alone does not explain it (99.7 %).
    """
    return (
        _errors(bounds, live, canary) or _latency(bounds, edges, live, canary) or _shift(bounds, live, canary)
    )  # fmt: skip


def _errors(bounds: CanaryBounds, live: Side, canary: Side) -> str:
    early = min(EARLY, bounds.requests)
    if canary.requests < (early if live.requests >= early else bounds.requests):
        return ""
    low, _ = wilson(canary.errors, canary.requests)
    _, high = wilson(live.errors, live.requests) if live.requests >= early else (0.0, 0.0)
    if low <= high + bounds.errors:
        return ""
    return (
        f"{canary.errors} of {canary.requests} requests to the canary failed, {live.errors} of {live.requests} to the"
        f" live model; errors = {bounds.errors:g}"
    )


def _latency(bounds: CanaryBounds, edges: Sequence[float], live: Side, canary: Side) -> str:
    if min(live.requests, canary.requests) < bounds.requests:
        return ""
    at = _bin_of(live.seconds, 0.99)
    limit = edges[min(at, len(edges) - 1)] * bounds.latency
    slow = sum(count for edge, count in zip(edges, canary.seconds[1:], strict=True) if edge >= limit)
    if wilson(slow, canary.requests)[0] <= SLOW:
        return ""
    return (
        f"{slow} of {canary.requests} requests to the canary took longer than {1000 * limit:.3g} ms, {bounds.latency:g}"
        f" times the live model's 99th percentile; latency = {bounds.latency:g}"
    )


def _shift(bounds: CanaryBounds, live: Side, canary: Side) -> str:
    rows = sum(live.predictions), sum(canary.predictions)
    if min(*rows, live.requests, canary.requests) < bounds.requests:
        return ""
    found = psi(live.predictions, canary.predictions)
    by_chance = 2 * (len(live.predictions) - 1) * (1 / rows[0] + 1 / rows[1])
    if found <= bounds.shift + by_chance:
        return ""
    return (
        f"the canary's predictions differ from the live model's: index {found:.3g} over {rows[1]} rows;"
        f" shift = {bounds.shift:g}"
    )


def wilson(hits: int, count: int) -> tuple[float, float]:
    """Return the interval of a share by its score (Wilson 1927), at Z standard deviations; (0, 1) without any.

    >>> [round(end, 3) for end in wilson(10, 20)]
    [0.221, 0.779]
    """
    if not count:
        return 0.0, 1.0
    share, square = hits / count, Z * Z
    middle = share + square / (2 * count)
    spread = Z * math.sqrt(share * (1 - share) / count + square / (4 * count * count))
    whole = 1 + square / count
    return max(0.0, (middle - spread) / whole), min(1.0, (middle + spread) / whole)


def psi(expected: Sequence[int], found: Sequence[int]) -> float:
    """Return the population stability index of two histograms (Siddiqi 2006), each bin counted half a row more.

    >>> psi([50, 50], [50, 50])
    0.0
    """
    whole = sum(expected) + len(expected) / 2, sum(found) + len(found) / 2
    pairs = [((a + 0.5) / whole[0], (b + 0.5) / whole[1]) for a, b in zip(expected, found, strict=True)]
    return sum((b - a) * math.log(b / a) for a, b in pairs)


def _bin_of(counts: Sequence[int], share: float) -> int:
    """The first bin up to which at least a share of all lies."""
    rank, below = share * sum(counts), 0
    for at, count in enumerate(counts):
        below += count
        if below >= rank:
            return at
    return len(counts) - 1
