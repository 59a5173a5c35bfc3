"""Which page shows what a reading command prints, and what `v` opens; and every command that can be typed."""

from __future__ import annotations

from collections.abc import Sequence

from mlops_tui.tui.verbs import VERBS, Subject

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


def versus(subject: Subject) -> tuple[str, str] | None:
    """Return the page that holds a version against another, as (noun, reference); None where there is none.

    A dataset version is held against the one before it, and of all else the model that belongs to it, its champion.
    """
    if subject.noun == "dataset":
        name, _, number = subject.ref.rpartition(":")
        return ("dataset diff", f"{name}:{int(number) - 1},{subject.ref}") if int(number) > 1 else None
    model = subject.of("model")
    return ("versus", model) if model else None


def command_of() -> list[str]:
    """Return every command that can be typed, for completion."""
    return sorted({*VIEWS, *(verb.command for verb in VERBS), "spec", "restore"})
