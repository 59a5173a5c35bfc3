"""Every gate against a value computed by other means, and what it says."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from sklearn import metrics as sk

from mlops_tui.config import Gate
from mlops_tui.core.bounds import figure
from mlops_tui.core.gates import Evidence, judge, single_feature_scores
from mlops_tui.core.metrics import Answers, Rival, evaluate, measure, standard_error, value
from mlops_tui.core.slices import binomial, holm, judge_slices
from mlops_tui.records import Feature, GateResult, Metric, from_json, to_json

CARRIERS = np.array(["AA", "MQ", "UA", "∅"])


def answers(seed: int = 1, rows: int = 2000, noise: float = 0.25, truth: int = 1) -> Answers:
    """Binary answers; `truth` seeds the rows, `seed` the model."""
    y = (np.random.default_rng(truth).random(rows) < 0.4).astype(np.float64)
    score = 0.5 + 0.3 * (y - 0.5) + noise * np.random.default_rng([seed, 7]).normal(size=rows)
    return Answers("binary", y, np.clip(score, 0.01, 0.99))


def evidence(**changes: Any) -> Evidence:
    test = changes.pop("test", answers())
    if "champion" in changes:
        changes["rival"] = Rival(
            changes.pop("champion"), changes.pop("champion_version", None), changes.pop("known_rows", 0)
        )
    return Evidence(test, {"test": evaluate(test)}, **changes)


def one(gate: Gate, given: Evidence, seed: int = 3) -> GateResult:
    """The gate's result, which can be stored, and whose sentence is one line."""
    (result,) = judge([gate], given, seed)
    assert from_json(to_json(result), GateResult) == result
    assert "nan" not in result.sentence
    assert "\n" not in result.sentence
    return result


# ── a metric against a bound ─────────────────────────────────────────────────────────────────────


def test_a_metric_above_its_minimum_passes() -> None:
    test = answers()
    auc = sk.roc_auc_score(test.y, test.score)
    result = one(Gate(metric="auc", min=0.7), evidence())
    interval = measure(test, "auc")
    assert (result.gate, result.passed, result.threshold) == ("auc ≥ 0.70", True, 0.7)
    assert result.value == pytest.approx(auc)
    assert (result.low, result.high) == (interval.low, interval.high)
    assert interval.low is not None
    assert interval.high is not None
    assert result.sentence == (
        f"auc is {auc:.4g} (95 % interval {interval.low:.4g} to {interval.high:.4g}, 2,000 test rows): ≥ 0.70"
    )


def test_a_metric_below_its_minimum_fails_and_the_figures_show_it() -> None:
    auc = value(answers(), "auc")
    result = one(Gate(metric="auc", min=round(auc, 4) + 0.0001), evidence())
    assert not result.passed
    assert ": not ≥ 0." in result.sentence


def test_a_miss_by_little_does_not_look_like_a_hit() -> None:
    gate = Gate(metric="auc", min=0.7)
    assert [figure(miss, gate) for miss in (0.61234, 0.69996, 0.69999999)] == ["0.6123", "0.69996", "0.69999999"]
    assert [figure(large) for large in (1234567.8, 0.0, -2.5, 1e-7)] == ["1,234,568", "0", "-2.5", "1e-07"]


def test_an_interval_that_reaches_below_is_told_and_passes() -> None:
    auc = value(answers(), "auc")
    result = one(Gate(metric="auc", min=auc - 0.001), evidence())
    assert result.passed
    assert result.sentence.endswith("though the interval reaches beyond that")


def test_the_gates_confidence_is_its_intervals() -> None:
    wide = one(Gate(metric="auc", min=0.5, confidence=0.99), evidence())
    error = standard_error(answers(), "auc")
    assert wide.value is not None
    assert wide.low is not None
    assert wide.value - wide.low == pytest.approx(stats.norm.ppf(0.995) * error)
    assert "99 % interval" in wide.sentence


