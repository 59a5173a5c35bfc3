"""The pages of the act build: lists, a dataset and its diff, runs that ended or train or are compared, a pipeline."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from mlops_tui.adapters.catalogue import build, lock
from mlops_tui.config import Data
from mlops_tui.flows.build import datasets
from mlops_tui.flows.queries import lists
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import Histogram, Run, to_json
from mlops_tui.tui import jobs
from mlops_tui.tui.app import MissionControl, make_app
from mlops_tui.tui.build.compare import Compare
from mlops_tui.tui.build.dataset import Dataset
from mlops_tui.tui.build.diff import Diff, _shares
from mlops_tui.tui.build.pipeline import Pipeline
from mlops_tui.tui.build.root import Build
from mlops_tui.tui.build.run import RunPage
from mlops_tui.tui.page import Page
from mlops_tui.tui.verbs import Subject
from mlops_tui.tui.widgets.table import Table
from tests.tui import made
from tests.tui.shown import settled, text, until


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return made.normal(tmp_path)


def page_of(app: MissionControl) -> Page[Any]:
    assert isinstance(app.screen, Page), app.screen
    return app.screen


async def at(pilot: Pilot[Any], kind: type[Page[Any]]) -> None:
    """Wait until a page of this kind is on top, with all that it shows."""
    await until(pilot, lambda: isinstance(pilot.app.screen, kind))
    await settled(pilot)


def subject(app: MissionControl) -> Subject:
    found = page_of(app).subject()
    assert found is not None
    return found


def table(app: MissionControl, name: str = "list") -> Table:
    return page_of(app).query_one(f"#{name}", Table)


def shown(app: MissionControl, name: str) -> str:
    return str(page_of(app).query_one(f"#{name}", Static).content)


# ── lists ────────────────────────────────────────────────────────────────────────────────────────


async def test_a_list_that_was_scrolled_through_keeps_what_is_near_and_what_is_marked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlops_tui.tui.widgets.table.KEPT", 400)
    app = make_app(made.crowded(tmp_path, pipelines=4, versions=20, runs=1500))
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("1", "tab")
        await until(pilot, lambda: len(table(app).keys) == 1500)
        await settled(pilot)
        page = app.screen
        assert isinstance(page, Build)
        await pilot.press("space")
        (first,) = page.marked()
        for place in range(0, 1500, 36):
            table(app).cursor = place
            await until(pilot, lambda: page.row() is not None)
            assert len(page.state.rows) <= 400 + 1
        page.reload()  # which brings but what is near the cursor
        await until(pilot, lambda: len(page.state.rows) < 200)
        assert page.marked() == [first]


async def test_the_runs_have_a_column_for_every_metric_and_sort_by_it(workspace: Workspace) -> None:
    app = make_app(workspace)
    async with app.run_test(size=(160, 48)) as pilot:
        await pilot.press("1", "tab")
        await until(pilot, lambda: len(table(app).keys) == 15)
        names = [column.key for column in table(app).columns]
        assert set(lists.metrics(workspace)) <= set(names)
        table(app).sort_by("auc")
        best = lists.runs(workspace, "", "auc")
        await until(pilot, lambda: table(app).keys == best)
        assert page_of(app).shell() == ["runs", "list", "--sort", "auc"]
        table(app).sort_by("-pipeline")
        await until(pilot, lambda: table(app).keys == lists.runs(workspace, "", "-pipeline"))
        assert page_of(app).shell() == ["runs", "list", "--filter", "", "--sort", "-pipeline"]


async def test_a_filter_keeps_what_the_command_would_and_half_a_filter_says_what_is_missing(
    workspace: Workspace,
) -> None:
    app = make_app(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("1", "tab", "slash")
        await pilot.press(*"status:failed")
        await until(pilot, lambda: len(table(app).keys) == 1)
        assert page_of(app).shell() == ["runs", "list", "--filter", "status:failed"]
        await pilot.press(*" auc>")
        await until(pilot, lambda: page_of(app).query_one("#trouble").display)
        assert "auc> is half a term" in shown(app, "trouble")


async def test_only_a_run_that_trains_can_be_stopped(workspace: Workspace) -> None:
    app = make_app(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("1", "tab")
        await until(pilot, lambda: subject(app).noun == "run")
        commands = [verb.command for verb in page_of(app).acts()]
        assert "runs reproduce" in commands
        assert "runs stop" not in commands


async def test_an_empty_workspace_says_what_to_do_on_each_list(tmp_path: Path) -> None:
    app = make_app(made.empty(tmp_path))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("1")
        for command in ("mlops datasets add", "mlops run PIPELINE", "mlops demo"):
            await settled(pilot)
            assert command in text(app)
            await pilot.press("tab")


# ── datasets ─────────────────────────────────────────────────────────────────────────────────────


async def test_a_dataset_page_draws_the_column_under_the_cursor_and_tells_findings_whole(workspace: Workspace) -> None:
    app = make_app(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        app.open("dataset", "meters")
        await at(pilot, Dataset)
        assert "breaks its contract" in shown(app, "facts")
        table(app, "columns").go_to("outside")
        await until(pilot, lambda: "outside" in shown(app, "told"))
        await pilot.press("shift+tab")  # the findings stand above
        await until(pilot, lambda: "; first at row" in shown(app, "told"))
        await pilot.press("enter")
        await until(pilot, lambda: table(app, "columns").current == "kwh")
        assert page_of(app).shell() == ["datasets", "show", "meters:2"]


async def test_a_diff_is_computed_by_its_command_while_the_histograms_are_there_at_once(tmp_path: Path) -> None:
    workspace = made.empty(tmp_path)
    (tmp_path / "data" / "1.csv").parent.mkdir(exist_ok=True)
    data = Data(dataset="parcels", source="data/*.csv")
    for number, (start, carrier) in enumerate(((0, "A"), (500, "B")), 1):
        rows = "".join(f"{start + n},{carrier if n % 3 else 'C'}\n" for n in range(200))
        (tmp_path / "data" / f"{number}.csv").write_text(f"weight,carrier\n{rows}")
        datasets.refresh(workspace, data)
    app = make_app(workspace)
    async with app.run_test(size=(160, 48)) as pilot:
        await pilot.press("1")
        await until(pilot, lambda: len(table(app).keys) == 2)
        await pilot.press("v")
        await until(pilot, lambda: isinstance(app.screen, Diff) and app.screen.data is not None)
        assert "computing" in shown(app, "facts")
        await until(pilot, lambda: "computing" not in shown(app, "facts"), 60)
        assert "! 2 of 2" in shown(app, "facts")
        assert [cell.text for cell in table(app, "columns").rows["weight"]][-1] == "! moved"
        assert page_of(app).shell() == ["datasets", "diff", "parcels:1", "parcels:2"]


async def test_v_on_home_holds_what_is_under_the_cursor_against_another_version(workspace: Workspace) -> None:
    app = make_app(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        for right, path in ((0, "flight-delay:5"), (1, "flights:3 → flights:4"), (4, "flight-delay:5")):
            await pilot.press(*["right"] * right, "v")
            await until(pilot, lambda path=path: page_of(app).title_in_path().endswith(path))
            await settled(pilot)
            app.pop_screen()
            await settled(pilot)
            table(app, "board").column = 0
        await pilot.press("down", "down", "v")  # nothing of this pipeline has been trained
        await until(pilot, lambda: "there is none yet" in text(app))


async def test_a_diff_is_asked_for_once_and_again_by_ctrl_r_where_it_was_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Sequence[str]] = []

    async def refused(root: Path, words: Sequence[str]) -> dict[str, Any]:
        asked.append(words)
        await asyncio.sleep(0.3)
        return {"error": {"kind": "busy", "message": f"no luck {len(asked)}", "hint": ""}}

    monkeypatch.setattr(jobs, "answer", refused)
    app = make_app(made.normal(tmp_path / "normal"))
    async with app.run_test(size=(80, 24)) as pilot:
        app.open("dataset diff", "flights:1,flights:4")
        await until(pilot, lambda: bool(asked))
        page_of(app).reload()
        await until(pilot, lambda: "no luck 1" in text(app))
        page_of(app).reload()
        await settled(pilot)
        assert len(asked) == 1
        await pilot.press("ctrl+r")
        await until(pilot, lambda: "no luck 2" in text(app))


async def test_a_diff_that_cannot_be_computed_says_why_and_goes_on_saying_it(workspace: Workspace) -> None:
    app = make_app(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        app.open("dataset diff", "flights:1,nothing:2")
        await until(pilot, lambda: page_of(app).failed is not None)
        assert "no dataset 'nothing'" in shown(app, "trouble")


def test_shares_of_a_histogram_in_other_bins_are_its_mass_wherever_the_edges_are() -> None:
    histogram = Histogram((0.0, 1.0, 2.0), (30, 10))
    assert _shares(histogram, (0.0, 0.5, 1.0, 1.5, 2.0)) == pytest.approx([0.375, 0.375, 0.125, 0.125])
    assert _shares(histogram, (-2.0, 0.0, 2.0, 4.0)) == pytest.approx([0, 1, 0])
    for value in (0.0, 1.0, 2.0):
        assert sum(_shares(Histogram((value, value), (7,)), (0.0, 1.0, 2.0))) == 1


# ── runs ─────────────────────────────────────────────────────────────────────────────────────────


async def test_a_run_leads_to_its_model_its_dataset_and_its_pipeline(workspace: Workspace) -> None:
    run = lists.run_rows(workspace, lists.runs(workspace, "pipeline=flight-delay")[:1])[0]
    app = make_app(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        app.open("run", run.id[:8])
        await at(pilot, RunPage)
        page = page_of(app)
        assert page.title_in_path() == f"run {run.id}"
        assert "0.7364 (0.7263 to 0.7465)" in [cell.text for cell in table(app, "metrics").rows["auc"]]
        assert subject(app).refs == {"pipeline": "flight-delay", "dataset": "flights:4", "model": "flight-delay:5"}
        table(app, "facts").go_to("pipeline")
        await pilot.press("enter")
        await at(pilot, Pipeline)
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is page)
        await pilot.press("d")
        await at(pilot, Dataset)
        assert page_of(app).title_in_path() == "flights:4"


async def test_a_run_whose_details_are_gone_shows_what_is_left_and_why(tmp_path: Path) -> None:
    workspace = made.broken(tmp_path)
    champion = lists.model_rows(workspace, lists.models(workspace, "model=flight-delay version=3"))[0].version
    app = make_app(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        app.open("run", champion.run)
        await at(pilot, RunPage)
        assert "results" in table(app, "facts").keys
        assert not table(app, "metrics").display


@contextmanager
def training(workspace: Workspace, run: Run) -> Iterator[Path]:
    """A run that trains, as far as anybody can see: this process holds its folder; gives the file of its words."""
    folder = workspace.run_folder(run.id)
    folder.mkdir(parents=True)
    with lock.exclusive(folder / "lock", "the run", timeout=1, user="ada"):
        with workspace.catalogue.write(run.started_at) as act:
            build.add_run(act, run)
            act.record("run.started", run.id)
        (folder / "progress.jsonl").touch()
        yield folder / "progress.jsonl"


def says(path: Path, number: int, value: float) -> None:
    event = {"at": made.NOW, "step": "train", "text": "", "done": number, "total": 300, "values": {"auc": value}}
    with path.open("ab") as stream:
        stream.write(to_json(event) + b"\n")


async def test_a_live_run_grows_on_the_screen_and_its_clock_stops_when_it_ends(workspace: Workspace) -> None:
    old = lists.run_rows(workspace, lists.runs(workspace, "pipeline=flight-delay")[:1])[0]
    run = replace(
        old,
        id="feedfeedfeed",
        status="running",
        started_at=made.NOW,
        ended_at=None,
        metrics={},
        details=None,
        error=None,
    )
    app = make_app(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        with training(workspace, run) as path:
            says(path, 10, 0.70)
            app.open("run", run.id)
            await at(pilot, RunPage)
            assert "10/300" in shown(app, "progress")
            page = page_of(app)
            assert isinstance(page, RunPage)
            assert "runs stop" in [verb.command for verb in page.acts()]
            says(path, 20, 0.71)
            with path.open("ab") as stream:
                stream.write(b'{"at": "2013')  # half a line is left for the next look
            await until(pilot, lambda: "20/300" in shown(app, "progress"))
            assert page.query_one("#curve").display
            assert len(page.data.events) == 2  # type: ignore[union-attr]
            with workspace.catalogue.write(made.NOW) as act:
                ended = run.started_at + timedelta(seconds=9)
                build.end_run(act, replace(run, status="failed", ended_at=ended, error="no space left on device"))
                act.record("run.failed", run.id)
        await until(pilot, lambda: "error" in table(app, "facts").keys)
        assert not page.query_one("#progress").display
        assert "runs stop" not in [verb.command for verb in page.acts()]


async def test_a_live_run_whose_process_dies_is_told_as_interrupted(workspace: Workspace) -> None:
    old = lists.run_rows(workspace, lists.runs(workspace)[:1])[0]
    run = replace(old, id="feedfeedfeed", status="running", ended_at=None, metrics={}, details=None)
    app = make_app(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        with training(workspace, run):
            app.open("run", run.id)
            await at(pilot, RunPage)
            assert page_of(app).query_one("#progress").display
            assert "running" in table(app, "facts").rows["status"][1].text
        await until(pilot, lambda: "interrupted" in table(app, "facts").rows["status"][1].text)


async def test_marked_runs_are_compared_with_the_first_that_was_marked(workspace: Workspace) -> None:
    app = make_app(workspace)
    async with app.run_test(size=(160, 48)) as pilot:
        await pilot.press("1", "tab")
        await until(pilot, lambda: len(table(app).rows) == 15)
        await pilot.press("v")
        await until(pilot, lambda: "mark 2 to 6" in shown(app, "activity"))
        await pilot.press("down", "down", "space", "home", "space", "v")
        await at(pilot, Compare)
        page = page_of(app)
        first, second = lists.run_rows(workspace, [lists.runs(workspace)[at] for at in (2, 0)])
        assert page.shell() == ["runs", "compare", first.id, second.id]
        change = second.metrics["auc"] - first.metrics["auc"]
        assert table(app, "metrics").rows["auc"][2].text == f"{second.metrics['auc']:.4f} ▲ {change:+.4f}"
        assert table(app, "metrics").rows["log_loss"][2].tone == "ok"  # less is better
        keys = list(table(app, "settings").keys)
        marks = [table(app, "settings").rows[key][0].text.startswith("≠") for key in keys]
        assert marks == sorted(marks, reverse=True)
        assert "dataset" in keys[: sum(marks)]
        await pilot.press("enter")
        await at(pilot, RunPage)


# ── pipelines ────────────────────────────────────────────────────────────────────────────────────


async def test_a_pipeline_shows_stations_plan_and_settings_and_opens_what_is_behind_a_station(
    workspace: Workspace,
) -> None:
    app = make_app(workspace)
    async with app.run_test(size=(160, 48)) as pilot:
        app.open("pipeline", "flight-delay")
        await at(pilot, Pipeline)
        assert "train.params.num_leaves" in shown(app, "settings")
        assert table(app, "steps").rows["approval"][1].text == "◆ wait"
        table(app, "stations").go_to("approval")
        await until(pilot, lambda: "waits for 1 more approval" in shown(app, "told"))
        table(app, "stations").go_to("data")
        await pilot.press("enter")
        await at(pilot, Dataset)


async def test_a_pipeline_file_with_mistakes_has_a_page_that_names_all_of_them(tmp_path: Path) -> None:
    app = make_app(made.broken(tmp_path))
    async with app.run_test(size=(80, 24)) as pilot:
        app.open("pipeline", "mistaken")
        await at(pilot, Pipeline)
        assert "trian" in shown(app, "head")
        assert "binari" in shown(app, "head")
        app.open("pipeline", "nobody")
        await until(pilot, lambda: page_of(app).failed is not None)
        assert "no pipeline 'nobody'" in shown(app, "trouble")


async def test_every_list_of_build_leads_to_a_page_that_is_there(workspace: Workspace) -> None:
    app = make_app(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("1")
        for kind in (Dataset, RunPage, Pipeline):
            await until(pilot, lambda: isinstance(app.screen, Build) and app.screen.row() is not None)
            await pilot.press("enter")
            await settled(pilot)
            assert isinstance(app.screen, kind)
            assert app.screen.data is not None
            await pilot.press("escape")
            await at(pilot, Build)
            await pilot.press("tab")
