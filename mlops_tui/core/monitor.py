"""One window of predictions against the model that made them: faults, drift, performance, and what can be estimated.

yardstick (once for a model version) → look (once for a window) → WindowReport
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops_tui.core import drift, estimate, metrics, target, tell
from mlops_tui.core.features import encode
from mlops_tui.core.samples import SCORE
from mlops_tui.core.scoring import Scorer
from mlops_tui.records import Drift, Estimate, Finding, Metric, Signature, WindowReport

if TYPE_CHECKING:
    from mlops_tui.config import Monitor

Floats = NDArray[np.float64]
CONFIDENCE = 0.95
TELLING = 0.001  # share of rows that are out of range before it is told; categories never seen are always told
FEWEST_LABELLED = 50


@dataclass(frozen=True, slots=True)
class Yardstick:
    """What every window of one model version is measured with.

    `held_out` are the model's answers to labelled rows that it did not learn from, None where there are none;
    `expected` is the watched metric on them.
    """

    scorer: Scorer
    reference: pl.DataFrame
    basis: drift.Basis
    estimator: estimate.Estimator | None
    expected: Metric | None
    metric: str
    time: str | None
    natural: float | None = None  # how well blocks of the reference are told from the rest; None: not measured


def yardstick(
    scorer: Scorer,
    reference: pl.DataFrame,
    held_out: tuple[metrics.Answers, pl.DataFrame] | None,
    metric: str,
    time: str | None,
) -> Yardstick:
    """Return the yardstick of a model: its reference sample, and answers and rows that it did not learn from."""
    time = time if time is not None and is_time(reference.schema.get(time)) else None
    basis = drift.basis(scorer.signature, reference, time)
    estimator = expected = None
    if held_out is not None:
        answers, rows = held_out
        needs = scorer.signature.task in ("regression", "quantile")
        matrix = encode(scorer.transform, rows).to_numpy() if needs else None
        estimator = estimate.learn(answers, matrix, 0)
        expected = metrics.measure(answers, metric, CONFIDENCE)
    return Yardstick(scorer, reference, basis, estimator, expected, metric, time)


def with_natural(stick: Yardstick, seconds: float) -> Yardstick:
    """Return the yardstick with what the multivariate figure needs for windows of so many seconds.

    Costs several trainings of a small classifier.
    """
    known = tell.natural(stick.reference, stick.scorer.transform, stick.time, skip=_skipped(stick), seconds=seconds)
    return replace(stick, natural=known)


def _skipped(stick: Yardstick) -> set[str]:
    """Columns that give every window away: its time."""
    return {stick.time} if stick.time else set()


def look(
    stick: Yardstick, window: pl.DataFrame, span: tuple[datetime, datetime, int], settings: Monitor
) -> WindowReport:
    """Return what a window shows; `span` is (start, end, model version).

    The window holds the model's inputs, its scores as the reference sample does, and the target's column with null
    where no label is known. A window with fewer than `settings.min_rows` rows is told, not judged.
    """
    start, end, version = span
    truth = _truth(stick.scorer.signature, window)
    found = WindowReport(start, end, version, window.height, expected=stick.expected)
    if truth is not None:
        found = replace(found, labelled=len(truth.y), performance=_performance(truth, stick.metric))
    if window.height < settings.min_rows:
        return replace(found, remark=f"{window.height} rows, judged from {settings.min_rows} on")
    features = drift.features(stick.basis, window, settings.false_alarms)
    told = None
    if settings.multivariate and stick.natural is not None:
        told = tell.tell(
            stick.reference, window, stick.scorer.transform,
            natural=stick.natural, skip=_skipped(stick), confidence=1 - settings.false_alarms, seed=0, threads=1,
        )  # fmt: skip
    return replace(
        found,
        findings=tuple(_findings(features)),
        features=features,
        prediction=drift.prediction(stick.basis, window, settings.false_alarms),
        multivariate=told,
        estimate=_estimate(stick, window, found.performance),
    )


def scores_of(signature: Signature, frame: pl.DataFrame) -> Floats:
    """Return the scores that a frame holds: (n,), or (n, k) for multiclass."""
    if signature.task != "multiclass":
        return frame[SCORE].to_numpy()
    return frame.select(f"{SCORE}_{label}" for label in signature.classes).to_numpy()


def moments(times: pl.Series) -> pl.Series:
    """Return a time column as moments in UTC, to the microsecond; a date is its midnight, a naive time is UTC."""
    if isinstance(times.dtype, pl.Datetime) and times.dtype.time_zone is not None:
        return times.dt.convert_time_zone("UTC").cast(pl.Datetime("us", "UTC"))
    return times.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")


def _truth(signature: Signature, window: pl.DataFrame) -> metrics.Answers | None:
    """The labelled rows' truth and scores; None where a window has none, or where rows of queries cannot be judged."""
    if signature.target not in window.columns or signature.task == "ranking":
        return None
    rows = window.filter(pl.col(signature.target).is_not_null())
    if rows.is_empty():
        return None
    truth, scores = target.codes(rows[signature.target], signature), scores_of(signature, rows)
    return metrics.Answers(signature.task, truth, scores, None, signature.quantile, signature.threshold)


