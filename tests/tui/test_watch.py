"""The pages of the act watch, driven by keys on a made workspace."""

from __future__ import annotations

import asyncio
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.pilot import Pilot
from textual.widgets import Static

from mlops_tui.adapters.catalogue import watch as rows
from mlops_tui.config import Rule
from mlops_tui.flows.queries import watched
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import Backtest, Decision, PolicyResult, RuleResult, StepResult, WindowReport, to_json
from mlops_tui.tui import jobs
from mlops_tui.tui.app import MissionControl, make_app
from mlops_tui.tui.jobs import Job
from mlops_tui.tui.page import Page
from mlops_tui.tui.watch import feature
from mlops_tui.tui.watch.backtest import BacktestPage
from mlops_tui.tui.watch.decision import DecisionPage
from mlops_tui.tui.watch.feature import FeaturePage, parse_ref
from mlops_tui.tui.watch.report import ReportPage
from mlops_tui.tui.watch.root import Watch
from mlops_tui.tui.widgets.table import Table
from tests.tui import made, made_watch
from tests.tui.driven import page_of
from tests.tui.made_base import making_of, moment
from tests.tui.shown import settled, text, until

SIZE = (80, 24)


@pytest.fixture(scope="module")
def normal(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace that no test of this file changes."""
    return made.normal(tmp_path_factory.mktemp("normal"))


async def opened(pilot: Pilot[Any], noun: str, ref: str) -> Page[Any]:
    """Open the page of an object and wait until it is there, whatever else is still counted."""
    app = pilot.app
    assert isinstance(app, MissionControl)
    app.open(noun, ref)
    await until(pilot, lambda: isinstance(app.screen, Page) and app.screen.data is not None)
    await pilot.pause()
    page = app.screen
    assert isinstance(page, Page)
    return page


async def to_tab(pilot: Pilot[Any], name: str) -> Watch:
    """Go to a list of the watch page by its keys."""
    await settled(pilot)
    await pilot.press("3")
    await until(pilot, lambda: isinstance(pilot.app.screen, Watch))
    page = pilot.app.screen
    assert isinstance(page, Watch)
    while page.tab.name != name:
        await pilot.press("tab")
    await settled(pilot)
    return page


def said(page: Page[Any], name: str = "reason") -> str:
    """What a Static says."""
    return str(page.query_one(f"#{name}", Static).content)


def cursor_to(page: Page[Any], holds: Callable[[str], bool], table: str = "list") -> None:
    """Put the cursor on the first row of which some cell holds."""
    found = page.query_one(f"#{table}", Table)
    found.go_to(next(key for key in found.keys if any(holds(cell.text) for cell in found.rows[key])))


# ── the lists ────────────────────────────────────────────────────────────────────────────────────


async def test_the_list_of_reports_shows_what_drifted_and_the_live_metric(normal: Workspace) -> None:
    async with make_app(normal).run_test(size=(160, 30)) as pilot:
        page = await to_tab(pilot, "reports")
        newest = [cell.text for cell in page.row().cells]  # type: ignore[union-attr]
    assert newest[0] == "flight-delay"
    assert newest[3].startswith("█ 5: temp, humid")
    assert newest[4] == "✓ none"
    assert newest[5] == "▇█▇▇▅▂▁  0.684 auc"


async def test_a_report_whose_content_is_gone_says_so_and_hides_no_other(tmp_path: Path) -> None:
    workspace = made.normal(tmp_path)
    older = watched.report_keys(workspace)[1]
    workspace.objects.path(older[2]).unlink()
    async with make_app(workspace).run_test(size=SIZE) as pilot:
        page = await to_tab(pilot, "reports")
        shown = {key: row.cells for key, row in page.state.rows.items()}
    assert len(shown) == 2
    assert shown[older][4].text.startswith(f"✗ object {older[2][:12]} is missing")


async def test_every_rule_has_its_verdict_and_those_that_were_never_asked_say_so(normal: Workspace) -> None:
    async with make_app(normal).run_test(size=(160, 30)) as pilot:
        page = await to_tab(pilot, "rules")
        found = {(cells[0].text, cells[1].text): cells for _, (cells, *_) in page.state.rows.items()}
        cursor_to(page, lambda cell: cell == "decay")
        await until(pilot, lambda: said(page).endswith("against 0.728 expected: 0.0437 ≥ 0.03 worse"))
    assert [cell.text for cell in found["flight-delay", "decay"][2:5]] == ["▶ fires", "0.0437", "0.03"]
    assert found["flight-delay", "silent decay"][2].text == "? unknown"
    assert [found["fresh", "gain"][at].text for at in (2, 6)] == ["· new", "never asked; c asks"]


def test_of_two_rules_of_one_kind_each_has_its_own_verdict(tmp_path: Path) -> None:
    workspace = made.normal(tmp_path)
    path = tmp_path / "pipelines" / "churn.toml"
    both = '[[rules]]\nwhen = "age"\ndays = 3\n\n[[rules]]\nwhen = "age"\ndays = 30\n'
    path.write_text(path.read_text(encoding="utf-8").partition("[[rules]]")[0] + both, encoding="utf-8")
    young, old = RuleResult("age", 9.0, 3.0, "fires", "old"), RuleResult("age", 9.0, 30.0, "quiet", "young")
    found = replace(newest_decision(workspace, "churn", lambda one: True), id="f" * 12, rules=(young, old))
    with workspace.catalogue.write(made.NOW) as act:
        rows.put_decision(act, replace(found, at=made.NOW + timedelta(days=1)))
        act.record("rules.checked", "churn", decision=found.id)
    shown = [one for one in watched.rules(workspace) if one.pipeline == "churn"]
    assert [(one.settings, one.result) for one in shown] == [("days 3", young), ("days 30", old)]


async def test_a_pipeline_file_that_cannot_be_read_says_so_among_the_rules(tmp_path: Path) -> None:
    workspace = made.empty(tmp_path)
    (tmp_path / "pipelines" / "bad.toml").write_text("[pipeline\n")
    (tmp_path / "pipelines" / "never.toml").write_text(
        'rules = []\n[pipeline]\nname = "never"\n[data]\ndataset = "d"\nsource = "s"\n'
    )
    async with make_app(workspace).run_test(size=SIZE) as pilot:
        await to_tab(pilot, "rules")
        shown = text(pilot.app)
    assert "✗ mistake" in shown
    assert "· none" in shown


async def test_decisions_say_what_they_came_to_and_a_filter_narrows_them(normal: Workspace) -> None:
    async with make_app(normal).run_test(size=SIZE) as pilot:
        page = await to_tab(pilot, "decisions")
        verdicts = [row.cells[2].text for row in page.state.rows.values()]
        await pilot.press("slash", *"held:fault", "enter")
        await settled(pilot)
        held = [page.state.rows[key].cells[2].text for key in page.table.keys]
    assert sorted(set(verdicts)) == ["! held", "· quiet", "▶ fires"]
    assert held == ["! held"]


async def test_the_cursor_stays_with_its_decision_where_an_older_one_is_answered(tmp_path: Path) -> None:
    workspace = made.normal(tmp_path / "normal")
    async with make_app(workspace).run_test(size=SIZE) as pilot:
        page = await to_tab(pilot, "decisions")
        for _ in range(2):
            await pilot.press("down")
        row = page.row()
        assert row is not None
        with workspace.catalogue.read() as act:
            oldest = rows.decisions(act)[-1]
        assert oldest.id != row.subject.ref
        with workspace.catalogue.write(made.NOW) as act:
            rows.put_decision(act, replace(oldest, outcome="given up", answered_at=made.NOW))
            act.record("decision.answered", oldest.id)
        stamp = page._number
        await until(pilot, lambda: page._number > stamp)
        await settled(pilot)
        now = page.row()
        assert now is not None
        assert now.subject.ref == row.subject.ref
        with workspace.catalogue.read() as act:
            assert rows.decisions(act)[-1].outcome == "given up"


async def test_an_audit_event_opens_what_it_is_about_and_without_that_is_told_whole(normal: Workspace) -> None:
    async with make_app(normal).run_test(size=SIZE) as pilot:
        app = pilot.app
        page = await to_tab(pilot, "audit")
        cursor_to(page, lambda cell: cell == "notice.told")
        await pilot.press("enter")
        await until(pilot, lambda: "notice.told" in said(page, "activity"))
        cursor_to(page, lambda cell: cell == "monitor.run")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ReportPage))
        assert len(app.screen_stack) == len({id(one) for one in app.screen_stack}) == 4  # with Textual's own


async def test_an_agent_that_works_says_what_it_does(normal: Workspace) -> None:
    async with make_app(normal).run_test(size=SIZE) as pilot:
        await to_tab(pilot, "agent")
        shown = text(pilot.app)
    assert "✓ agent" in shown
    assert "asleep, wakes in 40 s" in shown
    assert "nobody asks" not in shown


async def test_an_agent_that_is_down_while_rules_exist_and_what_did_not_arrive_stand_first(tmp_path: Path) -> None:
    workspace = made.broken(tmp_path)
    async with make_app(workspace).run_test(size=(120, 30)) as pilot:
        page = await to_tab(pilot, "agent")
        found = [page.state.rows[key] for key in page.table.keys]
    assert [row.cells[0].text for row in found[:3]] == ["✗ agent", "! rules", "✗ given up"]
    assert found[2].opens == ("deployment", "flight-delay")
    assert any(row.cells[0].text.endswith("notice") for row in found)


async def test_what_an_agent_said_that_cannot_be_read_is_no_agent_and_no_bug(tmp_path: Path) -> None:
    workspace = made.normal(tmp_path)
    async with make_app(workspace).run_test(size=SIZE) as pilot:
        page = await to_tab(pilot, "agent")
        (workspace.home / "agent.json").unlink()
        (workspace.home / "agent.json").mkdir()
        page.reload()
        await until(pilot, lambda: "none has worked for this workspace yet" in text(pilot.app))
        assert page.failed is None


# ── a report and its features ────────────────────────────────────────────────────────────────────


async def test_a_report_begins_at_what_is_worst_now_and_the_arrows_tell_every_cell(normal: Workspace) -> None:
    async with make_app(normal).run_test(size=SIZE) as pilot:
        page = await opened(pilot, "report", "flight-delay")
        assert said(page).startswith(" temp 2013-10-10 to 2013-10-17: █ drifted  KS 0.110, healthy up to 0.061")
        await pilot.press("left", "left", "left")
        await until(pilot, lambda: said(page).startswith(" temp 2013-09-19 to 2013-09-26: ✓ healthy"))
        cursor_to(page, lambda cell: cell == "wind_speed", "heat")
        await pilot.press("right")
        await until(pilot, lambda: "✗ looks like another unit" in said(page))
        assert "told from the reference with AUC" in said(page, "words")


async def test_brackets_go_through_the_reports_of_a_deployment(normal: Workspace) -> None:
    newest, oldest = (key[0] for key in watched.report_keys(normal, "flight-delay"))
    async with make_app(normal).run_test(size=SIZE) as pilot:
        page = await opened(pilot, "report", newest)
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: page.data.report.id == oldest and page.shell()[-1] == oldest)  # type: ignore[union-attr]
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: "this is the oldest report" in said(page, "activity"))
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: page.data.report.id == newest)  # type: ignore[union-attr]


def shifted(one: WindowReport, weeks: int) -> WindowReport:
    """The same window so many weeks later."""
    return replace(one, start=one.start + weeks * made_watch.WEEK, end=one.end + weeks * made_watch.WEEK)


def put_windows(workspace: Workspace, windows: Sequence[WindowReport]) -> None:
    """Make these the windows of the newest report."""
    with making_of(workspace) as making:
        report = made_watch.report("flight-delay", "flight-delay", 3, range(1), moment("10-15 11:58"))
        made_watch.put_report(making, replace(report, windows=tuple(windows)))


@pytest.mark.parametrize("size", [SIZE, (200, 48)])
async def test_time_without_predictions_takes_no_room_and_is_told(tmp_path: Path, size: tuple[int, int]) -> None:
    workspace = made.normal(tmp_path)
    put_windows(workspace, [*(made_watch.window(at, 3) for at in range(8)), shifted(made_watch.window(7, 3), 680)])
    async with make_app(workspace).run_test(size=size) as pilot:
        page = await opened(pilot, "report", "flight-delay")
        assert "⋯ left out: 679 windows without a prediction, 2013-10-10 to 2026-10-15" in said(page, "legend")
        head = next(line for line in text(pilot.app).splitlines() if "worst window" in line)
        assert "⋯15 " in head if size == SIZE else "⋯10-15 " in head
        assert said(page).startswith(" temp 2026-10-15 to 2026-10-22")
        await pilot.press("left")
        await until(pilot, lambda: " 2013-10-03 to 2013-10-10" in said(page))


async def test_a_heat_map_of_more_windows_than_fit_follows_the_cursor(tmp_path: Path) -> None:
    workspace = made.normal(tmp_path)
    one = made_watch.window(3, 3)
    windows = [shifted(one, at) for at in range(30)]
    put_windows(workspace, windows)
    async with make_app(workspace).run_test(size=SIZE) as pilot:
        page = await opened(pilot, "report", "flight-delay")
        assert isinstance(page, ReportPage)
        assert (page.window(), page.first > 0) == (29, True)
        await pilot.press("home", *["left"] * 29)
        await until(pilot, lambda: page.window() == 0)
        assert page.first == 0
        assert f"{windows[0].start:%Y-%m-%d}" in said(page)


async def test_a_cell_opens_its_feature_whose_windows_are_counted_once_by_a_command(normal: Workspace) -> None:
    async with make_app(normal).run_test(size=SIZE) as pilot:
        await opened(pilot, "report", "flight-delay")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, FeaturePage) and pilot.app.screen.data is not None)
        page = pilot.app.screen
        assert isinstance(page, FeaturePage)
        assert "computing" in text(pilot.app)
        assert "temp 2013-10-10" in said(page)
        await settled(pilot)
        assert "█ reference  ⣿ 2013-10-10 :3" in text(pilot.app)
        assert len(page.counted) == 8
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: "⣿ 2013-10-03 :3" in text(pilot.app))
        assert page.shell()[2:4] == ["--window", "2013-10-03T00:00:00"]


async def test_a_busy_catalogue_does_not_begin_the_counting_again(
    normal: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Sequence[str]] = []

    async def slow(root: Path, words: Sequence[str]) -> dict[str, Any]:
        asked.append(words)
        await asyncio.sleep(0.5)
        return {"error": {"kind": "busy", "message": "no luck", "hint": ""}}

    monkeypatch.setattr(jobs, "answer", slow)
    async with make_app(normal).run_test(size=SIZE) as pilot:
        page = await opened(pilot, "feature", "flight-delay temp")
        for _ in range(3):
            page.reload()
            await pilot.pause(0.05)
        await until(pilot, lambda: "no luck" in text(pilot.app))
        assert len(asked) == 1
        page.reload()
        await until(pilot, lambda: len(asked) == 2)


async def test_a_held_arrow_key_starts_no_command_and_ends_the_one_at_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Sequence[str]] = []
    at_work: list[Sequence[str]] = []

    async def slow(root: Path, words: Sequence[str]) -> dict[str, Any]:
        asked.append(words)
        at_work.append(words)
        try:
            await asyncio.sleep(60)
        finally:
            at_work.remove(words)
        return {}

    monkeypatch.setattr(jobs, "answer", slow)
    workspace = made.normal(tmp_path)
    week = made_watch.window(3, 3)
    put_windows(workspace, [shifted(week, at) for at in range(30)])
    async with make_app(workspace).run_test(size=SIZE) as pilot:
        await opened(pilot, "feature", "flight-delay temp")
        await until(pilot, lambda: len(at_work) == 1)
        monkeypatch.setattr(feature, "REST", 60.0)
        await pilot.press(*["up"] * 29)
        await until(pilot, lambda: not at_work)
        assert len(asked) == 1
        monkeypatch.setattr(feature, "REST", 0.0)
        await pilot.press("end")
        await until(pilot, lambda: len(asked) == 2)
        assert f"{shifted(week, 29).start:%Y-%m-%dT%H:%M:%S}" in asked[1]


async def test_a_feature_may_be_called_like_an_option(tmp_path: Path) -> None:
    workspace = made.normal(tmp_path)
    week = made_watch.window(3, 3)
    odd = replace(week.features[0], feature="--json")
    put_windows(workspace, [replace(week, features=(odd,))])
    async with make_app(workspace).run_test(size=SIZE) as pilot:
        page = await opened(pilot, "feature", "flight-delay --json")
        await until(pilot, lambda: "cannot be counted" in text(pilot.app))
        assert "'--json'" in text(pilot.app)  # as a feature that the model does not have
        assert page.shell()[-3:] == ["--", "flight-delay", "--json"]


async def test_a_feature_that_the_report_does_not_have_is_told_with_the_next_command(normal: Workspace) -> None:
    app = make_app(normal)
    async with app.run_test(size=SIZE) as pilot:
        app.open("feature", "flight-delay tmep")
        await until(pilot, lambda: "has no feature 'tmep'" in text(pilot.app))
        assert "next: mlops monitor show" in text(pilot.app)


@given(st.text("abc _.", min_size=1).map(str.strip).filter(bool), st.datetimes(), st.integers(1, 99))
def test_the_reference_of_a_feature_gives_back_what_it_is_made_of(name: str, start: datetime, version: int) -> None:
    assert parse_ref(f"0a1b {name} {start.isoformat()}@{version}") == ("0a1b", name, (start, version))
    assert parse_ref(f"0a1b {name}") == ("0a1b", name, None)


# ── decisions ────────────────────────────────────────────────────────────────────────────────────


def newest_decision(workspace: Workspace, pipeline: str, keep: Callable[[Decision], bool]) -> Decision:
    """The newest decision on a pipeline that is wanted."""
    with workspace.catalogue.read() as act:
        return next(one for one in rows.decisions(act, pipeline) if keep(one))


async def test_a_decision_gives_every_rule_with_its_reason_and_opens_what_it_was_about(normal: Workspace) -> None:
    found = newest_decision(normal, "flight-delay", lambda one: one.run is not None)
    async with make_app(normal).run_test(size=(120, 40)) as pilot:
        page = await opened(pilot, "decision", found.id)
        assert isinstance(page, DecisionPage)
        names = [cells[0].text for cells in page.query_one("#rules", Table).rows.values()]
        assert names == ["gain", "drift", "decay", "age", "silent decay", "  prediction_drift", "  estimated_decay"]
        await pilot.press("down")
        await until(pilot, lambda: said(page).startswith(" drift: 4 of 12 features drifted"))
        opens = {fact.name: fact.opens for fact in page.facts if fact.text}
        assert opens["outcome"] == ("run", found.run)
        assert opens["dataset"] == ("dataset", found.dataset)
        assert opens["champion"] == ("model", found.champion)
        assert next(fact for fact in page.facts if fact.name == "policy").text == "cooldown 12h, max cycles per week 3"
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, ReportPage))


async def test_a_decision_that_was_held_back_says_by_what(normal: Workspace) -> None:
    found = newest_decision(normal, "flight-delay", lambda one: bool(one.held))
    async with make_app(normal).run_test(size=SIZE) as pilot:
        page = await opened(pilot, "decision", found.id)
        assert said(page, "head").startswith("! held")
        assert page.shell() == ["rules", "show", found.id]


# ── the backtest ─────────────────────────────────────────────────────────────────────────────────


def replayed() -> Backtest:
    """Two policies over three windows, the last with a fault; one runs a cycle after each, two of which are refused."""
    days = [moment(f"0{month}-01 00:00") for month in (3, 4, 5, 6)]

    def policy(name: str, values: tuple[float, ...], fires: bool) -> PolicyResult:
        steps = tuple(
            StepResult(
                days[at], days[at + 1], 900, value, 0, fires, fires and at == 1, f"{name} {at}",
                ("carrier is stuck",) if at == 2 else (),
            )
            for at, value in enumerate(values)
        )  # fmt: skip
        gain, cycles = 0.02 * fires, 3 * fires
        bought = (gain,) if fires else ()
        return PolicyResult(
            name, 0.7 + gain, min(values), cycles, 2 * fires, 2.5, gain, gain / 3 or None, steps, bought
        )

    policies = (policy("never", (0.71, 0.69, 0.68), False), policy("own", (0.71, 0.69, 0.74), True))
    return Backtest(
        "flight-delay", "flights:4", "auc", True, days[0], days[3], "30d", "1d", policies, "own", "own gains 0.02 auc"
    )


def answered(app: MissionControl, answer: bytes, code: int) -> Job:
    """Put a command that has ended among those of this session."""
    words = ("rules", "backtest", "flight-delay", "--step", "30d")
    job = Job(1, words, as_json=True, out=answer.decode(), code=code, started=1.0, ended=2.0)
    app.jobs.append(job)
    return job


async def test_a_backtest_that_was_answered_is_shown_without_another_replay(normal: Workspace) -> None:
    app = make_app(normal)
    async with app.run_test(size=(120, 45)) as pilot:
        answered(app, to_json(replayed()), 0)
        await settled(pilot)
        await pilot.press("b", *"30d", "enter")
        await until(pilot, lambda: isinstance(app.screen, BacktestPage) and app.screen.found is not None)
        page = app.screen
        assert isinstance(page, BacktestPage)
        assert len(app.jobs) == 1
        assert "✓ recommended: own  own gains 0.02 auc" in said(page, "head")
        assert page.policy() is not None
        assert page.policy().policy == "own"  # type: ignore[union-attr]
        await until(pilot, lambda: "┊" in text(app))
        steps = page.query_one("#steps", Table)
        assert [cells[4].text for cells in steps.rows.values()] == ["△ refused", "▲ retrained", "△ refused"]
        own = page.query_one("#policies", Table).rows["own"]
        assert [own[4].text, own[5].text] == ["3", "2"], "as many cycles and refusals as the windows show"
        await pilot.press("up")
        await until(pilot, lambda: [cells[4].text for cells in steps.rows.values()] == ["· kept", "· kept", "✗ fault"])
        assert page.shell() == ["rules", "backtest", "flight-delay", "--step", "30d"]
        app.jobs[0].dropped = True
        page.reload()
        await settled(pilot)
        assert page.found is not None, "what was read already stays"
        app.open("backtest", "flight-delay 30d")
        await until(pilot, lambda: len(app.jobs) == 2)  # its answer is here no longer
        await pilot.press("ctrl+x")
        await until(pilot, lambda: app.jobs[1].code is not None)


def test_a_backtest_is_asked_for_with_what_was_typed_blanks_and_all() -> None:
    page = BacktestPage(shlex.join(["flight-delay", "", "2013-05-01 12:00", "", "mine=rules of mine.toml"]))
    asked = ["--from", "2013-05-01 12:00", "--policy", "mine=rules of mine.toml"]
    assert page.words() == ["rules", "backtest", "flight-delay", *asked]
    assert page.title_in_path() == "backtest flight-delay 2013-05-01 12:00 mine=rules of mine.toml"


async def test_a_backtest_that_refuses_says_why_and_can_be_asked_again(normal: Workspace) -> None:
    app = make_app(normal)
    async with app.run_test(size=SIZE) as pilot:
        app.open("backtest", "fresh")
        await until(pilot, lambda: bool(app.jobs))
        await until(pilot, lambda: page_of(app).failed is not None)
        assert app.jobs[0].code in (1, 2)
        refusal = page_of(app).failed
        assert refusal is not None
        assert refusal.message in app.jobs[0].out
        await pilot.press("ctrl+r")
        await until(pilot, lambda: len(app.jobs) == 2)
        await pilot.press("ctrl+x")
        await until(pilot, lambda: app.jobs[1].code is not None)
        await until(pilot, lambda: "computing" not in text(app))


# ── below the pages ──────────────────────────────────────────────────────────────────────────────

KIND = st.sampled_from([
    {"when": "drift"}, {"when": "gain"}, {"when": "age", "days": 3}, {"when": "decay", "drop": 0.1},
    {"when": "age", "days": 9, "name": "too old"},
])  # fmt: skip
RULE = st.recursive(KIND, lambda inner: st.dictionaries(
    st.sampled_from(["all", "any"]), st.lists(inner, min_size=1, max_size=3), min_size=1, max_size=1
), max_leaves=6)  # fmt: skip


@given(RULE)
def test_a_rule_is_called_as_in_its_decision(rule: dict[str, Any]) -> None:
    assert watched.label(rule) == Rule.model_validate(rule).label


VISIT = """
import asyncio, sys
from pathlib import Path
from mlops_tui.flows.workspace import open_workspace
from mlops_tui.tui.app import make_app

async def main():
    app = make_app(open_workspace(Path(sys.argv[1])))
    async with app.run_test(size=(80, 24)) as pilot:
        for key in ("3", "tab", "tab", "tab", "tab"):
            await pilot.press(key)
            await app.workers.wait_for_complete()
            await pilot.pause()
        for noun, ref in (("report", "flight-delay"), ("decision", sys.argv[2])):
            app.open(noun, ref)
            await pilot.pause()
            await app.workers.wait_for_complete()
            await pilot.pause()
            assert app.screen.data is not None, app.screen.failed
    print([name for name in ("polars", "numpy", "lightgbm", "bentoml") if name in sys.modules])

asyncio.run(main())
"""


def test_no_page_of_watch_loads_what_computes(normal: Workspace) -> None:
    decision = newest_decision(normal, "flight-delay", lambda one: True)
    words = [sys.executable, "-c", VISIT, str(normal.root), decision.id]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() == "[]", done.stderr
