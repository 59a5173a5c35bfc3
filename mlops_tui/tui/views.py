"""Which page shows what a reading command prints; and every command that can be typed."""

from __future__ import annotations

from collections.abc import Sequence

from mlops_tui.tui.verbs import VERBS

VIEWS: dict[str, str] = {
    "status": "home",
    "datasets list": "build",
    "datasets show": "dataset",
    "datasets diff": "dataset diff",
    "pipelines list": "build",
    "pipelines show": "pipeline",
    "runs list": "build",
    "runs show": "run",
    "runs compare": "compare",
    "runs logs": "run",
    "models list": "release",
    "models show": "model",
    "models diff": "versus",
    "models curves": "versus",
    "bentos list": "release",
    "deployments list": "release",
    "deployments show": "deployment",
    "deployments logs": "deployment",
    "monitor list": "watch",
    "monitor show": "report",
    "monitor feature": "feature",
    "rules list": "watch",
    "rules history": "watch",
    "rules show": "decision",
    "rules backtest": "backtest",
    "audit list": "watch",
    "agent status": "watch",
}
"""Command → the page that shows the same."""

READING = frozenset((*VIEWS, *(verb.command for verb in VERBS if verb.reads), "spec"))
"""The commands that a read-only TUI lets be typed."""


def only_reads(words: Sequence[str]) -> bool:
    """Whether a command that was typed changes nothing: of those that read, a backtest can write a file."""
    known = " ".join(words[:2]) in READING or words[0] in READING
    return known and all(word.partition("=")[0] != "--out" for word in words)


def command_of() -> list[str]:
    """Return every command that can be typed, for completion."""
    return sorted({*VIEWS, *(verb.command for verb in VERBS), "spec", "restore"})
