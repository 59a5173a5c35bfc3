"""Curves against scikit-learn: every point, bin and area; and how they hold with ties, one class and odd numbers."""

from __future__ import annotations

import doctest

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve

from mlops_tui.core import curves, histograms, intervals, metrics
from mlops_tui.core.metrics import Answers
from mlops_tui.records import Curves, Roc, Task, from_json, to_json

Floats = NDArray[np.float64]
NOTHING = np.empty(0)


def binary(rows: int = 1000, digits: int = 12, seed: int = 0) -> tuple[Floats, Floats]:
    random = np.random.default_rng(seed)
    score = random.random(rows)
    return (random.random(rows) < score).astype(np.float64), np.round(score, digits)


def area(found: Roc | None) -> float:
    assert found is not None
    return float(np.trapezoid(found.true_positive, found.false_positive))


# ── ROC ──────────────────────────────────────────────────────────────────────────────────────────


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 8)), min_size=2, max_size=60))
def test_a_roc_has_every_point_of_few_scores(rows: list[tuple[bool, int]]) -> None:
    y, score = (np.array(values, dtype=np.float64) for values in zip(*rows, strict=True))
    found = curves.roc(y, score)
    if y.min() == y.max():
        assert found is None
        return
    assert found is not None
    wrong, right, _ = sk.roc_curve(y, score, drop_intermediate=False)
    assert (found.false_positive, found.true_positive) == (tuple(wrong), tuple(right))
    assert area(found) == pytest.approx(sk.roc_auc_score(y, score))


@pytest.mark.parametrize("seed", range(4))
def test_a_thinned_roc_keeps_points_of_the_whole_and_leaves_out_none_that_is_far_from_them(seed: int) -> None:
    y, score = binary(5000, seed=seed)
    found = curves.roc(y, score, points=50)
    assert found is not None
    whole = np.column_stack(sk.roc_curve(y, score, drop_intermediate=False)[:2])
    kept = np.column_stack([found.false_positive, found.true_positive])
    assert len(kept) <= 50
    assert {tuple(point) for point in kept} <= {tuple(point) for point in whole}
    assert (tuple(kept[0]), tuple(kept[-1])) == ((0.0, 0.0), (1.0, 1.0))
    nearest = np.abs(whole[:, None] - kept[None]).sum(axis=2).min(axis=1)
    assert nearest.max() <= 2 / 49
    assert area(found) == pytest.approx(sk.roc_auc_score(y, score), abs=2e-3)


@pytest.mark.parametrize("digits", [1, 12])
def test_the_area_of_several_classes_is_the_mean_of_theirs(digits: int) -> None:
    random = np.random.default_rng(0)
    y = random.integers(0, 4, 3000)
    score = random.dirichlet(np.ones(5), 3000)  # the fifth class never comes
    score[np.arange(3000), y] += 0.3
    score = np.round(score / score.sum(axis=1, keepdims=True), digits)
    auc = metrics.value(Answers("multiclass", y.astype(np.float64), score), "auc")
    assert area(curves.macro_roc(y.astype(np.float64), score)) == pytest.approx(auc, abs=2e-3)
    assert curves.macro_roc(np.zeros(5), score[:5]) is None


# ── reliability ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("bins", [5, 10])
def test_reliability_is_that_of_scikit_learn_where_no_scores_are_alike(bins: int) -> None:
    y, p = binary()
    observed, predicted = calibration_curve(y, p, n_bins=bins, strategy="quantile")
    found = curves.reliability(y, p, bins)
    assert [one.rows for one in found] == [1000 // bins] * bins
    assert [one.observed for one in found] == pytest.approx(observed)
    assert [one.predicted for one in found] == pytest.approx(predicted)
    for one in found:
        assert (one.low, one.high) == intervals.wilson(one.observed, one.rows, 0.95)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4)), max_size=40))
def test_rows_of_one_prediction_are_in_one_bin_in_any_order(rows: list[tuple[bool, int]]) -> None:
    y, p = np.array([one for one, _ in rows], np.float64), np.array([two / 4 for _, two in rows])
    found = curves.reliability(y, p, 4)
    order = np.random.default_rng(len(rows)).permutation(len(rows))
    again = curves.reliability(y[order], p[order], 4)
    assert [(one.rows, one.observed) for one in found] == [(one.rows, one.observed) for one in again]
    assert sum(one.rows for one in found) == len(rows)
    assert len(found) <= 4
    means = [one.predicted for one in found]
    assert means == sorted(means)


def test_agreement_is_the_mean_of_the_truth_with_its_error() -> None:
    random = np.random.default_rng(0)
    predicted = random.normal(size=1000)
    y = predicted + random.normal(size=1000)
    lowest = curves.agreement(y, predicted)[0]
    mine = y[predicted <= np.sort(predicted)[99]]
    assert lowest.observed == pytest.approx(mine.mean())
    assert lowest.high == pytest.approx(mine.mean() + 1.959964 * mine.std(ddof=1) / 10)


# ── residuals and histograms ─────────────────────────────────────────────────────────────────────


