"""Whether a column of a window is broken, rather than drifted: stuck, gone, in another unit, written another way.

Training on a broken column makes a worse model, so what is called a fault must be all but certain: seasons, trends and
rare events are not faults, however far they are from the reference.
"""

from __future__ import annotations

import math

import numpy as np
import polars as pl

from mlops_tui.core.distances import Floats, ks
from mlops_tui.core.sides import Labels, Numbers, Side, numeric, side_of

FEWEST = 50  # rows with a value, below which only what is missing altogether is judged
FEW = 10  # rows, below which nothing is
SURE = math.log(1e-6)  # how unlikely chance is to have done it
COMMON = 0.5  # a value that the reference has in more of its rows than this may well be in all of a window's
RARE = 0.1  # a missing share up to this is rare

POINTS = 200  # quantiles that stand for a column when units are tried
APART = 0.3  # the KS distance from which a column is looked at
DISJOINT = 0.9  # and the one from which two columns hardly overlap
ALIKE = 0.15  # the KS distance up to which a column in another unit is the reference's
SEASONAL = 0.35  # what it may be where no growth comes that far, since seasons go on when a unit changes
HUGE, OFF = 100, 0.25  # times that no growth makes, to within a quarter
LARGE, EXACT = 10, 0.015  # times that growth hardly makes, least of all so exactly
KNOWN = 0.5  # of the values: that many are in the reference as they are
GRID, CLOSE = 1e-6, 0.1  # relative; what two values that are the same may differ by, and a factor that is not the same
DIFFERENT = 5  # values that make a grid
FACTORS = (
    10, 100, 1000, 1e6,  # per cent, and the prefixes of metric units
    12, 2.54, 25.4, 3.28084, 1.609344, 1.852,  # inches, feet, miles, nautical miles
    2.204623, 28.34952, 3.785412, 4.184,  # pounds, ounces, gallons, calories
    3.6, 1.943844, 2.236936, 33.86389, 6.894757,  # speeds and pressures
    24, 60, 3600, 86400, 57.29578,  # hours, minutes, seconds, degrees
)  # fmt: skip
"""How many of one unit another is; the inverse of each is tried too."""
UNITS = np.array([*FACTORS, *(1 / factor for factor in FACTORS)])
FREEZING = ((1.8, 32.0), (1 / 1.8, -32 / 1.8), (1.0, 273.15), (1.0, -273.15), (1.8, -459.67), (1 / 1.8, 255.372))
"""Between °C, °F and K: so many times the reference's, plus so much."""

COVERED = 0.95  # the share of new rows whose label the reference should know, for unknown ones to be a fault
STRANGE = 0.98  # the share of rows whose label the reference does not know
MANY = 100  # labels that are looked at for how they are written


def fault(reference: pl.Series, window: pl.Series) -> str:
    """Return one clause that says how a column of a window is broken, against the model's reference; "" if it is not.

    >>> fault(pl.Series(range(100)), pl.Series([None] * 60, dtype=pl.Int64))
    'missing in all 60 rows, in 0% of the reference'
    """
    as_numbers = numeric(reference.dtype)
    if as_numbers and window.dtype == pl.String and reference.dtype != pl.Null:
        return "text, where the reference has numbers"
    return judge(side_of(reference, as_numbers), side_of(window, as_numbers), window)


def judge(old: Side, new: Side, window: pl.Series, steady: bool = False) -> str:
    """Return what `fault` does, for columns that are reduced already.

    `steady` says that the column is known to hold one value for as long as a window.
    """
    if old.missing == old.rows or not new.rows:
        return ""
    gone = _gone(old, new)
    if gone or new.rows - new.missing < FEWEST:
        return gone
    stuck = "" if steady else _stuck(old, new, window)
    if stuck:
        return stuck
    if isinstance(old, Numbers) and isinstance(new, Numbers):
        return "" if window.dtype.is_temporal() else _another_unit(old.values, new.values)
    assert isinstance(old, Labels)
    assert isinstance(new, Labels)
    return _renamed(old, new)


def _gone(old: Side, new: Side) -> str:
    """Missing in most rows where that was rare, or in all of them by more than chance."""
    before, now = old.missing / old.rows, new.missing / new.rows
    if now == 1 and new.rows >= FEW and before <= 0.5 and _beyond_chance(old.missing, old.rows, new.rows):
        return f"missing in all {new.rows:,} rows, in {before:.0%} of the reference"
    if now > 0.5 and new.rows >= FEWEST and before <= RARE:
        return f"missing in {now:.0%} of the rows, in {before:.0%} of the reference"
    return ""


def _stuck(old: Side, new: Side, window: pl.Series) -> str:
    """One value in all rows, where the reference varies and does not mostly have it."""
    if isinstance(old, Numbers) and isinstance(new, Numbers):
        value = new.values[0]
        varies = old.values[0] < old.values[-1] and value == new.values[-1]
        times = int(np.searchsorted(old.values, value, "right") - np.searchsorted(old.values, value))
        if isinstance(window.dtype, pl.Date | pl.Datetime) and value >= old.values[0]:
            return ""  # the rows of one day have one date
    else:
        assert isinstance(old, Labels)
        assert isinstance(new, Labels)
        varies = old.table.height > 1 and new.table.height == 1
        times = int(old.table.filter(pl.col("label") == new.table["label"][0])["count"].sum()) if varies else 0
    valued, present = old.rows - old.missing, new.rows - new.missing
    if not varies or times > COMMON * valued or not _beyond_chance(times, valued, present):
        return ""
    rows = f"{present:,} rows" + (" that have a value" if new.missing else "")
    held = window.drop_nans() if window.dtype.is_float() else window
    return f"stuck at {_spelt(held.drop_nulls()[0])} in all {rows}"


