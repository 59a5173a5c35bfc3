"""The pages of the act release: lists, a model version, two side by side, a Bento, a deployment."""

from __future__ import annotations

import os
import shlex
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest
from textual.pilot import Pilot

from mlops_tui.adapters.catalogue import release as catalogue
from mlops_tui.flows.queries.served import answers, served
from mlops_tui.flows.queries.traffic import Counted, Traffic
from mlops_tui.flows.release import deployments
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import Contest, Curves, Histogram, Metric, MetricDifference, Reliability, Residuals, Roc
from mlops_tui.tui import jobs, verbs
from mlops_tui.tui.app import MissionControl, make_app
from mlops_tui.tui.release import contest
from mlops_tui.tui.release.deployment import SHOWN, Deployment, by_time
from mlops_tui.tui.release.model import Model
from mlops_tui.tui.release.versus import Versus
from mlops_tui.tui.widgets.table import Table
from tests.tui import made
from tests.tui.driven import page_of, settled, text, until

NAME = "flight-delay"
SMALL, LARGE = (80, 24), (160, 48)


@pytest.fixture(scope="module")
def normal(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Four pipelines; looked at, never changed."""
    return made.normal(tmp_path_factory.mktemp("release") / "normal")


async def opened(pilot: Pilot[Any], app: MissionControl, noun: str, ref: str) -> Any:
    """Open the page of an object from home, and wait until all of it is there."""
    await settled(pilot)
    app.open(noun, ref)
    await settled(pilot)
    return page_of(app)


def command(app: MissionControl, key: str) -> str:
    """The command that a key stands for on the page."""
    page = page_of(app)
    subject = page.subject()
    assert subject is not None
    verb = next(verb for verb in page.acts() if verb.key == key)
    return shlex.join(verb.line(subject))


# ── lists ────────────────────────────────────────────────────────────────────────────────────────


async def test_key_2_lists_model_versions_with_their_state_and_enter_opens_one(normal: Workspace) -> None:
    app = make_app(normal)
    async with app.run_test(size=LARGE) as pilot:
        await settled(pilot)
        await pilot.press("2")
        await settled(pilot)
        first = text(app).splitlines()[3]
        for word in (NAME, "5", "◆ waiting", "auc", "0.7364", "flights:4", "ben"):
            assert word in first
        await pilot.press("enter")
        await settled(pilot)
        assert isinstance(app.screen, Model)
        assert app.screen.ref == f"{NAME}:5"


async def test_models_are_filtered_and_sorted_by_the_catalogue(normal: Workspace) -> None:
    app = make_app(normal)
    async with app.run_test(size=LARGE) as pilot:
        page = await opened(pilot, app, "release", "models")
        await pilot.press("slash", *"auc>0.73", "enter")
        await until(pilot, lambda: len(page.table.keys) == 4)
        assert page.shell() == ["models", "list", "--filter", "auc>0.73"]
        await pilot.press("greater_than_sign", "greater_than_sign")  # by version
        await until(pilot, lambda: page.row() is not None and page.state.by == "version")
        await settled(pilot)
        numbers = [page.state.rows[key].cells[1].value for key in page.table.keys]
        assert numbers == sorted(numbers)


async def test_v_compares_two_marked_versions_the_older_first(normal: Workspace) -> None:
    app = make_app(normal)
    async with app.run_test(size=SMALL) as pilot:
        page = await opened(pilot, app, "release", "models")
        await pilot.press("slash", *f"model={NAME}", "enter")
        await until(pilot, lambda: len(page.table.keys) == 5)
        await settled(pilot)
        await pilot.press("space", "space", "v")
        await until(pilot, lambda: isinstance(app.screen, Versus) and app.screen.data is not None)
        assert page_of(app).title_in_path() == f"{NAME}:4 ⇄ {NAME}:5"


async def test_v_holds_the_version_under_the_cursor_against_its_champion(normal: Workspace) -> None:
    app = make_app(normal)
    async with app.run_test(size=SMALL) as pilot:
        await opened(pilot, app, "release", "models")
        await pilot.press("v")
        await until(pilot, lambda: isinstance(app.screen, Versus) and app.screen.data is not None)
        assert page_of(app).title_in_path() == f"{NAME}:3 ⇄ {NAME}:5"
        assert page_of(app).shell() == ["models", "curves", f"{NAME}:5", f"{NAME}:3"]


async def test_three_marked_versions_cannot_be_compared(normal: Workspace) -> None:
    app = make_app(normal)
    async with app.run_test(size=SMALL) as pilot:
        page = await opened(pilot, app, "release", "models")
        await pilot.press("space", "space", "space", "v")
        assert app.screen is page
        assert "3 are marked; two can be compared" in text(app)


async def test_tab_leads_to_bentos_and_deployments_and_what_they_open(normal: Workspace) -> None:
    app = make_app(normal)
    async with app.run_test(size=LARGE) as pilot:
        await opened(pilot, app, "release", "models")
        await pilot.press("tab")
        await settled(pilot)
        assert f"{NAME}:v3" in text(app)
        assert "1.2 MB" in text(app)
        await pilot.press("tab")
        await settled(pilot)
        line = next(line for line in text(app).splitlines() if "✓ running" in line)
        assert "http://127.0.0.1:3999" in line
        await pilot.press("enter")
        await settled(pilot)
        assert isinstance(app.screen, Deployment)


async def test_empty_lists_say_what_to_do_next(tmp_path: Path) -> None:
    app = make_app(made.empty(tmp_path / "empty"))
    async with app.run_test(size=LARGE) as pilot:
        await opened(pilot, app, "release", "models")
        for hint in ("mlops run PIPELINE", "mlops bentos build MODEL", "mlops deployments start MODEL"):
            assert hint in text(app)
            await pilot.press("v", "tab")
            await settled(pilot)


# ── a model version ──────────────────────────────────────────────────────────────────────────────


async def test_a_model_page_shows_state_gates_metrics_and_what_belongs_to_it(normal: Workspace) -> None:
    app = make_app(normal)
    async with app.run_test(size=LARGE) as pilot:
        await opened(pilot, app, "model", f"{NAME}:5")
        shown = text(app)
        words = ("◆ waiting", "4 of 4 passed, against the champion :3", "✓  auc versus champion", "0.0384 to 0.0522")
        more = ("average_precision", "fdca8007d499", "flights:4", "Importance", "the best round is 198")
        for word in words + more:
            assert word in shown
        assert command(app, "a") == f"models approve {NAME}:5"
        assert command(app, "h").startswith("runs reproduce ")


async def test_failed_gates_come_first_and_their_reason_is_told_in_full(normal: Workspace) -> None:
    app = make_app(normal)
    async with app.run_test(size=SMALL) as pilot:
        await opened(pilot, app, "model", f"{NAME}:2")
        shown = text(app)
        assert shown.index("✗  auc") < shown.index("✓  auc ≥ 0.62")
        await pilot.press("down")
        assert "(Holm over 6): 'EV' 0.5312 (p = 0.0021)" in " ".join(text(app).split())


async def test_enter_on_the_gate_against_the_champion_opens_both(normal: Workspace) -> None:
    app = make_app(normal)
    async with app.run_test(size=SMALL) as pilot:
        await opened(pilot, app, "model", f"{NAME}:5")
        await pilot.press("down", "enter")
        await until(pilot, lambda: isinstance(app.screen, Versus) and app.screen.data is not None)
        assert isinstance(app.screen, Versus)
        assert app.screen.ref == f"{NAME}:3 {NAME}:5"


async def test_brackets_walk_through_the_versions(normal: Workspace) -> None:
    app = make_app(normal)
    async with app.run_test(size=SMALL) as pilot:
        page = await opened(pilot, app, "model", f"{NAME}@champion")
        assert page.ref == f"{NAME}:3"
        page.action_version(1)
        assert page.subject() is None, "nothing may be done to a version that is not shown yet"
        await until(pilot, lambda: page.subject() is not None)
        assert "✗ rejected" in text(app)
        await pilot.press("right_square_bracket")
        await settled(pilot)
        await pilot.press("right_square_bracket")
        assert f"{NAME}:5 is the newest version" in text(app)
        assert page.ref == f"{NAME}:5"


async def test_brackets_pressed_while_a_version_loads_count_too(normal: Workspace) -> None:
    app = make_app(normal)
    async with app.run_test(size=SMALL) as pilot:
        page = await opened(pilot, app, "model", f"{NAME}:5")
        read, load = threading.Event(), page.load

        def slow(workspace: Workspace) -> Any:
            found = load(workspace)
            assert read.wait(30)
            return found

        page.load = slow
        page.action_version(-1)
        await pilot.pause(0.3)
        page.action_version(-1)  # the first is read, but not shown yet
        read.set()
        await until(pilot, lambda: page.subject() is not None and not page._loading)
        assert page.ref == page.data.shown.version.ref == f"{NAME}:3"


async def test_a_served_champion_is_stopped_by_its_deployment_not_by_its_run(normal: Workspace) -> None:
    app = make_app(normal)
    async with app.run_test(size=SMALL) as pilot:
        page = await opened(pilot, app, "model", f"{NAME}:3")
        subject = page.subject()
        assert subject.refs["champion"] == f"{NAME}:3"
        assert command(app, "t") == f"deployments stop {NAME}"


@pytest.mark.parametrize("noun", ["model", "versus", "bento", "deployment"])
async def test_a_page_of_nothing_says_so(normal: Workspace, noun: str) -> None:
    app = make_app(normal)
    async with app.run_test(size=SMALL) as pilot:
        page = await opened(pilot, app, noun, "nobody")
        assert "✗ no " in text(app)
        assert page.acts() == []


# ── two side by side ─────────────────────────────────────────────────────────────────────────────


async def test_versus_shows_at_once_what_is_known_and_then_why_it_cannot_measure(normal: Workspace) -> None:
    app = make_app(normal)
    async with app.run_test(size=LARGE) as pilot:
        await settled(pilot)
        app.open("versus", f"{NAME}:3 {NAME}:4")
        await until(pilot, lambda: "train.params.num_leaves" in text(app))
        assert "computing on the test rows…" in text(app)
        assert "Metrics, each on its own test rows" in text(app)
        await settled(pilot)  # the made models cannot be loaded
        page = app.screen
        assert isinstance(page, Versus)
        assert page.trouble.startswith("✗")
        assert command(app, "x") == f"models reject {NAME}:4"


async def test_an_answer_that_is_no_contest_is_told(normal: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    async def other(root: Path, words: Sequence[str]) -> dict[str, Any]:
        return {"task": "binary"}

    monkeypatch.setattr(jobs, "answer", other)
    app = make_app(normal)
    async with app.run_test(size=LARGE) as pilot:
        page = await opened(pilot, app, "versus", f"{NAME}:3 {NAME}:4")
        assert "the answer is another version's" in page.trouble
        assert "the answer is another version's" in text(app)


async def test_a_real_model_alone_is_measured_by_a_child_process(trained: Workspace) -> None:
    app = make_app(trained)
    async with app.run_test(size=LARGE) as pilot:
        page = await opened(pilot, app, "versus", NAME)
        assert page.trouble == ""
        shown = text(app)
        for word in ("nothing: there is no champion", "labelled test rows", "ROC", "Calibration", "Slices: auc by"):
            assert word in shown


def contest_of(low: float, high: float) -> Contest:
    """Two regressions, the challenger first, with a difference between two ends."""
    residuals = Residuals(Histogram((-1.0, 0.0, 1.0), (3, 4)), 0, tuple(map(float, range(9))))
    bins = (Reliability(5, 1.0, 1.1, 0.9, 1.3), Reliability(5, 2.0, 2.1, 1.9, 2.3))
    sides = [
        Curves(ref, (Metric("rmse", value, value - 0.1, value + 0.1, higher=False),), None, bins, residuals)
        for ref, value in (("price:2", 1.0), ("price:1", 1.5))
    ]
    gain = MetricDifference("rmse", (low + high) / 2, low, high, "paired bootstrap")
    return Contest("regression", "the test rows", 10, 0, tuple(sides), (gain,))


@pytest.mark.parametrize(
    ("low", "high", "mark", "word"),
    [(0.1, 0.9, "✓", "better"), (-0.9, -0.1, "✗", "worse"), (-0.1, 0.1, "·", "not told apart")],
)
def test_the_sign_of_a_difference_follows_from_its_interval(low: float, high: float, mark: str, word: str) -> None:
    (line,) = contest.metric_lines(contest_of(low, high))
    assert (line.cells[0].text, line.cells[2].text) == (mark, "1.5000 (1.4000 to 1.6000)")
    assert word in line.told


def test_a_regression_has_residuals_and_calibration_but_no_roc() -> None:
    drawn = contest.plots_of(contest_of(0.1, 0.9))
    assert [title for title, _ in drawn] == ["Truth minus prediction", "Calibration"]
    for _, draw in drawn:
        assert [len(row) for row in draw(60, 14)] == [60] * 14


def test_a_binary_model_has_roc_and_calibration() -> None:
    found = contest_of(0.1, 0.9)
    models = tuple(replace(one, residuals=None, roc=Roc((0.0, 0.2, 1.0), (0.0, 0.8, 1.0))) for one in found.models)
    assert [title for title, _ in contest.plots_of(replace(found, models=models))] == ["ROC", "Calibration"]


# ── Bentos and deployments ───────────────────────────────────────────────────────────────────────


async def test_a_bento_page_has_the_proof_and_leads_to_what_serves_it(normal: Workspace) -> None:
    app = make_app(normal)
    async with app.run_test(size=SMALL) as pilot:
        await opened(pilot, app, "bento", f"{NAME}:v3")
        assert "64 golden rows" in text(app)
        assert "✓ the same answers" in text(app)
        await pilot.press("down", "down", "enter")
        await settled(pilot)
        assert isinstance(app.screen, Deployment)


async def test_a_deployment_page_shows_what_served_before_and_its_log(normal: Workspace) -> None:
    app = make_app(normal)
    async with app.run_test(size=LARGE) as pilot:
        page = await opened(pilot, app, "deployment", NAME)
        shown = text(app)
        for word in ("✓ running", f"{NAME}:1", "2013-08-02 08:10:00", "does not answer", "POST /predict 200 4.59 ms"):
            assert word in shown
        history = page.query_one("#history", Table)
        history.focus()
        await pilot.press("down", "enter")
        await settled(pilot)
        assert isinstance(app.screen, Model)
        assert app.screen.ref == f"{NAME}:1"


async def test_a_log_that_goes_while_the_page_is_open_is_no_bug(tmp_path: Path) -> None:
    workspace = made.normal(tmp_path / "normal")
    app = make_app(workspace)
    async with app.run_test(size=LARGE) as pilot:
        page = await opened(pilot, app, "deployment", NAME)
        assert page.data.log
        deployments.log_file(workspace, NAME).unlink()
        page.reload()
        await until(pilot, lambda: "it has written nothing yet" in text(app))
        assert page.failed is None


async def test_s_on_a_deployment_serves_the_champion_under_its_own_name(tmp_path: Path) -> None:
    workspace = made.normal(tmp_path / "normal")
    with workspace.catalogue.write(made.NOW) as act:
        known = catalogue.deployment(act, NAME)
        assert known is not None
        catalogue.put_deployment(act, replace(known, name="trial", version=1, pid=0, born=0.0, wanted="stopped"))
        act.record("deployment.stopped", "trial")
    app = make_app(workspace)
    async with app.run_test(size=SMALL) as pilot:
        await opened(pilot, app, "deployment", "trial")
        assert "· stopped" in text(app)
        assert f"the champion is {NAME}:3" in text(app)
        assert command(app, "s") == f"deployments start {NAME}:3 --name=trial"


async def test_a_deployment_page_follows_what_others_do_to_it(tmp_path: Path) -> None:
    workspace = made.normal(tmp_path / "normal")
    app = make_app(workspace)
    async with app.run_test(size=SMALL) as pilot:
        page = await opened(pilot, app, "deployment", NAME)
        assert page.subject().refs["model"] == f"{NAME}:3"
        with workspace.catalogue.write(made.NOW) as act:
            known = catalogue.deployment(act, NAME)
            assert known is not None
            catalogue.put_deployment(act, replace(known, version=1, started_at=made.NOW, user="eve"))
            act.record("deployment.started", NAME)
        await until(pilot, lambda: page.subject().refs["model"] == f"{NAME}:1", 10)
        assert f"the champion is {NAME}:3" in text(app)


class Counters(BaseHTTPRequestHandler):
    """A server that counts what it was asked, as a Bento tells it: ten requests more at every look."""

    requests = 0

    def do_GET(self) -> None:  # as the library calls it
        type(self).requests += 10
        lines = [
            f'mlops_requests_total{{endpoint="/predict",outcome="ok"}} {self.requests}',
            'mlops_requests_total{endpoint="/predict",outcome="invalid_input"} 3',
            f'mlops_rows_total{{endpoint="/predict"}} {self.requests}',
        ]
        body = "\n".join(lines).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nobody wants to read that."""


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[Workspace]:
    """A workspace whose deployment answers at /metrics, by a clock that goes."""
    workspace = made.normal(tmp_path / "normal")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Counters)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    with workspace.catalogue.write(made.NOW) as act:
        known = catalogue.deployment(act, NAME)
        assert known is not None
        born = psutil.Process().create_time()
        catalogue.put_deployment(act, replace(known, port=server.server_port, pid=os.getpid(), born=born))
        act.record("deployment.started", NAME)
    yield replace(workspace, now=lambda: datetime.now(UTC))
    server.shutdown()
    thread.join()


