"""Every pipeline in one line: where each station of its cycle stands, how old that is, and what waits for a person."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from mlops_tui.adapters.catalogue import board as rows
from mlops_tui.core.approval import standing
from mlops_tui.core.compare import headline
from mlops_tui.errors import MlopsError
from mlops_tui.flows.build import runs
from mlops_tui.flows.release import deployments
from mlops_tui.flows.watch.monitor import newest_judged
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import MonitorReport, WindowReport, from_json

Mark = Literal["ok", "due", "wait", "fail", "warn", "busy", "off"]
StationName = Literal["data", "checks", "train", "gates", "approval", "bento", "live", "monitor", "rules"]
STATIONS: tuple[StationName, ...] = (
    "data", "checks", "train", "gates", "approval", "bento", "live", "monitor", "rules",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Station:
    """One station of a cycle: its mark, why in one sentence, since when, and the object behind it."""

    name: StationName
    mark: Mark
    text: str
    at: datetime | None = None
    noun: str = ""
    ref: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One pipeline: its stations, the live metric by window, and what it needs from a person."""

    name: str
    path: str
    stations: tuple[Station, ...]
    urgency: int  # 0: a person is waited for; 1: a step is due; 2: nothing to do
    needs: str
    metric: str = ""
    series: tuple[float | None, ...] = ()
    refs: dict[str, str] = field(default_factory=dict)  # noun → reference of what belongs to it


class Sketch(NamedTuple):
    """What a pipeline file says of itself, read without checking the rest."""

    name: str
    dataset: str
    source: str
    deployment: str
    serves: bool
    mistake: str


def board(
    workspace: Workspace, arrived: Mapping[str, str] | None = None, mistakes: Mapping[str, str] | None = None
) -> list[Line]:
    """Return every pipeline, those that wait for a person first; one read of the catalogue, and no look at sources.

    `arrived` tells, by pipeline, what its source holds that is new, and `mistakes` what is wrong in its file: see
    `queries.looked`.
    """
    sketches = {path: sketch(path) for path in sorted((workspace.root / "pipelines").glob("*.toml"))}
    with workspace.catalogue.read() as act:
        found = rows.newest(act)
    arrived, mistakes = arrived or {}, mistakes or {}
    told = {path: one._replace(mistake=one.mistake or mistakes.get(one.name, "")) for path, one in sketches.items()}
    lines = [_line(workspace, path, one, found, arrived.get(one.name, "")) for path, one in told.items()]
    return sorted(lines, key=lambda line: (line.urgency, line.name))


def sketch(path: Path) -> Sketch:
    """Return what a pipeline file says of itself; read again only when the file has changed."""
    try:
        stat = path.stat()
    except OSError:
        return Sketch(path.stem, "", "", "", False, f"{path.name} cannot be read")
    return _sketch(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=4096)
def _sketch(path: Path, mtime_ns: int, size: int) -> Sketch:
    try:
        content: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        name = str(content["pipeline"]["name"])
        serve = content.get("serve")
        deployment = serve.get("name", name) if isinstance(serve, dict) else name
        data = content["data"]
        return Sketch(name, str(data["dataset"]), str(data["source"]), str(deployment), serve is not None, "")
    except (OSError, ValueError) as error:
        return Sketch(path.stem, "", "", "", False, f"{path.name}: {' '.join(str(error).split())}")
    except (KeyError, TypeError, AttributeError) as error:
        missing = error.args[0] if isinstance(error, KeyError) else "a section"
        return Sketch(
            path.stem, "", "", "", False, f"{path.name}: {missing} is missing; mlops pipelines check {path.stem}"
        )


@lru_cache(maxsize=512)
def _report(read: Callable[[str], bytes], hash_: str) -> MonitorReport:
    return from_json(read(hash_), MonitorReport)


# ── one pipeline ─────────────────────────────────────────────────────────────────────────────────


def _line(workspace: Workspace, path: Path, one: Sketch, found: rows.Newest, arrived: str) -> Line:
    where = workspace.relative(path)
    if one.mistake:
        off = tuple(Station(name, "off", "the pipeline file has a mistake") for name in STATIONS)
        return Line(one.name, where, off, 0, one.mistake)
    report = _newest_report(workspace, one, found)
    stations = (
        _data(one, found, arrived), _checks(one, found), _train(workspace, one, found), _gates(one, found),
        _approval(one, found), _bento(one, found), _live(one, found), _monitor(report), _rules(one, found),
    )  # fmt: skip
    urgency, needs = _needs(stations)
    metric, series = _live_metric(report, one, found)
    return Line(one.name, where, stations, urgency, needs, metric, series, _refs(one, found, report))


