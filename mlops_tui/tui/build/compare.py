"""Runs side by side: what differs in how they were made, and what came of it, against the first of them."""

from __future__ import annotations

from string import ascii_uppercase
from typing import Any, NamedTuple

from textual.app import ComposeResult
from textual.containers import Container, Vertical, VerticalScroll

from mlops_tui.core.compare import Compared, compare, flatten
from mlops_tui.errors import InvalidInput, MlopsError
from mlops_tui.flows import lookup
from mlops_tui.flows.build import runs
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import LOWER_IS_BETTER, Metric, Run, RunDetails
from mlops_tui.texts import plots
from mlops_tui.texts.cells import age, cell
from mlops_tui.texts.contest import tested
from mlops_tui.tui.build.root import MOST_COMPARED, STATUS, fitting
from mlops_tui.tui.detail import Detail, Opens, Part
from mlops_tui.tui.verbs import Subject, Verb
from mlops_tui.tui.widgets.columns import Cell, Column, Key
from mlops_tui.tui.widgets.drawn import Draw, Drawn, Title, Words
from mlops_tui.tui.widgets.table import Table

RUNS = (
    Column("letter", "", 1, 1, sorts=False), Column("run", "run", 12, 12, sorts=False),
    Column("pipeline", "pipeline", 8, 20, sorts=False), Column("status", "status", 8, 13, sorts=False),
    Column("data", "data", 6, 16, sorts=False), Column("age", "age", 4, 8, sorts=False),
    Column("why", "why", 10, 80, sorts=False),
)  # fmt: skip


class Loaded(NamedTuple):
    """Runs, what differs between them, and the details of those that left any that can be read."""

    found: Compared
    details: dict[str, RunDetails]


class Compare(Detail[Loaded]):
    """Two to six runs, "id,id,id"; the first is what the others are compared with."""

    def title_in_path(self) -> str:
        """How many they are."""
        return f"compare {self.ref.count(',') + 1} runs"

    def body(self) -> ComposeResult:
        """The runs; what came of them left, the curves and the settings right."""
        with VerticalScroll(id="scroll", can_focus=False):
            yield Part(RUNS, id="runs")
            with Container(classes="two"):
                with Vertical():
                    yield Title("", id="metrics-title")
                    yield Part(id="metrics", most=18)
                    yield Title("Learning curves on validation rows", id="curves-title")
                    yield Drawn(id="curves")
                    yield Words("", id="note")
                with Vertical():
                    yield Title("Settings: ≠ what differs from A")
                    yield Part(id="settings", most=30)

    def load(self, workspace: Workspace) -> Loaded:
        """The runs and their details."""
        ids = list(dict.fromkeys(self.ref.split(",")))
        if not 2 <= len(ids) <= MOST_COMPARED:
            raise InvalidInput(f"comparing takes 2 to {MOST_COMPARED} runs, these are {len(ids)}", "mlops runs list")
        found = [runs.honest(workspace, lookup.run(workspace, one)) for one in ids]
        details = {run.id: made for run in found if (made := _details(workspace, run)) is not None}
        return Loaded(compare(found), details)

    def show(self, data: Loaded) -> None:
        """All of it."""
        shown = data.found.runs
        now = self.workspace.now()
        rows: dict[Key, tuple[Cell, ...]] = {
            run.id: (Cell(ascii_uppercase[at], "lit"), *_words(run, age(run.started_at, now)))
            for at, run in enumerate(shown)
        }
        self.query_one("#runs", Part).put(list(rows), rows)
        names = [f"{ascii_uppercase[at]} {run.id}" for at, run in enumerate(shown)]
        for table, made, wide in (("#metrics", _metrics(data), 18), ("#settings", _settings(data.found), 24)):
            part = self.query_one(table, Part)
            by_run = (Column(name, name, 16, wide, sorts=False) for name in names)
            part.columns = (Column("name", "", 18, 30, sorts=False), *by_run)
            part.put(list(made), made)
        told = tested(data.found.same_test_rows)
        self.query_one("#metrics-title", Words).update(f"Metrics {told}: ▲ better, ▼ worse than A", layout=False)
        draw, left_out = _curves(data)
        self.query_one("#curves", Drawn).display = self.query_one("#curves-title").display = draw is not None
        if draw is not None:
            self.query_one("#curves", Drawn).put(draw)
        note = f"without a curve of this metric: {', '.join(left_out)}" if left_out else ""
        self.query_one("#note", Words).update(note)

    def behind(self, table: Table, key: Key) -> Opens | None:
        """A run."""
        return ("run", str(key)) if table.id == "runs" else None

    def subject(self) -> Subject | None:
        """The run under the cursor."""
        run = self._run()
        return Subject("run", run.id, {"pipeline": run.pipeline}) if run else None

    def _run(self) -> Run | None:
        key = self.query_one("#runs", Part).current
        return next((run for run in self.data.found.runs if run.id == key), None) if self.data else None

    def acts(self) -> list[Verb]:
        """What can be done to the run under the cursor."""
        run = self._run()
        return fitting(super().acts(), run.status if run else "")

    def keys(self) -> tuple[tuple[str, str], ...]:
        """Its own keys."""
        return (("Enter", "open the run"), ("Tab", "next table"), ("←→", "more columns"))

    def shell(self) -> list[str]:
        """The same in the CLI."""
        return ["runs", "compare", *self.ref.split(",")]


