"""A run: what it trained on and what came of it; while it trains, its curve and its words as they come."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, NamedTuple

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical, VerticalScroll
from textual.content import Content

from mlops_tui.core.compare import flatten
from mlops_tui.errors import MlopsError
from mlops_tui.flows import lookup
from mlops_tui.flows.build import runs
from mlops_tui.flows.queries import lists, live
from mlops_tui.flows.queries.live import Told
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import Run, RunDetails
from mlops_tui.texts.bars import hbars
from mlops_tui.texts.cells import age, cell
from mlops_tui.tui.build import parts
from mlops_tui.tui.build.root import STATUS, fitting
from mlops_tui.tui.detail import FACTS, Detail, Fact, Opens, Part
from mlops_tui.tui.verbs import Subject, Verb
from mlops_tui.tui.widgets.columns import Key
from mlops_tui.tui.widgets.drawn import Drawn, Title, Words, facts
from mlops_tui.tui.widgets.table import Table

EVERY = 0.25  # seconds between two looks at what a live run says
TAIL = 12  # lines of the log that are shown
SHOWN = 20  # features of the importance


class Loaded(NamedTuple):
    """A run with all that belongs to it; `events` is what it told so far, `read` how many bytes of it are read."""

    run: Run
    details: RunDetails | None
    lost: str  # why the details cannot be read, though there should be some
    model: str
    waits: bool  # whether the model waits for a person
    events: tuple[Told, ...]
    read: int


class RunPage(Detail[Loaded]):
    """One run, by its id or the beginning of it."""

    breathes = 20.0  # its age grows
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("m", "belongs('model')", "its model", show=False),
        Binding("d", "belongs('dataset')", "its dataset", show=False),
    ]

    def body(self) -> ComposeResult:
        """Causes and results left, what happened right; one below the other where there is no room."""
        with VerticalScroll(id="scroll", can_focus=False), Container(classes="two"):
            with Vertical():
                yield Part(FACTS, id="facts", most=20)
                yield Words("", id="progress")
                yield Title("Metrics", id="metrics-title")
                yield Part(parts.METRICS, id="metrics")
                yield Title("Learning curve", id="curve-title")
                yield Drawn(id="curve")
            with Vertical():
                yield Title("Folds, each tested on rows that it has not seen", id="folds-title")
                yield Part(id="folds")
                yield Title("Importance: share of the total gain", id="importance-title")
                yield Drawn(id="importance")
                yield Title("Log", id="log-title")
                yield Words("", id="log")
                yield Title("CPU seconds", id="timings-title")
                yield Words("", id="timings")
                yield Title("Parameters", id="parameters-title")
                yield Words("", id="parameters")

    def on_mount(self) -> None:
        """The clock of a live run stands still until there is one."""
        self.ticks = self.set_interval(EVERY, self._tick, pause=True)

    def load(self, workspace: Workspace) -> Loaded:
        """The run as it is, its details, its model, its words."""
        run = runs.honest(workspace, lookup.run(workspace, self.ref))
        details, lost = None, ""
        if run.details is not None:
            try:
                details = lookup.run_details(workspace, run)
            except MlopsError as error:
                lost = error.message
        made = lists.model_rows(workspace, lists.models(workspace, f"run={run.id}"))
        events, read = live.follow(workspace, run.id)
        model, waits = (made[0].version.ref, made[0].standing.state == "waiting") if made else ("", False)
        return Loaded(run, details, lost, model, waits, tuple(events), read)

    def title_in_path(self) -> str:
        """Its whole id."""
        return f"run {self.data.run.id if self.data else self.ref}"

    def show(self, data: Loaded) -> None:
        """Everything that there is; what there is nothing of takes no room."""
        self.query_one("#facts", Part).put_facts(_facts(data, self.workspace.now()))
        self._show_results(data.details)
        self._show_words(data)
        if data.run.status == "running":
            self.ticks.resume()
        else:
            self.ticks.pause()

    def _show_results(self, details: RunDetails | None) -> None:
        metrics, folds = (parts.metrics(details), parts.folds(details)) if details else ({}, {})
        self.query_one("#metrics", Part).put(list(metrics), metrics)
        table = self.query_one("#folds", Part)
        table.columns = parts.fold_columns(details)
        table.put(list(folds), folds)
        importance = details.importance[:SHOWN] if details else ()
        drawing = self.query_one("#importance", Drawn)
        drawing.styles.height = len(importance)
        drawing.put(lambda width, height: hbars(importance, width, height))
        timings = list(details.timings.items()) if details else []
        self.query_one("#timings", Words).update(facts([(name, f"{seconds:8.2f}") for name, seconds in timings]))
        parameters = list(flatten(details.parameters).items()) if details else []
        self.query_one("#parameters", Words).update(facts([(name, cell(value)) for name, value in parameters]))
        self._show_if(metrics=metrics, folds=folds, importance=importance, timings=timings, parameters=parameters)

    def _show_words(self, data: Loaded) -> None:
        """The curve, the last lines of the log, and how far a live run is: all that may grow."""
        curve = data.details.curve if data.details else live.curve_of(data.events)
        lines = [*map(parts.line, data.events[-TAIL:]), *(data.details.messages if data.details else ())]
        self._show_if(curve=curve, log=lines)
        if curve:
            self.query_one("#curve", Drawn).put(parts.drawn(curve))
        self.query_one("#log", Words).update(Content("\n".join(lines)))
        progress = self.query_one("#progress", Words)
        progress.display = data.run.status == "running"
        if progress.display:
            progress.update(parts.progress(data.events, self.size.width))

    def _show_if(self, **sections: object) -> None:
        for name, content in sections.items():
            self.query_one(f"#{name}-title").display = self.query_one(f"#{name}").display = bool(content)

    def _tick(self) -> None:
        """What a live run has said since the last look; load all again when it has ended."""
        data = self.data
        if data is None or not self.is_open or self.app.screen is not self:
            return
        events, read = live.follow(self.workspace, data.run.id, data.read)
        if events:
            self.data = data._replace(events=(*data.events, *events), read=read)
            self._show_words(self.data)
        elif not runs.is_live(self.workspace, data.run):
            self.ticks.pause()
            self.reload()

    def behind(self, table: Table, key: Key) -> Opens | None:
        """What a fact names."""
        found = _facts(self.data, self.workspace.now()) if self.data and table.id == "facts" else []
        return next((fact.opens for fact in found if fact.name == key), None)

    def action_belongs(self, noun: str) -> None:
        """Open what belongs to the run."""
        ref = self.subject().of(noun)
        if ref:
            self.app_.open(noun, ref)
        else:
            self.app_.tell(f"this run has no {noun}")

    def subject(self) -> Subject:
        """The run, its pipeline, dataset and model."""
        if self.data is None:
            return Subject("run", self.ref)
        run = self.data.run
        refs = {"pipeline": run.pipeline, "dataset": f"{run.dataset}:{run.dataset_version}", "model": self.data.model}
        waits = "model" if self.data.waits else ""
        return Subject("run", run.id, {noun: ref for noun, ref in refs.items() if ref}, waits)

    def acts(self) -> list[Verb]:
        """Only what trains can be stopped, only what has ended can be done again."""
        return fitting(super().acts(), self.data.run.status if self.data else "")

    def keys(self) -> Sequence[tuple[str, str]]:
        """To what belongs to it."""
        return (("Enter", "open"), *((("m", "model"),) if self.data and self.data.model else ()), ("d", "dataset"))

    def shell(self) -> list[str]:
        """The same in the CLI."""
        return ["runs", "show", self.subject().ref]


def _facts(data: Loaded, now: datetime) -> list[Fact]:
    run = data.run
    mark, tone = STATUS[run.status]
    commit = f"{run.code.commit[:12]}{' (dirty)' if run.code.dirty else ''}" if run.code.commit else "no git"
    took = f", took {(run.ended_at - run.started_at).total_seconds():,.1f} s" if run.ended_at else ""
    rows = ", ".join(f"{count:,} {name}" for name, count in data.details.rows.items()) if data.details else ""
    dataset = f"{run.dataset}:{run.dataset_version}"
    return [
        Fact("status", f"{mark} {run.status}", tone),
        Fact("ended" if run.status == "interrupted" else "error", run.error or "", tone),
        Fact("results", f"✗ {data.lost}" if data.lost else "", "fail"),
        Fact("why", run.reason),
        Fact("pipeline", run.pipeline, opens=("pipeline", run.pipeline)),
        Fact("dataset", dataset, opens=("dataset", dataset)),
        Fact("model", data.model, "lit", ("model", data.model)),
        Fact("rows", rows),
        Fact("started", f"{age(run.started_at, now)} ago by {run.author}, {cell(run.started_at)}{took}"),
        Fact("code", f"{run.code.fingerprint[:12]}, {commit}"),
        Fact("seed, threads", f"{run.seed}, {run.threads}"),
        Fact("environment", ", ".join(f"{name} {version}" for name, version in run.environment.items())),
    ]
