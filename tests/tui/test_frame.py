"""What all pages stand in: filters half typed, commands that others end, the terminal lent to a pager."""

from __future__ import annotations

import asyncio
import gc
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from textual._styles_cache import StylesCache
from textual.command import CommandList
from textual.pilot import Pilot
from textual.widgets import Input, Static

from mlops_tui.cli import main
from mlops_tui.flows.workspace import Workspace
from mlops_tui.tui import jobs
from mlops_tui.tui.app import MissionControl, make_app
from mlops_tui.tui.output import SHOWN
from mlops_tui.tui.page import Page
from mlops_tui.tui.pages import PAGES
from mlops_tui.tui.widgets.dialogs import Line, Question
from mlops_tui.tui.widgets.table import Table
from tests.tui import made
from tests.tui.driven import commands, page_of, typed
from tests.tui.made_base import id_of
from tests.tui.shown import settled, text, until
from tests.tui.terminal import Terminal, needs_tmux

NAME = "flight-delay"


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
        assert "live" in str(page_of(app).query_one("#trouble", Static).content)
        assert page_of(app).query_one("#trouble").display
        await pilot.resize_terminal(160, 48)
        await pilot.pause()
        assert list(table.keys) == ["one"]


async def test_a_list_keeps_the_message_of_a_filter_until_it_can_be_read(tmp_path: Path) -> None:
    app = make_app(made.normal(tmp_path / "flights"))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("1")
        await settled(pilot)
        trouble = page_of(app).query_one("#trouble")
        await pilot.press("slash", *"rows>")
        assert trouble.display
        page_of(app).reload()
        await settled(pilot)
        assert trouble.display
        await pilot.press("1")
        assert not trouble.display
        await pilot.press("backspace", "tab")
        await settled(pilot)
        assert not trouble.display, "another list has a filter of its own"


async def test_what_loads_a_list_asks_nothing_of_the_page_once_it_has_begun(tmp_path: Path) -> None:
    app = make_app(made.normal(tmp_path / "flights"))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("1")
        await settled(pilot)
        page = page_of(app)
        keys, load = list(page.data.keys), page.loader()
        await pilot.press("tab")
        await settled(pilot)
        assert list(page.data.keys) != keys
        assert list((await asyncio.to_thread(load, app.workspace)).keys) == keys


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


