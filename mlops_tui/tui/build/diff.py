"""Two dataset versions: how far every column moved, the one under the cursor drawn before and now."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import inf, nextafter
from typing import Any, NamedTuple

from textual import work
from textual.app import ComposeResult
from textual.containers import Container, Vertical
from textual.content import Content

from mlops_tui.errors import InvalidInput, MlopsError
from mlops_tui.flows import lookup
from mlops_tui.flows.build import datasets
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import ColumnProfile, DatasetVersion, Histogram
from mlops_tui.texts.bars import bars, hbars
from mlops_tui.texts.cells import cell
from mlops_tui.tui import jobs
from mlops_tui.tui.build.dataset import axis
from mlops_tui.tui.detail import Detail, Opens
from mlops_tui.tui.verbs import Subject
from mlops_tui.tui.widgets.columns import Cell, Column, Key
from mlops_tui.tui.widgets.drawn import Draw, Drawn, Words, facts
from mlops_tui.tui.widgets.table import Table

COLUMNS = (
    Column("column", "column", 8, 28), Column("psi", "PSI", 6, 8, right=True),
    Column("distance", "distance", 6, 8, right=True), Column("measure", "measure", 4, 7),
    Column("before", "null before", 6, 11, right=True), Column("now", "null now", 6, 9, right=True),
    Column("moved", "moved", 5, 7),
)  # fmt: skip
BINS = 16  # of both histograms, over the range of both


class Pair(NamedTuple):
    """Two versions, and what the columns that both have hold."""

    old: DatasetVersion
    new: DatasetVersion
    columns: dict[str, tuple[ColumnProfile, ColumnProfile]]


class Diff(Detail[Pair]):
    """Two versions of a dataset: "OLD,NEW"; the figures are computed by the command."""

    AUTO_FOCUS = "#columns"

    def __init__(self, ref: str) -> None:
        super().__init__(ref)
        self.answer: dict[str, Any] = {}
        self.asked = False

    def title_in_path(self) -> str:
        """Both references."""
        return self.ref.replace(",", " → ")

    def body(self) -> ComposeResult:
        """What differs as a whole, then column by column."""
        yield Words("", id="facts")
        with Container(classes="pair"):
            yield Table(COLUMNS, id="columns", empty="no column in common")
            with Vertical(classes="beside"):
                yield Words("", id="told")
                yield Drawn(id="drawn")

    def load(self, workspace: Workspace) -> Pair:
        """Both versions and their profiles."""
        if self.ref.count(",") != 1:
            raise InvalidInput(f"{self.ref!r} are not two versions of a dataset", "mlops datasets list")
        old, new = (lookup.dataset_version(workspace, ref) for ref in self.ref.split(","))
        profiles = (datasets.profile_of(workspace, version) for version in (old, new))
        before, now = ({column.name: column for column in profile.columns} for profile in profiles)
        return Pair(old, new, {name: (before[name], now[name]) for name in before if name in now})

    def show(self, data: Pair) -> None:
        """What is known already; the figures are asked for once: versions do not change."""
        if not self.asked:
            self.asked = True
            self._compute()
        self._tell()

    def action_reload(self) -> None:
        """Ask again where there is no answer."""
        if "error" in self.answer:
            self.answer, self.asked = {}, False
        super().action_reload()

    @work(group="answer", exclusive=True)
    async def _compute(self) -> None:
        self.answer = await jobs.answer(self.workspace.root, self.shell())
        self._tell()

    def _tell(self) -> None:
        assert self.data is not None
        if "error" in self.answer:
            error = self.answer["error"]
            self._trouble(MlopsError(str(error["message"]), str(error.get("hint") or "")))
        self.query_one("#facts", Words).update(_facts(self.data, self.answer))
        shifts: dict[Key, dict[str, Any]] = {one["column"]: one for one in self.answer.get("shifts", ())}
        rows = {name: _cells(one) for name, one in shifts.items()}
        rows |= {name: (Cell(name),) for name in self.data.columns if name not in rows}
        table = self.query_one("#columns", Table)
        top = table.cursor == 0
        table.put(list(rows), rows)
        if top:  # nobody has moved yet: what moved most is the news
            table.cursor = 0

    def moved(self) -> None:
        """Both histograms of the column under the cursor."""
        name = self.query_one("#columns", Table).current
        if self.data is None or not isinstance(name, str) or name not in self.data.columns:
            return
        old, new = self.data.columns[name]
        names = [f"{one.dataset}:{one.version}" for one in (self.data.old, self.data.new)]
        parts = (f"{label}: {_words(one)}" for label, one in zip(names, (old, new), strict=True))
        told = Content.assemble(" ", Content.styled(name, "bold"), f"  {'; '.join(parts)}")
        self.query_one("#told", Words).update(told)
        present = [rows - one.nulls for rows, one in ((self.data.old.rows, old), (self.data.new.rows, new))]
        self.query_one("#drawn", Drawn).put(_drawn((old, new), names, present))

    def behind(self, table: Table, key: Key) -> Opens | None:
        """The newer version."""
        return ("dataset", self.ref.partition(",")[2])

    def subject(self) -> Subject:
        """The newer version."""
        return Subject("dataset", self.ref.partition(",")[2])

    def shell(self) -> list[str]:
        """The same in the CLI."""
        return ["datasets", "diff", *self.ref.split(",")]


def _words(column: ColumnProfile) -> str:
    measured = column.mean is not None and not column.dtype.startswith("Date")
    centre = f"mean {cell(column.mean)}" if measured else f"{column.distinct:,} distinct"
    return f"{column.null_share:.1%} null, {centre}"


def _facts(data: Pair, answer: dict[str, Any]) -> Content:
    old, new = data.old, data.new
    if not answer:
        moved = Content.styled("computing how far each column moved …", "italic")
    elif "error" in answer:
        moved = Content.styled("✗ not known", "$text-error")
    else:
        names = [one["column"] for one in answer["shifts"] if one["moved"]]
        told = f"! {len(names)} of {len(answer['shifts'])}: {', '.join(names)}" if names else "✓ no column"
        moved = Content.styled(told, "$text-warning" if names else "$text-success")
    shared = f", {answer['shared_parts']} of {len(new.parts)} parts shared" if "shared_parts" in answer else ""
    return facts([
        (" rows", f"{old.rows:,} → {new.rows:,} ({new.rows - old.rows:+,}){shared}"),
        (" new", ", ".join(answer.get("added_columns", ()))),
        (" gone", ", ".join(answer.get("removed_columns", ()))),
        (" types", ", ".join(f"{name}: {before} → {now}" for name, before, now in answer.get("changed_types", ()))),
        (" moved", moved),
    ])  # fmt: skip


def _cells(shift: dict[str, Any]) -> tuple[Cell, ...]:
    moved = bool(shift["moved"])
    nulls = [Cell(f"{shift[key]:.1%}", "", shift[key]) for key in ("null_share_old", "null_share_new")]
    return (
        Cell(shift["column"], "lit"), Cell(f"{shift['psi']:.4f}", "warn" if moved else "", shift["psi"]),
        Cell(f"{shift['distance']:.4f}", "", shift["distance"]), Cell(shift["measure"].upper(), "dim"), *nulls,
        Cell("! moved" if moved else "·", "warn" if moved else "dim"),
    )  # fmt: skip


def _drawn(columns: tuple[ColumnProfile, ColumnProfile], names: Sequence[str], present: Sequence[int]) -> Draw:
    """A column before and now: shares of the rows that have a value, so that versions of different size compare."""
    old, new = columns
    if old.histogram and new.histogram:
        both = (old.histogram, new.histogram)
        low, high = min(one.edges[0] for one in both), max(one.edges[-1] for one in both)
        width = (high - low) / BINS or 1.0
        edges = tuple(low + width * at for at in range(BINS + 1))
        shown, label = axis(edges, new.dtype)
        series = {name: _shares(one, edges) for name, one in zip(names, both, strict=True)}
        return lambda columns, rows: bars(shown, series, columns, rows, x_label=label, y_label="share")
    before, now = (dict(one.top) for one in (old, new))
    was, size = (max(1, count) for count in present)
    top = [(value, 100 * before.get(value, 0) / was, 100 * now.get(value, 0) / size) for value in {**now, **before}]
    heads = [f"{name}, % of its values" for name in names]
    return lambda columns, rows: hbars(top, columns, rows, heads)


def _shares(histogram: Histogram, edges: Sequence[float]) -> list[float]:
    """The share of a histogram's values in each of other bins, its own taken as even inside; a constant is a point."""
    total = sum(histogram.counts) or 1
    own = list(zip(pairwise(histogram.edges), histogram.counts, strict=True))
    closed = [*edges[:-1], nextafter(edges[-1], inf)]  # the last bin has its upper edge
    return [sum(count * _overlap(bin_, other) for bin_, count in own) / total for other in pairwise(closed)]


def _overlap(own: tuple[float, float], other: tuple[float, float]) -> float:
    """The part of a bin that lies in another."""
    (start, end), (low, high) = own, other
    if start == end:
        return float(low <= start < high)
    return max(0.0, min(high, end) - max(low, start)) / (end - start)
