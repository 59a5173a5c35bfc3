"""What retraining would have gained: a trial challenger against the champion, on rows that neither has learned from.

The trial is the very model that a cycle would make now, and is tested on its own test rows: so a cycle that is asked
for is a cycle whose result has been seen. Rows of one day share their weather, prices and outages, so days are
counted and not rows: on the sample data DeLong's error is a half to a quarter of what days show.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import polars as pl

from mlops_tui.core import metrics
from mlops_tui.core.intervals import Blocks
from mlops_tui.records import Gain

FINER = {"1h": timedelta(days=2), "1m": timedelta(hours=2)}  # only what is shorter than that, in which no day repeats
FEWEST_ROWS = 200  # that are new to both models
FEWEST_BLOCKS = 10  # below that nobody knows how much they differ


def blocks(moments: pl.Series) -> Blocks | None:
    """Return the number of each row's block: its day; None for fewer than 10 days.

    Of less than two days it is the hour, and of less than two hours the minute, where there are 10 of them.

    >>> from datetime import date
    >>> days = pl.Series([date(2013, 1, 1 + number // 2) for number in range(24)])
    >>> blocks(days).tolist()[:4]
    [0, 0, 1, 1]
    """
    times = moments.cast(pl.Datetime("us"))
    first, last = times.min(), times.max()
    if not (isinstance(first, datetime) and isinstance(last, datetime)):
        return None
    for unit in ("1d", *(unit for unit, span in FINER.items() if last - first < span)):
        found = times.dt.truncate(unit).rank("dense").cast(pl.Int64).to_numpy() - 1
        if found.max() + 1 >= FEWEST_BLOCKS:
            return found
    return None


def gain(
    metric: str, champion: metrics.Answers, challenger: metrics.Answers, moments: pl.Series, confidence: float
) -> Gain:
    """Return how much better the challenger did on the same rows; `moments` are the rows' times."""
    by = blocks(moments)
    # `compare` gives two-sided intervals: what is left below a one-sided one is left on each side
    found = metrics.compare(metric, champion, challenger, 2 * confidence - 1, seed=0, blocks=by)
    count = 0 if by is None else metrics.unit_blocks(challenger, by)[0]
    known = count >= FEWEST_BLOCKS  # fewer days may hold a query that is measured than hold a row
    return Gain(
        metric=metric,
        champion=metrics.value(champion, metric),
        challenger=metrics.value(challenger, metric),
        difference=found.difference,
        low=found.low if known else None,
        confidence=confidence,
        rows=len(champion.y),
        blocks=count if known else 0,
        start=_moment(moments.min()),
        end=_moment(moments.max()),
    )


def least(gain: Gain, asked: float | None) -> float:
    """Return what a cycle must bring: as asked, else 0.01 for a metric between 0 and 1, or 1 % of the champion's value.

    The interval is about the tested rows and not about the future, of which a half or less of the gain is left: the
    bar makes up for it.
    """
    if asked is not None:
        return asked
    return 0.01 if metrics.limits(gain.metric)[1] == 1.0 else 0.01 * abs(gain.champion)


def is_known(gain: Gain) -> bool:
    """Return whether the gain can be judged: both values and the bound exist."""
    return gain.low is not None and math.isfinite(gain.difference)


def _moment(value: object) -> datetime:
    """A time of a frame as a moment in UTC."""
    found = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
