"""Records side by side: settings by dotted key, what differs between runs, the metric that stands for a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mlops_tui.records import METRICS, ModelVersion, Run


@dataclass(frozen=True, slots=True)
class Compared:
    """Runs side by side: what differs in their settings, and their metrics; one value a run."""

    runs: tuple[Run, ...]
    settings: dict[str, tuple[Any, ...]]
    metrics: dict[str, tuple[float | None, ...]]
    same_test_rows: bool  # else who has the better metrics may only have had the easier rows


def compare(runs: Sequence[Run]) -> Compared:
    """Return what differs between runs: settings by dotted key, data, code; and all their metrics."""
    flat = [
        flatten(run.settings)
        | {"dataset": f"{run.dataset}:{run.dataset_version}", "code": run.code.fingerprint[:12], "threads": run.threads}
        for run in runs
    ]
    keys = sorted({key for one in flat for key in one})
    table = {key: tuple(one.get(key) for one in flat) for key in keys}
    differing = {key: row for key, row in table.items() if any(value != row[0] for value in row)}
    names = list(dict.fromkeys(name for run in runs for name in run.metrics))
    metrics = {name: tuple(run.metrics.get(name) for run in runs) for name in names}
    tested = [_tested_on(run) for run in runs]
    return Compared(tuple(runs), differing, metrics, all(one == tested[0] for one in tested))


def _tested_on(run: Run) -> list[Any]:
    """All that decides which rows test a run's model."""
    target, split = run.settings.get("target", {}), run.settings.get("split", {})
    drawn = split.get("method") not in ("time", "predefined")
    cut = [split.get(key) for key in ("method", "column", "test")]
    labelled = [target.get(key) for key in ("column", "query")]
    return [run.dataset, run.dataset_version, run.settings.get("data"), labelled, cut, run.seed if drawn else None]


def flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings by dotted key: {"train": {"seed": 7}} → {"train.seed": 7}."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            found |= flatten(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def headline(run_or_model: Run | ModelVersion) -> tuple[str, float] | None:
    """Return the metric that stands for a model in lists, with its value."""
    names = [name for task in METRICS.values() for name in task[:1]]
    return next(((name, run_or_model.metrics[name]) for name in names if name in run_or_model.metrics), None)