def _details(workspace: Workspace, run: Run) -> RunDetails | None:
    """What a run left; None where that is nothing, or cannot be read: its own page says why."""
    try:
        return lookup.run_details(workspace, run) if run.details else None
    except MlopsError:
        return None


def _words(run: Run, since: str) -> tuple[Cell, ...]:
    mark, tone = STATUS[run.status]
    return (
        Cell(run.id), Cell(run.pipeline), Cell(f"{mark} {run.status}", tone),
        Cell(f"{run.dataset}:{run.dataset_version}"), Cell(since, "dim"), Cell(run.reason),
    )  # fmt: skip


def _metrics(data: Loaded) -> dict[Key, tuple[Cell, ...]]:
    """Every metric by run: the value and how far it is from the first run's; below it the interval."""
    details = [data.details.get(run.id) for run in data.found.runs]
    tests = [{metric.name: metric for metric in one.metrics.get("test", ())} if one else {} for one in details]
    rows: dict[Key, tuple[Cell, ...]] = {}
    for name, values in data.found.metrics.items():
        rows[name] = (Cell(name, "lit"), *(_measured(name, value, values[0]) for value in values))
        intervals = [_interval(test.get(name)) for test in tests]
        if any(intervals):
            rows[name, "interval"] = (Cell("  interval", "dim"), *(Cell(text, "dim") for text in intervals))
    return rows


def _measured(name: str, value: float | None, base: float | None) -> Cell:
    if value is None:
        return Cell("-", "dim")
    if base is None or value == base:
        return Cell(f"{value:.4f}")
    better = (value < base) == (name in LOWER_IS_BETTER)
    return Cell(f"{value:.4f} {'▲' if better else '▼'} {value - base:+.4f}", "ok" if better else "fail")


def _interval(metric: Metric | None) -> str:
    known = metric is not None and metric.low is not None and metric.high is not None
    return f"{metric.low:.4f} … {metric.high:.4f}" if known and metric else ""


def _settings(found: Compared) -> dict[Key, tuple[Cell, ...]]:
    """What differs first, lit; then what is the same in all runs, which one column would tell, dim."""
    rows: dict[Key, tuple[Cell, ...]] = {
        key: (Cell(f"≠ {key}", "lit"), *(Cell(cell(value), "" if value == values[0] else "wait") for value in values))
        for key, values in found.settings.items()
    }
    same: dict[str, Any] = {key: value for key, value in flatten(found.runs[0].settings).items() if key not in rows}
    count = len(found.runs)
    return rows | {key: (Cell(f"  {key}", "dim"), *(Cell(cell(value), "dim"),) * count) for key, value in same.items()}


def _curves(data: Loaded) -> tuple[Draw | None, list[str]]:
    """The curves of the metric that the first run with one watched, and who has none of it."""
    curves = {run.id: data.details[run.id].curve for run in data.found.runs if run.id in data.details}
    if not curves:
        return None, []
    metric = next(iter(curves.values())).metric
    names = {run.id: ascii_uppercase[at] for at, run in enumerate(data.found.runs)}
    chosen = {one: curve for one, curve in curves.items() if curve.metric == metric}
    drawn = {one: (curve.rounds, curve.validation) for one, curve in chosen.items()}
    series = [plots.Line(one, *drawn.get(one, ((), ()))) for one in names]  # all: each keeps its letter
    draw: Draw = lambda width, height: plots.lines(series, width, height, x_label="round", y_label=metric)  # noqa: E731
    return draw, [f"{names[one]} {one}" for one in names if one not in chosen]
