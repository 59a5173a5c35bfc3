"""The lists of the act release: model versions, Bentos, deployments and what they answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import ClassVar

from textual.binding import Binding, BindingType

from mlops_tui.core.compare import headline
from mlops_tui.flows.queries import lists
from mlops_tui.flows.queries.served import Served, answers, served
from mlops_tui.flows.queries.traffic import Traffic
from mlops_tui.flows.release import bentos
from mlops_tui.flows.release.models import Listed
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import Bento
from mlops_tui.texts.cells import age, bytes_text, cell
from mlops_tui.tui.lists import Asked, Found, Lists, Row, Tab, kept
from mlops_tui.tui.release.parts import model_subject, state_cell
from mlops_tui.tui.verbs import Subject
from mlops_tui.tui.widgets.columns import Cell, Column, Key

SPAN = timedelta(seconds=1)  # rates are over no less

# ── model versions ───────────────────────────────────────────────────────────────────────────────

MODEL_COLUMNS = (
    Column("model", "model", 14, 30), Column("version", "version", 7, 7, right=True),
    Column("aliases", "aliases", 8, 24, sorts=False), Column("state", "state", 10, 12, sorts=False),
    Column("metric", "metric", 4, 18, sorts=False), Column("value", "value", 6, 9, right=True, sorts=False),
    Column("data", "data", 9, 24), Column("run", "run", 6, 12), Column("age", "age", 4, 6, right=True, sorts=False),
    Column("by", "by", 3, 12),
)  # fmt: skip


def find_models(workspace: Workspace, text: str, by: str) -> Found:
    """Return the row ids of the model versions that a filter keeps."""
    return Found(lists.models(workspace, text, by))


def fetch_models(workspace: Workspace, ids: Sequence[Key]) -> dict[Key, Row]:
    """Return the rows of some ids; none where the catalogue has changed since: then the list is loaded again."""
    found = lists.model_rows(workspace, [key for key in ids if isinstance(key, int)])
    return (
        {key: _model_row(workspace, one) for key, one in zip(ids, found, strict=True)} if len(found) == len(ids) else {}
    )


def _model_row(workspace: Workspace, item: Listed) -> Row:
    one, (metric, value) = item.version, headline(item.version) or ("", None)
    cells = (
        Cell(one.model, "lit"), Cell(str(one.version), "", one.version), Cell(", ".join(item.aliases), "ok"),
        state_cell(item.standing.state), Cell(metric, "dim"), Cell(cell(value) if metric else ""),
        Cell(f"{one.dataset}:{one.dataset_version}"), Cell(one.run, "dim"),
        Cell(age(one.created_at, workspace.now()), "dim"), Cell(one.author),
    )  # fmt: skip
    return Row(cells, model_subject(one, champion="champion" in item.aliases), ("model", one.ref))


# ── Bentos ───────────────────────────────────────────────────────────────────────────────────────

BENTO_COLUMNS = (
    Column("bento", "bento", 10, 40), Column("model", "model", 8, 34), Column("approved", "approved", 5, 8),
    Column("size", "size", 6, 8, right=True), Column("difference", "difference", 4, 10, right=True),
    Column("p50", "p50 ms", 4, 8, right=True), Column("p99", "p99 ms", 4, 8, right=True),
    Column("age", "age", 4, 6, right=True), Column("by", "by", 3, 12),
)  # fmt: skip


def find_bentos(workspace: Workspace, text: str, by: str) -> Found:
    """Return the proven Bentos that a filter keeps."""
    return kept({one.tag: _bento_row(workspace, one) for one in bentos.list_bentos(workspace)}, BENTO_COLUMNS, text)


def _bento_row(workspace: Workspace, one: Bento) -> Row:
    ref, parity = f"{one.model}:{one.version}", one.parity
    cells = (
        Cell(one.tag, "lit"), Cell(ref), Cell("✓ yes", "ok", "yes") if one.approved else Cell("! no", "warn", "no"),
        Cell(bytes_text(one.size), "", one.size), Cell(f"{parity.max_difference:g}", "", parity.max_difference),
        *_figures(parity.latency_ms_p50, parity.latency_ms_p99), _since(workspace, one.created_at), Cell(one.author),
    )  # fmt: skip
    return Row(cells, Subject("bento", one.tag, {"model": ref, "pipeline": one.model}), ("bento", one.tag))


# ── deployments ──────────────────────────────────────────────────────────────────────────────────

DEPLOYMENT_COLUMNS = (
    Column("name", "name", 10, 30), Column("state", "state", 9, 9), Column("model", "model", 8, 30),
    Column("version", "version", 7, 7, right=True), Column("url", "url", 12, 30),
    Column("req/s", "req/s", 5, 10, right=True), Column("p99", "p99 ms", 4, 8, right=True),
    Column("errors", "errors", 4, 8, right=True), Column("age", "age", 4, 6, right=True), Column("by", "by", 3, 12),
)  # fmt: skip


def find_deployments(workspace: Workspace, text: str, answered: Mapping[str, Traffic]) -> Found:
    """Return the deployments that a filter keeps, with what those that run answered."""
    rows: dict[Key, Row] = {one.deployment.name: _deployment_row(workspace, one, answered) for one in served(workspace)}
    return kept(rows, DEPLOYMENT_COLUMNS, text)


def _deployment_row(workspace: Workspace, item: Served, answered: Mapping[str, Traffic]) -> Row:
    one, traffic = item.deployment, answered.get(item.deployment.name)
    errors = sum(traffic.total.errors.values()) if traffic and traffic.total else None
    cells = (
        Cell(one.name, "lit"), state_cell(item.state), Cell(one.model), Cell(str(one.version), "", one.version),
        Cell(one.url, "dim"),
        *_figures(traffic.requests_per_second if traffic else None, traffic.latency_ms_p99 if traffic else None),
        Cell("-" if errors is None else f"{errors:,}", "fail" if errors else "", errors),
        _since(workspace, one.stopped_at or one.started_at), Cell(one.user),
    )  # fmt: skip
    return Row(cells, deployment_subject(item), ("deployment", one.name))


def deployment_subject(item: Served) -> Subject:
    """Return a deployment as what acts are done to; `named` keeps its name where its champion is served again."""
    one = item.deployment
    refs = {"model": item.ref, "pipeline": one.model}
    if item.champion:
        refs |= {"champion": item.champion, "named": f"--name={one.name}"}
    if item.former:
        refs["former"] = item.former
    return Subject("deployment", one.name, refs)


def _figures(*values: float | None) -> list[Cell]:
    return [Cell("-" if value is None else f"{value:.3g}", "", value) for value in values]


def _since(workspace: Workspace, moment: datetime) -> Cell:
    now = workspace.now()
    return Cell(age(moment, now), "dim", (now - moment).total_seconds())


# ── the page ─────────────────────────────────────────────────────────────────────────────────────

MODELS = Tab(
    "models", MODEL_COLUMNS, find_models, lambda text, by: ["models", "list", *(["--filter", text] if text else [])],
    fetch_models, "no model versions yet; on a pipeline's line r makes one: mlops run PIPELINE", marks=True,
    keys=(("v", "versus"), ("Space", "mark")),
)  # fmt: skip
BENTOS = Tab(
    "bentos", BENTO_COLUMNS, find_bentos, lambda text, by: ["bentos", "list"],
    empty="no Bentos yet; on an approved model u builds one: mlops bentos build MODEL",
)  # fmt: skip
DEPLOYMENTS = Tab(
    "deployments", DEPLOYMENT_COLUMNS, lambda workspace, text, by: find_deployments(workspace, text, {}),
    lambda text, by: ["deployments", "list"],
    empty="no deployments yet; on an approved model s serves it: mlops deployments start MODEL",
)  # fmt: skip


class Release(Lists):
    """Model versions, Bentos, deployments."""

    name_in_path = "release"
    breathes = 2.0
    tabs = (MODELS, BENTOS, DEPLOYMENTS)
    BINDINGS: ClassVar[list[BindingType]] = [Binding("v", "versus", "against another version", show=False)]

    def __init__(self, tab: str = "") -> None:
        super().__init__(tab)
        self.answered: dict[str, Traffic] = {}

    def listed(self, workspace: Workspace, asked: Asked) -> Found:
        """The list; of deployments with what those that run answered since they were asked before."""
        if asked.tab is not DEPLOYMENTS:
            return super().listed(workspace, asked)
        running = [one.deployment for one in served(workspace) if one.state == "running"]
        now = answers(workspace, running, self.answered)
        found = find_deployments(workspace, asked.text, now)
        self.answered = {name: _base(self.answered.get(name), one) for name, one in now.items()}
        return found

    def action_versus(self) -> None:
        """Two marked versions side by side, or the one under the cursor beside its champion."""
        marked, row = self.marked(), self.row()
        if self.tab is not MODELS or row is None:
            self.app_.tell("v compares model versions: they are in the first list")
        elif len(marked) > 2:
            self.app_.tell(f"{len(marked)} are marked; two can be compared")
        elif len(marked) == 2:
            first, second = sorted(marked, key=lambda one: (one.opens[1].rpartition(":")[0], _number(one)))
            self.app_.open("versus", f"{first.opens[1]} {second.opens[1]}")
        else:
            self.app_.open("versus", row.opens[1])


def _number(row: Row) -> int:
    return int(row.opens[1].rpartition(":")[2])


def _base(before: Traffic | None, now: Traffic) -> Traffic:
    """What the next look is compared with: this one, unless the one before is hardly older."""
    return before if before and before.pid == now.pid and before.total and now.at - before.at < SPAN else now
