"""The page of a deployment: whether it runs, what it answers, what served before, and the end of its log."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from textual.app import ComposeResult
from textual.containers import Container, Vertical
from textual.content import Content

from mlops_tui.errors import NotFound, unknown
from mlops_tui.flows.queries.served import Served, served
from mlops_tui.flows.queries.traffic import Traffic, traffic
from mlops_tui.flows.release import deployments
from mlops_tui.flows.release.deployments import State
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import Deployment as Item
from mlops_tui.texts.cells import age, cell
from mlops_tui.texts.sparks import sparkline
from mlops_tui.tui.output import ESCAPES
from mlops_tui.tui.release.lists import deployment_subject
from mlops_tui.tui.release.parts import PARTS, Line, Rows, Sheet, part, stating
from mlops_tui.tui.verbs import Subject
from mlops_tui.tui.widgets.columns import Cell, Column
from mlops_tui.tui.widgets.drawn import Title, Words, facts

SHOWN = 40  # characters of a line of rates
STEP = 2  # seconds that each stands for, as long as from one look to the next
SPAN = timedelta(seconds=1)  # rates are over no less
LOG_LINES = 12
HISTORY = (Column("model", "served", 8, 30, sorts=False), Column("since", "from", 10, 19, sorts=False),
           Column("until", "to", 10, 19, sorts=False), Column("by", "by", 3, 12, sorts=False))  # fmt: skip
RATES: tuple[tuple[str, Callable[[Traffic], float | None]], ...] = (
    ("requests/s", lambda one: one.requests_per_second), ("rows/s", lambda one: one.rows_per_second),
    ("p50 ms", lambda one: one.latency_ms_p50), ("p99 ms", lambda one: one.latency_ms_p99),
    ("errors/s", lambda one: one.errors_per_second),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Found:
    """A deployment, what it answers, what served under its name (the newest first), and the end of its log."""

    item: Served
    traffic: Traffic
    history: tuple[Item, ...]
    log: tuple[str, ...]


class Deployment(Sheet[Found]):
    """One deployment."""

    name_in_path = "deployment"
    breathes = 2.0

    def __init__(self, ref: str) -> None:
        super().__init__(ref)
        self.looks: deque[Traffic] = deque(maxlen=SHOWN + 2)  # at the server that answers now, while the page is open
        self._read_at: tuple[int, ...] = ()  # the catalogue's stamp; the page's own is of the load that has begun
        self._log: Path | None = None

    def sections(self) -> ComposeResult:
        """Traffic, what it belongs to, what served before, the log."""
        yield Title("Traffic", id="traffic-title")
        yield Words("", id="traffic")
        with Container(classes="two"):
            with Vertical():
                yield Title("Belongs to")
                yield Rows(PARTS, id="parts")
            with Vertical():
                yield Title("What served under this name")
                yield Rows(HISTORY, id="history")
        yield Title("The end of its log")
        yield Words("", id="log")

    def load(self, workspace: Workspace) -> Found:
        """The deployment, read again when the catalogue has changed; its traffic and its log every time."""
        stamp, known = workspace.catalogue.stamp(), self.data
        if known is None or stamp != self._read_at:
            item, history, self._log = _read(workspace, self.ref)
            self._read_at = stamp
        else:
            item, history = replace(known.item, state=deployments.state(known.item.deployment)), known.history
        return Found(item, self._look(workspace, item), history, _log_lines(self._log))

    def _look(self, workspace: Workspace, item: Served) -> Traffic:
        """What it answered since a look that is a second old at least; the last look again while there is none."""
        looks = [one for one in tuple(self.looks) if one.pid == item.deployment.pid]
        before = [one for one in looks if workspace.now() - one.at >= SPAN]
        if item.state == "running" and looks and not before:
            return looks[-1]
        return traffic(workspace, item.deployment, before[-1] if before else None)

    def show(self, data: Found) -> None:
        """Update every part."""
        self._keep(data.traffic)
        self.put_text("head", self._facts(data))
        self.put_text("traffic", self._traffic(data))
        self.put_lines("parts", self._parts(data))
        state = data.item.state
        self.put_lines(
            "history", [_served(one, state if one is data.history[0] else "stopped") for one in data.history]
        )
        self.put_text("log", "\n".join(data.log) or "it has written nothing yet")

    def _keep(self, now: Traffic) -> None:
        if self.looks and self.looks[-1].pid != now.pid:  # another server counts from nothing
            self.looks.clear()
        if now.total is not None and (not self.looks or now is not self.looks[-1]):
            self.looks.append(now)

    def _facts(self, data: Found) -> Content:
        one, now = data.item.deployment, self.workspace.now()
        since = f"since {cell(one.started_at)} ({age(one.started_at, now)}), by {one.user}"
        told = {
            "running": since,
            "stopped": f"since {cell(one.stopped_at)}; s serves the champion under this name again",
            "down": f"it should run, {since}; s serves the champion under this name again",
        }
        behind = data.item.champion not in (None, data.item.ref)
        serves = data.item.ref + (f"; the champion is {data.item.champion}" if behind else "")
        return facts([("state", stating(data.item.state, told[data.item.state])), ("serves", serves),
                      ("beside", data.item.beside or None),
                      ("url", one.url), ("pid", one.pid if data.item.state == "running" else None)])  # fmt: skip

    def _traffic(self, data: Found) -> Content:
        """Figures, each with a line of the last minutes, and counts since the server started."""
        found = data.traffic
        if found.total is None:
            return Content(f"unknown: {found.remark}")
        looks = list(self.looks)[1:]  # the first is a mean over all that was before
        pairs: list[tuple[str, object]] = []
        for name, of in RATES:
            line = Content.styled(sparkline(by_time(looks, of)), "$accent")
            value = of(found)
            pairs.append((name, Content.assemble(f"{'-' if value is None else f'{value:.3g}':>8}  ", line)))
        total = found.total
        over = "since the server started"
        pairs.append(("answered", f"{total.requests:,} requests, {total.rows:,} rows predicted {over}"))
        for name, counts in (("errors", total.errors), ("dropped", total.dropped)):
            told = ", ".join(f"{count:,} {why}" for why, count in counts.items())
            pairs.append((name, Content.styled(f"✗ {told}", "$text-error") if told else "none"))
        lines = f"; as lines, the last {SHOWN * STEP} s"
        span = f", the last {found.seconds:.0f} s{lines}" if looks and found.seconds else f" {over}"
        self.put_text("traffic-title", f"Traffic{span}")
        return facts(pairs)

    def _parts(self, data: Found) -> list[Line]:
        item = data.item
        found = [part("model", item.ref), part("bento", item.deployment.bento), part("pipeline", item.deployment.model)]
        if item.champion and item.champion != item.ref:
            found.insert(1, part("champion", item.champion, "s serves it", "model"))
        return found

    def subject(self) -> Subject | None:
        """The deployment, with its model, pipeline and champion."""
        return deployment_subject(self.data.item) if self.data else None

    def shell(self) -> list[str]:
        """The command that prints it."""
        return ["deployments", "show", self.ref]


def _log_lines(path: Path | None) -> tuple[str, ...]:
    """The end of a log; nothing where it is not there, or is there no more."""
    if path is None:
        return ()
    try:
        return tuple(ESCAPES.sub("", one) for one in deployments.last_lines(path, LOG_LINES))
    except OSError:
        return ()


def _read(workspace: Workspace, name: str) -> tuple[Served, tuple[Item, ...], Path | None]:
    """A deployment, all that served under its name, the newest first, and its log; raises NotFound."""
    known = served(workspace)
    item = next((one for one in known if one.deployment.name == name), None)
    if item is None:
        raise unknown("deployment", name, [one.deployment.name for one in known], "mlops deployments list")
    past = [one for one in deployments.history(workspace, name) if one.started_at != item.deployment.started_at]
    log = None
    with suppress(NotFound):
        log = deployments.log_file(workspace, name)
    return item, (item.deployment, *past), log


def by_time(looks: Sequence[Traffic], of: Callable[[Traffic], float | None]) -> list[float | None]:
    """Return a figure for each of the last `SHOWN` steps of time, the newest last; None where nobody had looked.

    A look stands for all the time since the look before: so a step is as wide as any other, whenever looks were.
    """
    newest = _step(looks[-1].at.timestamp()) if looks else 0
    oldest = newest - SHOWN + 1
    values: dict[int, float | None] = {}
    for one in looks:
        end = one.at.timestamp()
        first = max(oldest, _step(end - (one.seconds or 0.0)) + 1)
        values |= dict.fromkeys(range(first, _step(end) + 1), of(one))
    return [values.get(at) for at in range(oldest, newest + 1)]


def _step(seconds: float) -> int:
    return int(seconds // STEP)


def _served(one: Item, state: State) -> Line:
    """What serves, served, or should; only what runs has a process."""
    ref, running = f"{one.model}:{one.version}", state == "running"
    until = cell(one.stopped_at) if one.stopped_at else "now" if running else "down"
    tone = "" if one.stopped_at else "ok" if running else "fail"
    cells = (Cell(ref, "lit"), Cell(cell(one.started_at)), Cell(until, tone), Cell(one.user))
    pid = f", pid {one.pid}" if running else ""
    return Line(cells, f"{ref} at {one.url}{pid}, Bento {one.bento}", ("model", ref))
