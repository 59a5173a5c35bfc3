"""The page of a model version: its state, every gate's verdict with its reason, its figures, and where it was used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical
from textual.content import Content

from mlops_tui.flows.queries.served import Served, served
from mlops_tui.flows.release import bentos, models
from mlops_tui.flows.release.models import Shown
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import Bento, GateReport, GateResult, RunDetails
from mlops_tui.texts import plots
from mlops_tui.texts.bars import hbars
from mlops_tui.texts.cells import age, cell, figure
from mlops_tui.texts.grid import Grid
from mlops_tui.tui.release.parts import PARTS, Line, Rows, Sheet, champion_of, model_subject, part, stating
from mlops_tui.tui.verbs import Subject
from mlops_tui.tui.widgets.columns import Cell, Column
from mlops_tui.tui.widgets.drawn import Drawn, Title, Words, facts

SETS = ("test", "validation", "train")
GATES = (Column("passed", "", 1, 1, sorts=False), Column("gate", "gate", 10, 30, sorts=False),
         Column("value", "value", 6, 10, right=True, sorts=False), Column("interval", "interval", 6, 18, sorts=False),
         Column("asked", "asked", 5, 8, right=True, sorts=False),
         Column("why", "why", 8, 200, sorts=False))  # fmt: skip
METRICS = (Column("metric", "metric", 6, 20, sorts=False), Column("test", "test (95 % interval)", 8, 27, sorts=False),
           Column("validation", "validation", 6, 10, right=True, sorts=False),
           Column("train", "train", 6, 10, right=True, sorts=False))  # fmt: skip
SAID = (Column("at", "age", 4, 6, right=True, sorts=False), Column("what", "what", 8, 34, sorts=False),
        Column("by", "by", 3, 12, sorts=False), Column("why", "why", 8, 200, sorts=False))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Found:
    """A model version, its Bento and the deployment that serves it where there are any, its model's newest version."""

    shown: Shown
    champion: str | None
    bento: Bento | None
    deployment: Served | None
    newest: int


class Model(Sheet[Found]):
    """One model version."""

    name_in_path = "model"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("v", "versus", "against the champion", show=False),
        Binding("left_square_bracket", "version(-1)", "the version before", show=False),
        Binding("right_square_bracket", "version(1)", "the next version", show=False),
    ]

    def sections(self) -> ComposeResult:
        """Gates and what was said, metrics and where it belongs, importance and learning curve, hashes."""
        yield Title("Gates", id="gates-title")
        yield Rows(GATES, id="gates", empty="no gate has judged it yet: r runs the pipeline")
        yield Title("Said and done")
        yield Rows(SAID, id="said", most=6, empty="nobody has said anything yet: a approves, x rejects")
        with Container(classes="two"):
            with Vertical():
                yield Title("Metrics")
                yield Rows(METRICS, id="metrics", empty="its run left no metrics")
            with Vertical():
                yield Title("Belongs to")
                yield Rows(PARTS, id="parts")
        with Container(classes="two"):
            with Vertical():
                yield Title("Importance: share of the gain")
                yield Drawn(id="importance")
            with Vertical():
                yield Title("Learning curve", id="curve-title")
                yield Drawn(id="curve")
        yield Title("Hashes: what an approval covers")
        yield Words("", id="hashes")

    def load(self, workspace: Workspace) -> Found:
        """The version with all that is known of it."""
        shown = models.show(workspace, self.ref)
        version = shown.version
        built = [one for one in bentos.list_bentos(workspace, version.model) if one.version == version.version]
        serving = [one for one in served(workspace) if one.ref == version.ref and one.deployment.wanted == "running"]
        newest = models.list_models(workspace, version.model, 1)[0].version.version
        return Found(shown, champion_of(shown), next(iter(built), None), next(iter(serving), None), newest)

    def show(self, data: Found) -> None:
        """Update every part."""
        shown = data.shown
        if not self._again:  # or else another version has been asked for meanwhile
            self.ref = shown.version.ref
        report, details = shown.report, shown.details
        self.put_text("head", self._facts(data))
        self.put_text("gates-title", _gates_title(report))
        self.put_lines("gates", _gates(report) if report else ())
        self.put_lines("metrics", _metrics(details))
        self.put_lines("parts", _parts(data))
        self.put_lines("said", self._said(data))
        importance = self.query_one("#importance", Drawn)
        importance.styles.height = max(1, min(len(details.importance), 13))
        importance.put(partial(hbars, details.importance))
        self.query_one("#curve", Drawn).put(partial(_curve, details))
        self.put_text("curve-title", f"Learning curve: the best round is {details.curve.best_round}")
        self.put_text("hashes", facts(list(shown.hashes.items())))

    def _facts(self, data: Found) -> Content:
        shown, version = data.shown, data.shown.version
        since = age(version.created_at, self.workspace.now())
        target = shown.run.settings.get("target", {}).get("column", "")
        return facts([
            ("state", stating(shown.standing.state, shown.standing.sentence)), ("aliases", ", ".join(shown.aliases)),
            ("predicts", f"{target} ({version.task})"),
            ("made", f"{cell(version.created_at)} by {version.author} ({since} ago)"),
            ("because", shown.run.reason),
        ])  # fmt: skip

    def _said(self, data: Found) -> list[Line]:
        """Words and aliases of this version, the newest first; a word of other content counts no more."""
        now, version = self.workspace.now(), data.shown.version
        subject = version.subject()
        words = [
            (one.created_at, "✓ approved" if one.verdict == "approved" else "✗ rejected", one.name,
             one.comment + ("" if one.subject == subject else " (of content that has changed since)"))
            for one in data.shown.approvals
        ]  # fmt: skip
        aliases = [
            (
                one.created_at,
                f"{one.alias} → :{one.version}" if one.version else f"{one.alias} taken away",
                one.user,
                one.reason,
            )
            for one in data.shown.history
        ]
        return [
            Line(
                (Cell(age(at, now), "dim"), Cell(what, _tone(what)), Cell(by), Cell(why, "dim")),
                f"{cell(at)} {what} by {by}" + (f": {why}" if why else ""),
                ("model", f"{version.model}{what.partition('→ ')[2]}") if "→ :" in what else None,
            )
            for at, what, by, why in sorted([*words, *aliases], key=lambda one: one[0], reverse=True)
        ]

    def action_versus(self) -> None:
        """Beside its champion."""
        self.app_.open("versus", self.ref)

    def action_version(self, by: int) -> None:
        """The version before, or the next one, in the place of this one."""
        name, _, number = self.ref.rpartition(":")
        if self.data is None or not number.isdigit():
            return
        if 1 <= int(number) + by <= self.data.newest:
            self.ref = f"{name}:{int(number) + by}"
            self.reload()
        else:
            self.app_.tell(f"{self.ref} is the {'first' if by < 0 else 'newest'} version")

    def subject(self) -> Subject | None:
        """The version, with its run, dataset, pipeline, and deployment; as champion where it is."""
        found = self.data
        if found is None or found.shown.version.ref != self.ref:  # another version is on its way
            return None
        name = found.deployment.deployment.name if found.deployment else None
        version = found.shown.version
        return model_subject(version, champion=found.champion == version.ref, deployment=name)

    def shell(self) -> list[str]:
        """The command that prints it."""
        return ["models", "show", self.ref]

    def keys(self) -> Sequence[tuple[str, str]]:
        """Versus and the neighbours, too."""
        return (*super().keys(), ("v", "versus"), ("[ ]", "neighbours"))


