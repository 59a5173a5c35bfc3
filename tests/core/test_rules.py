"""Rules: every kind's verdict and sentence, how they combine, what the policy holds back and until when."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_tui.config import Policy, Rule, RuleSet
from mlops_tui.core.rules import Facts, Judged, evaluate, needs
from mlops_tui.core.verdicts import compare
from mlops_tui.records import Drift, Estimate, Gain, Metric, RuleResult, WindowReport

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)  # a Wednesday
DAY = timedelta(days=1)
HEALTHY = Facts(NOW, NOW - 10 * DAY, "flight-delay:3", NOW - DAY, rows=1200, trained_rows=1000)


def feature(name: str, distance: float, fault: str = "") -> Drift:
    return Drift(name, "numeric", 0.1, "ks", distance, 0.09, 0.5, distance > 0.09, fault=fault)


def window(drifted: int = 0, of: int = 4, week: int = 1, **values: Any) -> WindowReport:
    """A week in which some of the features, f0 first, drifted."""
    start = datetime(2026, 2, 2, tzinfo=UTC) + week * 7 * DAY
    found = tuple(feature(f"f{number}", 0.31 if number < drifted else 0.05) for number in range(of))
    base: dict[str, Any] = {"features": found, "prediction": feature("prediction", 0.02)}
    return WindowReport(start, start + 7 * DAY, 3, 1832, **(base | values))


def measured(value: float, half: float, expected: float | None = 0.7, name: str = "auc", **other: Any) -> WindowReport:
    """A week whose metric was measured on labels, and estimated without them."""
    known = None if expected is None else Metric(name, expected)
    return window(
        labelled=1600, performance=Metric(name, value, value - half, value + half), expected=known,
        estimate=Estimate(name, value, value - half, value + half, "cbpe"), **other,
    )  # fmt: skip


def gained(low: float | None, metric: str = "auc", champion: float = 0.627) -> Gain:
    return Gain(metric, champion, champion + 0.0613, 0.0613, low, 0.8, 8012, 30, NOW - 30 * DAY, NOW)


def result(rule: dict[str, Any], facts: Facts = HEALTHY, **changed: Any) -> RuleResult:
    """One rule's verdict."""
    (found,) = evaluate(RuleSet(rules=[Rule(**rule)]), replace(facts, **changed)).rules
    return found


def judged(*rules: dict[str, Any], policy: dict[str, Any] | None = None, **changed: Any) -> Judged:
    asked = RuleSet(rules=[Rule.model_validate(rule) for rule in rules], policy=Policy(**(policy or {})))
    return evaluate(asked, replace(HEALTHY, **changed))


OLD, YOUNG = {"when": "age", "days": 5}, {"when": "age", "days": 30}
UNKNOWN, CHANGED = {"when": "gain"}, {"when": "change"}


# ── every kind: verdict and sentence ─────────────────────────────────────────────────────────────