def _newest_report(workspace: Workspace, one: Sketch, found: rows.Newest) -> MonitorReport | None:
    if one.deployment not in found.reports:
        return None
    try:
        return _report(workspace.objects.get, found.reports[one.deployment][1])
    except MlopsError:
        return None  # its page says what is wrong with it


def _data(one: Sketch, found: rows.Newest, arrived: str) -> Station:
    version = found.datasets.get(one.dataset)
    if version is None:
        return Station("data", "due", arrived or f"the dataset '{one.dataset}' has no version yet")
    ref = f"{version.dataset}:{version.version}"
    if arrived:
        return Station("data", "due", f"{arrived} since {ref}", version.created_at, "dataset", ref)
    return Station("data", "ok", f"{ref}, {version.rows:,} rows", version.created_at, "dataset", ref)


def _checks(one: Sketch, found: rows.Newest) -> Station:
    version = found.datasets.get(one.dataset)
    if version is None:
        return Station("checks", "off", "nothing to check yet")
    ref = f"{version.dataset}:{version.version}"
    errors = [finding.message for finding in version.findings if finding.level == "error"]
    warnings = [finding.message for finding in version.findings if finding.level == "warning"]
    at, noun = version.created_at, "dataset"
    if version.state == "broken":
        return Station("checks", "fail", f"{ref} breaks its contract: {(errors or ['?'])[0]}", at, noun, ref)
    if warnings:
        more = f" (and {len(warnings) - 1} more)" if len(warnings) > 1 else ""
        return Station("checks", "warn", f"{ref}: {warnings[0]}{more}", at, noun, ref)
    return Station("checks", "ok", f"{ref} keeps its contract", at, noun, ref)


def _train(workspace: Workspace, one: Sketch, found: rows.Newest) -> Station:
    trained, model, data = found.runs.get(one.name), found.models.get(one.name), found.datasets.get(one.dataset)
    last = runs.honest(workspace, trained.run) if trained and trained.run else None
    if last is not None and last.status == "running":
        what = f"run {last.id} trains on {last.dataset}:{last.dataset_version}"
        return Station("train", "busy", what, last.started_at, "run", last.id)
    if last is not None:
        text = f"run {last.id} {last.status}: {last.error or 'no reason was written down'}"
        return Station("train", "fail", text, last.ended_at or last.started_at, "run", last.id)
    if model is None:
        return Station("train", "due" if data and data.state == "ok" else "off", "never trained")
    metric = headline(model)
    text = f"{model.ref}" + (f", test {metric[0]} {metric[1]:.4f}" if metric else "")
    trained_on = (model.dataset, model.dataset_version)
    newer = data is not None and data.state == "ok" and (data.dataset, data.version) != trained_on
    if newer and data is not None:
        text += f"; {data.dataset}:{data.version} is newer than :{model.dataset_version}, which it was trained on"
    return Station("train", "due" if newer else "ok", text, model.created_at, "run", model.run)


def _gates(one: Sketch, found: rows.Newest) -> Station:
    model = found.models.get(one.name)
    if model is None:
        return Station("gates", "off", "no model version yet")
    if model.gates_passed is None:
        return Station("gates", "due", f"{model.ref} has not been judged", model.created_at, "model", model.ref)
    mark: Mark = "ok" if model.gates_passed else "fail"
    word = "passed every gate" if model.gates_passed else "failed a gate"
    return Station("gates", mark, f"{model.ref} {word}", model.created_at, "model", model.ref)


def _approval(one: Sketch, found: rows.Newest) -> Station:
    model = found.models.get(one.name)
    if model is None or not model.gates_passed:
        return Station("approval", "off", "nothing to approve")
    said = found.approvals.get((model.model, model.version), [])
    now = standing(model, said)
    at = said[-1].created_at if said else model.created_at
    mark: Mark = {"approved": "ok", "rejected": "fail"}.get(now.state, "wait")  # type: ignore[assignment]
    return Station("approval", mark, f"{model.ref} {now.sentence}", at, "model", model.ref)


def _bento(one: Sketch, found: rows.Newest) -> Station:
    champion = found.champions.get(one.name)
    if not one.serves:
        return Station("bento", "off", "the pipeline has no [serve] section")
    if champion is None:
        return Station("bento", "off", "there is no champion yet")
    built = [bento for bento in found.bentos.get(one.name, ()) if bento.version == champion.version and bento.approved]
    if not built:
        return Station("bento", "due", f"the champion {champion.ref} has no Bento", None, "model", champion.ref)
    proof = built[0].parity
    text = f"{built[0].tag}: {proof.rows} golden rows over HTTP, largest difference {proof.max_difference:g}"
    return Station("bento", "ok", text, built[0].created_at, "bento", built[0].tag)