def _beyond_chance(times: int, of: int, rows: int) -> bool:
    """Whether what the reference has so many times of so many would hardly be in all rows by chance."""
    return math.log((times + 1) / (of + 1)) * rows < SURE


def _spelt(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else f"'{value}'" if isinstance(value, str) else str(value)


def _another_unit(old: Floats, new: Floats) -> str:
    """The reference's values after a change of unit, and not after growth, which multiplies a column as well."""
    before, after = _profile(old), _profile(new)
    apart = ks(before, after)
    if apart < APART or len(old) < FEWEST or old[0] == old[-1] or not np.isfinite([before, after]).all():
        return ""
    places = np.minimum(np.searchsorted(old, new), len(old) - 1)
    if np.mean(old[places] == new) > KNOWN:
        return ""
    with np.errstate(all="ignore"):
        times, plus = _times(old, before, after, apart), 0.0
        if not times:
            times, plus = _degrees(before, after, apart)
    more = f", {'plus' if plus > 0 else 'minus'} {abs(plus):.4g}" if plus else ""
    return f"looks like another unit: values about {times:.4g} times the reference's{more}" if times else ""


def _times(old: Floats, before: Floats, after: Floats, apart: float) -> float:
    """The factor of another unit that brings a window back to the reference; 0 if none does, or growth might have.

    Growth makes any factor up to about ten, and does not keep to multiples of the reference's own values; so a factor
    counts if most values are such multiples, or if it is larger, and the window's own to within a few per cent.
    """
    ratios = after / before
    ratios = ratios[(ratios > 0) & np.isfinite(ratios)]
    if len(ratios) < POINTS / 2:
        return 0.0
    off = np.abs(np.log(UNITS) - np.median(np.log(ratios)))
    for times in UNITS[off <= OFF]:
        if _on_grid(old, after / times) and ks(before, after / times) <= SEASONAL:
            return float(times)
    times, least = float(UNITS[off.argmin()]), off.min()
    away, factor = ks(before, after / times), max(times, 1 / times)
    huge = factor >= HUGE and least <= OFF and (away <= ALIKE or (apart >= DISJOINT and away <= SEASONAL))
    large = factor >= LARGE and least <= EXACT and apart >= DISJOINT and away <= SEASONAL
    return times if huge or large else 0.0


def _on_grid(old: Floats, values: Floats) -> bool:
    """Whether most values are ones of the reference, and would hardly be if they were a tenth larger or smaller."""
    moved = values[values != 0]
    if len(np.unique(moved)) < DIFFERENT or _shared(old, moved) < KNOWN:
        return False
    return max(_shared(old, moved * (1 + CLOSE)), _shared(old, moved * (1 - CLOSE))) < KNOWN / 2


def _shared(old: Floats, values: Floats) -> float:
    """The share of values that the reference has too."""
    near = np.searchsorted(old, values - GRID * np.abs(values)), np.searchsorted(old, values + GRID * np.abs(values))
    return float(np.mean(near[0] < near[1]))


def _degrees(before: Floats, after: Floats, apart: float) -> tuple[float, float]:
    """How many times, and plus how much, one scale of temperature is another; (0, 0) if none fits.

    It must fit far better than what growth does, a mere factor, and what a season does, a mere shift.
    """
    away, times, plus = min((ks(before, (after - plus) / times), times, plus) for times, plus in FREEZING)
    tried = slice(POINTS // 20, None, POINTS // 10)
    others = [ks(before, after * ratio) for ratio in (before / after)[tried] if ratio > 0]
    if times != 1:
        others += [ks(before, after + gap) for gap in (before - after)[tried]]
    fits = away <= ALIKE and away <= 0.5 * min(others, default=1.0) and (times != 1 or apart >= DISJOINT)
    return (times, plus) if fits else (0.0, 0.0)


def _profile(ordered: Floats) -> Floats:
    """200 quantiles of sorted values."""
    return ordered[((np.arange(POINTS) + 0.5) / POINTS * len(ordered)).astype(np.int64)]


def _renamed(old: Labels, new: Labels) -> str:
    """All labels are new, where the reference knows all but few: those that it has once tell how many (Good 1953)."""
    valued, present = old.rows - old.missing, new.rows - new.missing
    novel = new.table.join(old.table, on="label", how="anti", maintain_order="left")
    if (old.table["count"] == 1).sum() > (1 - COVERED) * valued or novel["count"].sum() < STRANGE * present:
        return ""
    known = {_plain(label): label for label in old.table["label"].head(MANY)[::-1]}
    for label in novel["label"].head(MANY):
        plain = _plain(label)
        twin = next((one for one in known if one == plain or (len(one) > 1 and one in plain)), None)
        if twin is not None:
            return f"labels are written another way: '{label}' for '{known[twin]}'"
    if new.table.height == 1:
        return ""  # a new release, a new season: such labels follow one another
    return f"all labels are new to the reference, '{novel['label'][0]}' the most frequent"


def _plain(label: str) -> str:
    """A label without what is often changed: case, blanks and signs."""
    return "".join(letter for letter in label.casefold() if letter.isalnum())