WEEKLY, MONDAY = {"when": "schedule", "cron": "0 6 * * mon", "tz": "Europe/Vienna"}, "2026-03-02 06:00 Europe/Vienna"
DRIFT, ROW = {"when": "drift"}, {"when": "drift", "windows": 2}
DECAY, GUESS = {"when": "decay"}, {"when": "estimated_decay", "min": 0.65}
SMALL = measured(0.5, 0.01, week=2, remark="150 rows, judged from 200 on")
RANKED = window(labelled=1832, expected=Metric("ndcg@10", 0.7))
GOLDEN: list[tuple[dict[str, Any], dict[str, Any], str, str]] = [
    (WEEKLY, {"checked_at": NOW - 3 * DAY}, "fires", f"'0 6 * * mon' was due {MONDAY}"),
    (WEEKLY, {}, "quiet", "'0 6 * * mon' is next due 2026-03-09 06:00 Europe/Vienna"),
    ({"when": "schedule", "cron": "0 0 30 2 *"}, {}, "quiet", "'0 0 30 2 *' never comes"),
    ({"when": "new_data", "rows": 200}, {}, "fires",
     "the newest data has 1,200 rows, the champion's had 1,000: 200 ≥ 200 more"),
    ({"when": "new_data", "growth": 0.25}, {}, "quiet",
     "the newest data has 1,200 rows, the champion's had 1,000: 20 % < 25 % more; "
     "can change with the next dataset version"),
    ({"when": "new_data", "rows": 200}, {"trained_rows": None}, "unknown",
     "how many rows the champion was trained on is not known"),
    (DRIFT, {"windows": (window(5, 17),)}, "quiet",
     "5 of 17 features drifted in 2026-02-09..2026-02-16 (worst: f0, KS 0.31 > 0.09), which is 29.4 % < 30 %; "
     "can change with the next window"),
    (DRIFT, {"windows": (window(3, 10),)}, "fires",
     "3 of 10 features drifted in 2026-02-09..2026-02-16 (worst: f0, KS 0.31 > 0.09), which is 30 % ≥ 30 %"),
    (DRIFT | {"share": 0.0}, {"windows": (window(0),)}, "quiet",
     "none of 4 features drifted in 2026-02-09..2026-02-16 (worst: f0, KS 0.05 ≤ 0.09); "
     "can change with the next window"),
    (ROW, {"windows": (window(0, week=0), window(3))}, "quiet",
     "3 of 4 features drifted in 2026-02-09..2026-02-16 (worst: f0, KS 0.31 > 0.09), which is 75 % ≥ 30 %, "
     "for 1 window in a row of 2 that it takes; can change with the next window"),
    (DRIFT | {"features": ["f0", "f3"]}, {"windows": (window(1),)}, "fires",
     "f0, KS 0.31 > 0.09: drifted in 2026-02-09..2026-02-16"),
    (DRIFT | {"features": ["f3"]}, {"windows": (window(1),)}, "quiet",
     "f3, KS 0.05 ≤ 0.09: did not drift in 2026-02-09..2026-02-16; can change with the next window"),
    (DRIFT | {"features": ["f33"]}, {"windows": (window(1),)}, "unknown",
     "the model reads no feature 'f33'; did you mean 'f3'?"),
    (DRIFT, {}, "unknown", "there is no window of predictions yet; can change with the next window"),
    (DRIFT, {"why_not": {"windows": "nothing is deployed"}}, "unknown",
     "nothing is deployed"),
    (DRIFT, {"windows": (window(of=0, remark="150 rows, judged from 200 on"),)}, "unknown",
     "no window could be judged; of the newest, 2026-02-09..2026-02-16: 150 rows, judged from 200 on; "
     "can change with the next window"),
    ({"when": "prediction_drift"}, {"windows": (window(4),)}, "quiet",
     "the predictions did not drift in 2026-02-09..2026-02-16: KS 0.02 ≤ 0.09; can change with the next window"),
    ({"when": "prediction_drift"}, {"windows": (window(prediction=feature("prediction", 0.2)),)}, "fires",
     "the predictions drifted in 2026-02-09..2026-02-16: KS 0.2 > 0.09"),
    (DECAY, {"windows": (measured(0.612, 0.022),)}, "fires",
     "auc is 0.612 in 2026-02-09..2026-02-16 (95 % interval 0.59 to 0.634, 1,600 labelled rows) "
     "against 0.7 expected: 0.088 ≥ 0.02 worse"),
    (DECAY, {"windows": (measured(0.67, 0.04),)}, "quiet",
     "auc is 0.67 in 2026-02-09..2026-02-16 (95 % interval 0.63 to 0.71, 1,600 labelled rows) against 0.7 expected: "
     "0.03 ≥ 0.02 worse, but it may be noise, as the interval reaches 0.71; can change with the next labels"),
    (DECAY, {"windows": (measured(0.71, 0.04),)}, "quiet",
     "auc is 0.71 in 2026-02-09..2026-02-16 (95 % interval 0.67 to 0.75, 1,600 labelled rows) against 0.7 expected: "
     "not worse; can change with the next labels"),
    (DECAY | {"drop": 2}, {"windows": (measured(23, 0.5, 20, "rmse"),)}, "fires",
     "rmse is 23 in 2026-02-09..2026-02-16 (95 % interval 22.5 to 23.5, 1,600 labelled rows) "
     "against 20 expected: 3 ≥ 2 worse"),
    (DECAY | {"min": 21}, {"windows": (measured(21.5, 1.0, None, "rmse"),)}, "quiet",
     "rmse is 21.5 in 2026-02-09..2026-02-16 (95 % interval 20.5 to 22.5, 1,600 labelled rows), above 21, "
     "but it may be noise, as the interval reaches 20.5; can change with the next labels"),
    (DECAY, {"windows": (measured(0.67, 0.04, None),)}, "unknown",
     "what auc was when the champion was tested is not known"),
    (DECAY, {"windows": (window(labelled=20),)}, "unknown",
     "too few labels, or of one class: 20 of 1,832 rows in 2026-02-09..2026-02-16; can change with the next labels"),
    (DECAY, {"windows": (window(labelled=1), SMALL)}, "unknown",
     "too few labels, or of one class: 1 of 1,832 rows in 2026-02-09..2026-02-16; can change with the next labels"),
    (DECAY, {"windows": (SMALL,)}, "unknown",
     "no window could be judged; of the newest, 2026-02-16..2026-02-23: 150 rows, judged from 200 on; "
     "can change with the next labels"),
    (DECAY, {"windows": (RANKED,)}, "unknown", "ranking is not judged window by window"),
    (GUESS, {"windows": (RANKED,)}, "unknown", "ranking is not judged window by window"),
    (GUESS, {"windows": (window(), SMALL)}, "unknown", "this model's metric is not estimated without labels"),
    (GUESS, {}, "unknown", "there is no window of predictions yet; can change with the next window"),
    (GUESS, {"windows": (measured(0.62, 0.02),)}, "fires",
     "auc is estimated at 0.62 in 2026-02-09..2026-02-16 (interval 0.6 to 0.64, 1,832 rows), surely below 0.65"),
    (GUESS, {"windows": (measured(0.69, 0.02),)}, "quiet",
     "auc is estimated at 0.69 in 2026-02-09..2026-02-16 (interval 0.67 to 0.71, 1,832 rows), not below 0.65; "
     "can change with the next window"),
    ({"when": "gain"}, {"gain": gained(0.0482)}, "fires",
     "retrained now, auc would have been 0.6883 instead of 0.627 on the newest 8,012 labelled rows: better by 0.0613, "
     "at least by 0.0482 > 0.01 (80 % confidence, 30 blocks of time)"),
    ({"when": "gain", "min": 0.05}, {"gain": gained(0.0482)}, "quiet",
     "retrained now, auc would have been 0.6883 instead of 0.627 on the newest 8,012 labelled rows: better by 0.0613, "
     "at least by 0.0482 ≤ 0.05 (80 % confidence, 30 blocks of time); can change with the next labels"),
    ({"when": "gain"}, {"gain": gained(None)}, "unknown",
     "retrained now, auc would have been 0.6883 instead of 0.627 on the newest 8,012 labelled rows, too few or of one "
     "class to be sure; can change with the next labels"),
    ({"when": "gain"}, {"gain": replace(gained(None), blocks=0)}, "unknown",
     "retrained now, auc would have been 0.6883 instead of 0.627 on the newest 8,012 labelled rows, of fewer than 10 "
     "days, which is too few to be sure; can change with the next labels"),
    ({"when": "gain"}, {"why_not": {"gain": "a trial would cost 12 minutes, 10m at most"}}, "unknown",
     "a trial would cost 12 minutes, 10m at most"),
    (OLD, {}, "fires", "the champion was trained 2026-02-22 12:00 UTC, 10 ≥ 5 days ago"),
    (YOUNG, {}, "quiet", "the champion was trained 2026-02-22 12:00 UTC, 10 < 30 days ago"),
    (CHANGED, {"changes": {"pipeline": "train.rounds"}}, "fires", "pipeline: train.rounds"),
    (CHANGED | {"of": ["code", "contract"]}, {"changes": {"pipeline": "train.rounds"}}, "quiet",
     "no change of code, contract since the champion was trained; can change with the next edit"),
    (CHANGED, {"why_not": {"change": "the run's settings are not here"}}, "unknown",
     "the run's settings are not here"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "changed", "verdict", "reason"), GOLDEN)
