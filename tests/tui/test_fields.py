"""What a list shows in a column is what a filter asks for by the column's title."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mlops_tui.errors import InvalidInput
from mlops_tui.flows.queries import lists
from mlops_tui.flows.workspace import Workspace
from mlops_tui.tui.app import make_app
from mlops_tui.tui.build.root import DATASETS, PIPELINES, _runs
from mlops_tui.tui.home import Home
from mlops_tui.tui.lists import Row, Tab
from mlops_tui.tui.release.lists import Release
from mlops_tui.tui.watch.root import Watch
from mlops_tui.tui.widgets.columns import Cell, Column, Key
from mlops_tui.tui.widgets.table import Table
from tests.tui import made
from tests.tui.shown import settled, text, until

DOCS = Path(__file__).parents[2] / "docs" / "tui.md"
MARK = re.compile(r"^[^\w:]+ ")  # of a word that says the same
AS_WRITTEN = ("details",)  # of an event, which a filter reads as JSON


@pytest.fixture(scope="module")
def normal(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return made.normal(tmp_path_factory.mktemp("fields") / "flights")


def tabs(workspace: Workspace) -> list[Tab]:
    """Every list that there is."""
    return [DATASETS, _runs(lists.metrics(workspace)), PIPELINES, *Release.tabs, *Watch.tabs]


def no_fields() -> set[tuple[str, str]]:
    """(list, column) of what cannot be filtered, from the table in the docs, where each has its reason."""
    row = r"^\| ((?:`\w+` ?)+) \| ([\w, ]+) \| [^|]{10,} \|$"
    return {
        (name, column)
        for columns, where in re.findall(row, DOCS.read_text(encoding="utf-8"), re.MULTILINE)
        for name in where.split(", ")
        for column in re.findall(r"`(\w+)`", columns)
    }


def rows_of(tab: Tab, workspace: Workspace) -> dict[Key, Row]:
    found = tab.find(workspace, "", "")
    return dict(found.rows if found.rows is not None else tab.fetch(workspace, found.keys) if tab.fetch else {})


def asks_for(column: Column, cell: Cell) -> str | None:
    """The filter that asks for what a cell shows; None where it is blank, or a number that is shown in short."""
    if column.right:
        return f"{column.key}={cell.value}" if cell.value is not None else None
    said, quote, _ = MARK.sub("", cell.text if cell.value is None else str(cell.value)).partition('"')
    return f'{column.key}{":" if quote else "="}"{said}"' if said else None


def test_every_column_that_is_shown_is_a_field_by_the_first_word_of_its_title(normal: Workspace) -> None:
    excused = no_fields()
    for tab in tabs(normal):
        for column in tab.columns:
            assert column.key == column.title.partition(" ")[0], (tab.name, column)
            term = f"{column.key}{'>0' if column.right else ':x'}"
            if {(tab.name, column.key), ("every list", column.key)} & excused:
                with pytest.raises(InvalidInput, match="no field"):
                    tab.find(normal, term, "")
            else:
                tab.find(normal, term, "")


def test_what_stands_in_a_cell_finds_its_row(normal: Workspace) -> None:
    excused = no_fields()
    for tab in tabs(normal):
        rows = rows_of(tab, normal)
        assert rows, tab.name
        for key, row in rows.items():
            for column, cell in zip(tab.columns, row.cells, strict=False):
                term = asks_for(column, cell)
                left_out = {(tab.name, column.key), ("every list", column.key)} & excused or column.key in AS_WRITTEN
                if term is not None and not left_out:
                    assert key in tab.find(normal, term, "").keys, (tab.name, term)


async def test_the_columns_of_home_are_fields_too(normal: Workspace) -> None:
    app = make_app(normal)
    async with app.run_test(size=(160, 48)) as pilot:
        await settled(pilot)
        page = app.screen
        assert isinstance(page, Home)
        for column in page.query_one("#board", Table).columns:
            assert column.key == column.title.partition(" ")[0]
            page.text = f"{column.key}{'>0' if column.key == 'metric' else ':x'}"
            page.narrow()
        await pilot.press("slash", *"metric>0.6 waits:approve approval:wait pipeline=flight-delay")
        await until(pilot, lambda: page.query_one("#board", Table).keys == ["flight-delay"])


async def test_on_small_screens_home_says_in_whole_words_what_is_to_be_done(normal: Workspace) -> None:
    app = make_app(normal)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        lines = text(app).splitlines()[2:6]
        for line, end in zip(lines, ("approve or reject", "mend the data", "due: data", "nothing to do"), strict=True):
            assert line.endswith(f" {end}")
        await pilot.resize_terminal(100, 24)
        await until(pilot, lambda: "approve or reject: flight-delay:5" in text(app).splitlines()[2])