def test_a_maximum_and_a_band() -> None:
    loss = sk.log_loss(answers().y, answers().score)
    assert one(Gate(metric="log_loss", max=loss + 0.01), evidence()).passed
    assert not one(Gate(metric="log_loss", max=loss - 0.01), evidence()).passed
    y = np.random.default_rng(1).normal(size=1000)
    quantile = Answers("quantile", y, np.full(1000, float(np.quantile(y, 0.9))), quantile=0.9)
    band = Gate(metric="coverage", min=0.85, max=0.95)
    inside, outside = one(band, evidence(test=quantile)), one(band, evidence(test=replace(quantile, score=y + 1)))
    assert (inside.gate, inside.passed, inside.threshold) == ("coverage between 0.85 and 0.95", True, 0.85)
    assert (outside.passed, outside.threshold) == (False, 0.95)


def test_what_is_undefined_fails() -> None:
    result = one(Gate(metric="auc", min=0.5), evidence(test=Answers("binary", np.zeros(9), np.full(9, 0.1))))
    assert (result.passed, result.value) == (False, None)
    assert result.sentence == "auc is undefined on 9 test rows of one class"


# ── against the champion ─────────────────────────────────────────────────────────────────────────

VERSUS = Gate(metric="auc", versus="champion", margin=0.01)


def test_the_first_version_has_nothing_to_beat() -> None:
    result = one(VERSUS, evidence())
    assert (result.gate, result.passed, result.threshold) == ("auc versus champion", True, -0.01)
    assert result.sentence == "first version: nothing to compare with"


@pytest.mark.parametrize(
    ("noise", "margin", "passed", "word"),
    [(0.35, 0.01, True, "better"), (0.25, 0.03, True, "as good"), (0.25, 0.0, False, "not shown to be as good"),
     (0.18, 0.01, False, "worse")],
)  # fmt: skip
def test_not_worse_by_more_than_the_margin(noise: float, margin: float, passed: bool, word: str) -> None:
    champion = answers(2, noise=noise)
    result = one(VERSUS.model_copy(update={"margin": margin}), evidence(champion=champion, champion_version=3))
    difference = sk.roc_auc_score(champion.y, answers().score) - sk.roc_auc_score(champion.y, champion.score)
    assert result.passed is passed
    assert result.value == pytest.approx(difference)
    assert result.low is not None
    assert passed == (result.low >= -margin)
    assert f"of version 3 on the same 2,000 test rows: {word} (difference" in result.sentence
    assert "95 % interval" in result.sentence
    assert "two-sided, DeLong; margin" in result.sentence
    assert "trained on" not in result.sentence


def test_the_interval_of_the_difference_is_that_of_a_jackknife() -> None:
    test, champion = answers(rows=300), answers(2, 300)
    gate = Gate(metric="log_loss", versus="champion")
    result = one(gate, evidence(test=test, champion=champion))
    losses = [-np.log(np.where(a.y == 1, a.score, 1 - a.score)) for a in (champion, test)]
    assert result.value == pytest.approx(np.mean(losses[0] - losses[1]))
    assert result.low is not None
    assert result.high is not None
    assert result.high - result.low == pytest.approx(2 * 1.96 * stats.sem(losses[0] - losses[1]), rel=0.15)
    assert "paired bootstrap, 200 resamples" in result.sentence


def test_rows_that_the_champion_knew_are_told() -> None:
    result = one(VERSUS, evidence(champion=answers(2), known_rows=1204))
    assert result.sentence.endswith("; the champion learned from 1,204 of these rows, which favours it")
    assert result.details["known_rows"] == 1204
    unsure = one(VERSUS, evidence(champion=answers(2), known_rows=None))
    assert unsure.sentence.endswith("is not known, as its data is not here")


def test_the_champion_itself_and_one_that_cannot_be_compared() -> None:
    itself = one(VERSUS, evidence(rival=Rival(itself=True)))
    assert (itself.passed, itself.sentence) == (True, "it is the champion itself: nothing to compare with")
    other = one(VERSUS, evidence(rival=Rival(remark="the champion is of task regression, this model of binary")))
    assert (other.passed, other.value) == (False, None)
    assert other.sentence == "cannot be compared: the champion is of task regression, this model of binary"


def test_a_comparison_that_cannot_be_made_fails() -> None:
    empty = Answers("binary", np.zeros(5), np.full(5, 0.1))
    assert not one(VERSUS, evidence(test=empty, champion=empty)).passed


# ── slices ───────────────────────────────────────────────────────────────────────────────────────