def test_every_kind_of_rule_says_why_in_one_sentence(
    rule: dict[str, Any], changed: dict[str, Any], verdict: str, reason: str
) -> None:
    found = result(rule, **changed)
    assert (found.rule, found.verdict, found.reason) == (rule["when"], verdict, reason)


def test_every_kind_of_rule_has_golden_sentences() -> None:
    from mlops_tui.config.rules import KEYS

    assert {rule["when"] for rule, *_ in GOLDEN} == set(KEYS)


def test_a_value_stands_beside_its_threshold() -> None:
    figures = [(found.value, found.threshold) for found in (
        result(DRIFT, windows=(window(1),)), result(OLD), result({"when": "new_data", "growth": 0.5}),
        result({"when": "gain"}, gain=gained(0.0482)), result(WEEKLY),
    )]  # fmt: skip
    assert figures == [(0.25, 0.3), (10.0, 5.0), (0.2, 0.5), (0.0482, 0.01), (None, None)]


def test_figures_that_differ_look_different() -> None:
    assert compare(29.999999, 30.0, " %") == "29.999999 % < 30 %"
    assert compare(30.0, 30.0) == "30 ≥ 30"
    assert compare(1234567.1, 1234567.4) == "1,234,567.1 < 1,234,567.4"


def test_a_threshold_that_is_just_reached_fires_and_a_gain_must_be_more() -> None:
    assert result({"when": "new_data", "growth": 0.2}).verdict == "fires"
    assert result({"when": "age", "days": 10}).verdict == "fires"
    assert result({"when": "gain", "min": 0.05}, gain=gained(0.05)).verdict == "quiet"
    assert result(DECAY | {"drop": 0.125}, windows=(measured(0.625, 0.01, 0.75),)).verdict == "fires"
    assert result(DECAY | {"drop": 0.25}, windows=(measured(0.625, 0.01, 0.75),)).verdict == "quiet"
    assert judged(OLD, policy={"quiet_hours": ["12:00-13:00"]}).held


