"""predictions → monitor report: every window of what a deployment answered, against the model that answered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from mlops_tui.adapters.catalogue import release
from mlops_tui.adapters.catalogue import watch as rows
from mlops_tui.errors import InvalidInput, MlopsError, NotFound, unknown
from mlops_tui.flows import lookup
from mlops_tui.flows.watch import answers, labels, predictions
from mlops_tui.flows.workspace import Workspace, new_id
from mlops_tui.names import parse_duration
from mlops_tui.records import (
    METRICS,
    ModelVersion,
    MonitorReport,
    Progress,
    WindowReport,
    from_json,
    to_json,
)

if TYPE_CHECKING:
    import polars as pl

    from mlops_tui.config import Monitor, PipelineFile
    from mlops_tui.core.monitor import Yardstick

NEWEST = 12  # windows looked at where no range is given
MOST = 1000  # windows of one report
LONGEST = 3660 * 86_400.0  # seconds of a window


@dataclass(frozen=True, slots=True)
class Range:
    """What to look at: moments (UTC) and a window's length; None is the newest windows, of the pipeline's length."""

    start: datetime | None = None
    end: datetime | None = None
    window: str | None = None


@dataclass(frozen=True, slots=True)
class _Look:
    """How a deployment is looked at; `time` is the column of the rows' own time, None: by when they were answered."""

    deployment: str
    settings: PipelineFile | None
    monitor: Monitor
    span: answers.Span
    time: str | None


def run(workspace: Workspace, deployment: str, asked: Range = Range()) -> MonitorReport:
    """Gather a deployment's predictions, measure every window, and keep the report; raises NotFound without any.

    It is about the model that answered last: where the deployment served another model before, that one is left out.
    Raises InvalidInput, before anything is gathered, for what cannot be asked.
    """
    _check(asked)
    predictions.gather(workspace, deployment)
    every = answers.versions(workspace, deployment)
    if not every:
        raise NotFound(
            f"the deployment '{deployment}' has answered no request yet", f"mlops deployments show {deployment}"
        )
    served = [one for one in every if one.model == every[-1].model]
    settings = pipeline_of(workspace, served[-1].model)
    monitor = _monitor(settings, asked)
    time = _time(workspace, served[-1].ref, settings, monitor)
    look = _Look(deployment, settings, monitor, (asked.start, asked.end), time)
    chosen = _chosen(workspace, look, served)
    windows = [window for ref, numbers in chosen.items() for window in _windows(workspace, look, ref, numbers)]
    windows.sort(key=lambda window: (window.start, window.version))
    return _keep(workspace, MonitorReport(
        new_id(), deployment, served[-1].model, workspace.now(), workspace.user, monitor.window,
        "event" if time else "received", sum(window.rows for window in windows), tuple(windows),
        routine=asked == Range(),
    ))  # fmt: skip


def _check(asked: Range) -> None:
    """Raise InvalidInput for a range or a window that there cannot be."""
    if asked.start is not None and asked.end is not None and asked.start >= asked.end:
        raise InvalidInput(f"--from {asked.start:%Y-%m-%d %H:%M} is not before --to {asked.end:%Y-%m-%d %H:%M} UTC")
    if asked.window is None:
        return
    try:
        seconds = parse_duration(asked.window)
    except ValueError as error:
        raise InvalidInput(f"--window {asked.window!r}: {error}") from None
    if not 1 <= seconds <= LONGEST:
        raise InvalidInput(f"--window {asked.window!r}: a window is between 1s and 3660d")


def _chosen(workspace: Workspace, look: _Look, served: Sequence[answers.Answered]) -> dict[str, list[int]]:
    """The windows to measure, by model version: all of the range that was asked for, else the newest of all versions.

    Only times are read for it: what a deployment has ever answered need not fit into memory, nor be measured.
    """
    how = (look.monitor.seconds, look.span, look.time)
    held = {one.ref: answers.occupied(workspace, look.deployment, one.ref, *how) for one in served}
    numbers = sorted(set().union(*held.values()))
    if not numbers:
        said = f"{min(one.first for one in served):%Y-%m-%d %H:%M} to {served[-1].last:%Y-%m-%d %H:%M} UTC"
        told = f"'{look.deployment}' has no predictions in that range; it answered from {said}"
        raise NotFound(told, "--from, --to")
    if look.span == answers.ALWAYS:
        numbers = numbers[-NEWEST:]
    elif len(numbers) > MOST:
        raise InvalidInput(
            f"{len(numbers)} windows of {look.monitor.window}; {MOST} at most", "--window, --from and --to"
        )
    return {ref: sorted(own.intersection(numbers)) for ref, own in held.items() if own.intersection(numbers)}


def _time(workspace: Workspace, ref: str, settings: PipelineFile | None, monitor: Monitor) -> str | None:
    """The column of the rows' own time: where the pipeline names one, and a model version knows it as times."""
    import polars as pl

    from mlops_tui.core.monitor import is_time

    time = settings.data.time if settings and monitor.by == "event" else None
    if time is None:
        return None
    reference = lookup.model_version(workspace, ref).reference
    schema = pl.read_parquet_schema(workspace.objects.checked_path(reference))
    return time if is_time(schema.get(time)) else None


def pipeline_of(workspace: Workspace, model: str) -> PipelineFile | None:
    """Return the pipeline that a model is of; None where the workspace has none of that name."""
    try:
        return lookup.pipeline(workspace, model)[0]
    except NotFound:
        return None