async def test_traffic_is_drawn_look_by_look_while_the_page_is_open(busy: Workspace) -> None:
    app = make_app(busy)
    async with app.run_test(size=SMALL) as pilot:
        page = await opened(pilot, app, "deployment", NAME)
        assert "Traffic since the server started" in text(app)
        assert "✗ 3 invalid_input" in text(app)
        await until(pilot, lambda: len(page.looks) > 2)
        first, second = list(page.looks)[1:3]
        assert (second.at - first.at).total_seconds() >= 1
        assert "Traffic, the last " in text(app)
        assert second.requests_per_second == pytest.approx(10 / second.seconds)


async def test_traffic_goes_on_behind_a_dialog(busy: Workspace) -> None:
    app = make_app(busy)
    async with app.run_test(size=SMALL) as pilot:
        page = await opened(pilot, app, "deployment", NAME)
        await pilot.press("z")
        assert not isinstance(app.screen, Deployment)
        assert f"Make {NAME}:1 champion again, and serve it as {NAME}." in text(app)
        assert f"$ mlops deployments rollback {NAME}" in text(app)
        seen = len(page.looks)
        await until(pilot, lambda: len(page.looks) > seen)
        assert not isinstance(app.screen, Deployment)


def look(at: float, seconds: float, rate: float) -> Traffic:
    """A look at a server, by when it was and how long the one before was ago."""
    moment = made.NOW + timedelta(seconds=at)
    return Traffic(NAME, moment, 1, Counted(), seconds, requests_per_second=rate)


