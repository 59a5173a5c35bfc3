"""Odd inputs: counted whatever the policy, and refused, nulled or told as it says."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from mlops_tui.config import Features
from mlops_tui.core.features import learn, learn_inputs
from mlops_tui.core.inputs import Oddities, Watch
from mlops_tui.core.requests import BadRows, columns_of
from mlops_tui.records import InputPolicy, Oddity, Signature

FRAME = pl.DataFrame({"n": [1.0, 2.0, 3.0], "k": [1, 2, 2], "c": ["a", "b", "a"], "t": [True, False, True]})
TRANSFORM = learn(FRAME, Features(categorical=["k"]), ())
SIGNATURE = Signature("regression", "y", "Float64", learn_inputs(FRAME, TRANSFORM))
ODD: list[tuple[dict[str, Any], Oddity, str]] = [
    ({"x": 1}, "unknown", ""),
    ({"n": "text"}, "invalid", "n"),
    ({"n": float("nan")}, "not_finite", "n"),
    ({"k": float("inf")}, "not_finite", "k"),
    ({"c": "z"}, "unseen", "c"),
    ({"k": 7}, "unseen", "k"),
    ({"n": 3.5}, "range", "n"),
    ({"n": 0.5}, "range", "n"),
]
POLICIES: dict[str, tuple[str, ...]] = {
    "unknown": ("refuse", "ignore", "warn"),
    "invalid": ("refuse", "null", "warn"),
    "not_finite": ("refuse", "null", "warn"),
    "unseen": ("refuse", "null", "warn"),
    "range": ("refuse", "null", "warn", "keep"),
}
SOUND = {"n": 1.5, "k": 1, "c": "a", "t": True}


def look(rows: list[dict[str, Any]], policy: InputPolicy) -> tuple[list[list[Any]] | None, Oddities]:
    """What a request's rows become, None where they are refused, and what was found."""
    found, watch = Oddities(), Watch(SIGNATURE, TRANSFORM, policy)
    try:
        read = columns_of(SIGNATURE, rows, lambda odd, one: found.judge(getattr(policy, odd), odd, one))
    except BadRows:
        return None, found
    watch.columns(read, found)
    if found.refused:
        return None, found
    return (watch.nulled(read) if watch.nulls_range else read), found


@pytest.mark.parametrize(
    ("change", "oddity", "column", "policy"), [(*odd, policy) for odd in ODD for policy in POLICIES[odd[1]]]
)
def test_every_oddity_is_counted_and_meets_its_policy(
    change: dict[str, Any], oddity: Oddity, column: str, policy: str
) -> None:
    read, found = look([SOUND, SOUND | change], _policy(oddity, policy))
    assert found.counts[(column, oddity)] == 1
    assert (read is None) == (policy == "refuse")
    assert len(found.told) == (policy == "warn")
    if read is not None and column:
        value = read[list(SOUND).index(column)][1]
        kept = oddity == "unseen" or (oddity == "range" and policy in ("keep", "warn"))
        assert value == (change[column] if kept else None)
    if policy == "warn":
        assert (found.told[0].row, bool(found.told[0].expected), bool(found.told[0].found)) == (1, True, True)


def _policy(oddity: str, policy: str) -> InputPolicy:
    return InputPolicy(**{oddity: policy})  # type: ignore[arg-type]


def test_a_missing_key_can_be_read_as_null() -> None:
    rows = [{"k": 1, "c": "a", "t": True}]
    assert look(rows, InputPolicy())[0] is None
    read, found = look(rows, InputPolicy(missing="warn"))
    assert read == [[None], [1], ["a"], [True]]
    assert found.counts == {("n", "missing"): 1, ("n", "null"): 1}
    assert [one.column for one in found.told] == ["n"]


def test_one_row_and_many_are_counted_alike() -> None:
    watch = Watch(SIGNATURE, TRANSFORM, InputPolicy())
    assert watch.row((1.0, 1, "a", True)) is None
    for row in [(None, 1, "a", True), (9.0, None, "q", None), (2.0, 9, None, False)]:
        alone, among = watch.row(row), watch.columns([[value] for value in row])
        assert alone is not None
        assert among is not None
        assert alone.counts == among.counts


def test_a_matrix_of_plain_numbers_is_counted_as_its_columns_are() -> None:
    frame = pl.DataFrame({"a": [1.0, 2.0], "b": [0.0, None]})
    transform = learn(frame, Features(), ())
    signature = Signature("regression", "y", "Float64", learn_inputs(frame, transform))
    columns: list[list[Any]] = [[1.5, None, 7.0], [0.0, -1.0, None]]
    matrix, found = np.array(columns, dtype=np.float64).T, Oddities()
    watch = Watch(signature, transform, InputPolicy())
    assert watch.matrix(matrix, False, found)
    expected = watch.columns(columns)
    assert expected is not None
    assert found.counts == expected.counts
    assert not Watch(signature, transform, InputPolicy(range="warn")).matrix(matrix, False, Oddities())


def test_what_a_client_makes_up_does_not_grow_without_bound() -> None:
    rows = [{**SOUND, f"x{number}": 1} for number in range(500)]
    read, found = look(rows, InputPolicy(unknown="warn"))
    assert read is not None
    assert found.counts == {("", "unknown"): 500}
    assert len(found.told) == 20