async def test_how_a_command_ended_is_told_for_a_while_only(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        job = jobs.Job(1, ("gc", "--yes"), out="told", code=0)
        app.jobs.append(job)
        app._job_ended(job)
        await until(pilot, lambda: "✓ mlops gc --yes" in text(app))
        monkeypatch.setattr("mlops_tui.tui.app.TOLD", 0.0)
        await until(pilot, lambda: "✓ mlops gc --yes" not in text(app))
        app.tell("said")
        await until(pilot, lambda: "said" not in text(app))


async def test_the_first_keys_are_of_what_waits_and_those_of_the_workspace_come_last(tmp_path: Path) -> None:
    app = make_app(made.normal(tmp_path / "flights"))
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert "Enter open  a approve  x reject" in text(app)  # home
        await pilot.press("down")
        await until(pilot, lambda: "f refresh  k check contract" in text(app))  # the data break their contract
        run = next(one for one in page_of(app).data if one.name == NAME).refs["run"]
        for noun, ref in (("run", run), ("pipeline", NAME)):
            app.open(noun, ref)
            await settled(pilot)
            assert "Enter open  a approve  x reject" in text(app)
            verbs = page_of(app).acts()
            count = sum(verb.noun == "workspace" for verb in verbs)
            assert [verb.noun for verb in verbs[-count:]] == ["workspace"] * count
        app.open("run", id_of(NAME, 6))  # its model was decided on
        await settled(pilot)
        assert "Enter open  h reproduce  r run" in text(app)


async def test_the_age_on_the_page_of_a_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made_workspace = made.normal(tmp_path / "flights")
    now = [made.NOW]
    app = make_app(replace(made_workspace, now=lambda: now[0]))
    monkeypatch.setattr("mlops_tui.tui.build.run.RunPage.breathes", 0.01)
    monkeypatch.setattr("mlops_tui.tui.app.SHARE", 0)
    async with app.run_test(size=(80, 24)) as pilot:
        app.open("run", "fdca8007d499")
        await settled(pilot)
        before = text(app)
        now[0] += timedelta(days=800)
        await until(pilot, lambda: "2 y ago" in text(app))
        assert "2 y ago" not in before


async def test_help_can_be_read_to_its_end_on_a_small_screen(workspace: Workspace) -> None:
    app = make_app(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("question_mark")
        await until(pilot, lambda: "home: keys" in text(app))
        assert "mark a row" not in text(app)
        await pilot.press("end")
        await until(pilot, lambda: "mark a row" in text(app))


async def test_home_says_that_no_pipeline_fits_a_filter(workspace: Workspace) -> None:
    app = make_app(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("slash", *"zzzz")
        await until(pilot, lambda: "no pipeline fits the filter" in text(app))


async def test_a_page_whose_widgets_are_not_here_yet_or_no_longer_is_not_asked_to_load(workspace: Workspace) -> None:
    app = make_app(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        app.open("build", "runs")
        page = page_of(app)
        page.reload()  # as the clock does, at any moment
        await settled(pilot)
        assert page.data is not None
        page.post_message(page.Loaded(page._number, page.data, None, 0.0))
        await app.pop_screen()
        assert not page.query("#list")
        page.reload()


async def test_pages_that_were_left_are_let_go(workspace: Workspace) -> None:
    app = make_app(workspace)
    async with app.run_test(size=(100, 30)) as pilot:
        await settled(pilot)
        kept = []
        for _ in range(3):
            for key in ("1", "2", "3", "0"):
                await pilot.press(key)
                await settled(pilot)
            gc.collect()
            kept.append(sum(isinstance(one, StylesCache) for one in gc.get_objects()))
        assert kept[2] <= kept[0] + 5


async def test_lists_of_the_palette_do_not_stack(workspace: Workspace) -> None:
    app = make_app(workspace)
    async with app.run_test(size=(100, 30)) as pilot:
        await settled(pilot)
        for tab in ("datasets", "runs"):
            app.open_list("build", tab)
            await settled(pilot)
        assert [page.name_in_path for page in app.screen_stack if isinstance(page, Page)] == ["home", "build"]


async def test_the_palette_shows_brackets_in_names_as_they_are(workspace: Workspace) -> None:
    app = make_app(workspace)
    async with app.run_test(size=(100, 30)) as pilot:
        await settled(pilot)
        await pilot.press("ctrl+p", *"two")
        await until(pilot, lambda: "pipeline two [bold]" in text(app))


PLACES = (
    ("distance", "column distance", "dataset", "flights:4"),
    ("distance", "feature distance", "feature", "distance"),
    ("delay:4", "model version flight-delay:4", "model", "model flight-delay:4"),
    ("flights:", "dataset version flights:2", "dataset", "flights:2"),
    ("runs list", "build ▸ runs", "build", "build ▸ runs"),
    ("add labels", "add labels: on a deployment", "release", "release ▸ deployments"),
)
"""What is typed, what the palette lists, and the page that it opens: its noun, and what stands for it in the path."""


async def test_the_palette_opens_lists_and_whatever_has_a_name(tmp_path: Path) -> None:
    app = make_app(made.normal(tmp_path / "flights"))
    async with app.run_test(size=(100, 40)) as pilot:
        await settled(pilot)
        await pilot.press("down", "down", "down")  # nothing of this pipeline is deployed
        for words, shown, noun, told in PLACES:
            await pilot.press("ctrl+p")
            await typed(pilot, words)
            await until(pilot, lambda shown=shown: shown in commands(app))
            await settled(pilot)  # no more of them to come
            found = app.screen.query_one(CommandList)
            while found.highlighted is None or commands(app)[found.highlighted] != shown:
                await pilot.press("down")
            await pilot.press("enter")
            await until(pilot, lambda noun=noun: isinstance(app.screen, PAGES[noun]))
            await settled(pilot)
            assert (page_of(app).failed, page_of(app).title_in_path()) == (None, told)
            if shown.startswith("column"):
                assert page_of(app).query_one("#columns", Table).current == "distance"
            await pilot.press("escape")


async def test_the_palette_has_reading_commands_by_their_own_names_and_read_only_no_others(tmp_path: Path) -> None:
    app = make_app(made.normal(tmp_path / "flights"), read_only=True)
    async with app.run_test(size=(100, 40)) as pilot:
        await settled(pilot)
        for words, shown in (("audit ver", "verify audit"), ("audit list", "watch ▸ audit"), ("status", "home"),
                             ("datasets check", "check contract flights:4")):  # fmt: skip
            await pilot.press("ctrl+p")
            await typed(pilot, words)
            await until(pilot, lambda shown=shown: shown in commands(app))
            await pilot.press("escape")
        await pilot.press("ctrl+p")
        await typed(pilot, "rollback")
        await until(pilot, lambda: "No matches" in text(app))


async def test_the_palette_has_acts_whose_key_another_has(tmp_path: Path) -> None:
    app = make_app(made.normal(tmp_path / "flights"))
    async with app.run_test(size=(100, 40)) as pilot:
        await settled(pilot)
        await pilot.press("ctrl+p")
        await typed(pilot, "stop")
        await until(pilot, lambda: "stop flight-delay" in commands(app))
        assert not [one for one in commands(app) if one.startswith("stop training ")], "nothing trains"


async def test_the_palette_waits_for_a_question(workspace: Workspace) -> None:
    app = make_app(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("p", "N", "ctrl+p")
        await pilot.pause()
        assert isinstance(app.screen, Question)
        await pilot.press("escape", "colon", "ctrl+p")
        await pilot.pause()
        assert isinstance(app.screen, Line)


@pytest.mark.parametrize("size", [(20, 5), (40, 10)])
async def test_a_question_can_be_read_and_answered_on_the_smallest_screens(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    app = make_app(made.normal(tmp_path / "flights"))
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        for key in ("a", "r"):  # with fields and without
            await pilot.press(key)
            await until(pilot, lambda: isinstance(app.screen, Question))
            seen = ""
            for turn in ("up", "down"):
                for _ in range(10):
                    await pilot.press(turn)
                    seen += text(app)
            assert all(part in seen for part in ("flight-delay", "$ mlops", "Enter does it"))
            fields = app.screen.query(Input)
            for field in fields:
                assert app.screen.focused is field
                await pilot.press("x")
                await until(pilot, lambda field=field: app.screen.get_widget_at(*field.region.offset)[0] is field)
                await pilot.press("tab")
            assert [field.value for field in fields] == ["x"] * len(fields)
            await pilot.press("escape")


async def test_the_texts_of_the_last_commands_are_kept_and_of_the_others_one_line(workspace: Workspace) -> None:
    app = make_app(workspace)
    async with app.run_test(size=(80, 40)) as pilot:
        await settled(pilot)
        for number in range(1, jobs.KEPT_TEXTS + 3):
            job = jobs.Job(number, ("status",), out=f"answer {number}\n" * 2, code=0, ended=number)
            app.jobs.append(job)
            app._job_ended(job)
        assert [bool(job.out) for job in app.jobs] == [False] * 2 + [True] * jobs.KEPT_TEXTS
        await pilot.press("J")
        await settled(pilot)
        assert all(f"answer {job.number}" in text(app) for job in app.jobs)
        app.open("output", "1")
        await settled(pilot)
        assert "is dropped" in text(app)
        assert "answer 1" in text(app)


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
    monkeypatch.setattr(app.outside, "page_text", given.append)
    monkeypatch.setattr(app.outside, "_lend", lambda work: pytest.fail("a command was started"))
    long = "x" * (SHOWN + 5)
    async with app.run_test(size=(80, 24)) as pilot:
        shown = await _typed_output(pilot, app, jobs.Job(1, ("gc", "--yes"), out=long, code=0))
        assert "5 characters more" in shown
        await pilot.press("o")
        assert given == [long]
        app.outside.page(["gc", "--yes"])
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
