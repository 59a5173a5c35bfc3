"""Build: all datasets, runs and pipeline files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType

from mlops_tui.core.compare import headline
from mlops_tui.flows.build import datasets
from mlops_tui.flows.queries import lists
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import DatasetVersion, Run
from mlops_tui.texts.cells import age
from mlops_tui.tui.lists import Asked, Found, Lists, Row, Tab, kept
from mlops_tui.tui.verbs import Subject, Verb
from mlops_tui.tui.views import versus
from mlops_tui.tui.widgets.columns import Cell, Column, Key

STATUS = {"completed": ("✓", "ok"), "failed": ("✗", "fail"), "interrupted": ("■", "warn"), "running": ("▶", "busy")}
MOST_COMPARED = 6

# ── datasets ─────────────────────────────────────────────────────────────────────────────────────

DATASET_COLUMNS = (
    Column("dataset", "dataset", 7, 28), Column("version", "version", 7, 7, right=True),
    Column("rows", "rows", 6, 14, right=True), Column("columns", "columns", 7, 7, right=True),
    Column("parts", "parts", 5, 7, right=True), Column("state", "state", 6, 9), Column("age", "age", 4, 8, sorts=False),
    Column("by", "by", 3, 14),
)  # fmt: skip


def _datasets(workspace: Workspace, text: str, by: str) -> Found:
    rows: dict[Key, Row] = {}
    for version in datasets.list_versions(workspace):
        ref = f"{version.dataset}:{version.version}"
        rows[ref] = Row(_dataset_cells(workspace, version), Subject("dataset", ref), ("dataset", ref))
    return kept(rows, DATASET_COLUMNS, text)


def _dataset_cells(workspace: Workspace, version: DatasetVersion) -> tuple[Cell, ...]:
    warned = any(finding.level == "warning" for finding in version.findings)
    mark, tone = ("✗", "fail") if version.state == "broken" else ("!", "warn") if warned else ("✓", "ok")
    return (
        Cell(version.dataset, "lit"), Cell(str(version.version), "", version.version),
        Cell(f"{version.rows:,}", "", version.rows), Cell(str(len(version.schema)), "", len(version.schema)),
        Cell(str(len(version.parts)), "", len(version.parts)), Cell(f"{mark} {version.state}", tone, version.state),
        Cell(age(version.created_at, workspace.now()), "dim"), Cell(version.author),
    )  # fmt: skip


# ── runs ─────────────────────────────────────────────────────────────────────────────────────────

RUN_COLUMNS = (
    Column("run", "run", 12, 12), Column("pipeline", "pipeline", 12, 20), Column("status", "status", 11, 13),
    Column("metric", "metric", 4, 10, sorts=False), Column("value", "value", 6, 8, right=True, sorts=False),
    Column("data", "data", 9, 16), Column("seconds", "seconds", 7, 8, right=True, sorts=False),
    Column("age", "age", 4, 8, sorts=False), Column("by", "by", 3, 12),
)  # fmt: skip


def _run_rows(workspace: Workspace, ids: Sequence[Key], metrics: Sequence[str]) -> Mapping[Key, Row]:
    found = lists.run_rows(workspace, [one for one in ids if isinstance(one, int)])
    by_id = zip(ids, found, strict=False)  # runs are never removed
    return {key: _run_row(workspace, run, metrics) for key, run in by_id}


def _run_row(workspace: Workspace, run: Run, metrics: Sequence[str]) -> Row:
    mark, tone = STATUS[run.status]
    name, value = headline(run) or ("", None)
    ended = workspace.now() if run.status == "running" else run.ended_at
    seconds = f"{(ended - run.started_at).total_seconds():,.1f}" if ended else ""
    data = f"{run.dataset}:{run.dataset_version}"
    cells = (
        Cell(run.id, "lit"), Cell(run.pipeline), Cell(f"{mark} {run.status}", tone, run.status), Cell(name, "dim"),
        Cell("" if value is None else f"{value:.4f}"), Cell(data), Cell(seconds),
        Cell(age(run.started_at, workspace.now()), "dim"), Cell(run.author),
        *(Cell(f"{run.metrics[metric]:.4f}" if metric in run.metrics else "") for metric in metrics),
    )  # fmt: skip
    return Row(cells, Subject("run", run.id, {"pipeline": run.pipeline, "dataset": data}), ("run", run.id))


def _runs_shell(text: str, by: str) -> list[str]:
    fields = [column.key for column in RUN_COLUMNS]
    keep = ["--filter", text] if text or by.removeprefix("-") in fields else []
    return ["runs", "list", *keep, *(["--sort", by] if by else [])]


def _runs(metrics: Sequence[str]) -> Tab:
    """The tab of runs, a column for every metric that any of them has."""
    measured = (Column(name, name, len(name), 17, right=True) for name in metrics)
    return Tab(
        "runs", (*RUN_COLUMNS, *measured), lambda workspace, text, by: Found(lists.runs(workspace, text, by)),
        _runs_shell, lambda workspace, ids: _run_rows(workspace, ids, metrics), marks=True,
        empty="no runs yet: r on a pipeline (key 0) trains, or: mlops run PIPELINE", keys=(("v", "compare marked"),),
    )  # fmt: skip


# ── pipelines ────────────────────────────────────────────────────────────────────────────────────

PIPELINE_COLUMNS = (
    Column("pipeline", "pipeline", 12, 24), Column("task", "task", 6, 12), Column("target", "target", 6, 18),
    Column("dataset", "dataset", 7, 20), Column("file", "file", 10, 36), Column("mistakes", "mistakes", 24, 200),
)  # fmt: skip


def _pipelines(workspace: Workspace, text: str, by: str) -> Found:
    from mlops_tui.flows import pipelines

    rows: dict[Key, Row] = {}
    for one in pipelines.list_pipelines(workspace):
        told = " ".join((one.error or "").removeprefix(str(workspace.root / one.path)).split())
        mistake = Cell(f"✗ {told}", "fail", told) if told else Cell("✓ none", "ok", "none")
        texts = (one.task or "", one.target or "", one.dataset or "")
        cells = (Cell(one.name, "lit"), *map(Cell, texts), Cell(one.path, "dim"), mistake)
        refs = {"dataset": one.dataset} if one.dataset else {}
        rows[one.name] = Row(cells, Subject("pipeline", one.name, refs), ("pipeline", one.name))
    return kept(rows, PIPELINE_COLUMNS, text)


def fitting(acts: Sequence[Verb], status: str) -> list[Verb]:
    """Return the acts that a run of this status allows: only what trains is stopped, only what has ended done again."""
    return [verb for verb in acts if verb.command != ("runs reproduce" if status == "running" else "runs stop")]


# ── the page ─────────────────────────────────────────────────────────────────────────────────────

DATASETS = Tab(
    "datasets", DATASET_COLUMNS, _datasets, lambda text, by: ["datasets", "list"], marks=True,
    empty="no datasets yet: D adds one, or: mlops datasets add NAME SOURCE", keys=(("v", "diff"),),
)  # fmt: skip
PIPELINES = Tab(
    "pipelines", PIPELINE_COLUMNS, _pipelines, lambda text, by: ["pipelines", "list"],
    empty="no pipelines yet: N writes one from what the data looks like, or: mlops demo",
)  # fmt: skip


class Build(Lists):
    """The lists of the act build."""

    name_in_path = "build"
    tabs: ClassVar[tuple[Tab, ...]] = (DATASETS, _runs(()), PIPELINES)
    BINDINGS: ClassVar[list[BindingType]] = [Binding("v", "versus", "put side by side", show=False)]

    def listed(self, workspace: Workspace, asked: Asked) -> Found:
        """The list that is asked for; that of runs has a column for every metric that there is."""
        if asked.tab.name == "runs":
            runs = _runs(lists.metrics(workspace))
            if runs.columns != asked.tab.columns:
                self.tabs = (DATASETS, runs, PIPELINES)  # type: ignore[misc]  # this page's, in place of the class's
                asked = asked._replace(tab=runs)
        return super().listed(workspace, asked)

    def show(self, data: Found) -> None:
        """The list, with the columns that it has now."""
        self.table.columns = self.tab.columns
        super().show(data)

    def acts(self) -> list[Verb]:
        """What can be done to the row."""
        row = self.row()
        runs = row is not None and row.subject.noun == "run"
        return fitting(super().acts(), str(row.cells[2].value)) if row and runs else super().acts()

    def action_versus(self) -> None:
        """Put the marked rows side by side; of datasets, the one under the cursor and the one before it will do."""
        refs = [row.opens[1] for row in self.marked()]
        if self.tab.name == "datasets":
            self._diff(refs)
        elif self.tab.name == "runs":
            self._compare(refs)

    def _diff(self, refs: Sequence[str]) -> None:
        row = self.row()
        opens = ("dataset diff", ",".join(sorted(refs, key=_in_time))) if len(refs) == 2 else None
        if not refs and row is not None:
            opens = versus(row.subject)
        if opens is not None:
            self.app_.open(*opens)
        else:
            self.app_.tell("a diff is of two versions: mark two with Space, or stand on one that has one before it")

    def _compare(self, refs: Sequence[str]) -> None:
        if 2 <= len(refs) <= MOST_COMPARED:
            self.app_.open("compare", ",".join(refs))
        else:
            self.app_.tell(f"mark 2 to {MOST_COMPARED} runs with Space; the others are compared with the first")


def _in_time(ref: str) -> tuple[str, int]:
    name, _, number = ref.rpartition(":")
    return name, int(number)
