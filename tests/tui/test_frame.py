"""What all pages stand in: filters half typed, commands that others end, the terminal lent to a pager."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, Static

from mlops_tui.cli import main
from mlops_tui.flows.workspace import Workspace
from mlops_tui.tui import jobs
from mlops_tui.tui.app import MissionControl, make_app
from mlops_tui.tui.output import SHOWN
from mlops_tui.tui.widgets.table import Table
from tests.tui import made
from tests.tui.driven import page_of
from tests.tui.shown import settled, text, until
from tests.tui.terminal import Terminal, needs_tmux


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A workspace with two pipeline files and nothing done."""
    found = made.empty(tmp_path / "flights")
    for name in ("one", "two [bold]"):
        (found.root / "pipelines" / f"{name}.toml").write_text("mistaken")
    return found


async def _typed_output(pilot: Pilot[Any], app: MissionControl, job: jobs.Job) -> str:
    app.jobs.append(job)
    app.open("output", str(job.number))
    await settled(pilot)
    return str(page_of(app).query_one("#text", Static).content)


async def test_home_lives_on_while_a_filter_is_half_typed(workspace: Workspace) -> None:
    app = make_app(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        table = page_of(app).query_one("#board", Table)
        await pilot.press("slash", *"one")
        assert list(table.keys) == ["one"]
        page_of(app).query_one("#filter", Input).value = "one live>"
        await pilot.pause()
        assert page_of(app).query_one("#trouble").display
        page_of(app).reload()  # as it does by itself
        await settled(pilot)
        await pilot.resize_terminal(160, 48)
        await pilot.pause()
        assert list(table.keys) == ["one"]


async def test_the_filter_field_follows_the_list_that_is_shown(workspace: Workspace) -> None:
    app = make_app(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("1")
        await settled(pilot)
        field = page_of(app).query_one("#filter", Input)
        await pilot.press("slash", *"auc", "enter", "tab")
        assert (field.value, field.display, page_of(app).text) == ("", False, "")
        await pilot.press("shift+tab")
        assert (field.value, field.display, page_of(app).text) == ("auc", True, "auc")
        await pilot.press("escape")
        await settled(pilot)
        assert (field.display, page_of(app).text) == (False, "")
        assert len(app._pages()) == 2


async def test_the_order_of_a_list_is_kept_while_another_is_looked_at(tmp_path: Path) -> None:
    app = make_app(made.normal(tmp_path / "flights"))
    async with app.run_test(size=(160, 48)) as pilot:
        await pilot.press("1")
        await settled(pilot)
        table = page_of(app).query_one("#list", Table)
        table.sort_by("-rows")
        order = list(table.keys)
        await pilot.press("tab", "shift+tab")
        await settled(pilot)
        assert (table.by, list(table.keys)) == ("-rows", order)


async def test_the_palette_shows_brackets_in_names_as_they_are(workspace: Workspace) -> None:
    app = make_app(workspace)
    async with app.run_test(size=(100, 30)) as pilot:
        await settled(pilot)
        await pilot.press("ctrl+p", *"two")
        await until(pilot, lambda: "pipeline two [bold]" in text(app))


async def test_what_a_command_printed_opens_no_page_while_a_filter_is_typed(workspace: Workspace) -> None:
    app = make_app(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("slash", "a")
        before = page_of(app)
        app._job_ended(jobs.Job(1, ("status",), shown=True, out="told", code=0))
        await pilot.press("q")
        assert page_of(app) is before
        assert before.query_one("#filter", Input).value == "aq"


async def test_a_long_answer_is_shown_in_part_and_given_to_the_pager_whole_without_doing_it_again(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[str] = []
    app = make_app(workspace)
    monkeypatch.setattr(app, "page_text", given.append)
    monkeypatch.setattr(app, "_outside", lambda work: pytest.fail("a command was started"))
    long = "x" * (SHOWN + 5)
    async with app.run_test(size=(80, 24)) as pilot:
        shown = await _typed_output(pilot, app, jobs.Job(1, ("gc", "--yes"), out=long, code=0))
        assert "5 characters more" in shown
        await pilot.press("o")
        assert given == [long]
        app.page_out(["gc", "--yes"])
        assert "would do it again" in app._notice


async def test_a_figure_that_is_no_number_and_a_character_cut_in_two_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = (
        'import sys, time; sys.stderr.write(\'{"step": "train", "values": {"auc": null}}\\n\');'
        "sys.stdout.buffer.write(b'\\xc3'); sys.stdout.flush(); time.sleep(0.3); sys.stdout.buffer.write(b'\\xa9')"
    )
    monkeypatch.setattr(jobs, "command", lambda *_: [sys.executable, "-c", script])
    job = jobs.Job(1, ("run", "x"))
    await asyncio.wait_for(jobs.work(tmp_path, job, lambda _: None), 20)
    assert (job.code, job.text, job.out) == (0, "auc -", "é")


def test_a_bug_in_the_screens_ends_with_the_exit_code_of_bugs(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(app: MissionControl) -> None:
        app._exception = ValueError("no")

    monkeypatch.setattr(MissionControl, "run", run)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TEXTUAL_DRIVER", "none")
    monkeypatch.setattr("mlops_tui.cli.screen._end_with_parent", lambda: None)
    assert main.run(["-C", str(workspace.root), "tui"]) == 70


@needs_tmux
def test_ctrl_c_in_the_pager_is_not_for_the_screens_and_commands_go_on_meanwhile(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAGER", "sh -c 'trap : INT; cat; echo LENT; sleep 60; echo BACK; sleep 1'")
    terminal = Terminal(workspace.root, "tui")
    try:
        terminal.until("waits for")
        terminal.press("o")
        terminal.until("LENT")
        terminal.press("C-c")
        terminal.until("waits for")
        terminal.press("q")
        assert terminal.ended()
    finally:
        terminal.close()