def _tone(what: str) -> str:
    return {"✓": "ok", "✗": "fail"}.get(what[:1], "")


def _gates_title(report: GateReport | None) -> str:
    if report is None:
        return "Gates"
    against = f", against the champion :{report.champion}" if report.champion else ""
    passed = sum(one.passed for one in report.results)
    return f"Gates: {passed} of {len(report.results)} passed{against}"


def _gates(report: GateReport) -> list[Line]:
    """A gate a line, those that failed first; one that compares opens the two versions side by side."""
    found = []
    for one in sorted(report.results, key=lambda one: one.passed):
        compared = report.champion is not None and "challenger" in one.details
        opens = ("versus", f"{report.model}:{report.champion} {report.model}:{report.version}") if compared else None
        found.append(Line(_gate_cells(one), f"{'✓' if one.passed else '✗'} {one.gate}: {one.sentence}", opens))
    return found


def _gate_cells(one: GateResult) -> tuple[Cell, ...]:
    interval = f"{one.low:.4f} to {one.high:.4f}" if one.low is not None and one.high is not None else ""
    tone = "ok" if one.passed else "fail"
    return (Cell("✓" if one.passed else "✗", tone), Cell(one.gate, tone if not one.passed else ""),
            Cell(cell(one.value)), Cell(interval, "dim"), Cell(cell(one.threshold), "dim"),
            Cell(one.sentence))  # fmt: skip


def _metrics(details: RunDetails) -> list[Line]:
    by_set = {name: {one.name: one for one in details.metrics.get(name, ())} for name in SETS}
    lines = []
    for name, one in by_set["test"].items():
        others = [by_set[other].get(name) for other in SETS[1:]]
        figures = [figure(one.value, one.low, one.high), *(figure(other.value) if other else "-" for other in others)]
        told = ", ".join(f"{text} on {set_} rows" for text, set_ in zip(figures, SETS, strict=True))
        better = "higher" if one.higher else "lower"
        lines.append(Line((Cell(name, "lit"), *map(Cell, figures)), f"{name}: {told}; {better} is better"))
    return lines


def _parts(data: Found) -> list[Line]:
    version, run, shown = data.shown.version, data.shown.run, data.shown
    rows = ", ".join(f"{count:,} {name}" for name, count in shown.details.rows.items())
    found = [
        part("run", version.run, f"seed {run.seed}, by {run.author}"),
        part("dataset", f"{version.dataset}:{version.dataset_version}", f"{rows} rows"),
        part("pipeline", version.model),
    ]
    if data.champion and data.champion != version.ref:
        found.append(part("champion", data.champion, "v compares", "model"))
    if data.bento:
        found.append(part("bento", data.bento.tag, "" if data.bento.approved else "! not approved"))
    if data.deployment:
        one = data.deployment
        found.append(part("deployment", one.deployment.name, f"{one.state}, {one.deployment.url}"))
    return found


def _curve(details: RunDetails, width: int, height: int) -> Grid:
    curve = details.curve
    rounds = tuple(map(float, curve.rounds))
    series = [plots.Line("train", rounds, curve.train), plots.Line("validation", rounds, curve.validation)]
    return plots.lines(series, width, height, x_label="round", y_label=curve.metric, marks=(curve.best_round,))