def sliced(bad: str | None = None, rows: int = 4000) -> Evidence:
    """Rows of three carriers and 60 without one; of the bad carrier, the scores say nothing."""
    test, random = answers(rows=rows), np.random.default_rng(5)
    carrier = CARRIERS[random.integers(0, 3, rows)]
    carrier[:60] = "∅"
    score = np.where(carrier == bad, random.random(rows), test.score)
    return evidence(test=replace(test, score=score), slices={"carrier": carrier})


SLICES = Gate(metric="auc", min=0.6, slice="carrier")


def test_slices_that_are_good_pass() -> None:
    result = one(SLICES, sliced())
    listed = result.details["slices"]
    assert (result.gate, result.passed) == ("auc ≥ 0.60 by carrier", True)
    assert [row["verdict"] for row in listed] == ["passed", "passed", "passed", "unjudged"]
    assert (listed[-1]["value"], listed[-1]["rows"], result.details["unjudged"]) == ("∅", 60, 1)
    assert listed[0]["metric"] == result.value == min(row["metric"] for row in listed[:3])
    assert result.sentence.startswith("auc is ≥ 0.60 in all 3 slices judged: the worst is '")
    assert "1 not judged, with fewer than 100 rows" in result.sentence


def test_a_bad_slice_fails_and_every_figure_is_sklearns() -> None:
    given = sliced("MQ")
    result = one(SLICES, given)
    carrier = given.slices["carrier"]
    assert not result.passed
    assert "auc is not ≥ 0.60 in 1 of 3 slices (Holm over 3): 'MQ' 0." in result.sentence
    p_values = []
    for row in result.details["slices"][:3]:
        part = given.test.take(carrier == row["value"])
        assert row["rows"] == len(part.y)
        assert row["metric"] == pytest.approx(sk.roc_auc_score(part.y, part.score))
        p_values.append(stats.norm.cdf((row["metric"] - 0.6) / standard_error(part, "auc")))
    assert result.details["slices"][0]["value"] == "MQ"
    assert result.details["slices"][0]["p"] == pytest.approx(min(1, 3 * p_values[0]))


def test_a_slice_that_is_low_by_chance_only_is_doubtful() -> None:
    given = sliced()
    aucs = sorted(value(given.test.take(given.slices["carrier"] == name), "auc") for name in CARRIERS[:3])
    result = one(SLICES.model_copy(update={"min": aucs[0] + 0.001}), given)
    assert result.passed
    assert result.details["slices"][0]["verdict"] == "doubtful"
    assert "though 1 may be: the worst is" in result.sentence


def test_a_maximum_by_slice_turns_the_order() -> None:
    result = one(Gate(metric="brier", max=0.2, slice="carrier"), sliced("UA"))
    assert not result.passed
    assert result.details["slices"][0]["value"] == "UA"
    assert result.value == max(row["metric"] for row in result.details["slices"][:3])


def test_slices_too_small_or_unknown_fail() -> None:
    few = one(SLICES.model_copy(update={"min_rows": 5000}), sliced())
    assert not few.passed
    assert few.sentence == "no value of 'carrier' could be judged: none has 5,000 rows with a defined auc"
    assert few.details["unjudged"] == 4
    wrong = one(SLICES.model_copy(update={"slice": "carier"}), sliced())
    assert wrong.sentence == "the test rows have no column 'carier'; did you mean 'carrier'?"


def test_a_key_as_slice_does_not_fill_the_report() -> None:
    given = replace(sliced(), slices={"flight": np.array([f"f{row}" for row in range(4000)], dtype=object)})
    result = one(Gate(metric="auc", min=0.6, slice="flight"), given)
    assert (len(result.details["slices"]), result.details["unjudged"]) == (100, 4000)


@given(st.lists(st.floats(0, 1), max_size=20).map(sorted))
def test_holm_lies_between_no_correction_and_bonferroni(p_values: list[float]) -> None:
    corrected = holm(p_values)
    assert corrected == sorted(corrected)
    assert all(p <= q <= 1 for p, q in zip(p_values, corrected, strict=True))
    assert not p_values or corrected[0] == min(1.0, p_values[0] * len(p_values))


@given(st.integers(1, 400), st.floats(0.001, 0.999), st.floats(0, 1))
def test_the_binomial_is_scipys(rows: int, share: float, part: float) -> None:
    hits = round(part * rows)
    assert binomial(hits, rows, share) == pytest.approx(stats.binom.cdf(hits, rows, share), rel=1e-8, abs=1e-12)


