"""A monitor report: how near each feature of each window is to its threshold, how good the answers were, and words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, NamedTuple

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical, VerticalScroll
from textual.content import Content

from mlops_tui.flows.queries import watched
from mlops_tui.flows.watch import monitor
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import Drift, MonitorReport, WindowReport
from mlops_tui.texts import plots
from mlops_tui.texts.cells import age, day
from mlops_tui.texts.heat import DRIFTED, HEAT, LEGEND, heat, heat_rows, worst
from mlops_tui.texts.plots import Line
from mlops_tui.texts.rules import UNREAD
from mlops_tui.texts.sparks import sparkline, thin
from mlops_tui.texts.timeline import CUT, Gap, Timeline, cuts_before, gaps_text, timeline
from mlops_tui.texts.windows import expected, interval, newest, tracks
from mlops_tui.tui.detail import Detail, Opens, Part
from mlops_tui.tui.page import WIDE
from mlops_tui.tui.verbs import Subject
from mlops_tui.tui.watch.heat import LONG, SHORT, cell_text, row_cells, short
from mlops_tui.tui.widgets.columns import Column, Key
from mlops_tui.tui.widgets.drawn import Draw, Drawn, Title, Words, facts
from mlops_tui.tui.widgets.table import Table

SIGNS = {"✓": "$text-success", "✗": "$text-error", HEAT[DRIFTED]: "$text-error"}
FEATURE, WORST = 16, 20  # columns for a name, and for the worst window in figures
SIDE = 0.55  # of a wide screen, for the heat map
PLOT_WINDOWS = 60  # of a sparkline


class Loaded(NamedTuple):
    """A report, and the ids of all reports of its deployment, newest first."""

    report: MonitorReport
    ids: tuple[str, ...]


class ReportPage(Detail[Loaded]):
    """One monitor report, by its id, or a deployment's newest; the arrows choose a feature and a window."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left_square_bracket", "beside(1)", "the report before", show=False),
        Binding("right_square_bracket", "beside(-1)", "the next report", show=False),
    ]

    def __init__(self, ref: str) -> None:
        super().__init__(ref)
        self.rows: dict[str, tuple[Drift | None, ...]] = {}
        self.gaps: tuple[Gap, ...] = ()
        self.cut: frozenset[int] = frozenset()  # the windows before which there is a gap
        self.first = 0  # of the windows that are shown
        self.shown_id = ""

    def title_in_path(self) -> str:
        """Whose report it is."""
        return f"report of {self.data.report.deployment}" if self.data else f"report {self.ref}"

    def body(self) -> ComposeResult:
        """The heat map, the plot beside or below it, words; at the bottom what the chosen cell says."""
        with VerticalScroll(id="scroll"):
            yield Words("", id="head")
            with Container(classes="two"):
                with Vertical(id="heat-side"):
                    heat_map = Part(id="heat", most=40)
                    heat_map.cells, heat_map.gap = True, 1
                    yield heat_map
                    yield Words("", id="legend")
                with Vertical(id="plot-side"):
                    yield Title("", id="plot-title")
                    yield Drawn(id="plot")
            yield Title("by window, oldest first", id="tracks-title")
            yield Words("", id="tracks")
            yield Title("in words", id="words-title")
            yield Words("", id="words")
        yield Words("", id="reason")

    def load(self, workspace: Workspace) -> Loaded:
        """The report, and what stands before and after it."""
        report = monitor.report(workspace, self.ref)
        return Loaded(report, tuple(key[0] for key in watched.report_keys(workspace, report.deployment)))

    def show(self, data: Loaded) -> None:
        """Everything; the cursor goes to the newest judged window of a report that was not here before."""
        report = data.report
        self.rows = heat_rows(report.windows)
        self.gaps = timeline((one.start, one.end) for one in report.windows).gaps
        self.cut = cuts_before(self.gaps, [one.start for one in report.windows])
        if self.shown_id != report.id:
            self.shown_id = self.ref = report.id
            judged = [at for at, one in enumerate(report.windows) if one.features]
            at = judged[-1] if judged else len(report.windows) - 1
            self._show_heat(at)
            if judged:
                self.query_one("#heat", Table).go_to(self._worst_of(at))
        else:
            self._show_heat(self.window())
        self.query_one("#head", Words).update(_head(data, self.workspace.now()))
        self.query_one("#legend", Words).update(_legend(report, self.gaps, bool(self.rows)))
        drawn = performance(report.windows)
        self.query_one("#plot-side").display = drawn is not None
        if drawn is not None:
            self.query_one("#plot-title", Words).update(f"{_metric(report.windows)} by window")
            self.query_one("#plot", Drawn).put(drawn)
        self.query_one("#tracks", Words).update(_tracks(report.windows))
        self.query_one("#words", Words).update(_words(report.windows))

    # ── the heat map ─────────────────────────────────────────────────────────────────────────────

    def _worst_of(self, at: int) -> str:
        return max(self.rows, key=lambda name: -1.0 if (one := self.rows[name][at]) is None else heat(one))

    @property
    def _room(self) -> int:
        wide = self.app.size.width >= WIDE
        return int(self.app.size.width * SIDE if wide else self.app.size.width) - 3 - FEATURE - WORST - len(self.cut)

    def _show_heat(self, at: int) -> None:
        """Draw the map so that a window is in it, and under the cursor."""
        assert self.data is not None
        windows = self.data.report.windows
        wide = LONG if len(windows) * LONG <= self._room else SHORT
        fit = max(4, self._room // wide)
        if not self.first <= at < self.first + fit:
            self.first = at - fit + 1
        self.first = max(0, min(self.first, len(windows) - fit))
        shown = windows[self.first : self.first + fit]
        table = self.query_one("#heat", Part)
        table.columns = (
            Column("feature", "feature", 8, FEATURE, sorts=False),
            *(self._column(i, one, wide) for i, one in enumerate(shown, self.first)),
            Column("worst", "worst window", 12, WORST, sorts=False),
        )
        table.column = max(0, at - self.first + 1)
        span = slice(self.first, self.first + fit)
        table.put(list(self.rows), {name: row_cells(name, row[span], row) for name, row in self.rows.items()})

    def _column(self, at: int, window: WindowReport, wide: int) -> Column:
        """A window's column, with a mark before its head where the time before it is left out."""
        cut = at in self.cut
        head, width = f"{CUT if cut else ''}{short(window, wide)}", wide - 1 + cut
        return Column(str(at), head, width, width, right=cut, sorts=False)

    def window(self) -> int:
        """The chosen window, by its place in the report; one past the last on the column of the worst."""
        return self.first + self.query_one("#heat", Table).column - 1

    def chosen(self) -> tuple[str, int, Drift | None] | None:
        """The feature and the window under the cursor, and what is known of it; beside the windows, the worst one."""
        name, at = self.query_one("#heat", Table).current, self.window()
        if self.data is None or not isinstance(name, str) or name not in self.rows:
            return None
        row = self.rows[name]
        shown = len(self.query_one("#heat", Table).columns) - 2
        if not self.first <= at < self.first + shown:
            at = row.index(worst(row))
        return name, at, row[at]

    def moved(self) -> None:
        """The reason of the cell under the cursor; at an edge, further windows come in."""
        if self.data is not None and self.rows:
            self._follow()
        found = self.chosen()
        told = Content(" no window has rows enough to be judged" if self.data is not None else "")
        if found is not None and self.data is not None:
            told = cell_text(found[0], self.data.report.windows[found[1]], found[2])
        self.query_one("#reason", Words).update(told)

    def _follow(self) -> None:
        assert self.data is not None
        table = self.query_one("#heat", Table)
        shown, count = len(table.columns) - 2, len(self.data.report.windows)
        if table.column == 0 and self.first > 0:
            self._show_heat(self.first - 1)
        elif table.column == shown + 1 and self.first + shown < count:
            self._show_heat(self.first + shown)

    def behind(self, table: Table, key: Key) -> Opens | None:
        """The feature in that window."""
        found = self.chosen()
        if found is None or self.data is None:
            return None
        window = self.data.report.windows[found[1]]
        return "feature", f"{self.data.report.id} {found[0]} {window.start.isoformat()}@{window.version}"

    def on_resize(self) -> None:
        """As many windows as there is room for."""
        if self.data is not None and self.rows:
            self._show_heat(max(0, min(self.window(), len(self.data.report.windows) - 1)))

    # ── around ───────────────────────────────────────────────────────────────────────────────────

    def action_beside(self, by: int) -> None:
        """An older (1) or a newer (-1) report of the deployment."""
        if self.data is None:
            return
        at = self.data.ids.index(self.data.report.id) + by if self.data.report.id in self.data.ids else 0
        if 0 <= at < len(self.data.ids):
            self.ref = self.data.ids[at]
            self.reload()
        else:
            self.app_.tell("this is the oldest report" if by > 0 else "this is the newest report")

    def subject(self) -> Subject | None:
        """The report, its deployment and its pipeline."""
        if self.data is None:
            return None
        report = self.data.report
        return Subject("report", report.id, {"deployment": report.deployment, "pipeline": report.model})

    def shell(self) -> list[str]:
        """The same in the CLI."""
        return ["monitor", "show", self.ref]

    def keys(self) -> Sequence[tuple[str, str]]:
        """Its own keys."""
        return (("Enter", "the feature"), ("←→", "window"), ("[ ]", "older, newer report"))


# ── the rest of the page ─────────────────────────────────────────────────────────────────────────


def _head(data: Loaded, now: datetime) -> Content:
    report, windows = data.report, data.report.windows
    by = "the rows' time" if report.by == "event" else "when they were answered"
    span = f"{day(windows[0].start)} to {day(windows[-1].end)}" if windows else "no window"
    count = f"{len(windows)} window{'s' if len(windows) != 1 else ''} of {report.window} by {by}"
    place = f", {data.ids.index(report.id) + 1} of {len(data.ids)}" if report.id in data.ids else ""
    asked = "" if report.routine else f", {UNREAD}"
    return facts([
        ("predictions", f"{report.rows:,} in {count}, {span}"),
        ("report", f"{report.id}{place}, made {age(report.created_at, now)} ago by {report.user}{asked}"),
    ])  # fmt: skip


def _legend(report: MonitorReport, gaps: Sequence[Gap], judged: bool) -> Content:
    remark = report.windows[-1].remark if report.windows else ""
    told = LEGEND if judged else remark or "no window has rows enough to be judged"
    return Content.styled(f"{told}\n{gaps_text(gaps)}".rstrip(), "dim")


def _metric(windows: Sequence[WindowReport]) -> str:
    known = [live.name if (live := one.performance) else one.estimate.metric if one.estimate else "" for one in windows]
    return next((name for name in reversed(known) if name), "metric")


def performance(windows: Sequence[WindowReport]) -> Draw | None:
    """Return the plot of a metric by window: realised with its interval, estimated, expected; None where none is."""
    measured = [at for at, one in enumerate(windows) if one.performance or one.estimate]
    if not measured:
        return None
    shown = windows[measured[0] : measured[-1] + 1]  # no room for those before and after, of which nothing is known
    dates, starts = timeline((one.start, one.end) for one in shown), [one.start for one in shown]
    realised = [one.performance.value if one.performance else None for one in shown]
    estimated = [one.estimate.value if one.estimate else None for one in shown]
    healthy = expected(windows)
    series = [
        Line(name, *dates.curve(starts, values))
        for name, values in (("realised", realised), ("estimated", estimated))
        if any(value is not None for value in values)
    ]
    series += _intervals(shown, dates)
    if healthy is not None:
        series.append(Line("expected", *dates.curve(starts, [healthy.value] * len(starts))))
    return lambda width, height: plots.lines(series, width, height, dates=dates)


def _intervals(windows: Sequence[WindowReport], dates: Timeline) -> list[Line]:
    """A bar from the low to the high end of every realised figure."""
    x: list[float] = []
    y: list[float | None] = []
    for one in windows:
        found = one.performance
        if found is not None and found.low is not None and found.high is not None:
            x += [dates.places[one.start]] * 3
            y += [found.low, found.high, None]
    return [Line("its interval", tuple(x), tuple(y))] if x else []


def _tracks(windows: Sequence[WindowReport]) -> Content:
    pairs: list[tuple[str, object]] = [
        (one.label, f"{sparkline(thin(one.values, PLOT_WINDOWS))}  {one.ends}{one.note}") for one in tracks(windows)
    ]
    healthy = expected(windows)
    if healthy is not None:
        pairs.append(("expected", f"{healthy.name} {interval(healthy)} on the rows that it was tested on"))
    return facts(pairs)


def _words(windows: Sequence[WindowReport]) -> Content:
    lines = [
        Content.assemble(Content.styled(f"{sign} " if sign else "", SIGNS.get(sign, "")), text)
        for sign, text in newest(windows)
    ]
    return Content("\n").join(lines)
