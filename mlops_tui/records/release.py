"""The act release: model version → gate report → approval → Bento → deployment; and the audit chain."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class GateResult:
    """One gate's verdict: what was measured, what was asked, and why, in one sentence."""

    gate: str
    passed: bool
    value: float | None
    low: float | None
    high: float | None
    threshold: float | None
    sentence: str
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GateReport:
    """All gates of one model version; it passes when every gate does."""

    model: str
    version: int
    champion: int | None
    settings_hash: str
    approval: Literal["manual", "auto"]  # who may let it go live, as the pipeline said when it was judged
    reviewers: int
    passed: bool
    results: tuple[GateResult, ...]
    created_at: datetime
    versus: bool = False  # whether a gate compared it with the champion


@dataclass(frozen=True, slots=True)
class Approval:
    """A person's word on a model version, bound to content: it lapses if `subject` no longer matches."""

    model: str
    version: int
    verdict: Literal["approved", "rejected"]
    subject: str
    name: str
    user: str
    comment: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class AliasChange:
    """An alias pointed to a version from a moment on; version None means that it was taken away."""

    model: str
    alias: str
    version: int | None
    user: str
    reason: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Parity:
    """The proof that a Bento answers as the model does: golden rows through HTTP against in-process."""

    rows: int
    max_difference: float
    ready_seconds: float
    latency_ms_p50: float
    latency_ms_p99: float
    checked_at: datetime


@dataclass(frozen=True, slots=True)
class Bento:
    """A built and proven Bento of one model version; `tag` names it in the workspace's Bento store."""

    tag: str
    model: str
    version: int
    key: str
    approved: bool
    size: int
    parity: Parity
    author: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Deployment:
    """A name that answers requests; pid and `born` (process start, epoch seconds) tell ours from a stranger's."""

    name: str
    model: str
    version: int
    bento: str
    host: str
    port: int
    pid: int
    born: float
    wanted: Literal["running", "stopped"]
    user: str
    started_at: datetime
    stopped_at: datetime | None = None

    @property
    def url(self) -> str:
        """The address that answers, for a client on this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the audit chain: `hash` covers the line and the hash of the line before it."""

    number: int
    at: datetime
    user: str
    action: str
    subject: str
    details: dict[str, Any]
    previous: str
    hash: str