# ── windows ──────────────────────────────────────────────────────────────────────────────────────


def test_broken_columns_are_no_drift() -> None:
    broken = replace(window(0, 3), features=(feature("f0", 1.0, "stuck at 0"), *window(0, 3).features[1:]))
    assert result(DRIFT | {"share": 0.01}, windows=(broken,)).reason.startswith("none of 2 features drifted")
    found = result(DRIFT | {"features": ["f0"]}, windows=(broken,))
    assert found.verdict == "unknown"
    assert found.reason.startswith("no window could be judged; of the newest, 2026-02-09..2026-02-16: f0: stuck at 0")
    stuck = window(prediction=feature("prediction", 1.0, "stuck at 0.5"))
    assert result({"when": "prediction_drift"}, windows=(stuck,)).verdict == "unknown"


def test_a_share_and_features_are_either_or() -> None:
    rule = DRIFT | {"share": 0.5, "features": ["f0"]}
    assert [result(rule, windows=(window(count, 4),)).verdict for count in (0, 1, 2)] == ["quiet", "fires", "fires"]
    assert result(DRIFT | {"share": 0.5, "features": ["f3"]}, windows=(window(2, 4),)).verdict == "fires"
    assert result(DRIFT | {"share": 0.5, "features": ["f3"]}, windows=(window(1, 4),)).verdict == "quiet"


def test_a_window_that_could_not_be_judged_does_not_end_a_row() -> None:
    small = window(of=0, week=1, remark="150 rows, judged from 200 on")
    assert result(ROW, windows=(window(3, week=0), small, window(3, week=2))).verdict == "fires"
    assert result(ROW, windows=(window(3, week=0), window(0, week=1), window(3, week=2))).verdict == "quiet"


@pytest.mark.parametrize("rule", [DECAY, GUESS])
def test_a_window_of_few_rows_is_not_judged_on_its_labels_either(rule: dict[str, Any]) -> None:
    worse, better = measured(0.5, 0.01, week=1), measured(0.75, 0.01, week=1)
    two = rule | {"windows": 2}
    assert result(rule, windows=(SMALL,)).verdict == "unknown"
    assert result(rule, windows=(better, SMALL)).verdict == "quiet"
    assert result(two, windows=(worse, SMALL)).verdict == "quiet"
    assert result(two, windows=(measured(0.5, 0.01, week=0), replace(SMALL, remark="few"), worse)).verdict == "fires"


def test_only_what_can_still_come_is_waited_for() -> None:
    for kind in ("drift", "prediction_drift", "decay", "estimated_decay", "gain", "change"):
        never = {"why_not": {kind: "the champion is of task ranking"}}
        assert result({"when": kind}, **never).reason == "the champion is of task ranking"
    for kind in ("drift", "prediction_drift", "decay", "estimated_decay"):
        assert "; can change with the next" in result({"when": kind}).reason


