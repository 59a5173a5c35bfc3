"""Every metric against scikit-learn, every interval against a direct computation or against its own promise."""

from __future__ import annotations

import doctest
import math
import subprocess
import sys
import time
import warnings
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from sklearn import metrics as sk

from mlops_tui.core import intervals, leak, metrics, slices
from mlops_tui.core.metrics import Answers, Comparison, best_f1_threshold, compare, evaluate, value
from mlops_tui.errors import InvalidInput
from mlops_tui.records import METRICS, Metric

Floats = NDArray[np.float64]
SEEDS = range(6)


def binary(seed: int, rows: int = 400, tied: bool = True, shift: float = 0.2) -> Answers:
    random = np.random.default_rng(seed)
    y = (random.random(rows) < 0.3).astype(np.float64)
    score = np.clip(0.5 + shift * (y - 0.5) + 0.2 * random.normal(size=rows), 0, 1)
    return Answers("binary", y, np.round(score, 1 if tied else 12), threshold=0.5)


def multiclass(seed: int, rows: int = 400, classes: int = 4) -> Answers:
    random = np.random.default_rng(seed)
    y = random.integers(0, classes, rows)
    score = np.round(random.dirichlet(np.ones(classes), rows), 2) + 0.01
    score[np.arange(rows), y] += 0.2
    return Answers("multiclass", y.astype(np.float64), score / score.sum(axis=1, keepdims=True))


def regression(seed: int, rows: int = 400, task: str = "regression") -> Answers:
    random = np.random.default_rng(seed)
    y = np.round(5 + 2 * random.normal(size=rows), 1)
    return Answers(task, y, np.round(y + random.normal(size=rows), 1), quantile=0.8)  # type: ignore[arg-type]


def ranking(seed: int, queries: int = 60) -> Answers:
    random = np.random.default_rng(seed)
    query = random.permutation(np.repeat(np.arange(queries), random.integers(1, 30, queries)))
    y = random.integers(0, 5, len(query)).astype(np.float64)
    y[np.isin(query, [3, 5])] = 0
    return Answers("ranking", y, np.round(y + 2 * random.normal(size=len(query))), query)


MAKERS: dict[str, Callable[[int], Answers]] = {
    "binary": binary,
    "multiclass": multiclass,
    "regression": regression,
    "quantile": lambda seed: regression(seed, task="quantile"),
    "ranking": ranking,
}


def expected(answers: Answers, metric: str) -> float:
    y, score = answers.y, answers.score
    if answers.task == "ranking":
        return expected_ndcg(answers, int(metric.split("@")[1]))
    many = answers.task == "multiclass"
    predicted = score.argmax(axis=1) if many else score >= answers.threshold
    theirs: dict[str, Callable[[], float]] = {
        "auc": lambda: sk.roc_auc_score(y, score, multi_class="ovr", average="macro"),
        "average_precision": lambda: sk.average_precision_score(y, score),
        "log_loss": lambda: sk.log_loss(y, score),
        "brier": lambda: sk.brier_score_loss(y, score),
        "f1": lambda: sk.f1_score(y, predicted, average="macro" if many else "binary"),
        "accuracy": lambda: sk.accuracy_score(y, predicted),
        "rmse": lambda: sk.root_mean_squared_error(y, score),
        "mae": lambda: sk.mean_absolute_error(y, score),
        "r2": lambda: sk.r2_score(y, score),
        "mape": lambda: sk.mean_absolute_percentage_error(y, score),
        "pinball": lambda: sk.mean_pinball_loss(y, score, alpha=answers.quantile),
        "coverage": lambda: float(np.mean(y <= score)),
    }
    return theirs[metric]()


def expected_ndcg(answers: Answers, top: int) -> float:
    assert answers.query is not None
    found = []
    for query in np.unique(answers.query):
        rows = answers.query == query
        gain, score = 2 ** answers.y[rows] - 1, answers.score[rows]
        if gain.any():
            found.append(1.0 if len(gain) == 1 else sk.ndcg_score([gain], [score], k=top))
    return float(np.mean(found))