def _performance(truth: metrics.Answers, metric: str) -> Metric | None:
    if len(truth.y) < FEWEST_LABELLED:
        return None
    found = metrics.measure(truth, metric, CONFIDENCE)
    return found if np.isfinite(found.value) else None


def _estimate(stick: Yardstick, window: pl.DataFrame, realised: Metric | None) -> Estimate | None:
    """The metric without labels; where labels came, also how far the same estimate was off on exactly those rows."""
    if stick.estimator is None:
        return None
    found = _estimate_on(stick, window)
    if found is None or realised is None:
        return found
    labelled = window.filter(pl.col(stick.scorer.signature.target).is_not_null())
    same = found if labelled.height == window.height else _estimate_on(stick, labelled)
    return found if same is None else replace(found, error=same.value - realised.value)


def _estimate_on(stick: Yardstick, rows: pl.DataFrame) -> Estimate | None:
    assert stick.estimator is not None
    signature = stick.scorer.signature
    needs = signature.task in ("regression", "quantile")
    matrix = encode(stick.scorer.transform, rows).to_numpy() if needs else None
    return estimate.estimate(stick.estimator, scores_of(signature, rows), matrix, stick.metric, CONFIDENCE)


def _findings(features: tuple[Drift, ...]) -> Iterator[Finding]:
    """What a person should look at before any drift: broken columns, categories and values that training never saw."""
    for one in features:
        if one.fault:
            yield Finding("fault", "error", f"{one.feature}: {one.fault}", one.feature)
        if one.unseen and not one.fault:
            text = f"{one.feature}: {one.unseen:.1%} of the rows have categories that training never saw"
            yield Finding("unseen", "warning", text, one.feature, one.unseen)
        if one.out_of_range > TELLING and not one.fault:
            text = f"{one.feature}: {one.out_of_range:.1%} of the rows lie outside what training saw"
            yield Finding("range", "warning", text, one.feature, one.out_of_range)
        if one.missing and not one.missing_reference and not one.fault:
            text = f"{one.feature}: {one.missing:.1%} of the rows have no value, in training every row had one"
            yield Finding("missing", "warning", text, one.feature, one.missing)


# ── windows ──────────────────────────────────────────────────────────────────────────────────────

EPOCH = datetime(1970, 1, 5, tzinfo=UTC)  # a Monday, so that windows of a week are the calendar's
SENSIBLE = (datetime(1900, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC))
"""Moments outside of these are marks for "unknown" or "never", as 9999-12-31 is, and in no window."""
MICROSECOND = timedelta(microseconds=1)


def is_time(dtype: pl.DataType | None) -> bool:
    """Return whether a column of this type holds moments that windows can be cut by."""
    return isinstance(dtype, pl.Date | pl.Datetime)


def number_of(moment: pl.Expr, seconds: float) -> pl.Expr:
    """Return the number of the window of so many seconds that a moment, in UTC, is in; null for one that is in none.

    They are counted from Monday 1970-01-05 UTC, so that the same rows always fall into the same windows.
    """
    since = (moment - EPOCH).dt.total_microseconds()
    return pl.when(moment.is_between(*SENSIBLE, closed="left")).then(since // _step(seconds))


def window(number: int, seconds: float) -> tuple[datetime, datetime]:
    """Return the span [start, end) of a window of so many seconds.

    >>> window(0, 7 * 86_400)[1].isoformat()
    '1970-01-12T00:00:00+00:00'
    """
    step = _step(seconds) * MICROSECOND
    return EPOCH + number * step, EPOCH + (number + 1) * step


def _step(seconds: float) -> int:
    return max(1, round(seconds * 1e6))
