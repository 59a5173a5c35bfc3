"""The backtest of a pipeline: which rule sets, from when to when, what it leaves alone, and what it refuses."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from mlops_tui.errors import External, InvalidInput, MlopsError, NotFound
from mlops_tui.flows import backtest, lookup
from mlops_tui.flows.build import datasets
from mlops_tui.flows.workspace import Workspace, open_workspace
from mlops_tui.records import Backtest, PolicyResult, Progress, from_json, to_json
from tests import workspaces

RULES = """
[[rules]]
when = "drift"
[[rules]]
when = "decay"
[[rules]]
when = "age"
days = 10
[policy]
quiet_hours = ["00:00-23:59"]
"""
MARCH = datetime(2013, 3, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def filled_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with three months of flights as a dataset, and no run."""
    workspace = workspaces.make(tmp_path_factory.mktemp("filled"), more=RULES)
    workspaces.arrive(workspace, 1, 2, 3)
    settings, _ = lookup.pipeline(workspace, "flight-delay")
    datasets.refresh(workspace, settings.data)
    return workspace.root


@pytest.fixture
def filled(filled_template: Path, tmp_path: Path) -> Workspace:
    return workspaces.copy(filled_template, tmp_path / "workspace")


@pytest.fixture(scope="module")
def found(filled_template: Path) -> Backtest:
    """A backtest of March, in weeks."""
    return backtest.run(open_workspace(filled_template), "flight-delay", {}, MARCH, None, "7d")


def without_cost(one: Backtest) -> Backtest:
    return replace(one, policies=tuple(replace(policy, cpu_seconds=0.0) for policy in one.policies))


def policy_of(one: Backtest, name: str) -> PolicyResult:
    return next(policy for policy in one.policies if policy.policy == name)


def test_every_rule_set_goes_over_the_same_windows(found: Backtest) -> None:
    assert [one.policy for one in found.policies] == ["never", "always", "own", "default"]
    spans = [[(window.start, window.end) for window in one.windows] for one in found.policies]
    assert all(span == spans[0] for span in spans)
    assert spans[0] == [(MARCH + timedelta(days=7 * at), MARCH + timedelta(days=7 * at + 7)) for at in range(5)]
    assert (found.start, found.end, found.step, found.dataset) == (MARCH, spans[0][-1][1], "7d", "flights:1")
    assert (found.metric_name, found.higher, found.label_delay) == ("auc", True, "0s")
    assert found.recommended in {one.policy for one in found.policies}
    assert found.why


def test_never_costs_one_training_and_always_one_more_for_every_window(found: Backtest) -> None:
    never, always = policy_of(found, "never"), policy_of(found, "always")
    assert (never.cycles, never.refused, never.gain, never.gain_per_cycle) == (0, 0, 0.0, None)
    assert always.cycles == len(always.windows) - 1 >= always.refused
    assert 0 < never.cpu_seconds < always.cpu_seconds


def test_quiet_hours_hold_nothing_in_a_replay(found: Backtest) -> None:
    assert any(window.fires for window in policy_of(found, "own").windows)


def test_the_remarks_say_what_a_replay_cannot_see(found: Backtest) -> None:
    assert any("a schedule or an age that comes due within it waits" in remark for remark in found.remarks)


def test_the_same_data_give_the_same_backtest_whatever_was_trained_first(filled: Workspace, found: Backtest) -> None:
    again = backtest.run(filled, "flight-delay", {}, MARCH, None, "7d")
    assert without_cost(again) == without_cost(found)
    assert from_json(to_json(again), Backtest) == again


def test_a_backtest_writes_nothing_into_the_workspace(filled: Workspace) -> None:
    def state() -> dict[str, tuple[int, int]]:
        files = [path for path in filled.home.rglob("*") if path.is_file() and path.suffix != ".holder"]
        return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in files}

    before = state()
    backtest.run(filled, "flight-delay", {}, MARCH, None, "14d")
    assert state() == before


def test_the_windows_can_be_written_as_parquet(found: Backtest, tmp_path: Path) -> None:
    backtest.write(found, tmp_path / "windows.parquet")
    frame = pl.read_parquet(tmp_path / "windows.parquet")
    assert frame.columns == ["policy", "start", "end", "rows", "value", "model", "fires", "passed", "reason", "faults"]
    assert frame.height == 4 * 5
    assert frame["value"].to_list() == [window.value for one in found.policies for window in one.windows]
    with pytest.raises(External, match="cannot write"):
        backtest.write(found, tmp_path / "no" / "windows.parquet")