def ends(found: Metric | Comparison) -> tuple[float, float]:
    """The interval, which is there."""
    assert found.low is not None
    assert found.high is not None
    return found.low, found.high


def test_the_names_are_those_of_the_pipeline_file() -> None:
    assert set(MAKERS) == set(METRICS)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("task", list(MAKERS))
def test_every_value_is_sklearns(task: str, seed: int) -> None:
    answers = MAKERS[task](seed)
    found = evaluate(answers)
    assert tuple(one.name for one in found) == METRICS[task]
    for one in found:
        assert one.value == pytest.approx(expected(answers, one.name), abs=1e-9, rel=1e-9), one.name
        assert one.value == value(answers, one.name)
        low, high = ends(one)
        assert low < one.value < high
        assert one.higher == metrics.higher_is_better(one.name)


@pytest.mark.parametrize("seed", SEEDS)
def test_untied_scores_too(seed: int) -> None:
    answers = binary(seed, tied=False)
    for name in METRICS["binary"]:
        assert value(answers, name) == pytest.approx(expected(answers, name), abs=1e-9)


def direct_delong(first: Answers, second: Answers) -> tuple[float, float]:
    """Variance of the first AUC and of the difference, by comparing every pair of rows."""
    ones = first.y == 1
    kernels = [
        (a.score[ones][:, None] > a.score[~ones]) + 0.5 * (a.score[ones][:, None] == a.score[~ones])
        for a in (first, second)
    ]
    by_one = np.cov([kernel.mean(axis=1) for kernel in kernels])
    by_other = np.cov([kernel.mean(axis=0) for kernel in kernels])
    total = by_one / ones.sum() + by_other / (~ones).sum()
    return float(total[0, 0]), float(total[0, 0] + total[1, 1] - 2 * total[0, 1])


@pytest.mark.parametrize("seed", SEEDS)
def test_delong_is_the_sum_over_all_pairs(seed: int) -> None:
    first, second = binary(seed), binary(seed, shift=0.3)
    alone, paired = direct_delong(first, second)
    assert metrics.standard_error(first, "auc") == pytest.approx(math.sqrt(alone), rel=1e-9)
    found = compare("auc", first, second, 0.9, 0)
    assert found.method == "DeLong"
    low, high = ends(found)
    assert found.difference == pytest.approx(value(second, "auc") - value(first, "auc"))
    assert high - low == pytest.approx(2 * stats.norm.ppf(0.95) * math.sqrt(paired), rel=1e-9)


def test_intervals_are_their_formulas() -> None:
    shares = multiclass(1)
    right = int((shares.score.argmax(axis=1) == shares.y).sum())
    theirs = stats.binomtest(right, len(shares.y)).proportion_ci(0.9, method="wilson")
    accuracy = metrics.measure(shares, "accuracy", 0.9)
    assert ends(accuracy) == pytest.approx((theirs.low, theirs.high), rel=1e-9)
    answers = regression(1)
    errors = np.abs(answers.y - answers.score)
    low, high = stats.norm.interval(0.95, errors.mean(), stats.sem(errors))
    mae = metrics.measure(answers, "mae")
    assert ends(mae) == pytest.approx((low, high), rel=1e-9)
    squares = errors**2
    assert metrics.standard_error(answers, "rmse") == pytest.approx(stats.sem(squares) / 2 / math.sqrt(squares.mean()))


@pytest.mark.parametrize(
    ("answers", "metric"),
    [(binary(3), "average_precision"), (binary(3), "f1"), (multiclass(3), "f1"), (regression(3), "r2")],
)
def test_resampled_errors_are_those_of_an_ordinary_bootstrap(answers: Answers, metric: str) -> None:
    random = np.random.default_rng(5)
    rows = len(answers.y)
    direct = [value(answers.take(random.integers(0, rows, rows)), metric) for _ in range(600)]
    assert metrics.standard_error(answers, metric, 1) == pytest.approx(np.std(direct), rel=0.2)


def test_multiclass_auc_error_is_that_of_a_bootstrap() -> None:
    answers, random = multiclass(3), np.random.default_rng(5)
    direct = [value(answers.take(random.integers(0, 400, 400)), "auc") for _ in range(400)]
    assert metrics.standard_error(answers, "auc") == pytest.approx(np.std(direct), rel=0.12)