def test_rates_are_drawn_by_time_not_by_look() -> None:
    looks = [look(2, 2, 1.0), look(4, 2, 2.0), look(24, 20, 3.0), look(26, 2, 4.0)]
    drawn = by_time(looks, lambda one: one.requests_per_second)
    assert len(drawn) == SHOWN
    assert drawn[-14:] == [None, 1.0, 2.0, *[3.0] * 10, 4.0]
    assert by_time([], lambda one: one.requests_per_second) == [None] * SHOWN
    month = 30 * 86_400.0
    assert by_time([look(month, month, 5.0)], lambda one: one.requests_per_second) == [5.0] * SHOWN


async def test_a_deployment_that_does_not_run_has_no_process_and_its_address_stands_whole(tmp_path: Path) -> None:
    workspace = made.normal(tmp_path / "normal")
    host = "a-machine-with-a-long-name.and-a-domain-that-is-longer.than-a-line-of-eighty-columns.example.org"
    with workspace.catalogue.write(made.NOW) as act:
        known = catalogue.deployment(act, NAME)
        assert known is not None
        catalogue.put_deployment(act, replace(known, wanted="stopped", stopped_at=made.NOW, pid=4711, host=host))
        act.record("deployment.stopped", NAME)
    app = make_app(workspace)
    async with app.run_test(size=SMALL) as pilot:
        page = await opened(pilot, app, "deployment", NAME)
        page.query_one("#history", Table).focus()
        await until(pilot, lambda: "Bento flight-delay:v3" in text(app))
        assert "4711" not in text(app)
        shown = "".join(line.strip() for line in text(app).splitlines())
        assert shown.count(f"http://{host}:{known.port}") == 2  # on its own line, and of what served