def test_rule_sets_come_from_files_too_and_a_file_may_be_a_pipeline(filled: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "eager.toml"
    path.write_text('[[rules]]\nwhen = "new_data"\ngrowth = 0.1\n', encoding="utf-8")
    files = {"eager": path, "pipeline": filled.root / "pipelines" / "flight-delay.toml"}
    done = backtest.run(filled, "flight-delay", files, MARCH, None, "14d")
    assert [one.policy for one in done.policies] == ["never", "always", "own", "default", "eager", "pipeline"]
    assert policy_of(done, "eager").windows[0].fires
    assert policy_of(done, "pipeline").windows == policy_of(done, "own").windows


def test_a_pipeline_without_rules_has_the_default_ones_as_its_own(filled: Workspace) -> None:
    workspaces.write_pipeline(filled)
    done = backtest.run(filled, "flight-delay", {}, MARCH, None, "14d")
    assert [one.policy for one in done.policies] == ["never", "always", "own"]


def test_by_default_it_starts_on_a_monday_with_a_quarter_of_the_rows_and_goes_by_the_monitors_window(
    filled: Workspace,
) -> None:
    workspaces.write_pipeline(filled, more='[monitor]\nwindow = "14d"')
    done = backtest.run(filled, "flight-delay", {})
    assert (done.start.strftime("%a %H:%M"), done.step) == ("Mon 00:00", "14d")
    frame = lookup.frame(filled, lookup.dataset_version(filled, "flights")).collect().drop_nulls("late")
    at = pl.lit(done.start)
    known, earlier = (frame.filter(pl.col("time_hour") < moment).height for moment in (at, at - timedelta(days=14)))
    assert earlier < frame.height / 4 <= known


def test_a_replay_says_how_far_it_is(filled: Workspace) -> None:
    told: list[Progress] = []
    backtest.run(replace(filled, report=told.append), "flight-delay", {}, MARCH, None, "14d")
    assert [(one.done, one.total) for one in told if one.step == "train"] == [(1, 2), (2, 2)]
    assert next(one.text for one in told if one.step == "replay") == "rule set 'never'"


def test_an_interrupted_replay_trains_no_further(filled: Workspace) -> None:
    told: list[Progress] = []

    def interrupt(event: Progress) -> None:
        told.append(event)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        backtest.run(replace(filled, report=interrupt), "flight-delay", {}, MARCH, None, "1d")
    assert len(told) == 1


# ── what is refused ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("start", "end", "step", "message"),
    [
        (datetime(2013, 1, 1, tzinfo=UTC), None, "7d", "0 labelled rows known at 2013-01-01 00:00 UTC"),
        (datetime(1, 1, 1), None, "7d", "0 labelled rows known at 1-01-01 00:00 UTC"),
        (datetime(2013, 5, 1), None, "7d", "no window"),
        (MARCH, datetime(2013, 2, 1), "7d", "no window: 2013-02-01 00:00 is not after 2013-03-01 00:00 UTC"),
        (MARCH, None, "soon", "step 'soon': a duration such as '7d', or calendar months such as '1mo'"),
        (MARCH, None, "1m", "more than 1,000 windows"),
        (MARCH, datetime(2013, 3, 1, 1), "1h", "no window has a value of auc"),
    ],
)
def test_a_span_that_cannot_be_replayed_is_refused(
    filled: Workspace, start: datetime, end: datetime | None, step: str, message: str
) -> None:
    with pytest.raises(InvalidInput, match=re.escape(message)):
        backtest.run(filled, "flight-delay", {}, start, end, step)


def refusal(workspace: Workspace, policies: dict[str, Path] | None = None) -> MlopsError:
    with pytest.raises(MlopsError) as caught:
        backtest.run(workspace, "flight-delay", policies or {}, MARCH, None, "14d")
    assert caught.value.hint or caught.value.message
    return caught.value


def test_the_names_of_our_rule_sets_are_taken(filled: Workspace) -> None:
    assert "--policy always" in refusal(filled, {"always": filled.root / "x.toml"}).message


def test_a_policy_file_that_is_not_there_is_not_found(filled: Workspace) -> None:
    assert isinstance(refusal(filled, {"mine": filled.root / "mine.toml"}), NotFound)


def test_a_pipeline_without_event_times_has_no_history(filled: Workspace) -> None:
    path = workspaces.write_pipeline(filled)
    text = (
        path.read_text(encoding="utf-8")
        .replace('time = "time_hour"\n', "")
        .replace('method = "time"', 'method = "random"')
    )
    path.write_text(text, encoding="utf-8")
    assert "has no event time" in refusal(filled).message


def test_a_dataset_that_is_not_there_is_not_found(empty: Workspace) -> None:
    assert isinstance(refusal(empty), NotFound)


@pytest.mark.parametrize("rows", [100, 150])  # of 150 no window is judged, though a model could be trained
def test_too_few_rows_are_refused(empty: Workspace, rows: int) -> None:
    folder = empty.root / "data" / "flights"
    folder.mkdir(parents=True)
    pl.read_parquet(workspaces.SAMPLE / "flights" / "2013-01.parquet").head(rows).write_parquet(folder / "few.parquet")
    settings, _ = lookup.pipeline(empty, "flight-delay")
    datasets.refresh(empty, settings.data)
    message = r"\d+ labelled rows: too few to replay, as 200 must be known when it starts"
    assert re.fullmatch(message, refusal(empty).message)


def test_a_delay_of_labels_has_a_bound(filled: Workspace) -> None:
    path = workspaces.write_pipeline(filled)
    text = path.read_text(encoding="utf-8")
    assert 'time = "time_hour"' in text
    for delay, message in (("99999999d", "'99999999d' is too long; 3650d at most"), ("3650d", "0 labelled rows known")):
        path.write_text(text.replace('time = "time_hour"', f'time = "time_hour"\nlabel_delay = "{delay}"'), "utf-8")
        assert message in refusal(filled).message