def test_labels_that_are_late_leave_the_newest_labelled_window_to_judge() -> None:
    found = result(DECAY, windows=(measured(0.6, 0.01, week=1), window(week=2)))
    assert found.verdict == "fires"
    assert "2026-02-09..2026-02-16" in found.reason


def test_a_drop_and_a_least_value_are_either_or() -> None:
    rule = DECAY | {"drop": 0.1, "min": 0.65}
    verdicts = [result(rule, windows=(measured(value, 0.01, 0.7),)).verdict for value in (0.69, 0.63)]
    assert verdicts == ["quiet", "fires"]
    assert result(rule, windows=(measured(0.7, 0.01, 0.85),)).verdict == "fires"


def test_a_drop_where_none_is_named_is_a_share_of_a_metric_without_bound() -> None:
    assert result(DECAY, windows=(measured(20.3, 0.1, 20.0, "mae"),)).threshold == pytest.approx(0.4)
    assert result(DECAY, windows=(measured(20.5, 0.1, 20.0, "mae"),)).verdict == "fires"
    assert result(DECAY, windows=(measured(0.6, 0.1, 0.7),)).threshold == 0.02


# ── without a champion, without rules ────────────────────────────────────────────────────────────


def test_without_a_champion_the_first_cycle_is_due() -> None:
    found = judged(DRIFT, {"when": "gain"}, WEEKLY, policy={"combine": "all"}, trained_at=None, champion=None)
    assert (found.fires, found.reason) == (True, "first: there is no champion yet")
    assert [one.rule for one in found.rules] == ["first", "drift", "gain", "schedule"]
    assert [one.verdict for one in found.rules] == ["fires", "unknown", "unknown", "quiet"]
    assert found.rules[1].reason == "there is no champion to compare with yet"


def test_without_a_champion_a_cycle_that_just_trained_is_waited_for() -> None:
    found = judged(DRIFT, trained_at=None, champion=None, cycles=(NOW - timedelta(hours=1),))
    assert not found.fires
    assert found.next_at == NOW + timedelta(hours=23)


def test_no_rules_are_never() -> None:
    for trained in (None, NOW):
        found = judged(trained_at=trained)
        assert (found.fires, found.rules, found.next_at) == (False, (), None)
        assert found.reason == "there are no rules, so nothing asks for a cycle"


def test_rules_say_what_has_to_be_gathered() -> None:
    assert needs(RuleSet(rules=[])) == frozenset()
    assert needs(RuleSet()) == {"gain"}
    nested = {"all": [{"any": [{"when": "decay"}, OLD]}, {"when": "change"}]}
    assert needs(RuleSet(rules=[Rule.model_validate(nested)])) == {"windows", "performance", "changes"}
    assert needs(RuleSet(rules=[Rule(when="estimated_decay")])) == {"windows", "estimate"}


# ── the whole sentence ───────────────────────────────────────────────────────────────────────────


def test_the_whole_reason_is_one_sentence() -> None:
    age = "age: the champion was trained 2026-02-22 12:00 UTC"
    assert judged(YOUNG).reason == f"{age}, 10 < 30 days ago"
    assert judged(OLD, YOUNG, {**OLD, "name": "old"}).reason == f"{age}, 10 ≥ 5 days ago (also: old)"
    assert judged(YOUNG, UNKNOWN).reason == "no rule fires: age is quiet, gain is unknown"
    assert judged(OLD, UNKNOWN, policy={"combine": "all"}).reason == (
        "1 of 2 rules fire, and all must: age fires, gain is unknown"
    )
    assert judged(YOUNG, faults=("humid: stuck at 0 in all 1,832 rows",)).reason == (
        f"{age}, 10 < 30 days ago; data fault: humid: stuck at 0 in all 1,832 rows"
    )


def test_a_combination_tells_its_parts() -> None:
    found = result({"all": [OLD, {"any": [YOUNG, CHANGED]}]})
    assert (found.rule, found.verdict, found.value, found.threshold) == ("all(age, any(age, change))", "quiet", 1, 2)
    assert [part.rule for part in found.parts] == ["age", "any(age, change)"]
    assert [part.rule for part in found.parts[1].parts] == ["age", "change"]
    assert found.reason == (
        "1 of 2 fires, all must (any(age, change) is quiet: 0 of 2 fire (age is quiet: the champion was trained "
        "2026-02-22 12:00 UTC, 10 < 30 days ago; change is quiet: no change of pipeline, code, contract since the "
        "champion was trained; can change with the next edit))"
    )
    assert found.next_at == NOW + 20 * DAY