TRUTHS: dict[str, Callable[[int, int], Answers]] = {
    "auc": binary,
    "average_precision": binary,
    "brier": binary,
    "f1": binary,
    "rmse": regression,
    "r2": regression,
}


@pytest.mark.parametrize("metric", list(TRUTHS))
def test_intervals_hold_the_truth_as_often_as_they_say(metric: str) -> None:
    make = TRUTHS[metric]
    truth = value(make(10_000, 200_000), metric)
    found = [metrics.measure(make(seed, 400), metric, 0.9, seed) for seed in range(300)]
    held = np.mean([low <= truth <= high for low, high in map(ends, found)])
    assert 0.85 <= held <= 0.94  # 0.9 plus or minus three binomial standard errors of 300 simulations


@pytest.mark.parametrize("metric", ["auc", "log_loss", "f1"])
def test_paired_intervals_hold_no_difference_as_often_as_they_say(metric: str) -> None:
    held = []
    for seed in range(300):
        random = np.random.default_rng(seed)
        y = (random.random(300) < 0.4).astype(np.float64)
        common = 0.5 + 0.2 * (y - 0.5)
        first, second = (
            Answers("binary", y, np.clip(common + 0.15 * random.normal(size=300), 0.01, 0.99)) for _ in "ab"
        )
        found = compare(metric, first, second, 0.9, seed)
        low, high = ends(found)
        held.append(low <= 0 <= high)
    assert 0.85 <= np.mean(held) <= 0.95


@pytest.mark.parametrize("task", list(MAKERS))
def test_a_comparison_is_positive_when_the_challenger_is_better(task: str) -> None:
    champion = MAKERS[task](1)
    truth = np.eye(4)[champion.y.astype(int)] if task == "multiclass" else champion.y
    challenger = Answers(task, champion.y, 0.5 * champion.score + 0.5 * truth, champion.query, 0.8)  # type: ignore[arg-type]
    for name in METRICS[task]:
        found = compare(name, champion, challenger, 0.95, 0)
        low, high = ends(found)
        if name != "coverage":
            assert 0 < low < found.difference, name
        turned = compare(name, challenger, champion, 0.95, 0)
        assert turned.difference == pytest.approx(-found.difference)
        assert ends(turned) == pytest.approx((-high, -low))
        same = compare(name, champion, champion, 0.95, 0)
        assert (same.difference, same.low, same.high) == (0, 0, 0)


def test_only_the_same_rows_are_compared_and_only_known_metrics() -> None:
    with pytest.raises(InvalidInput, match="different rows"):
        compare("auc", binary(1), binary(2), 0.95, 0)
    with pytest.raises(InvalidInput, match="did you mean 'auc'"):
        value(binary(1), "aucc")


def nothing(task: str, rows: int) -> Answers:
    """Rows of one class, one value, no relevance."""
    score = np.full((rows, 3), 1 / 3) if task == "multiclass" else np.full(rows, 0.2)
    query = np.zeros(rows, np.int64) if task == "ranking" else None
    return Answers(task, np.zeros(rows), score, query)  # type: ignore[arg-type]


