"""Heat maps, and what a monitor report, a rule and a backtest say in words and characters."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mlops_tui.records import (
    Backtest,
    Drift,
    Estimate,
    Finding,
    Metric,
    Multivariate,
    PolicyResult,
    RuleResult,
    StepResult,
    WindowReport,
)
from mlops_tui.texts.heat import HEAT, drift_text, heat_rows, level, measure, worst
from mlops_tui.texts.rules import backtest_chart, rule_lines
from mlops_tui.texts.windows import BAD, DRIFT, GOOD, HEAD, PLAIN, WARNING, expected, interval, newest, tracks

START = datetime(2013, 5, 1, tzinfo=UTC)
AUC = Metric("auc", 0.7, 0.65, 0.75)


def drift(feature: str = "temp", distance: float = 0.0, fault: str = "") -> Drift:
    return Drift(feature, "numeric", 0.3, "ks", distance, 0.1, 0.5, distance > 0.1, fault=fault)


def window(number: int, *features: Drift, prediction: Drift | None = None) -> WindowReport:
    start = START + timedelta(days=7 * number)
    return WindowReport(start, start + timedelta(days=7), 3, 1000, features=features, prediction=prediction)


@pytest.mark.parametrize(
    ("distance", "found"), [(0.0, 0), (0.024, 0), (0.026, 1), (0.06, 2), (0.09, 3), (0.1, 3), (0.11, 4), (9.0, 4)]
)
def test_a_level_says_how_near_the_threshold_is(distance: float, found: int) -> None:
    assert level(drift(distance=distance)) == found


def test_a_fault_is_a_level_of_its_own() -> None:
    assert HEAT[level(drift(distance=0.0, fault="stuck at 0"))] == "✗"
    assert HEAT[level(drift(distance=9.0, fault="stuck at 0"))] == "✗"
    assert level(replace(drift(distance=float("nan")), threshold=0.0)) == 0
    assert level(drift(distance=float("inf"))) == 4


def test_features_stand_worst_first_and_in_order_of_name() -> None:
    windows = [
        window(0, drift("b", 0.02), drift("a", 0.02), drift("late", 0.3)),
        window(1),
        window(2, drift("broken", 0.0, "stuck at 0"), drift("a", 0.01), prediction=drift("prediction", 0.05)),
    ]
    rows = heat_rows(windows)
    assert list(rows) == ["broken", "late", "prediction", "a", "b"]
    assert [one and one.distance for one in rows["a"]] == [0.02, None, 0.01]
    assert worst(rows["a"]).distance == 0.02
    assert heat_rows([]) == heat_rows([window(0)]) == {}


def test_a_distance_that_is_of_missing_values_says_so() -> None:
    assert measure(replace(drift(distance=0.4), missing=0.5, missing_reference=0.1)) == "missing"
    assert measure(drift(distance=0.4)) == "KS"
    told = drift_text(replace(drift(distance=0.4), wasserstein=1.5))
    assert told == "temp drifted: KS 0.400, healthy up to 0.100, PSI 0.30, moved by 1.50 standard deviations"


def test_the_newest_window_is_told_faults_first() -> None:
    last = replace(
        window(1, drift("temp", 0.4), prediction=drift("prediction", 0.2)),
        findings=(Finding("stuck", "error", "humid: stuck"), Finding("late", "warning", "few labels")),
        multivariate=Multivariate(0.8, 0.7, 0.9, 0.6, True, (("temp", 0.9),)),
        performance=AUC, labelled=500, estimate=Estimate("auc", 0.71, 0.7, 0.72, "cbpe", 0.01),
    )  # fmt: skip
    said = newest([window(0, drift()), last])
    assert [mark for mark, _ in said] == [HEAD, BAD, WARNING, DRIFT, DRIFT, BAD, PLAIN, PLAIN]
    assert said[0][1] == "newest judged window 2013-05-08 to 2013-05-15, model :3, 1,000 rows"
    assert said[-2][1] == "auc 0.7000 (0.6500 to 0.7500) on 500 labelled rows"


def test_a_quiet_window_and_one_that_was_not_judged() -> None:
    unjudged = replace(window(1), rows=1, remark="too few rows")
    said = newest([window(0, drift()), unjudged])
    assert [words for _, words in said[1:]] == ["  2013-05-08 to 2013-05-15: too few rows", "no feature drifted"]
    assert said[-1][0] == GOOD
    assert newest([unjudged])[0][1] == "newest window 2013-05-08 to 2013-05-15, model :3, 1 row"
    assert newest([]) == []


def test_tracks_are_of_what_is_known_and_by_their_own_names() -> None:
    windows = [
        replace(window(0, drift()), performance=AUC, expected=AUC),
        replace(window(1), estimate=Estimate("log_loss", 0.5, 0.4, 0.6, "cbpe")),
    ]
    found = {track.label: track for track in tracks(windows)}
    assert list(found) == ["rows", "drifted share", "auc realised", "log_loss estimated"]
    assert found["drifted share"].values == (0.0, None)
    assert found["rows"].ends == "1,000 to 1,000, now 1,000"
    assert found["auc realised"].ends == "0.7 to 0.7, now -"
    assert expected(windows) == AUC
    assert interval(AUC) == "0.7000 (0.6500 to 0.7500)"
    assert tracks([]) == []


def test_rules_within_rules_are_indented() -> None:
    age = RuleResult("age", 10.0, 5.0, "fires", "age of 10 days")
    both = RuleResult("all", None, None, "unknown", "one is not known", parts=(age,))
    assert rule_lines(both, 1) == ["  ? all: one is not known", "    ▶ age of 10 days"]


def step(value: float | None, fires: bool = False, passed: bool = False, faults: tuple[str, ...] = ()) -> StepResult:
    return StepResult(START, START, 10, value, 0, fires, passed, "", faults)


@pytest.mark.parametrize("values", [(0.6, 0.8), (None, None)])
def test_a_backtest_draws_all_policies_against_one_scale(values: tuple[float | None, ...]) -> None:
    never = PolicyResult("never", 0.6, 0.6, 0, 0, 0.0, 0.0, None, (step(values[0]), step(None), step(values[0])))
    rules = PolicyResult("rules", 0.7, 0.6, 2, 1, 0.0, 0.1, 0.1, (
        step(values[0], fires=True), step(values[1], fires=True, passed=True, faults=("x",)), step(None, faults=("x",)),
    ))  # fmt: skip
    found = Backtest("p", "d", "auc", True, START, START, "7d", "1d", (never, rules), "rules", "")
    lines = backtest_chart(found).splitlines()
    assert lines[:4] == (
        ["never  ▁ ▁", "          ", "rules  ▁█ ", "       △▲✗"] if values[0]
        else ["never     ", "          ", "rules     ", "       △▲✗"]
    )  # fmt: skip
    assert lines[4].startswith("auc 0.600 ▁ to █ 0.800" if values[0] else "auc 0.000 ▁ to █ 1.000")
