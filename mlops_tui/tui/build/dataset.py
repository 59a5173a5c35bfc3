"""A dataset version: what its contract finds, and what every column holds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import ClassVar, NamedTuple

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical
from textual.content import Content

from mlops_tui.flows import lookup
from mlops_tui.flows.build import datasets
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import ColumnProfile, DatasetVersion, Finding, Profile
from mlops_tui.texts.bars import bars, hbars
from mlops_tui.texts.cells import PROFILE_COLUMNS, age, bytes_text, cell, profile_row, profile_value
from mlops_tui.tui.detail import Detail, Part
from mlops_tui.tui.verbs import Subject
from mlops_tui.tui.views import versus
from mlops_tui.tui.widgets.columns import Cell, Column, Key
from mlops_tui.tui.widgets.drawn import Draw, Drawn, Words, facts
from mlops_tui.tui.widgets.table import Table

FIGURES = frozenset(("distinct", "min", "median", "max", "null"))
QUANTILES = ("min", "1%", "5%", "25%", "50%", "75%", "95%", "99%", "max")
COLUMNS = tuple(
    Column(name, name, 5, {"column": 24, "type": 14}.get(name, 28), right=name in FIGURES) for name in PROFILE_COLUMNS
)
FINDINGS = (
    Column("level", "", 9, 9, sorts=False), Column("check", "check", 6, 14), Column("column", "column", 6, 16),
    Column("message", "what was found", 20, 200, sorts=False),
)  # fmt: skip
DAY = 86400.0


class Loaded(NamedTuple):
    """A version and what it holds."""

    version: DatasetVersion
    profile: Profile


class Dataset(Detail[Loaded]):
    """One dataset version, by its reference and perhaps a column; the column under the cursor is drawn."""

    AUTO_FOCUS = "#columns"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("v", "versus", "diff to the version before", show=False)]

    def __init__(self, ref: str) -> None:
        name, _, self.column = ref.partition(" ")
        super().__init__(name)

    def body(self) -> ComposeResult:
        """What it is, what its contract found, its columns and the one under the cursor."""
        yield Words("", id="facts")
        yield Part(FINDINGS, id="findings", most=3)
        with Container(classes="pair"):
            yield Table(COLUMNS, id="columns", empty="no columns")
            with Vertical(classes="beside"):
                yield Words("", id="told")
                yield Drawn(id="drawn")

    def load(self, workspace: Workspace) -> Loaded:
        """The version and its profile."""
        version = lookup.dataset_version(workspace, self.ref)
        return Loaded(version, datasets.profile_of(workspace, version))

    def title_in_path(self) -> str:
        """Its name and number."""
        return f"{self.data.version.dataset}:{self.data.version.version}" if self.data else self.ref

    def show(self, data: Loaded) -> None:
        """Everything; the cursor stays on its column."""
        since = age(data.version.created_at, self.workspace.now())
        self.query_one("#facts", Words).update(_facts(data.version, since))
        found = dict(enumerate(data.version.findings))
        self.query_one("#findings", Part).put(list(found), {key: _finding(one) for key, one in found.items()})
        rows: dict[Key, tuple[Cell, ...]] = {one.name: _cells(one) for one in data.profile.columns}
        table = self.query_one("#columns", Table)
        table.put(list(rows), rows)
        if self.column:
            table.go_to(self.column)
            self.column = ""

    def moved(self) -> None:
        """Draw the column under the cursor; of a finding, say all."""
        if self.data is None:
            return
        table = self.focused if isinstance(self.focused, Part) else self.query_one("#columns", Table)
        if isinstance(table, Part) and isinstance(table.current, int):
            finding = self.data.version.findings[table.current]
            allowed = f"; allowed: {finding.allowed}" if finding.allowed else ""
            self.query_one("#told", Words).update(Content(f" {finding.message}{allowed}"))
            name: Key | None = finding.column
        else:
            name = table.current
        column = next((one for one in self.data.profile.columns if one.name == name), None)
        if column is not None:
            if not isinstance(table, Part):
                self.query_one("#told", Words).update(_told(column))
            self.query_one("#drawn", Drawn).put(drawn(column, self.data.profile.rows))

    def on_descendant_focus(self) -> None:
        """Another table has the keys."""
        self.moved()

    def on_table_chosen(self, event: Table.Chosen) -> None:
        """A finding leads to its column; of a column everything is here already."""
        event.stop()
        event.prevent_default()
        if isinstance(event.table, Part) and self.data and isinstance(event.key, int):
            columns = self.query_one("#columns", Table)
            columns.go_to(self.data.version.findings[event.key].column)
            columns.focus()

    def action_versus(self) -> None:
        """How it differs from the version before it."""
        opens = versus(self.subject()) if self.data else None
        if opens is not None:
            self.app_.open(*opens)
        elif self.data is not None:
            self.app_.tell("this is the first version: there is none before it to compare with")

    def subject(self) -> Subject:
        """The version."""
        return Subject("dataset", self.title_in_path())

    def keys(self) -> tuple[tuple[str, str], ...]:
        """Its own keys."""
        version = self.data.version if self.data else None
        diff = (("v", "diff to the one before"),) if version and version.parent is not None else ()
        return (*diff, *((("Tab", "findings"),) if version and version.findings else ()))

    def shell(self) -> list[str]:
        """The same in the CLI."""
        return ["datasets", "show", self.title_in_path()]


def _facts(version: DatasetVersion, since: str) -> Content:
    warnings = sum(finding.level == "warning" for finding in version.findings)
    state = Content.styled("✓ keeps its contract", "$text-success")
    if version.state == "broken":
        state = Content.styled("✗ breaks its contract: kept, marked, and not trained on", "bold $text-error")
    elif warnings:
        state = Content.styled(f"! keeps its contract, {warnings} warnings", "$text-warning")
    size = bytes_text(sum(part.bytes for part in version.parts))
    before = f", after :{version.parent}" if version.parent is not None else ""
    return facts([
        (" state", state),
        (" holds", f"{version.rows:,} rows, {len(version.schema)} columns in {len(version.parts)} parts, {size}"),
        (" source", version.source),
        (" made", f"{since} ago by {version.author}{before}, {cell(version.created_at)}, hash {version.hash[:12]}"),
    ])  # fmt: skip


def _finding(finding: Finding) -> tuple[Cell, ...]:
    mark, tone = ("✗", "fail") if finding.level == "error" else ("!", "warn")
    return (
        Cell(f"{mark} {finding.level}", tone), Cell(finding.check), Cell(finding.column or ""), Cell(finding.message),
    )  # fmt: skip


def _cells(column: ColumnProfile) -> tuple[Cell, ...]:
    name, dtype, null, distinct, low, middle, high, shape = profile_row(column)
    return (
        Cell(name, "lit"), Cell(dtype.split("(")[0], "dim", dtype),
        Cell(null, "warn" if column.null_share > 0.5 else "", column.null_share),
        Cell(f"{distinct:,}", "", distinct), Cell(cell(low), "", low), Cell(cell(middle), "", middle),
        Cell(cell(high), "", high), Cell(shape),
    )  # fmt: skip


def _told(column: ColumnProfile) -> Content:
    """A column in figures."""
    parts = [column.dtype.split("(")[0], f"{column.null_share:.1%} null", f"{column.distinct:,} distinct"]
    if column.mean is not None and not column.dtype.startswith("Date"):
        parts.append(f"mean {cell(column.mean)} ± {cell(column.std)}")
    parts += [
        f"{name} {cell(profile_value(value, column.dtype))}"
        for name, value in zip(QUANTILES, column.quantiles, strict=False)
    ]
    return Content.assemble(" ", Content.styled(column.name, "bold"), f"  {' · '.join(parts)}")


def drawn(column: ColumnProfile, rows: int) -> Draw:
    """Return the drawing of a column: its histogram, or else how many of the rows have its most frequent values."""
    if column.histogram is None:
        top = [(value, 100 * count / max(1, rows)) for value, count in column.top]
        return lambda width, height: hbars(top, width, height, ("% of all rows",))
    edges, label = axis(column.histogram.edges, column.dtype)
    counts = {"rows": column.histogram.counts}
    return lambda width, height: bars(edges, counts, width, height, x_label=label)


def axis(edges: tuple[float, ...], dtype: str) -> tuple[tuple[float, ...], str]:
    """Return edges as an axis shows them, and its label: of dates and times, days since the first."""
    if not dtype.startswith("Date"):
        return edges, ""
    try:
        first = f"{datetime.fromtimestamp(edges[0], UTC):%Y-%m-%d}"
    except (OverflowError, ValueError, OSError):  # beyond the year 9999
        return edges, "seconds since 1970"
    return tuple((edge - edges[0]) / DAY for edge in edges), f"days since {first}"
