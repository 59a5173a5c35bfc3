"""Figures as block characters."""

from __future__ import annotations

import math

from hypothesis import assume, given
from hypothesis import strategies as st

from mlops_tui.texts.sparks import BLOCKS, HEIGHTS, ends, part, rising, spark, sparkline, thin

ANY = st.lists(st.none() | st.floats(), max_size=60)


@given(st.lists(st.floats(), max_size=60))
def test_a_spark_has_a_block_a_count(counts: list[float]) -> None:
    drawn = spark(counts)
    assert len(drawn) == len(counts)
    assert [sign == " " for sign in drawn] == [not (math.isfinite(count) and count > 0) for count in counts]


@given(ANY)
def test_a_sparkline_rises_with_its_values_and_leaves_gaps(values: list[float | None]) -> None:
    drawn = sparkline(values)
    known = [(value, HEIGHTS.index(sign)) for value, sign in zip(values, drawn, strict=True) if sign != " "]
    assert [value for value, _ in known] == [value for value in values if value is not None and math.isfinite(value)]
    heights = [height for _, height in sorted(known)]
    assert heights == sorted(heights)
    assert sparkline(values, " ")[::2] == drawn


def test_sparklines_of_one_scale_can_be_compared() -> None:
    assert sparkline([0.5, 0.75], scale=(0.0, 1.0)) == "▅▆"
    assert sparkline([3.0, 3.0]) == "▁▁"
    assert sparkline([]) == sparkline([], " ") == ""
    assert ends([None, math.nan]) == (0.0, 1.0)


@given(st.lists(st.integers()), st.integers(0, 50))
def test_thinning_keeps_both_ends_and_the_order(values: list[int], points: int) -> None:
    kept = thin(list(enumerate(values)), points)
    assert len(kept) == min(points, len(values))
    assert kept == sorted(set(kept), key=lambda item: item[0])
    if points > 1 and values:
        assert (kept[0][0], kept[-1][0]) == (0, len(values) - 1)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=200))
def test_the_lowest_of_a_curve_can_be_seen(values: list[float]) -> None:
    drawn = spark(rising(values))
    assert len(drawn) == min(48, len(values))
    assert " " not in drawn
    assert set(drawn) <= set(BLOCKS)


@given(*[st.floats(allow_nan=False, allow_infinity=False)] * 3)
def test_a_part_is_between_0_and_1(value: float, low: float, high: float) -> None:
    assume(low <= high)
    assert 0 <= part(value, low, high) <= 1
    assert part(low, low, high) == 0
    assert part(high, low, high) == float(low < high)