def test_the_binomial_at_its_ends_and_of_many_rows() -> None:
    assert (binomial(0, 5, 0.0), binomial(5, 5, 1.0), binomial(4, 5, 1.0)) == (1.0, 1.0, 0.0)
    assert binomial(899_000, 1_000_000, 0.9) == pytest.approx(stats.binom.cdf(899_000, 1_000_000, 0.9), rel=1e-6)


def shares(metric: str, random: np.random.Generator, share: float, rows: int) -> Answers:
    """Answers of which the true metric is `share`."""
    if metric == "coverage":
        return Answers("quantile", np.where(random.random(rows) < share, 0.0, 2.0), np.ones(rows), quantile=share)
    if metric == "accuracy":
        y = random.integers(0, 2, rows).astype(np.float64)
        return Answers("multiclass", y, np.eye(2)[np.where(random.random(rows) < share, y, 1 - y).astype(int)])
    kind = random.choice(3, rows, p=[share / (2 - share) * 0.2, 0.2 - share / (2 - share) * 0.2, 0.8])
    missed = random.random(rows) < 0.5  # of the rows that are a 1 or said to be: hit, wrong, and neither
    y = (kind == 0) | ((kind == 1) & missed)
    return Answers("binary", y * 1.0, np.where((kind == 0) | ((kind == 1) & ~missed), 0.9, 0.1))


@pytest.mark.parametrize("rows", [10, 30, 100])
@pytest.mark.parametrize(
    ("metric", "share", "bounds"),
    [("coverage", 0.9, {"min": 0.85, "max": 0.95}), ("coverage", 0.95, {"min": 0.95}),
     ("coverage", 0.95, {"max": 0.95}), ("coverage", 0.9, {"min": 0.9, "max": 0.9}),
     ("accuracy", 0.98, {"min": 0.98}), ("f1", 0.6, {"min": 0.6})],
)  # fmt: skip
def test_slices_within_their_bounds_seldom_fail(metric: str, share: float, bounds: dict[str, float], rows: int) -> None:
    random, failed, times = np.random.default_rng(5), 0, 30 if metric == "f1" else 150
    gate = Gate(metric=metric, slice="group", min_rows=rows, **bounds)
    for _ in range(times):
        test, names = shares(metric, random, share, 20 * rows), np.repeat(np.arange(20).astype(str), rows)
        failed += any(found.verdict == "failed" for found in judge_slices(test, names, gate, 0))
    assert failed <= 0.05 * times + 3 * math.sqrt(0.05 * 0.95 * times)


def test_a_share_that_misses_is_found_and_a_perfect_one_of_few_rows_is_not() -> None:
    y = np.zeros(110)
    y[10:20] = 2.0
    names = np.array(["small"] * 10 + ["big"] * 100)
    gate = Gate(metric="coverage", slice="s", min=0.85, max=0.95, min_rows=10)
    few, many = judge_slices(Answers("quantile", y, np.ones(110), quantile=0.9), names, gate, 0)
    assert (few.value, few.verdict, many.verdict) == ("small", "doubtful", "passed")
    y[:60] = 2.0
    bad, *_ = judge_slices(Answers("quantile", y, np.ones(110), quantile=0.9), names, gate, 0)
    assert (bad.value, bad.verdict) == ("small", "failed")
    assert bad.p == pytest.approx(2 * stats.binom.cdf(0, 10, 0.85))  # of two bounds; the other slice is farther out


def test_good_slices_seldom_fail() -> None:
    random, failed = np.random.default_rng(3), 0
    for _ in range(100):
        y = (random.random(3000) < 0.5).astype(np.float64)
        test = Answers("binary", y, y + random.normal(size=3000) / 0.7)
        names = np.array(list("abcdefghij"))[random.integers(0, 10, 3000)]
        bound = float(stats.norm.cdf(0.7 / math.sqrt(2)))  # every slice's true AUC
        gate = Gate(metric="auc", min=bound, slice="group")
        failed += not judge([gate], Evidence(test, {}, slices={"group": names}), 0)[0].passed
    assert failed <= 12  # 5 expected at 95 %, three standard errors above


# ── checks ───────────────────────────────────────────────────────────────────────────────────────