@pytest.mark.parametrize("noun", ["model", "deployment"])
async def test_home_and_end_bring_the_row_under_the_cursor_into_view(normal: Workspace, noun: str) -> None:
    app = make_app(normal)
    async with app.run_test(size=(80, 16)) as pilot:
        page = await opened(pilot, app, noun, NAME)
        for table in page.query(Table):
            table.focus(scroll_visible=False)
            for key in ("end", "home", "end"):
                page.query_one("#scroll").scroll_home(animate=False, immediate=True)
                await pilot.press(key)
                row = table.region.y + 1 + table.cursor - table.scroll_offset.y
                view = page.query_one("#scroll").region
                assert view.y <= row < view.bottom, (table.id, key)


def test_a_look_at_all_servers_goes_on_where_one_does_not_answer(busy: Workspace) -> None:
    with busy.catalogue.write(made.NOW) as act:
        known = catalogue.deployment(act, NAME)
        assert known is not None
        catalogue.put_deployment(act, replace(known, name="gone", pid=0, born=0.0))
        act.record("deployment.started", "gone")
    found = answers(busy, [one.deployment for one in served(busy)], {})
    assert {name: one.total is not None for name, one in found.items()} == {NAME: True, "gone": False}
    assert [one.state for one in served(busy)] == ["running", "down"]
    assert all(one.champion == f"{NAME}:3" for one in served(busy))
    assert deployments.get(busy, "gone").wanted == "running"


def test_a_champion_served_from_elsewhere_keeps_the_command_as_it_was() -> None:
    verb = next(verb for verb in verbs.VERBS if verb.label == "serve champion")
    subject = verbs.Subject("pipeline", NAME, {"champion": f"{NAME}:3"})
    assert verb.line(subject) == ["deployments", "start", f"{NAME}:3"]