def _live(one: Sketch, found: rows.Newest) -> Station:
    item, champion = found.deployments.get(one.deployment), found.champions.get(one.name)
    if item is None:
        due = one.serves and champion is not None
        return Station("live", "due" if due else "off", "never served")
    state, ref = deployments.state(item), f"{item.model}:{item.version}"
    if state == "stopped":
        text, at = f"'{item.name}' was stopped by {item.user}", item.stopped_at or item.started_at
        return Station("live", "off", text, at, "deployment", item.name)
    if state == "down":
        return Station("live", "fail", f"'{item.name}' is down", item.started_at, "deployment", item.name)
    behind = champion is not None and champion.version != item.version
    text = f"'{item.name}' serves {ref} at {item.url}" + (
        f"; the champion is :{champion.version}" if behind and champion else ""
    )
    return Station("live", "due" if behind else "ok", text, item.started_at, "deployment", item.name)


def _monitor(report: MonitorReport | None) -> Station:
    if report is None:
        return Station("monitor", "off", "nothing has been monitored")
    window = newest_judged(report.windows)
    at, noun, ref = report.created_at, "report", report.id
    if window is None:
        remark = report.windows[-1].remark if report.windows else ""
        return Station("monitor", "off", remark or "no window has rows enough to be judged", at, noun, ref)
    if window.faults:
        return Station("monitor", "fail", f"data fault: {window.faults[0]}", at, noun, ref)
    if window.drifted:
        text = f"{len(window.drifted)} of {len(window.features)} features drifted: {', '.join(window.drifted[:3])}"
        return Station("monitor", "warn", text, at, noun, ref)
    return Station("monitor", "ok", f"no feature drifted in the window from {window.start:%Y-%m-%d}", at, noun, ref)


def _rules(one: Sketch, found: rows.Newest) -> Station:
    decision = found.decisions.get(one.name)
    if decision is None:
        return Station("rules", "off", "the rules were never asked")
    noun, ref = "decision", decision.id
    if decision.held:
        return Station("rules", "warn", f"held: {decision.held}", decision.at, noun, ref)
    if not decision.fires:
        return Station("rules", "ok", f"quiet: {decision.reason}", decision.at, noun, ref)
    if decision.answered_at is None:
        return Station("rules", "due", f"fired: {decision.reason}", decision.at, noun, ref)
    return Station("rules", "ok", f"fired: {decision.reason} → {decision.outcome}", decision.answered_at, noun, ref)


# ── what it all comes to ─────────────────────────────────────────────────────────────────────────


def _needs(stations: tuple[Station, ...]) -> tuple[int, str]:
    """What a person is waited for first, else the first step that is due."""
    by_name = {station.name: station for station in stations}
    order: tuple[tuple[StationName, Mark, str], ...] = (
        ("live", "fail", "start it again"), ("approval", "wait", "approve or reject"),
        ("checks", "fail", "mend the data"), ("train", "fail", "look at the run"),
        ("gates", "fail", "look at the gates"), ("monitor", "fail", "mend the data"),
    )  # fmt: skip
    for name, mark, word in order:
        if by_name[name].mark == mark:
            return 0, f"{word}: {by_name[name].text}"
    busy = next((station for station in stations if station.mark == "busy"), None)
    if busy is not None:
        return 1, busy.text
    due = next((station for station in stations if station.mark == "due"), None)
    return (1, f"due: {due.name}: {due.text}") if due else (2, "nothing to do")


def _live_metric(report: MonitorReport | None, one: Sketch, found: rows.Newest) -> tuple[str, tuple[float | None, ...]]:
    """The metric of each window as it was realised, or else estimated."""
    if report is None:
        return "", ()
    values = tuple(_of_window(window) for window in report.windows)
    named = [live for window in report.windows if (live := window.performance or window.estimate)]
    if not named:
        return "", ()
    name = str(getattr(named[-1], "name", "") or getattr(named[-1], "metric", ""))
    return name, values


def _of_window(window: WindowReport) -> float | None:
    live = window.performance or window.estimate
    return live.value if live else None


def _refs(one: Sketch, found: rows.Newest, report: MonitorReport | None) -> dict[str, str]:
    data, model, champion = found.datasets.get(one.dataset), found.models.get(one.name), found.champions.get(one.name)
    run, item, decision = found.runs.get(one.name), found.deployments.get(one.deployment), found.decisions.get(one.name)
    bento = next(iter(found.bentos.get(one.name, ())), None)
    refs = {
        "dataset": f"{data.dataset}:{data.version}" if data else "",
        "run": run.id if run else "",
        "model": model.ref if model else "",
        "champion": champion.ref if champion else "",
        "bento": bento.tag if bento else "",
        "deployment": item.name if item else "",
        "report": report.id if report else "",
        "decision": decision.id if decision else "",
    }
    return {noun: ref for noun, ref in refs.items() if ref}