@pytest.mark.parametrize("rows", [0, 1, 2, 50])
@pytest.mark.parametrize("task", list(MAKERS))
def test_what_cannot_be_known_is_nan_without_a_warning(task: str, rows: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = {one.name: one for one in evaluate(nothing(task, rows))}
        for name in found:
            compare(name, nothing(task, rows), nothing(task, rows), 0.95, 0)
    undefined = {"auc", "average_precision", "r2", "ndcg@5", "ndcg@10"} & set(found)
    for name in found if rows == 0 else undefined:
        assert math.isnan(found[name].value)
        assert (found[name].low, found[name].high) == (None, None)
    if rows == 1:
        assert all(one.low is None or one.name in metrics.SHARES for one in found.values())


def test_one_row_of_a_class_has_an_auc_and_no_interval() -> None:
    found = metrics.measure(Answers("binary", np.array([0.0, 0, 1]), np.array([0.1, 0.9, 0.5])), "auc")
    assert found == Metric("auc", 0.5)


def test_a_class_that_does_not_occur_is_left_out() -> None:
    answers = multiclass(2)
    some = answers.take(answers.y != 3)
    each = [sk.roc_auc_score(some.y == one, some.score[:, one]) for one in range(3)]
    assert value(some, "auc") == pytest.approx(np.mean(each), abs=1e-9)


def test_ties_in_a_ranking_do_not_profit_from_the_order_of_rows() -> None:
    y = np.array([3.0, 0, 0, 0, 0, 0, 0, 0])
    flat = Answers("ranking", y, np.zeros(8), np.zeros(8, np.int64))
    assert value(flat, "ndcg@5") == pytest.approx(np.mean(1 / np.log2(np.arange(5) + 2)) * 5 / 8)
    assert value(flat.take(np.arange(8)[::-1]), "ndcg@5") == value(flat, "ndcg@5")


scores = st.lists(st.tuples(st.booleans(), st.integers(0, 9)), min_size=1, max_size=40)


@given(scores)
def test_best_threshold_is_the_best_of_all(rows: list[tuple[bool, int]]) -> None:
    y = np.array([row[0] for row in rows], dtype=np.float64)
    score = np.array([row[1] / 10 for row in rows])
    best = best_f1_threshold(y, score)
    if not y.any():
        assert best == 0.5
        return
    tried = {cut: sk.f1_score(y, score >= cut, zero_division=0) for cut in score}
    assert tried[best] == pytest.approx(max(tried.values()))
    assert best == max(cut for cut, f1 in tried.items() if f1 == pytest.approx(max(tried.values()), abs=1e-12))


@settings(deadline=None, max_examples=40)
@given(scores, st.integers(0, 2**31))
def test_order_of_rows_changes_nothing_and_intervals_stay_in_range(rows: list[tuple[bool, int]], seed: int) -> None:
    y = np.array([row[0] for row in rows], dtype=np.float64)
    answers = Answers("binary", y, np.array([row[1] / 10 for row in rows]))
    turned = answers.take(np.random.default_rng(seed).permutation(len(y)))
    for one in evaluate(answers, seed=seed):
        assert value(turned, one.name) == pytest.approx(one.value, abs=1e-9, nan_ok=True)
        if one.low is not None:
            (low, high), (lowest, highest) = ends(one), metrics.limits(one.name)
            assert lowest <= low <= one.value + 1e-12
            assert one.value - 1e-12 <= high <= highest


@given(scores)
def test_auc_turns_round_with_the_scores(rows: list[tuple[bool, int]]) -> None:
    y = np.array([row[0] for row in rows])
    score = np.array([float(row[1]) for row in rows])
    ahead, parts = intervals.auc_parts(y, score)
    back, other = intervals.auc_parts(y, -score)
    assert ahead == pytest.approx(1 - back, nan_ok=True)
    assert intervals.parts_error(parts) == pytest.approx(intervals.parts_error(other), nan_ok=True)


def test_the_same_seed_gives_the_same_intervals() -> None:
    assert evaluate(binary(1), seed=4) == evaluate(binary(1), seed=4)
    assert evaluate(binary(1), seed=4) != evaluate(binary(1), seed=5)


def test_poisson_weights_are_poisson() -> None:
    shares = np.bincount(intervals.POISSON, minlength=9) / 65536
    assert shares == pytest.approx(stats.poisson.pmf(range(9), 1), abs=2e-5)


def test_twenty_thousand_rows_are_cheap() -> None:
    answers = binary(1, 20_000, tied=False)
    spent = []
    for _ in range(3):  # the best of three: other processes share the machine's caches
        start = time.process_time()
        evaluate(answers)
        spent.append(time.process_time() - start)
    assert min(spent) < 0.15


def test_examples_in_docstrings_run() -> None:
    for module in (metrics, intervals, slices, leak):
        assert doctest.testmod(module).failed == 0


def test_a_container_needs_no_pydantic_scipy_or_sklearn() -> None:
    code = "import sys, mlops_tui.core.gates; print([m for m in ('pydantic', 'scipy', 'sklearn') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