# ── the policy ───────────────────────────────────────────────────────────────────────────────────

HELD: list[tuple[dict[str, Any], dict[str, Any], str, datetime | None]] = [
    ({"cooldown": "2d"}, {"cycles": (NOW - DAY,)},
     "until 2026-03-05 12:00 UTC: the last cycle trained 2026-03-03 12:00 UTC, and the cooldown is 2d", NOW + DAY),
    ({"max_cycles_per_week": 2}, {"cycles": (NOW - 6 * DAY, NOW - 3 * DAY)},
     "until 2026-03-05 12:00 UTC: 2 cycles trained in the last 7 days, 2 at most", NOW + DAY),
    ({"max_cycles_per_week": 1}, {"cycles": (NOW - 3 * DAY,)},
     "until 2026-03-08 12:00 UTC: 1 cycle trained in the last 7 days, 1 at most", NOW + 4 * DAY),
    ({"max_cycles_per_week": 1}, {"cycles": (NOW - 6 * DAY, NOW - 3 * DAY)},
     "until 2026-03-08 12:00 UTC: 2 cycles trained in the last 7 days, 1 at most", NOW + 4 * DAY),
    ({"quiet_hours": ["08:00-13:30"], "tz": "Europe/Vienna"}, {},
     "until 2026-03-04 13:30 Europe/Vienna: these are quiet hours, 08:00-13:30", NOW + timedelta(minutes=30)),
    ({"quiet_hours": ["22:00-06:00"]}, {"now": NOW + timedelta(hours=17)},
     "until 2026-03-05 06:00 UTC: these are quiet hours, 22:00-06:00", NOW + timedelta(hours=18)),
    ({"quiet_hours": ["11:00-13:00"], "cooldown": "2d"}, {"cycles": (NOW - DAY,)},
     "until 2026-03-05 12:00 UTC: the last cycle trained 2026-03-03 12:00 UTC, and the cooldown is 2d", NOW + DAY),
    ({}, {"faults": ("humid: stuck at 0 in all 1,832 rows",)},
     "by data fault: humid: stuck at 0 in all 1,832 rows; mend the source, it is not trained on", None),
    ({"cooldown": "2d"}, {"faults": ("a: x", "b: x", "c: x", "d: x"), "cycles": (NOW - DAY,)},
     "by data fault: a: x, b: x, c: x and 1 more; mend the source, it is not trained on", None),
]  # fmt: skip


@pytest.mark.parametrize(("policy", "changed", "held", "until"), HELD)
def test_what_holds_rules_back_says_until_when(
    policy: dict[str, Any], changed: dict[str, Any], held: str, until: datetime | None
) -> None:
    found = judged(OLD, policy=policy, **changed)
    assert (found.fires, found.held, found.next_at) == (False, held, until)
    assert found.reason.endswith(f"days ago, but held back {held}")
    assert found.rules[0].verdict == "fires"


def test_what_does_not_fire_is_not_held() -> None:
    assert judged(YOUNG, policy={"cooldown": "2d"}, cycles=(NOW - DAY,)).held == ""


def test_what_is_past_holds_nothing() -> None:
    for policy, cycles in (
        ({"cooldown": "1d"}, (NOW - DAY,)), ({"cooldown": "0s"}, (NOW,)),
        ({"max_cycles_per_week": 1, "cooldown": "0s"}, (NOW - 7 * DAY,)),
        ({"quiet_hours": ["13:00-12:00", "08:00-12:00"]}, ()),
    ):  # fmt: skip
        found = judged(OLD, policy=policy, cycles=cycles)
        assert found.fires, policy
    assert judged(OLD, policy={"on_fault": "ignore"}, faults=("humid: stuck",)).fires


def test_quiet_hours_keep_their_length_where_the_clock_is_set() -> None:
    policy = {"quiet_hours": ["01:30-02:30"], "tz": "Europe/Vienna"}

    def held(text: str) -> datetime | None:
        now = datetime.fromisoformat(text).replace(tzinfo=UTC)
        found = judged(OLD, policy=policy, now=now)
        return found.next_at if found.held else None

    assert held("2026-03-29T00:45") == datetime(2026, 3, 29, 1, tzinfo=UTC)  # at 02:00 the clock jumps to 03:00
    assert held("2026-03-29T01:00") is None
    assert held("2026-10-25T00:45") == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)  # 02:30 comes twice
    assert held("2026-10-25T01:30") is None


