"""What the pages of the act watch read: rules as the files say them, reports one at a time, how the agent does."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from mlops_tui.adapters.catalogue import board, watch
from mlops_tui.flows.queries.sketches import sketch
from mlops_tui.flows.watch import agent_file
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import AgentState, Decision, MonitorReport, Notice, RuleResult, from_json

# ── rules ────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Ruled:
    """A rule of a pipeline file, and what the newest decision says of it; `mistake`: the file cannot be read.

    A pipeline that has no rule, so is never retrained by itself, has one `Ruled` without a label.
    """

    pipeline: str
    deployment: str
    label: str
    settings: str
    result: RuleResult | None = None
    decision: Decision | None = None
    mistake: str = ""


def rules(workspace: Workspace) -> list[Ruled]:
    """Return the rules of every pipeline, by name; files are read as they are, and not checked."""
    with workspace.catalogue.read() as act:
        decisions = board.decisions(act)
    return [one for path in sorted((workspace.root / "pipelines").glob("*.toml")) for one in _ruled(path, decisions)]


def _ruled(path: Path, decisions: dict[str, Decision]) -> list[Ruled]:
    known = sketch(path)
    decision = decisions.get(known.name)
    if known.mistake:
        return [Ruled(known.name, known.deployment, "", "", decision=decision, mistake=known.mistake)]
    verdicts = list(decision.rules) if decision else []
    found = []
    for label, text in _said(path).rules:
        result = next((one for one in verdicts if one.rule == label), None)
        if result is not None:
            verdicts.remove(result)  # two rules may be called the same: each has its own verdict, in their order
        found.append(Ruled(known.name, known.deployment, label, text, result, decision))
    return found or [Ruled(known.name, known.deployment, "", "never retrained by itself", decision=decision)]


def served_and_policy(workspace: Workspace, pipeline: str) -> tuple[str, str]:
    """Return a pipeline's deployment and what its `[policy]` says, as its file is now; empty where there is none."""
    paths = (workspace.root / "pipelines").glob("*.toml")
    path = next((one for one in sorted(paths) if sketch(one).name == pipeline), None)
    return (sketch(path).deployment, _said(path).policy) if path else ("", "")


@dataclass(frozen=True, slots=True)
class _Said:
    """The rules of a file by (label, keys), and the keys of its policy."""

    rules: tuple[tuple[str, str], ...]
    policy: str


def _said(path: Path) -> _Said:
    try:
        stat = path.stat()
        return _parsed(path, stat.st_mtime_ns, stat.st_size)
    except (OSError, ValueError, TypeError, AttributeError):  # `pipelines check` tells what is wrong with it
        return _Said((), "")


@lru_cache(maxsize=4096)
def _parsed(path: Path, mtime_ns: int, size: int) -> _Said:
    content: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    found = content.get("rules", [{"when": "gain"}])  # as config.rules.DEFAULT_RULES, which is not for screens to load
    return _Said(tuple((label(one), _keys(one)) for one in found), _keys(content.get("policy", {})))


def label(rule: dict[str, Any]) -> str:
    """Return what a rule of a file is called in a decision: its name, its kind, or "all(…)" or "any(…)".

    >>> label({"any": [{"when": "age", "days": 30}, {"when": "drift"}]})
    'any(age, drift)'
    """
    if rule.get("name") or rule.get("when"):
        return str(rule.get("name") or rule.get("when"))
    word = "all" if rule.get("all") else "any"
    return f"{word}({', '.join(label(part) for part in rule.get(word) or [])})"


def _keys(values: dict[str, Any]) -> str:
    parts = [f"{word} of {', '.join(map(label, values[word]))}" for word in ("all", "any") if values.get(word)]
    parts += [f"{key} {value}" for key, value in values.items() if key not in ("when", "name", "all", "any")]
    return ", ".join(parts)


# ── monitor reports ──────────────────────────────────────────────────────────────────────────────

ReportKey = tuple[str, str, str]  # id, deployment, hash


def report_keys(workspace: Workspace, deployment: str | None = None) -> list[ReportKey]:
    """Return monitor reports, newest first: what names each, without reading any."""
    with workspace.catalogue.read() as act:
        return watch.monitor_reports(act, deployment)


def report_of(workspace: Workspace, key: ReportKey) -> MonitorReport:
    """Return a report; raises NotFound or External where its object is gone or damaged."""
    return _report(workspace.objects.get, key[2])


def features_of(workspace: Workspace, key: ReportKey) -> tuple[str, ...]:
    """Return what a report measures, by name: features and the prediction; raises as `report_of` does."""
    return _features(workspace.objects.get, key[2])


@lru_cache(maxsize=512)
def _features(read: Callable[[str], bytes], hash_: str) -> tuple[str, ...]:
    windows = _report(read, hash_).windows
    found = (one for window in windows for one in (*window.features, *filter(None, (window.prediction,))))
    return tuple(dict.fromkeys(one.feature for one in found))


@lru_cache(maxsize=512)
def _report(read: Callable[[str], bytes], hash_: str) -> MonitorReport:
    return from_json(read(hash_), MonitorReport)


# ── the agent ────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Agent:
    """Whether an agent works, what it last said of itself, what did not arrive, and the pipelines that have rules."""

    alive: bool
    state: AgentState | None
    undelivered: tuple[Notice, ...]
    ruled: Sequence[str]


def agent(workspace: Workspace) -> Agent:
    """Return how the workspace's agent does, and what nobody looks after while it does not."""
    found = agent_file.status(workspace)
    paths = (workspace.root / "pipelines").glob("*.toml")
    return Agent(
        alive=found.alive,
        state=found.state,
        undelivered=found.undelivered,
        ruled=sorted(sketch(path).name for path in paths if _said(path).rules),
    )
