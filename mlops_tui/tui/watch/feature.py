"""One feature of a monitor report: the reference against a window, and the figures of every window."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

import msgspec
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical, VerticalScroll
from textual.content import Content

from mlops_tui.errors import MlopsError, NotFound
from mlops_tui.flows.watch import monitor
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import Drift, FeatureReport, FeatureWindow, MonitorReport, Spread, WindowReport
from mlops_tui.texts.bars import bars, hbars
from mlops_tui.texts.cells import cell, day, profile_value
from mlops_tui.texts.grid import hint
from mlops_tui.texts.heat import DRIFTED, FAULT, HEAT, heat, level, measure
from mlops_tui.tui import jobs
from mlops_tui.tui.detail import Detail, Opens, Part
from mlops_tui.tui.page import WIDE
from mlops_tui.tui.verbs import Subject
from mlops_tui.tui.watch.heat import TONES, cell_text
from mlops_tui.tui.widgets.columns import Cell, Column, Key
from mlops_tui.tui.widgets.drawn import Draw, Drawn, Title, Words
from mlops_tui.tui.widgets.table import Table

FEW = 6  # windows in view where the drawing is above them
AT_ONCE = 12  # windows that one command counts
REST = 0.15  # seconds that the cursor stays on a window before a command is started for it
WINDOWS = (
    Column("start", "window", 10, 11, sorts=False), Column("verdict", "verdict", 9, 12, sorts=False),
    Column("distance", "distance", 8, 14, right=True, sorts=False),
    Column("threshold", "limit", 5, 7, right=True, sorts=False), Column("psi", "PSI", 5, 7, right=True, sorts=False),
    Column("p", "p", 6, 8, right=True, sorts=False), Column("moved", "moved", 5, 7, right=True, sorts=False),
    Column("missing", "missing", 7, 8, right=True, sorts=False),
    Column("unseen", "unseen", 6, 7, right=True, sorts=False),
    Column("out", "outside", 7, 8, right=True, sorts=False), Column("rows", "rows", 5, 10, right=True, sorts=False),
    Column("version", "model", 3, 6, sorts=False),
)  # fmt: skip


At = tuple[datetime, int]
"""A window of a report: when it begins, and the model version that answered."""


def parse_ref(ref: str) -> tuple[str, str, At | None]:
    """Return the report, the feature and the window of "REPORT FEATURE [START@VERSION]"; a name may have blanks."""
    report, _, rest = ref.partition(" ")
    name, _, window = rest.rpartition(" ")
    start, _, version = window.partition("@")
    try:
        return report, name, (datetime.fromisoformat(start), int(version))
    except ValueError:
        return report, rest, None


class FeaturePage(Detail[MonitorReport]):
    """One feature in the windows of a report: the cursor chooses the window that is drawn over the reference."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left_square_bracket", "beside(-1)", "the window before", show=False),
        Binding("right_square_bracket", "beside(1)", "the next window", show=False),
    ]

    def __init__(self, ref: str) -> None:
        super().__init__(ref)
        self.report, self.feature, self.at = parse_ref(ref)
        self.counted: dict[datetime, FeatureReport] = {}
        self.drawn: At | None = None
        self.counting: frozenset[datetime] = frozenset()  # windows whose rows a command counts now

    def title_in_path(self) -> str:
        """Its name."""
        return self.feature

    def body(self) -> ComposeResult:
        """The drawing, the windows beside or below it, and what the chosen one says."""
        with VerticalScroll(id="scroll"), Container(classes="two"):
            with Vertical(id="over"):
                yield Title("", id="over-title")
                yield Drawn(id="overlay")
                yield Words("", id="rest")
            with Vertical(id="windows-side"):
                yield Part(WINDOWS, id="windows", most=40)
        yield Words("", id="reason")

    def load(self, workspace: Workspace) -> MonitorReport:
        """The report; raises NotFound where none of its windows has the feature."""
        report = monitor.report(workspace, self.report)
        known = {one.feature for window in report.windows for one in _measured(window)}
        if self.feature not in known:
            raise NotFound(f"the report {report.id} has no feature '{self.feature}'", f"mlops monitor show {report.id}")
        return report

    def show(self, data: MonitorReport) -> None:
        """Figures at once; the rows are counted by a command, which takes a moment."""
        table = self.query_one("#windows", Part)
        table.most = 40 if self.app.size.width >= WIDE else FEW
        table.put([_at(one) for one in data.windows], {_at(one): _cells(one, self.drift(one)) for one in data.windows})
        if self.drawn is None:
            judged = [_at(one) for one in data.windows if self.drift(one)]
            table.go_to(self.at if self.at in table.keys else judged[-1])
        self._draw()

    def drift(self, window: WindowReport) -> Drift | None:
        """What the report says of this feature in a window."""
        return next((one for one in _measured(window) if one.feature == self.feature), None)

    @property
    def window(self) -> WindowReport | None:
        """The window under the cursor."""
        at = self.query_one("#windows", Table).current
        return next((one for one in self.data.windows if _at(one) == at), None) if self.data else None

    def moved(self) -> None:
        """Another window is drawn."""
        window = self.window
        if window is not None:
            self.at = _at(window)
            self.query_one("#reason", Words).update(cell_text(self.feature, window, self.drift(window)))
            if self.drawn != self.at:
                self._draw()

    # ── the drawing ──────────────────────────────────────────────────────────────────────────────

    def _draw(self) -> None:
        window = self.window
        if window is None:
            return
        self.drawn = _at(window)
        found = self.counted.get(window.start)
        self.query_one("#over-title", Words).update(f"reference and {day(window.start)} to {day(window.end)}")
        if found is None:
            self._say("computing: the rows of this window are counted …")
            if window.start not in self.counting:  # whatever else has changed meanwhile
                self._count(window.start)
            return
        one = next((one for one in found.windows if (one.start, one.version) == self.drawn), None)
        if one is None:
            self._say(f"model :{window.version}, which answered in this window, has no '{self.feature}'")
        else:
            self.query_one("#overlay", Drawn).put(overlay(found, one))
            self.query_one("#rest", Words).update(_rest(one))

    def _say(self, text: str) -> None:
        self.query_one("#overlay", Drawn).put(lambda width, height: hint(text, width, height))
        self.query_one("#rest", Words).update("")

    @work(exclusive=True, group="count", exit_on_error=False)
    async def _count(self, start: datetime) -> None:
        """Have the rows of the windows around one counted, by the command that shows the same.

        Another window ends it: so a held arrow key starts nothing, and there is one command at work at the most.
        """
        assert self.data is not None
        starts = list(dict.fromkeys(one.start for one in self.data.windows))
        first = max(0, min(starts.index(start) - AT_ONCE // 2, len(starts) - AT_ONCE))
        near = starts[first : first + AT_ONCE]
        self.counting = mine = frozenset(near)
        try:
            await asyncio.sleep(REST)
            answer = await jobs.answer(self.workspace.root, self._words(near))
        finally:
            if self.counting is mine:
                self.counting = frozenset()
        try:
            self._take(near, answer)
        except MlopsError as error:
            self._say(error.message)

    def _take(self, starts: Sequence[datetime], answer: dict[str, object]) -> None:
        error = answer.get("error")
        if isinstance(error, dict):
            raise MlopsError(f"cannot be counted: {error.get('message', '?')}")
        try:
            found = msgspec.convert(answer, FeatureReport)
        except msgspec.ValidationError as wrong:
            raise MlopsError(f"cannot be counted: the answer is another version's: {wrong}") from None
        self.counted.update(dict.fromkeys(starts, found))
        self._draw()

    def _words(self, starts: Sequence[datetime]) -> list[str]:
        windows = [word for start in starts for word in ("--window", f"{start:%Y-%m-%dT%H:%M:%S}")]
        ends = ["--"] if self.feature.startswith("-") else []  # of the options: a column may be called as it likes
        return ["monitor", "feature", *windows, *ends, self.report, self.feature]

    # ── around ───────────────────────────────────────────────────────────────────────────────────

    def action_beside(self, by: int) -> None:
        """An older (-1) or a newer (1) window."""
        self.query_one("#windows", Part).cursor += by

    def behind(self, table: Table, key: Key) -> Opens | None:
        """The report that all of this is from."""
        return ("report", self.data.id) if self.data else None

    def subject(self) -> Subject | None:
        """The report."""
        if self.data is None:
            return None
        refs = {"deployment": self.data.deployment, "pipeline": self.data.model}
        return Subject("report", self.data.id, refs)

    def shell(self) -> list[str]:
        """The same in the CLI."""
        return self._words([self.at[0]] if self.at else [])

    def keys(self) -> Sequence[tuple[str, str]]:
        """Its own keys."""
        return (("↑↓ [ ]", "older, newer window"), ("Enter", "the report"))


def _at(window: WindowReport) -> At:
    return window.start, window.version


def _measured(window: WindowReport) -> tuple[Drift, ...]:
    return (*window.features, *((window.prediction,) if window.prediction else ()))


def _cells(window: WindowReport, one: Drift | None) -> tuple[Cell, ...]:
    start, rows = Cell(day(window.start)), Cell(f"{window.rows:,}", "", window.rows)
    version = Cell(f":{window.version}", "dim")
    if one is None:
        return (start, Cell("· not judged", "dim"), *[Cell("")] * 8, rows, version)
    word = (
        f"{HEAT[FAULT]} fault"
        if one.fault
        else f"{HEAT[DRIFTED]} drifted"
        if one.drifted
        else f"{HEAT[level(one)]} healthy"
    )
    shares = (one.missing, one.unseen, one.out_of_range)
    return (
        start, Cell(word, TONES[level(one)], heat(one)), Cell(f"{measure(one)} {one.distance:.3f}", "", one.distance),
        Cell(f"{one.threshold:.3f}", "", one.threshold), Cell(f"{one.psi:.3f}", "", one.psi),
        Cell(f"{one.p_value:.4f}", "", one.p_value),
        Cell("" if one.wasserstein is None else f"{one.wasserstein:.2f}", "", one.wasserstein),
        *(Cell(f"{share:.1%}" if share else "0", "", share) for share in shares), rows, version,
    )  # fmt: skip


def overlay(found: FeatureReport, one: FeatureWindow) -> Draw:
    """Return the drawing of a window over its reference: shares of rows by bin, or by label or time."""
    names = ("reference", f"{day(one.start)} :{one.version}")
    sides = [_shares(one.reference), _shares(one.window)]
    if found.labels or found.dtype.startswith("Date"):
        labels = found.labels or tuple(cell(profile_value(edge, found.dtype)) for edge in found.edges[:-1])
        rows = list(zip(labels, *sides, strict=False))
        return lambda width, height: hbars(rows, width, height, names)
    series = dict(zip(names, sides, strict=True))
    return lambda width, height: bars(
        found.edges, series, width, height, x_label=found.feature, y_label="share of rows"
    )


def _shares(side: Spread) -> list[float]:
    return [count / side.rows if side.rows else 0.0 for count in side.counts]


def _rest(one: FeatureWindow) -> Content:
    """What the drawing does not have: rows in no bin, and what is said of the window."""
    told = "; ".join(
        f"{name} {side.rows:,} rows, {side.missing / max(1, side.rows):.1%} missing"
        + (f", {side.rest / side.rows:.1%} elsewhere" if side.rest else "")
        for name, side in (("reference", one.reference), ("window", one.window))
    )
    return Content.styled(f"{told}\n{one.remark}".rstrip(), "dim")
