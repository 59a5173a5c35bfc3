"""How the records of the act build read on a screen."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mlops_tui.cli.output import facts, mark, table
from mlops_tui.core.compare import flatten, headline
from mlops_tui.texts.cells import PROFILE_COLUMNS, bytes_text, cell, profile_row
from mlops_tui.texts.contest import tested
from mlops_tui.texts.sparks import rising, spark

if TYPE_CHECKING:
    from mlops_tui.core.compare import Compared
    from mlops_tui.flows.build.datasets import Difference, Refreshed
    from mlops_tui.flows.build.reproduce import Reproduced
    from mlops_tui.records import DatasetVersion, Finding, Profile, Run, RunDetails


def refreshed_text(done: Refreshed) -> str:
    """What a refresh did, and what the contract says."""
    version = done.version
    ref = f"{version.dataset}:{version.version}"
    head = f"{done.reason} → {ref}, {version.rows:,} rows in {len(version.parts)} parts, {done.shared_parts} shared"
    if not done.changed:
        head = f"{done.reason}; {ref} stays the newest"
    broken = f"\n{ref} breaks its contract: it is kept, marked, and not trained on" if version.state == "broken" else ""
    return "\n".join(part for part in (head + broken, findings_text(version.findings)) if part)


def findings_text(findings: Sequence[Finding]) -> str:
    """Findings, one a line."""
    return "\n".join(
        f"{'!' if finding.level == 'warning' else mark(False)} {finding.level:<7} {finding.check:<14} {finding.message}"
        + (f" (allowed: {finding.allowed})" if finding.allowed else "")
        for finding in findings
    )


def dataset_text(version: DatasetVersion, profile: Profile) -> str:
    """A dataset version: what it is, and what every column holds."""
    size = sum(part.bytes for part in version.parts)
    head = facts([
        ("dataset", f"{version.dataset}:{version.version}"), ("state", version.state), ("rows", f"{version.rows:,}"),
        ("parts", f"{len(version.parts)}, {bytes_text(size)}"), ("source", version.source),
        ("made", f"{cell(version.created_at)} by {version.author}"), ("hash", version.hash),
    ])  # fmt: skip
    rows = [profile_row(column) for column in profile.columns]
    parts = (head, findings_text(version.findings), table(PROFILE_COLUMNS, rows, "no columns"))
    return "\n\n".join(part for part in parts if part)


def difference_text(found: Difference) -> str:
    """What differs between two dataset versions, the column that moved most first."""
    old, new = found.old, found.new
    lines = [
        f"{old.dataset}:{old.version} → {new.dataset}:{new.version}: {old.rows:,} → {new.rows:,} rows, "
        f"{found.shared_parts} of {len(new.parts)} parts shared"
    ]
    lines += [f"new column: {name}" for name in found.added_columns]
    lines += [f"column gone: {name}" for name in found.removed_columns]
    lines += [f"type changed: {name}: {before} → {after}" for name, before, after in found.changed_types]
    columns = ("column", "PSI", "distance", "measure", "null before", "null now", "moved")
    rows = [
        (s.column, s.psi, s.distance, s.measure, f"{s.null_share_old:.1%}", f"{s.null_share_new:.1%}", s.moved)
        for s in found.shifts
    ]
    return "\n".join([*lines, "", table(columns, rows, "no column in common")])


def settings_text(settings: dict[str, Any]) -> str:
    """Settings by dotted key, one a line."""
    return facts([(key, json.dumps(value, ensure_ascii=False)) for key, value in flatten(settings).items()])


def runs_text(found: Sequence[Run]) -> str:
    """Runs as a table."""
    columns = ("run", "pipeline", "status", "metric", "value", "data", "seed", "seconds", "started", "by")
    rows = []
    for run in found:
        metric = headline(run) or (None, None)
        seconds = round((run.ended_at - run.started_at).total_seconds(), 1) if run.ended_at else None
        data = f"{run.dataset}:{run.dataset_version}"
        rows.append((run.id, run.pipeline, run.status, *metric, data, run.seed, seconds, run.started_at, run.author))
    return table(columns, rows, "no runs yet; next: mlops run PIPELINE")


def run_text(run: Run, details: RunDetails | None) -> str:
    """A run: its causes, then its results."""
    commit = f"{run.code.commit[:12]}{' (dirty)' if run.code.dirty else ''}" if run.code.commit else "no git"
    pairs: list[tuple[str, object]] = [
        ("run", run.id), ("pipeline", run.pipeline), ("status", run.status), ("why", run.reason),
        ("dataset", f"{run.dataset}:{run.dataset_version}"), ("code", f"{run.code.fingerprint[:12]}, {commit}"),
        ("environment", ", ".join(f"{name} {version}" for name, version in run.environment.items())),
        ("seed", run.seed), ("threads", run.threads), ("started", f"{cell(run.started_at)} by {run.author}"),
        ("ended", run.ended_at),
    ]  # fmt: skip
    if run.error:
        pairs.append(("error", run.error))
    return facts(pairs) + (f"\n\n{details_text(details)}" if details else "")


def details_text(details: RunDetails) -> str:
    """What a training left behind: metrics with intervals, the curve, importance, timings."""
    rows = []
    validation = {metric.name: metric.value for metric in details.metrics.get("validation", ())}
    train = {metric.name: metric.value for metric in details.metrics.get("train", ())}
    for metric in details.metrics.get("test", ()):
        interval = (
            f"{metric.low:.4f} … {metric.high:.4f}" if metric.low is not None and metric.high is not None else None
        )
        rows.append((metric.name, metric.value, interval, validation.get(metric.name), train.get(metric.name)))
    sizes = ", ".join(f"{count:,} {name}" for name, count in details.rows.items())
    curve = details.curve
    importance = ", ".join(f"{name} {share:.0%}" for name, share in details.importance[:8])
    timings = ", ".join(f"{name} {seconds:.2f}" for name, seconds in details.timings.items())
    folds = [f"fold {i + 1}: " + ", ".join(f"{m.name} {m.value:.4f}" for m in fold.metrics)
             for i, fold in enumerate(details.folds)]  # fmt: skip
    return "\n".join([
        table(("metric", "test", "95 % interval", "validation", "train"), rows, "no metrics"), "",
        f"rows        {sizes}",
        f"curve       {spark(rising(curve.validation))}  validation {curve.metric}, best at round {curve.best_round}",
        f"importance  {importance}",
        f"CPU seconds {timings}",
        *folds, *details.messages,
    ])  # fmt: skip


def compared_text(found: Compared) -> str:
    """Runs side by side."""
    ids = [run.id for run in found.runs]
    settings = table(
        ("what differs", *ids), [(key, *row) for key, row in found.settings.items()], "the settings are the same"
    )
    metrics = table(("test metric", *ids), [(key, *row) for key, row in found.metrics.items()], "no metrics")
    warning = "" if found.same_test_rows else f"\n! {tested(False)}; on the same rows: mlops models curves NEW OLD"
    return f"{settings}\n\n{metrics}{warning}"


def log_line(line: dict[str, Any]) -> str:
    """One progress event."""
    values = "  ".join(f"{name} {value:.5f}" for name, value in line.get("values", {}).items())
    count = f"{line['done']}/{line['total']}" if line.get("total") else ""
    return "  ".join(part for part in (line["at"][11:23], f"{line['step']:<8}", line["text"], count, values) if part)


def reproduced_text(done: Reproduced) -> str:
    """Whether a run came out the same, and what differs."""
    if done.identical:
        changed = ", ".join(f"{item.what} {item.before} → {item.now}" for item in done.causes)
        return f"run {done.run}: identical, byte for byte" + (f" (although {changed})" if changed else "")
    rows = [("cause", i.what, i.before, i.now) for i in done.causes]
    rows += [("result", i.what, i.before, i.now) for i in done.results]
    return f"run {done.run}: different\n" + table(("", "what", "then", "now"), rows, "")