def test_a_schedule_that_comes_due_in_quiet_hours_fires_when_they_end() -> None:
    """The caller passes the moment of the last decision that was not held."""
    rule, policy = {"when": "schedule", "cron": "0 3 * * *"}, {"quiet_hours": ["22:00-06:00"]}
    checked, fired = NOW, []
    for hour in range(1, 30):
        found = judged(rule, policy=policy, now=NOW + timedelta(hours=hour), checked_at=checked)
        if not found.held:
            checked = NOW + timedelta(hours=hour)
        fired += [hour] if found.fires else []
    assert fired == [18]  # 06:00 of the next day, once


def test_a_schedule_is_answered_by_a_cycle_that_trained_after_it_was_due() -> None:
    rule, checked = {"when": "schedule", "cron": "0 3 * * *"}, NOW - DAY
    assert judged(rule, checked_at=checked).fires
    assert not judged(rule, checked_at=checked, cycles=(NOW - timedelta(hours=2),), policy={"cooldown": "0s"}).fires


def test_a_schedule_that_was_never_checked_counts_from_the_training() -> None:
    assert judged(WEEKLY, checked_at=None).fires
    assert not judged(WEEKLY, checked_at=None, trained_at=NOW - DAY).fires
    assert judged(WEEKLY, checked_at=None, trained_at=None, cycles=(NOW - DAY,)).rules[1].verdict == "quiet"
    assert judged(WEEKLY, checked_at=None, trained_at=None).rules[1].verdict == "quiet"


def test_a_decision_that_fires_is_looked_at_again_after_the_cooldown() -> None:
    assert judged(OLD, policy={"cooldown": "3d"}).next_at == NOW + 3 * DAY
    assert judged(OLD, YOUNG, policy={"cooldown": "40d"}).next_at == NOW + 20 * DAY


# ── on anything ──────────────────────────────────────────────────────────────────────────────────

