"""Every pipeline in one line: where each station of its cycle stands, how old that is, and what waits for a person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from mlops_tui.adapters.catalogue import board as rows
from mlops_tui.errors import MlopsError
from mlops_tui.flows.queries import stations, watched
from mlops_tui.flows.queries.sketches import Sketch, sketch
from mlops_tui.flows.queries.stations import STATIONS, Judged, Mark, Station, StationName
from mlops_tui.flows.release import approvals, bentos
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import Bento, ModelVersion, MonitorReport, WindowReport


@dataclass(frozen=True, slots=True)
class Line:
    """One pipeline: its stations, the live metric by window, and what it needs from a person."""

    name: str
    path: str
    stations: tuple[Station, ...]
    urgency: int  # 0: a person is waited for; 1: a step is due; 2: nothing to do
    needs: str
    waits: str = ""  # the noun whose acts are needed
    champion: str = ""  # its reference, since when and why
    metric: str = ""
    series: tuple[float | None, ...] = ()
    refs: dict[str, str] = field(default_factory=dict)  # noun → reference of what belongs to it

    @property
    def live(self) -> float | None:
        """The live metric of the newest window that has one."""
        return next((value for value in reversed(self.series) if value is not None), None)


class Around(NamedTuple):
    """What is known of all pipelines: the newest of everything, former champions, what has arrived, the code."""

    found: rows.Newest
    formers: Mapping[str, ModelVersion]
    arrived: Mapping[str, str]
    code: str


def board(
    workspace: Workspace, arrived: Mapping[str, str] | None = None, mistakes: Mapping[str, str] | None = None
) -> list[Line]:
    """Return every pipeline, those that wait for a person first; one read of the catalogue, and no look at sources.

    `arrived` tells, by pipeline, what its source holds that is new, and `mistakes` what is wrong in its file: see
    `queries.looked`.
    """
    sketches = {path: sketch(path) for path in sorted((workspace.root / "pipelines").glob("*.toml"))}
    with workspace.catalogue.read() as act:
        found, formers = rows.newest(act), approvals.formers(act)
    mistakes = mistakes or {}
    told = {path: one._replace(mistake=one.mistake or mistakes.get(one.name, "")) for path, one in sketches.items()}
    around = Around(found, formers, arrived or {}, bentos.service_code())
    lines = [_line(workspace, path, one, around) for path, one in told.items()]
    return sorted(lines, key=lambda line: (line.urgency, line.name))


# ── one pipeline ─────────────────────────────────────────────────────────────────────────────────


def _line(workspace: Workspace, path: Path, one: Sketch, around: Around) -> Line:
    where = workspace.relative(path)
    if one.mistake:
        off = tuple(Station(name, "off", "the pipeline file has a mistake") for name in STATIONS)
        return Line(one.name, where, off, 0, one.mistake)
    found = around.found
    report, judged = _newest_report(workspace, one, found), stations.judged(workspace, one, found)
    windows = stations.windows(report, one, found)
    bento, no_bento = stations.fitting(workspace, one, found, around.code)
    approval = stations.approval(judged)
    strip = (
        stations.data(one, found, around.arrived.get(one.name, "")), stations.checks(one, found),
        stations.train(workspace, one, found), stations.gates(judged), approval,
        stations.bento(one, found, bento, no_bento),
        stations.live(one, found, bento), stations.monitor(report, windows, one, found),
        stations.rules(one, found, approval),
    )  # fmt: skip
    urgency, needs, waits = _needs(strip, judged)
    refs = _refs(one, found, judged, bento, report)
    if (item := found.deployments.get(one.deployment)) and (former := around.formers.get(item.model)):
        refs["former"] = former.ref
    return Line(one.name, where, strip, urgency, needs, waits, _champion(one, found), *_live_metric(windows), refs)


def _newest_report(workspace: Workspace, one: Sketch, found: rows.Newest) -> MonitorReport | None:
    if one.deployment not in found.reports:
        return None
    try:
        id_, hash_ = found.reports[one.deployment]
        return watched.report_of(workspace, (id_, one.deployment, hash_))
    except MlopsError:
        return None  # its page says what is wrong with it


# ── what it all comes to ─────────────────────────────────────────────────────────────────────────


def _needs(strip: tuple[Station, ...], judged: Judged | None) -> tuple[int, str, str]:
    """What a person is waited for first, else the first step that is due; and the noun whose acts that asks for."""
    by_name = {station.name: station for station in strip}
    order: tuple[tuple[StationName, Mark, str, str], ...] = (
        ("live", "fail", "start it again", "champion"), ("approval", "wait", "approve or reject", "model"),
        ("checks", "fail", "mend the data", "dataset"), ("train", "fail", "look at the run", "pipeline"),
        ("gates", "fail", "look at the gates", "model"), ("bento", "fail", "look at the champion", "model"),
        ("monitor", "fail", "mend the data", "dataset"),
    )  # fmt: skip
    for name, mark, word, noun in order:
        if by_name[name].mark == mark:
            return 0, f"{word}: {by_name[name].text}", noun
    busy = next((station for station in strip if station.mark == "busy"), None)
    if busy is not None:
        return 1, busy.text, "run"
    due = next((station for station in strip if station.mark == "due"), None)
    if due is not None:
        return 1, f"due: {due.name}: {due.text}", ""
    left = f"; the champion is :{judged.version.version}: {judged.left}" if judged and judged.left else ""
    return 2, f"nothing to do{left}", ""


def _champion(one: Sketch, found: rows.Newest) -> str:
    champion, moved = found.champions.get(one.name), found.moved.get(one.name)
    if champion is None:
        return ""
    return champion.ref + (f" since {moved.created_at:%Y-%m-%d} ({moved.reason})" if moved else "")


def _live_metric(windows: tuple[WindowReport, ...]) -> tuple[str, tuple[float | None, ...]]:
    """The metric of each window as it was realised, or else estimated."""
    named = [live for window in windows if (live := window.performance or window.estimate)]
    if not named:
        return "", ()
    name = str(getattr(named[-1], "name", "") or getattr(named[-1], "metric", ""))
    return name, tuple(_of_window(window) for window in windows)


def _of_window(window: WindowReport) -> float | None:
    live = window.performance or window.estimate
    return live.value if live else None


def _refs(
    one: Sketch, found: rows.Newest, judged: Judged | None, bento: Bento | None, report: MonitorReport | None
) -> dict[str, str]:
    data, champion, run = found.datasets.get(one.dataset), found.champions.get(one.name), found.runs.get(one.name)
    item, decision = found.deployments.get(one.deployment), found.decisions.get(one.name)
    refs = {
        "dataset": f"{data.dataset}:{data.version}" if data else "",
        "run": run.id if run else "",
        "model": judged.version.ref if judged else "",
        "champion": champion.ref if champion else "",
        "named": f"--name={one.deployment}" if champion and one.deployment != one.name else "",
        "bento": bento.tag if bento else "",
        "deployment": item.name if item else "",
        "report": report.id if report else "",
        "decision": decision.id if decision else "",
    }
    return {noun: ref for noun, ref in refs.items() if ref}
