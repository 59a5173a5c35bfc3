"""What retraining gains: which rows are counted as alike, how often chance alone fires, and rankings by query."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_tui.core import metrics
from mlops_tui.core.gain import FEWEST_BLOCKS, blocks, gain
from mlops_tui.core.metrics import Answers

DAY0 = datetime(2026, 3, 1, tzinfo=UTC)


def times(hours: np.ndarray) -> pl.Series:
    """Moments so many hours after midnight."""
    return DAY0.replace(tzinfo=None) + pl.Series((hours * 3600e6).astype(np.int64)).cast(pl.Duration("us"))


# ── blocks ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("hours", "count"),
    [
        (20 * 24, 20),
        (10 * 24, 10),
        (9 * 24, None),  # 216 hours, but the rows of a day are alike
        (2 * 24 + 0.1, None),
        (2 * 24, 48),
        (10, 10),
        (9, None),
        (2.1, None),
        (2, 120),
        (0.1, None),
    ],
)
def test_a_finer_unit_than_the_day_is_taken_only_where_no_day_repeats(hours: float, count: int | None) -> None:
    found = blocks(times(np.arange(0, hours, 1 / 120)))
    assert (None if found is None else len(np.unique(found))) == count


def test_dates_are_days_and_no_rows_are_no_blocks() -> None:
    days = pl.Series([date(2026, 3, 1) + timedelta(days=number) for number in range(12)])
    assert blocks(days).tolist() == list(range(12))  # type: ignore[union-attr]
    assert blocks(days.head(9)) is None
    assert blocks(days.head(0)) is None


@given(st.lists(st.floats(0, 30 * 24), min_size=1, max_size=60))
def test_blocks_of_more_than_two_days_are_days(hours: list[float]) -> None:
    moments = times(np.array(hours))
    found = blocks(moments)
    days = moments.dt.date()
    if days.n_unique() >= FEWEST_BLOCKS:
        assert found is not None
        assert found.tolist() == (days.rank("dense") - 1).to_list()
    elif max(hours) - min(hours) >= 48:
        assert found is None


# ── chance ───────────────────────────────────────────────────────────────────────────────────────


def rivals(days: int, seed: int) -> tuple[Answers, Answers, pl.Series]:
    """Two models of the same worth; on every day all errors of one of them are a little larger."""
    random, rows = np.random.default_rng(seed), days * 24
    y, day = random.normal(size=rows), np.arange(rows) // 24
    scores = [y + random.normal(size=rows) + random.normal(size=days)[day] for _ in range(2)]
    first, second = (Answers("regression", y, score) for score in scores)
    return first, second, times(np.arange(rows))


def test_chance_alone_fires_as_often_as_the_confidence_says() -> None:
    found = [gain("mae", *rivals(20, seed), 0.8) for seed in range(200)]
    assert all(one.blocks == 20 for one in found)
    share = np.mean([one.low is not None and one.low > 0 for one in found])
    assert 0.12 < share < 0.28  # 20 %, ± 2.8 % of chance


def test_fewer_than_ten_days_are_not_known_however_many_rows() -> None:
    found = gain("mae", *rivals(9, 0), 0.8)
    assert (found.low, found.blocks, found.rows) == (None, 0, 216)


# ── rankings ─────────────────────────────────────────────────────────────────────────────────────


def ranking(queries: int, copies: int = 1, each: int = 8) -> tuple[Answers, Answers, np.ndarray]:
    """Two models of the same queries, each of which is there so many times; and the number of each row's query."""
    random = np.random.default_rng(3)
    y = random.integers(0, 3, (queries, 1, each)).astype(np.float64)
    y[:, :, 0] = 1.0
    scores = [y + random.normal(0, scale, y.shape) for scale in (2.0, 1.0)]
    every = [np.broadcast_to(one, (queries, copies, each)).ravel() for one in (y, *scores)]
    rows = np.arange(queries * copies * each)
    old, new = (Answers("ranking", every[0], one, rows // each) for one in every[1:])
    return old, new, rows // (copies * each)


def test_the_queries_of_a_day_are_drawn_together() -> None:
    once, often = ranking(30), ranking(30, copies=4)
    alone = metrics.compare("ndcg@5", *once[:2], 0.6, 0)
    by_day, by_query = (metrics.compare("ndcg@5", *often[:2], 0.6, 0, by) for by in (often[2], None))
    assert (by_day.low, by_day.high) == (pytest.approx(alone.low), pytest.approx(alone.high))
    assert by_query.low > by_day.low  # four times the same query are not four queries


def test_the_gain_of_a_ranking_counts_the_days_on_which_its_queries_begin() -> None:
    old, new, query = ranking(24)
    moments = times(query * 12.0 + np.arange(len(query)) % 8 * 2)  # every other query lasts until after midnight
    found = gain("ndcg@5", old, new, moments, 0.8)
    assert (found.blocks, found.rows) == (12, len(query))
    assert blocks(moments).max() + 1 == 13  # type: ignore[union-attr]
    assert found.low is not None
    assert found.low < found.difference


def test_queries_without_a_relevant_row_count_for_no_day() -> None:
    old, new, query = ranking(12)
    y = np.where(query < 3, 0.0, old.y)
    found = gain("ndcg@5", Answers("ranking", y, old.score, query), Answers("ranking", y, new.score, query),
                 times(query * 24.0), 0.8)  # fmt: skip
    assert (found.low, found.blocks) == (None, 0)
