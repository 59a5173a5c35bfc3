"""One feature of a monitor report: the rows of its windows beside the reference that they were measured against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from mlops_tui.errors import NotFound, unknown
from mlops_tui.flows import lookup
from mlops_tui.flows.watch import answers, monitor
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import FeatureReport, FeatureWindow, MonitorReport, Signature, Spread, WindowReport

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, slots=True)
class _Version:
    """What is read once for all windows of a model version; `time` cut the windows, None: when they were answered."""

    ref: str
    signature: Signature
    reference: pl.DataFrame
    time: str | None


def feature(workspace: Workspace, name: str, column: str, starts: Sequence[datetime] = ()) -> FeatureReport:
    """Return one feature, or "prediction", in the windows of a report that begin then; else in the newest judged one.

    `name` is a deployment, for its newest report, or a report's id. Raises NotFound for a feature that no model of
    these windows reads, and for a start that no window has.
    """
    from mlops_tui.core import histograms
    from mlops_tui.core.sides import numeric

    report = monitor.report(workspace, name)
    chosen = _chosen(report, starts)
    read = _readers(workspace, report, {one.version for one in chosen}, column)
    windows = [one for one in chosen if one.version in read]
    references = {number: _values(one, one.reference, column) for number, one in read.items()}
    found = [_values(read[one.version], _rows(workspace, report, read[one.version], one), column) for one in windows]
    as_numbers = all(numeric(values.dtype) for values in references.values())
    edges, labels, spreads = histograms.spreads([*references.values(), *found], as_numbers)
    known = dict(zip(references, spreads, strict=False))
    own = zip(windows, spreads[len(references) :], strict=True)
    return FeatureReport(
        report=report.id,
        deployment=report.deployment,
        model=report.model,
        feature=column,
        dtype=str(references[windows[-1].version].dtype),
        kind="numeric" if as_numbers else "categorical",
        edges=edges,
        labels=labels,
        windows=tuple(_shown(window, column, known[window.version], spread) for window, spread in own),
    )


def _chosen(report: MonitorReport, starts: Sequence[datetime]) -> list[WindowReport]:
    """The windows that begin at one of the moments, oldest first; without any, the newest that was judged."""
    if not report.windows:
        raise NotFound(f"the report {report.id} has no windows", f"mlops monitor run {report.deployment}")
    if not starts:
        return [monitor.newest_judged(report.windows) or report.windows[-1]]
    known = {one.start for one in report.windows}
    for start in starts:
        if start not in known:
            raise unknown("window from", _text(start), map(_text, known), f"mlops monitor show {report.id}")
    return [one for one in report.windows if one.start in starts]


def _text(start: datetime) -> str:
    """A window's start as it may be asked for."""
    return f"{start:%Y-%m-%dT%H:%M:%S}".removesuffix("T00:00:00")


def _readers(workspace: Workspace, report: MonitorReport, numbers: set[int], column: str) -> dict[int, _Version]:
    """Those of the model's versions that have a column, by number."""
    versions = {number: _version(workspace, report, number) for number in sorted(numbers)}
    columns = {number: _columns(one.signature) for number, one in versions.items()}
    read = {number: one for number, one in versions.items() if column in columns[number]}
    if not read:
        known = [name for names in columns.values() for name in names]
        raise unknown("feature", column, known, f"mlops monitor show {report.id}")
    return read


def _version(workspace: Workspace, report: MonitorReport, number: int) -> _Version:
    import polars as pl

    version = lookup.model_version(workspace, f"{report.model}:{number}")
    reference = pl.read_parquet(workspace.objects.checked_path(version.reference))
    data = lookup.run(workspace, version.run).settings.get("data", {})
    time = data.get("time") if report.by == "event" else None
    return _Version(version.ref, lookup.signature(workspace, version), reference, time)


def _columns(signature: Signature) -> list[str]:
    from mlops_tui.core.drift import PREDICTION

    return [*(one.name for one in signature.inputs), PREDICTION]


def _values(version: _Version, frame: pl.DataFrame, column: str) -> pl.Series:
    """A feature's values, or what was predicted; none where no row is left."""
    from mlops_tui.core import drift

    if frame.is_empty():
        frame = version.reference.clear()
    own = any(one.name == column for one in version.signature.inputs)
    return frame[column] if own else drift.predictions(frame, version.signature.classes)


def _rows(workspace: Workspace, report: MonitorReport, version: _Version, window: WindowReport) -> pl.DataFrame:
    """The rows that were answered in a window, as many as there are by now."""
    return answers.frame(workspace, report.deployment, version.ref, (window.start, window.end), version.time)


def _shown(window: WindowReport, column: str, reference: Spread, spread: Spread) -> FeatureWindow:
    """A window with what the report says of it, and whether these are the rows that the report measured."""
    measured = (*window.features, *((window.prediction,) if window.prediction else ()))
    drift = next((one for one in measured if one.feature == column), None)
    changed = f"the report measured {window.rows:,} rows of this window" if spread.rows != window.rows else ""
    remark = "; ".join(part for part in (window.remark, changed) if part)
    return FeatureWindow(window.start, window.end, window.version, reference, spread, drift, remark)
