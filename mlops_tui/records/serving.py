"""How a service answers: what it does with odd inputs, its limits, and the models that answer side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Policy = Literal["refuse", "null", "warn"]
Oddity = Literal["null", "missing", "unknown", "invalid", "not_finite", "unseen", "range"]
"""What can be odd about a value: none, its key is not there, no column of the model, another type, NaN or infinite,
a category that training did not see, a number beyond what training saw."""
Mode = Literal["live", "shadow", "canary"]


@dataclass(frozen=True, slots=True)
class InputPolicy:
    """What becomes of odd inputs: the request is refused, the value is read as null, or that and the answer warns.

    `unknown` columns are ignored instead, numbers out of `range` kept as they are under "keep" and "warn".
    """

    unknown: Literal["refuse", "ignore", "warn"] = "refuse"
    missing: Policy = "refuse"
    invalid: Policy = "refuse"
    not_finite: Policy = "refuse"
    unseen: Policy = "null"
    range: Literal["refuse", "null", "warn", "keep"] = "keep"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one service takes on: bytes of a body, rows of a /predict, seconds of a request, requests at once.

    `per_second` bounds the requests of one client, an API key or an address; None does not.
    """

    body_mb: float = 8.0
    rows: int = 100_000
    seconds: float = 60.0
    at_once: int = 256
    per_second: float | None = None


@dataclass(frozen=True, slots=True)
class CanaryBounds:
    """When a canary is taken back, once it and the live model have answered so many `requests` each.

    `errors`: by how much its share of failed requests may exceed the live one's; `latency`: how many times the live
    99th percentile its own may be; `shift`: the population stability index of its predictions against the live ones.
    """

    requests: int = 200
    errors: float = 0.02
    latency: float = 3.0
    shift: float = 0.25


@dataclass(frozen=True, slots=True)
class Serving:
    """What a pipeline says of how its model is served, as a Bento carries it."""

    inputs: InputPolicy = InputPolicy()
    limits: Limits = Limits()
    canary: CanaryBounds = CanaryBounds()


@dataclass(frozen=True, slots=True)
class Challenger:
    """A model version beside the live one: `folder` holds it, `share` (0 to 1) of requests go to a canary."""

    folder: str
    model: str
    mode: Mode
    share: float = 0.0


@dataclass(frozen=True, slots=True)
class Control:
    """What a running service is told to serve; a larger `number` is a later word. `serving` goes before the Bentos'."""

    number: int
    folder: str
    model: str
    serving: Serving | None = None
    challenger: Challenger | None = None
    reason: str = "started"
    leaving: bool = False  # another server takes over: connections are to end with their next answer


@dataclass(frozen=True, slots=True)
class Serves:
    """What a running service says that it serves; `withdrawn` is why it took its canary back by itself."""

    number: int
    pid: int
    model: str
    challenger: Challenger | None = None
    withdrawn: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """One API key: its name, which may be logged, the SHA-256 of its text in hex, and when it was made."""

    name: str
    sha256: str
    created_at: str = ""


@dataclass(frozen=True, slots=True)
class KeyFile:
    """What a file of keys holds; without `required` anybody may ask."""

    keys: tuple[KeyEntry, ...] = ()
    required: bool = True