def test_residuals_of_two_models_share_their_bins_and_lose_no_row() -> None:
    random = np.random.default_rng(0)
    y = random.normal(size=500)
    y[0] = 1e6
    models = [Answers("regression", y, y + shift + random.normal(size=500)) for shift in (0.0, 3.0)]
    edges = curves.residual_edges(models)
    assert len(edges) == 31
    for one in models:
        found = curves.residuals(one.y, one.score, edges)
        assert sum(found.histogram.counts) + found.beyond == 500
        assert found.beyond <= 10
        assert found.quantiles[4] == pytest.approx(np.median(y - one.score))
    assert curves.residual_edges([Answers("binary", y, y)]).size == 0


FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(st.lists(st.one_of(FINITE, st.integers(-300, 300).map(float)), max_size=30), min_size=1, max_size=3))
def test_bins_rise_and_hold_what_lies_between_their_ends(samples: list[list[float]]) -> None:
    given = [np.array(values, dtype=np.float64) for values in samples]
    edges = histograms.edges(given, 20)
    assert len(edges) <= 21
    assert np.isfinite(edges).all()
    assert (np.diff(edges) >= 0).all()
    for values in given:
        within = ((values >= edges[0]) & (values <= edges[-1])).sum() if len(edges) else 0
        assert sum(histograms.counts(values, edges)) == within
        assert within >= 0.95 * len(values) - 1


def test_a_bin_of_whole_numbers_holds_as_many_of_them_as_any_other() -> None:
    edges = histograms.edges([np.arange(48.0)], 20)
    assert edges.tolist() == [3 * at - 0.5 for at in range(17)]
    assert set(histograms.counts(np.arange(48.0), edges)) == {3}
    assert histograms.edges([np.array([5.0])], 20).tolist() == [4.5, 5.5]
    assert histograms.edges([np.array([0.5, 0.5])], 20).tolist() == [0.5, 0.5]
    assert histograms.counts(np.array([0.5, 0.5, 0.7]), np.array([0.5, 0.5])) == (2,)


def test_a_label_that_only_one_window_has_is_among_the_counted_ones() -> None:
    old = pl.Series([f"{at % 40}" for at in range(4000)])
    new = pl.Series(["new"] * 60 + ["1"] * 30 + [None] * 10)
    edges, labels, (reference, window) = histograms.spreads([old, new], as_numbers=False)
    assert edges == ()
    assert labels[:2] == ("new", "1")
    assert len(labels) == 20
    assert (window.rows, window.missing, window.counts[0], window.rest) == (100, 10, 60, 0)
    assert (reference.counts[0], sum(reference.counts) + reference.rest) == (0, 4000)


# ── a whole task ─────────────────────────────────────────────────────────────────────────────────


def answers(task: Task, rows: int = 300) -> Answers:
    random = np.random.default_rng(1)
    if task == "multiclass":
        y = random.integers(0, 3, rows).astype(np.float64)
        return Answers(task, y, random.dirichlet(np.ones(3), rows))
    if task == "binary":
        return Answers(task, *binary(rows))
    if task == "ranking":
        return Answers(task, random.integers(0, 3, rows).astype(np.float64), random.random(rows), np.arange(rows) // 10)
    return Answers(task, random.normal(size=rows), random.normal(size=rows), quantile=0.8)


PARTS: dict[Task, set[str]] = {
    "binary": {"roc", "reliability"},
    "multiclass": {"roc", "reliability", "remark"},
    "regression": {"reliability", "residuals"},
    "quantile": {"residuals", "remark"},
    "ranking": {"remark"},
}


@pytest.mark.parametrize("task", PARTS)
def test_a_task_has_its_curves_and_says_why_it_has_no_others(task: Task) -> None:
    one = answers(task)
    found = curves.curves("m:1", one, curves.residual_edges([one]))
    assert {name for name in ("roc", "reliability", "residuals", "remark") if getattr(found, name)} == PARTS[task]
    assert found.metrics == metrics.evaluate(one)
    assert from_json(to_json(found), Curves) == found


def test_what_one_class_leaves_undefined_is_left_out() -> None:
    one = Answers("binary", np.zeros(5), np.linspace(0, 1, 5))
    found = curves.curves("m:1", one, NOTHING)
    assert found.roc is None
    assert "auc" not in {metric.name for metric in found.metrics}
    assert from_json(to_json(found), Curves) == found


def test_a_breakdown_has_the_largest_slices_and_each_models_metric() -> None:
    y, score = binary(1000)
    values = np.array([f"v{min(at // 4, 99):02}" for at in range(1000)])
    both = [Answers("binary", y, score), Answers("binary", y, 1 - score)]
    found = curves.breakdown(both, "carrier", values, "auc")
    assert (found.slices[0].value, found.slices[0].rows, found.unlisted) == ("v99", 604, 50)
    one, other = found.slices[0].metrics
    assert one is not None
    assert other is not None
    assert one.value == pytest.approx(sk.roc_auc_score(y[396:], score[396:]))
    assert one.value == pytest.approx(1 - other.value)
    alike = [each for each in found.slices if len(set(y[values == each.value])) == 1]
    assert alike
    assert all(each.metrics == (None, None) for each in alike)


def test_examples_in_the_docstrings() -> None:
    assert doctest.testmod(histograms).failed == 0