def _monitor(settings: PipelineFile | None, asked: Range) -> Monitor:
    from mlops_tui.config import Monitor

    monitor = settings.monitor if settings else Monitor()
    return monitor.model_copy(update={"window": asked.window}) if asked.window else monitor


def _windows(workspace: Workspace, look: _Look, ref: str, numbers: Sequence[int]) -> Iterator[WindowReport]:
    """Measure windows of one model version's predictions; no row of another window is read."""
    import polars as pl

    from mlops_tui.core import monitor as core

    version, monitor = lookup.model_version(workspace, ref), look.monitor
    spans = [core.window(number, monitor.seconds) for number in numbers]
    start, end = look.span
    span = (max(start or spans[0][0], spans[0][0]), min(end or spans[-1][1], spans[-1][1]))
    frame = answers.frame(workspace, look.deployment, ref, span, look.time)
    frame = labels.joined(workspace, look.deployment, version, frame)
    stick = yardstick(workspace, version, look.settings, by_event=look.time is not None)
    if monitor.multivariate:
        stick = core.with_natural(stick, monitor.seconds)
    if stick.time is not None:  # as the reference has it, and not as the text that a request carried
        frame = frame.with_columns(_as_time(stick.reference.schema[stick.time]).alias(stick.time))
    for number, (first, last) in enumerate(spans):
        workspace.report(Progress("monitor", f"{ref} {first:%Y-%m-%d}", number + 1, len(spans)))
        window = frame.filter((pl.col("__time") >= first) & (pl.col("__time") < last))
        yield core.look(stick, window, (first, last, version.version), monitor)


def _as_time(dtype: pl.DataType) -> pl.Expr:
    """The rows' moments in the type of a time column."""
    import polars as pl

    zone = getattr(dtype, "time_zone", None)
    moments = pl.col("__time")
    return (moments.dt.convert_time_zone(zone) if zone else moments.dt.replace_time_zone(None)).cast(dtype)


def yardstick(
    workspace: Workspace, version: ModelVersion, settings: PipelineFile | None, *, by_event: bool
) -> Yardstick:
    """Return what windows of a model version are measured with: its reference sample, and its held-out test rows."""
    import polars as pl

    from mlops_tui.core import monitor as core

    scorer = lookup.scorer(workspace, version)
    reference = pl.read_parquet(workspace.objects.checked_path(version.reference))
    metric = settings.watched_metric if settings else ""
    if metric not in METRICS[version.task]:  # the pipeline's task is another now
        metric = METRICS[version.task][0]
    try:
        held_out = lookup.held_out(workspace, version, settings.target, scorer) if settings else None
    except MlopsError as error:  # its dataset is not in this workspace, or the pipeline's target is another now
        workspace.report(Progress("monitor", f"{version.ref} has no held-out rows here: {error.message}"))
        held_out = None
    time = settings.data.time if settings and by_event else None
    return core.yardstick(scorer, reference, held_out, metric, time)


def _keep(workspace: Workspace, report: MonitorReport) -> MonitorReport:
    """Store the report, then its row."""
    hash_ = workspace.objects.put(to_json(report))
    newest = newest_judged(report.windows)
    with workspace.catalogue.write(report.created_at) as act:
        rows.add_monitor_report(act, report.id, report.deployment, report.routine, hash_)
        drifted = list(newest.drifted) if newest else []
        act.record("monitor.run", report.deployment, report=report.id, windows=len(report.windows), drifted=drifted)
    return report


# ── looking at reports ───────────────────────────────────────────────────────────────────────────


def reports(workspace: Workspace, deployment: str | None, limit: int) -> list[MonitorReport]:
    """Return reports, newest first; of one deployment or of all."""
    with workspace.catalogue.read() as act:
        found = rows.monitor_reports(act, deployment, limit)
    if not found and deployment is not None:
        predictions.deployed(workspace, deployment)
    return [from_json(workspace.objects.get(hash_), MonitorReport) for _, _, hash_ in found]


def report(workspace: Workspace, name: str) -> MonitorReport:
    """Return the newest report of a deployment, or the report whose id starts so; raises NotFound."""
    newest = newest_report(workspace, name)
    if newest is not None:
        return newest
    with workspace.catalogue.read() as act:
        known, deployments = rows.monitor_reports(act), [one.name for one in release.deployments(act)]
    found = [hash_ for id_, _, hash_ in known if id_.startswith(name)]
    if len(found) == 1:
        return from_json(workspace.objects.get(found[0]), MonitorReport)
    if name in deployments:
        raise NotFound(f"the deployment '{name}' has no monitor report yet", f"mlops monitor run {name}")
    raise unknown("deployment or report", name, [*deployments, *(id_ for id_, _, _ in known)], "mlops monitor list")


def newest_report(workspace: Workspace, deployment: str, *, routine: bool = False) -> MonitorReport | None:
    """Return the newest report of a deployment, or None; `routine` leaves out those of a range that was asked for."""
    with workspace.catalogue.read() as act:
        found = rows.monitor_reports(act, deployment, 1, routine=routine)
    return from_json(workspace.objects.get(found[0][2]), MonitorReport) if found else None


def newest_judged(windows: Sequence[WindowReport]) -> WindowReport | None:
    """Return the newest window that had rows enough to be judged, or None."""
    return next((one for one in reversed(windows) if one.features), None)