LEAVES = st.sampled_from([OLD, YOUNG, CHANGED, WEEKLY, {"when": "new_data", "rows": 100}, DRIFT, DECAY])
TREES = st.recursive(
    LEAVES,
    lambda parts: st.builds(
        lambda how, some: {how: some}, st.sampled_from(["all", "any"]), st.lists(parts, min_size=1, max_size=3)
    ),
    max_leaves=6,
)
PAST = st.integers(0, 20 * 24).map(lambda hours: NOW - timedelta(hours=hours))
VALUES = st.floats(0.3, 0.9, allow_nan=False)
WINDOWS = st.lists(
    st.builds(
        lambda value, half, drifted: measured(value, half, features=window(drifted, 6).features),
        VALUES, st.floats(0.001, 0.2), st.integers(0, 6),
    ) | st.just(window(of=0)), max_size=4,
).map(tuple)  # fmt: skip
FACTS = st.builds(
    lambda trained, checked, rows, windows, low: replace(
        HEALTHY, trained_at=trained, checked_at=checked, rows=rows, windows=windows,
        gain=None if low is None else gained(low),
    ),
    PAST, st.none() | PAST, st.integers(0, 3000), WINDOWS, st.none() | st.floats(-0.1, 0.1),
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(TREES, FACTS)
def test_the_same_facts_give_the_same_decision(rule: dict[str, Any], facts: Facts) -> None:
    asked = RuleSet(rules=[Rule.model_validate(rule)])
    assert evaluate(asked, facts) == evaluate(asked, facts)


@settings(max_examples=100, deadline=None)
@given(st.lists(TREES, min_size=1, max_size=4), FACTS)
def test_all_is_the_least_and_any_the_greatest_of_its_parts(rules: list[dict[str, Any]], facts: Facts) -> None:
    order = ("quiet", "unknown", "fires")
    ranks = [order.index(result(rule, facts).verdict) for rule in rules]
    assert result({"all": rules}, facts).verdict == order[min(ranks)]
    assert result({"any": rules}, facts).verdict == order[max(ranks)]
    assert result({"any": [{"all": rules}]}, facts).verdict == order[min(ranks)]
    for how, rank in (("all", min(ranks)), ("any", max(ranks))):
        asked = RuleSet(rules=[Rule.model_validate(rule) for rule in rules], policy=Policy(combine=how))
        assert evaluate(asked, facts).fires == (rank == 2)


THRESHOLDS: list[tuple[dict[str, Any], str, st.SearchStrategy[Any]]] = [
    ({"when": "drift"}, "share", st.floats(0, 1)),
    ({"when": "drift"}, "windows", st.integers(1, 4)),
    ({"when": "decay"}, "drop", st.floats(0, 0.5)),
    ({"when": "estimated_decay"}, "drop", st.floats(0, 0.5)),
    ({"when": "gain"}, "min", st.floats(-0.1, 0.1)),
    ({"when": "new_data"}, "rows", st.integers(1, 3000)),
    ({"when": "new_data"}, "growth", st.floats(0.001, 3)),
    ({"when": "age"}, "days", st.floats(0.01, 30)),
]


@pytest.mark.parametrize(("rule", "key", "values"), THRESHOLDS)
@settings(max_examples=60, deadline=None)
@given(data=st.data(), facts=FACTS)
def test_a_higher_threshold_never_makes_a_quiet_rule_fire(
    rule: dict[str, Any], key: str, values: st.SearchStrategy[Any], data: st.DataObject, facts: Facts
) -> None:
    low, high = sorted((data.draw(values), data.draw(values)))
    if result(rule | {key: low}, facts).verdict == "quiet":
        assert result(rule | {key: high}, facts).verdict == "quiet"


@settings(max_examples=100, deadline=None)
@given(TREES, FACTS, st.floats(0, 0.999), st.booleans())
def test_nothing_changes_by_time_alone_before_the_next_moment(
    rule: dict[str, Any], facts: Facts, share: float, in_cooldown: bool
) -> None:
    policy = Policy(quiet_hours=["22:00-06:00", "11:00-12:30"], max_cycles_per_week=2, tz="Europe/Vienna")
    asked = RuleSet(rules=[Rule.model_validate(rule)], policy=policy)
    facts = replace(facts, cycles=(NOW - timedelta(hours=20),) if in_cooldown else ())
    now = evaluate(asked, facts)
    later = facts.now + ((now.next_at or facts.now + 90 * DAY) - facts.now) * share
    then = evaluate(asked, replace(facts, now=later))
    assert [one.verdict for one in then.rules] == [one.verdict for one in now.rules]
    if not now.fires:  # one that fires is answered by a cycle, and does not wait
        assert (then.fires, bool(then.held)) == (now.fires, bool(now.held))
        assert now.next_at is None or now.next_at > facts.now


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 3 * 24 * 60), min_size=5, max_size=40), st.integers(1, 3), st.integers(0, 72))
def test_no_more_cycles_pass_than_the_policy_allows(waits: list[int], most: int, cooldown: int) -> None:
    """Rules that always fire, checked at odd moments; whatever passes trains at once."""
    policy = {"max_cycles_per_week": most, "cooldown": f"{cooldown}h", "quiet_hours": ["22:00-06:00"]}
    now, cycles = NOW, [NOW]
    for minutes in waits:
        now += timedelta(minutes=minutes)
        if judged(OLD, policy=policy, now=now, cycles=tuple(cycles)).fires:
            cycles.append(now)
    assert all(b - a >= timedelta(hours=cooldown) for a, b in pairwise(cycles))
    assert all(b - a >= 7 * DAY for a, b in zip(cycles, cycles[most:], strict=False))
    assert all(6 <= at.hour < 22 for at in cycles)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 3), st.integers(0, 72), st.integers(0, 23))
def test_who_wakes_at_the_next_moment_misses_nothing(most: int, cooldown: int, hour: int) -> None:
    """Waking only when told, the rules are let through at the first moment that the policy allows."""
    policy = {
        "max_cycles_per_week": most,
        "cooldown": f"{cooldown}h",
        "quiet_hours": [f"{hour:02}:00-{23 - hour:02}:30"],
    }
    cycles = (NOW - timedelta(hours=1), NOW)
    moments, now = [], NOW
    for _ in range(50):
        found = judged(OLD, policy=policy, now=now, cycles=cycles)
        moments.append(now)
        if found.fires:
            break
        assert found.next_at
        assert found.next_at > now
        now = found.next_at
    assert found.fires
    for minute in range(1, 60):
        before = now - timedelta(minutes=minute)
        if before > max(cycles):
            assert not judged(OLD, policy=policy, now=before, cycles=cycles).fires
