"""Sets and folds: disjoint, complete, and nothing that belongs together on two sides."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mlops_tui.config import Split
from mlops_tui.core.split import Columns, Sets, folds, held_out, row_hashes, split
from mlops_tui.errors import InvalidInput


def frame_of(values: list[tuple[int, int, int]]) -> pl.DataFrame:
    return pl.DataFrame(values, schema=["time", "group", "label"], orient="row")


def side_of(sets: Sets, rows: int) -> np.ndarray[Any, Any]:
    sides = np.full(rows, -1)
    for number, part in enumerate((sets.train, sets.validation, sets.test)):
        assert (np.diff(part) > 0).all()
        assert len(part)
        assert (sides[part] == -1).all()
        sides[part] = number
    assert (sides >= 0).all()
    return sides


def never_torn(names: pl.Series, sides: np.ndarray[Any, Any]) -> bool:
    counted = pl.DataFrame({"name": names, "side": sides}).unique().group_by("name").len()
    return bool((counted["len"] == 1).all())


ROWS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 12), st.integers(0, 2)), min_size=3, max_size=120)


@settings(max_examples=60, deadline=None)
@given(values=ROWS, seed=st.integers(0, 99), method=st.sampled_from(["time", "random", "stratified", "group"]))
def test_sets_are_disjoint_complete_and_never_torn(values: list[tuple[int, int, int]], seed: int, method: str) -> None:
    frame = frame_of(values)
    column = {"column": "group"} if method == "group" else {}
    columns = Columns(time="time", target=frame["label"].cast(pl.Float64).to_numpy())
    plan = Split.model_validate({"method": method, "folds": 2, **column})
    try:
        sides = side_of(split(frame, plan, columns, seed), frame.height)
        pairs = folds(frame, plan, columns, seed)
    except InvalidInput:
        assume(False)
    whole = {"time": frame["time"], "group": frame["group"]}.get(method, pl.Series(map(str, values)))
    assert never_torn(whole, sides)
    if method == "time":
        times = frame["time"].to_numpy()
        assert times[sides == 0].max() < times[sides == 1].min() <= times[sides == 1].max() < times[sides == 2].min()
    for train, test in pairs:
        assert len(np.intersect1d(train, test)) == 0
        assert len(train)
        assert len(test)
        fold = np.zeros(frame.height)
        fold[test] = 1
        inside = np.concatenate([train, test])
        assert never_torn(whole[inside], fold[inside])
    if method != "time":
        assert np.array_equal(np.sort(np.concatenate([test for _, test in pairs])), np.arange(frame.height))


def test_a_row_keeps_its_set_when_the_dataset_grows() -> None:
    old = pl.DataFrame({"id": [f"n{at}" for at in range(2000)], "x": range(2000)})
    grown = pl.concat([pl.DataFrame({"id": [f"m{at}" for at in range(500)], "x": range(500)}), old])
    for key in (("id",), ()):
        before = side_of(split(old, Split(), Columns(key=key), 3), 2000)
        after = side_of(split(grown, Split(), Columns(key=key), 3), 2500)
        assert np.array_equal(before, after[500:])
        assert abs((before == 2).mean() - 0.2) < 0.03
        wider = grown.with_columns(new=pl.when(pl.int_range(pl.len()) < 500).then(1.5))  # null in the old rows
        assert np.array_equal(before, side_of(split(wider, Split(), Columns(key=key), 3), 2500)[500:])
    assert not np.array_equal(before, side_of(split(old, Split(), Columns(), 4), 2000))


def test_hashes_are_of_values_not_of_types() -> None:
    ints = pl.DataFrame({"b": ["x", None], "a": pl.Series([1, None], dtype=pl.Int32)})
    floats = pl.DataFrame({"a": [1.0, None], "b": pl.Series(["x", None], dtype=pl.Categorical)})
    assert np.array_equal(row_hashes(ints, 1), row_hashes(floats, 1))
    assert row_hashes(ints, 1).tolist() == [2588059041379995162, 9501732883102957568]  # must never change


def test_classes_get_their_shares() -> None:
    labels = np.repeat([0.0, 1.0], [950, 50])
    sides = side_of(
        split(pl.DataFrame({"x": range(1000)}), Split(method="stratified"), Columns(target=labels), 0), 1000
    )
    assert [(sides[labels == 1] == side).sum() for side in range(3)] == [32, 8, 10]


def test_predefined_sets_are_read() -> None:
    frame = pl.DataFrame({"set": ["train", "test", "validation", "train"]})
    sets = split(frame, Split(method="predefined", column="set"), Columns(), 0)
    assert [part.tolist() for part in (sets.train, sets.validation, sets.test)] == [[0, 3], [2], [1]]
    with pytest.raises(InvalidInput, match="'dev'; known: train"):
        split(pl.DataFrame({"set": ["train", "dev"]}), Split(method="predefined", column="set"), Columns(), 0)


def test_stratified_rows_move_only_near_the_cuts_when_the_dataset_grows() -> None:
    rng = np.random.default_rng(0)
    grown = pl.DataFrame({"id": np.arange(10000), "label": rng.integers(0, 3, 10000).astype(float)})
    sides = [
        side_of(
            split(
                part,
                Split(method="stratified"),
                Columns(key=("id",), target=part["label"].cast(pl.Float64).to_numpy()),
                7,
            ),
            rows,
        )
        for rows, part in ((5000, grown.head(5000)), (10000, grown))
    ]
    assert 0 < (sides[0] != sides[1][:5000]).sum() < 150


@pytest.mark.parametrize("name", ["len", "side", "query", "literal"])
def test_a_query_column_may_have_any_name(name: str) -> None:
    frame = pl.DataFrame({name: np.repeat(np.arange(40), 5), "g": np.arange(200) // 10})
    split(frame, Split(method="group", column="g"), Columns(query=name), 0)
    with pytest.raises(InvalidInput, match="has rows in more than one set"):
        split(frame.with_columns(g=pl.int_range(200)), Split(method="group", column="g"), Columns(query=name), 0)


@pytest.mark.parametrize("method", ["random", "stratified", "time", "predefined"])
def test_rows_held_out_are_a_share_of_the_others_and_of_none_when_rows_are_few(method: str) -> None:
    frame = pl.DataFrame({"id": np.arange(1000), "time": np.arange(1000)})
    column = "set" if method == "predefined" else None
    plan = Split.model_validate({"method": method, "test": 0.2, "validation": 0.2, "column": column})
    columns = Columns("time", ("id",), None, (np.arange(1000) % 2).astype(np.float64))
    kept, held = held_out(frame, plan, columns, 0)
    assert np.array_equal(np.sort(np.concatenate([kept, held])), np.arange(1000))
    assert len(held) == 250
    assert method != "time" or kept.max() < held.min()
    kept, held = held_out(frame[:1], plan, replace(columns, target=np.zeros(1)), 0)
    assert (len(kept), len(held)) == (1, 0)


@pytest.mark.parametrize("method", ["random", "time", "group"])
def test_queries_stay_whole(method: str) -> None:
    query = np.repeat(np.arange(40), 5)
    frame = pl.DataFrame({"q": query, "time": np.arange(200), "g": query // 2})
    plan = Split.model_validate({"method": method, **({"column": "g"} if method == "group" else {})})
    assert never_torn(frame["q"], side_of(split(frame, plan, Columns(time="time", query="q"), 0), 200))
    torn = frame.with_columns(g=pl.col("time"))
    if method == "group":
        with pytest.raises(InvalidInput, match="more than one set"):
            split(torn, plan, Columns(time="time", query="q"), 0)


def test_what_cannot_be_split_is_told() -> None:
    two = pl.DataFrame({"t": [1, 2]})
    with pytest.raises(InvalidInput, match="2 rows"):
        split(two, Split(), Columns(), 0)
    with pytest.raises(InvalidInput, match="2 moments"):
        split(two, Split(method="time"), Columns(time="t"), 0)
    with pytest.raises(InvalidInput, match="null in 1 rows"):
        split(pl.DataFrame({"t": [1, 2, 3, None]}), Split(method="time"), Columns(time="t"), 0)
    with pytest.raises(InvalidInput, match="needs a time"):
        split(pl.DataFrame({"t": ["a", "b", "c"]}), Split(method="time"), Columns(time="t"), 0)
    with pytest.raises(InvalidInput, match="needs classes"):
        split(pl.DataFrame({"t": range(9)}), Split(method="stratified"), Columns(), 0)