def test_latency_and_size() -> None:
    given = evidence(latency_p99_ms=1.834, model_bytes=812_345)
    fast, slow = (one(Gate(check="latency_p99_ms", max=most), given) for most in (2, 1.5))
    assert (fast.gate, fast.passed, fast.value) == ("latency_p99_ms ≤ 2", True, 1.834)
    assert fast.sentence == "latency_p99_ms is 1.834: ≤ 2"
    assert slow.sentence == "latency_p99_ms is 1.834: not ≤ 1.5"
    size = one(Gate(check="model_size_mb", max=0.8), given)
    assert (size.passed, size.value) == (False, 0.812345)
    for check in ("latency_p99_ms", "model_size_mb"):
        missing = one(Gate(check=check, max=2), evidence())
        assert (missing.passed, missing.sentence) == (False, f"{check} was not measured")
    missing = one(Gate(check="latency_p99_ms", over="http", max=2), given)
    assert (missing.gate, missing.passed) == ("latency_p99_ms over HTTP ≤ 2", False)
    assert missing.sentence == "latency_p99_ms over HTTP was not measured"
    served = one(Gate(check="latency_p99_ms", over="http", max=2), evidence(latency_p99_ms=1.2, http_p99_ms=2.25))
    assert (served.passed, served.value) == (False, 2.25)
    assert served.sentence == "latency_p99_ms over HTTP is 2.25: not ≤ 2"
    assert "over" not in Gate(check="latency_p99_ms", max=2).model_dump()  # as reports of before have it in their hash
    assert Gate(check="latency_p99_ms", over="http", max=2).model_dump()["over"] == "http"
    with pytest.raises(ValueError, match="'over' goes with check"):
        Gate(check="model_size_mb", over="http", max=2)


def fitted(task: str, name: str, train: float, test: float) -> Evidence:
    sets = {part: (Metric(name, figure),) for part, figure in (("train", train), ("test", test))}
    return Evidence(Answers(task, np.zeros(2), np.zeros(2)), sets)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("task", "name", "train", "test", "gap"),
    [
        ("binary", "auc", 0.8, 0.71, 0.09),
        ("binary", "auc", 0.99, 0.71, 0.28),
        ("ranking", "ndcg@5", 0.6, 0.65, -0.05),
        ("regression", "rmse", 8.0, 10.0, 0.2),
        ("regression", "rmse", 9.5, 10.0, 0.05),
        ("regression", "rmse", 0.0, 0.0, 0.0),
        ("quantile", "pinball", 10.0, 8.0, -0.2),
    ],
)
def test_overfit_is_the_gap_between_train_and_test(task: str, name: str, train: float, test: float, gap: float) -> None:
    result = one(Gate(check="overfit"), fitted(task, name, train, test))
    assert result.value == pytest.approx(gap)
    assert result.passed is (gap <= 0.1)
    assert (result.gate, result.threshold) == ("overfit ≤ 0.1", 0.1)
    assert one(Gate(check="overfit", max=0.3), fitted(task, name, train, test)).passed


def test_overfit_without_train_metrics_fails() -> None:
    assert one(Gate(check="overfit"), evidence()).sentence == "auc was not measured on train and test rows"


# ── leaks ────────────────────────────────────────────────────────────────────────────────────────

FEATURES = [
    Feature("noise", "numeric", "noise"),
    Feature("dep_delay", "numeric", "dep_delay"),
    Feature("u_shaped", "numeric", "u_shaped"),
    Feature("code", "categorical", "code", categories=("a", "b", "c")),
    Feature("mostly_null", "numeric", "mostly_null"),
    Feature("constant", "numeric", "constant"),
]


def matrix(seed: int, rows: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Features that tell of the target in every shape, and the delay behind the target."""
    random = np.random.default_rng(seed)
    delay = random.normal(0, 10, rows)
    above = delay > 8
    columns = [
        random.normal(size=rows),
        delay + random.normal(0, 2, rows),
        np.where(above, 3.0, 1.0) * random.choice([-1, 1], rows) + random.normal(0, 0.3, rows),
        np.where(above, 1, random.choice([0, 2], rows)).astype(np.float64),
        np.where(above, np.nan, random.normal(size=rows)),
        np.full(rows, 4.0),
    ]
    return np.column_stack(columns), delay


def late(delay: NDArray[np.float64]) -> NDArray[np.float64]:
    return (delay > 8).astype(np.float64)


def test_a_leak_of_any_shape_is_found() -> None:
    (x, delay), (new, later) = matrix(1, 5000), matrix(2, 3000)
    scores = single_feature_scores("binary", FEATURES, (x, late(delay)), (new, late(later)))
    for name in ("dep_delay", "u_shaped", "code", "mostly_null"):
        assert scores[name] > 0.95, name
    assert abs(scores["noise"] - 0.5) < 0.05
    assert scores["constant"] == 0.5
    assert scores["dep_delay"] == pytest.approx(sk.roc_auc_score(later > 8, new[:, 1]), abs=0.01)
    result = one(Gate(check="leak"), evidence(single_features=scores))
    assert (result.gate, result.passed, result.value) == ("leak ≤ 0.9", False, max(scores.values()))
    for name in ("dep_delay", "u_shaped", "code", "mostly_null"):
        assert f"'{name}' (auc " in result.sentence
    assert "noise" not in result.sentence
    assert result.details["features"] == scores


def test_the_score_is_that_of_the_mean_by_bin() -> None:
    (x, delay), (new, later) = matrix(1, 5000), matrix(2, 3000)
    scores = single_feature_scores("regression", FEATURES[3:4], (x[:, 3:4], delay), (new[:, 3:4], later))
    means = [(delay[x[:, 3] == code].sum() + delay.mean()) / ((x[:, 3] == code).sum() + 1) for code in range(3)]
    assert scores["code"] == pytest.approx(sk.r2_score(later, np.array(means)[new[:, 3].astype(int)]))
    scores = single_feature_scores("binary", FEATURES[3:4], (x[:, 3:4], late(delay)), (new[:, 3:4], late(later)))
    rates = np.array([late(delay)[x[:, 3] == code].mean() for code in range(3)])
    assert scores["code"] == pytest.approx(sk.roc_auc_score(late(later), rates[new[:, 3].astype(int)]), abs=1e-9)


def test_leaks_of_other_tasks() -> None:
    (x, delay), (new, later) = matrix(1, 5000), matrix(2, 3000)
    x[:, 0], new[:, 0] = delay**2, later**2
    scores = single_feature_scores("regression", FEATURES, (x, delay**2), (new, later**2))
    assert scores["noise"] > 0.95 > scores["dep_delay"]
    result = one(Gate(check="leak"), Evidence(Answers("regression", later, later), {}, single_features=scores))
    assert (result.gate, result.passed, result.threshold) == ("leak ≤ 0.95", False, 0.95)
    three = [np.digitize(y, [-8, 8]).astype(np.float64) for y in (delay, later)]
    assert single_feature_scores("multiclass", FEATURES, (x, three[0]), (new, three[1]))["u_shaped"] > 0.95


def test_codes_unseen_in_training_and_one_class() -> None:
    x, new = np.array([[0.0], [1], [5]]), np.array([[0.0], [7], [np.nan]])
    feature = [Feature("code", "categorical", "code")]
    some = np.array([0.0, 1, 1])
    assert set(single_feature_scores("binary", feature, (x, some), (new, some))) == {"code"}
    assert single_feature_scores("binary", feature, (x, np.zeros(3)), (new, np.zeros(3))) == {}
    assert single_feature_scores("binary", feature, (x[:0], np.zeros(0)), (new, np.zeros(3))) == {}


def test_no_leak_and_no_scores() -> None:
    fine = one(Gate(check="leak"), evidence(single_features={"distance": 0.61, "hour": 0.66}))
    assert fine.passed
    assert fine.sentence == "no feature alone decides the target: the best, 'hour', has auc 0.66"
    assert one(Gate(check="leak"), evidence()).sentence == "no feature was scored alone"


def test_results_stand_in_the_gates_order_and_can_be_stored() -> None:
    gates = [Gate(metric="f1", min=0.1), VERSUS, Gate(check="leak"), SLICES]
    results = judge(gates, sliced("MQ"), 1)
    assert [result.passed for result in results] == [True, True, False, False]
    assert results == judge(gates, sliced("MQ"), 1)
    assert json.loads(to_json(results))[3]["details"]["slices"][0]["value"] == "MQ"
