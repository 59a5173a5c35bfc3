"""Schemas, drift, conform, merge, unify and new rows, against plain Python on the same rows."""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_tui.config import Checks
from mlops_tui.core.dataset import conform, merge, new_rows, polars_type, schema_drift, schema_of, unify
from mlops_tui.dtypes import wider
from mlops_tui.errors import InvalidInput
from mlops_tui.records import Column

FLAT = [
    *(pl.Int8(), pl.Int64(), pl.UInt8(), pl.UInt64(), pl.Float32(), pl.Float64(), pl.Boolean(), pl.String()),
    *(pl.Date(), pl.Time(), pl.Datetime("ms"), pl.Datetime("us", "UTC"), pl.Datetime("ns", "Europe/Rome")),
    *(pl.Duration("us"), pl.Decimal(10, 2)),
]
OPEN = Checks(new_column="add", missing_column="null", type_change="widen")
KNOWN = (Column("id", "Int64"), Column("x", "Float64"), Column("city", "String"))


@pytest.mark.parametrize("dtype", FLAT, ids=str)
def test_a_type_comes_back_from_its_text(dtype: pl.DataType) -> None:
    assert polars_type(str(dtype)) == dtype


def test_categories_are_text_and_other_types_are_refused() -> None:
    assert polars_type(str(pl.Enum(["a", "b"]))) == polars_type(str(pl.Categorical())) == pl.String()
    for text in ("Flaot64", "List(Int64)", "Datetime(time_unit='years')", "Decimal", ""):
        with pytest.raises(InvalidInput, match="no column type"):
            polars_type(text)


@given(st.sampled_from(FLAT), st.sampled_from(FLAT), st.sampled_from(FLAT))
def test_widening_is_a_join(a: pl.DataType, b: pl.DataType, c: pl.DataType) -> None:
    assert wider(a, b) == wider(b, a)
    assert wider(a, a) == a
    both = wider(a, b)
    assert both is None or wider(both, a) == both
    assert both is None or both != pl.String() or a == b


def test_the_contract_decides_about_columns() -> None:
    batch = (Column("id", "Int64"), Column("x", "String"), Column("cty", "String"))
    strict = schema_drift(KNOWN, batch, Checks(), "b.csv")
    assert [(item.check, item.level, item.message) for item in strict] == [
        ("new_column", "error", "b.csv: column 'cty' (String) is not in the dataset; did you mean 'city'?"),
        ("missing_column", "error", "b.csv: column 'city' is missing; did you mean 'cty'?"),
        ("type_change", "error", "b.csv: column 'x' is String, was Float64"),
    ]
    lenient = schema_drift(KNOWN, batch, OPEN, "b.csv")
    assert [item.level for item in lenient] == ["warning", "warning", "error"]  # never widened to text
    assert schema_drift(KNOWN, KNOWN[::-1], Checks(), "b.csv") == ()


def test_conform_makes_good_what_the_contract_lets_pass() -> None:
    batch = pl.DataFrame({"extra": [True], "x": [1], "id": [1.5]})
    part = conform(batch, KNOWN, OPEN)
    assert part.schema == pl.Schema({"id": pl.Float64, "x": pl.Float64, "city": pl.String, "extra": pl.Boolean})
    assert part.rows() == [(1.5, 1.0, None, True)]
    assert conform(batch, KNOWN, Checks()).schema == pl.Schema({"id": pl.Float64, "x": pl.Int64, "extra": pl.Boolean})


def test_parts_of_different_schemas_are_one_frame(tmp_path: Path) -> None:
    one = pl.DataFrame({"id": [1, 2], "day": [date(2024, 1, 1), None]}, schema_overrides={"id": pl.Int32})
    two = pl.DataFrame({"day": [datetime(2024, 1, 2, 3)], "id": [3.5], "new": ["a"]})
    for number, frame in enumerate((one, two)):
        frame.write_parquet(tmp_path / f"{number}.parquet")
    schema = merge([schema_of(one), schema_of(two)])
    lazy = [pl.scan_parquet(tmp_path / f"{number}.parquet") for number in (0, 1)]
    whole = unify(lazy, schema).collect()
    assert schema_of(whole) == schema
    assert whole["id"].to_list() == [1.0, 2.0, 3.5]
    assert whole["day"].to_list() == [datetime(2024, 1, 1), None, datetime(2024, 1, 2, 3)]
    assert whole["new"].to_list() == [None, None, "a"]


def test_conflicting_parts_are_refused_or_shown_as_text() -> None:
    one, two = pl.DataFrame({"a": [1]}), pl.DataFrame({"a": ["x"]})
    with pytest.raises(InvalidInput, match="column 'a' is Int64 in one part and String in another"):
        merge([schema_of(one), schema_of(two)])
    with pytest.raises(InvalidInput, match="column 'a' is Int64"):
        unify([one, two], schema_of(one))
    schema = merge([schema_of(one), schema_of(two)], lenient=True)
    for wanted in (schema, schema_of(one)):
        assert unify([one, two], wanted, lenient=True).collect()["a"].to_list() == ["1", "x"]
    assert unify([], schema).collect().columns == ["a"]


ROWS = st.lists(st.tuples(st.one_of(st.none(), st.integers(0, 4)), st.integers(0, 1)), max_size=12)
TYPES = {"k": pl.Int64, "v": pl.Int64}


@settings(max_examples=150, deadline=None)
@given(ROWS, ROWS, st.booleans())
def test_new_rows_is_what_plain_python_says(
    held: list[tuple[int, int]], batch: list[tuple[int, int]], lazy: bool
) -> None:
    old = pl.DataFrame(held, schema=TYPES, orient="row")
    found = new_rows(pl.DataFrame(batch, schema=TYPES, orient="row"), old.lazy() if lazy else old, ["k"], "b.csv")
    seen, keys, kept, conflicts = set(held), {k for k, _ in held}, [], 0
    for row in batch:
        if row[0] is not None and row in seen:
            continue
        conflicts += row[0] is not None and row[0] in keys
        kept.append(row)
        seen.add(row)
        keys.add(row[0])
    assert found.frame.rows() == kept
    assert (found.repeated, found.conflicting) == (len(batch) - len(kept), conflicts)
    levels = Counter(item.level for item in found.findings)
    assert levels == Counter({"warning": int(found.repeated > 0), "error": int(conflicts > 0)}) - Counter()


def test_key_findings_name_the_row() -> None:
    held = pl.DataFrame({"k": [1, 2], "d": ["a", "b"], "v": [0.5, float("nan")]})
    batch = pl.DataFrame({"v": [float("nan"), 9.0], "d": ["b", "a"], "k": [2, 1]})
    found = new_rows(batch, held.lazy(), ["k", "d"], "b.csv")
    assert found.frame.rows() == [(9.0, "a", 1)]
    assert [item.message for item in found.findings] == [
        "b.csv: 1 row was delivered before, with the same values; left out",
        "b.csv: 1 row has a key that is held with other values; first at row 2: k=1, d=a",
    ]
    with pytest.raises(InvalidInput, match="key column 'kk' is missing; did you mean 'k'"):
        new_rows(batch, held, ["kk"], "b.csv")


def test_without_a_key_nothing_is_left_out() -> None:
    batch = pl.DataFrame({"k": [1, 1]})
    assert new_rows(batch, batch, [], "b.csv").frame.equals(batch)


def test_a_key_of_another_type_still_finds_its_rows() -> None:
    held, batch = pl.DataFrame({"k": [1], "v": ["a"]}, schema_overrides={"k": pl.Int32}), pl.DataFrame({"k": [1, 2]})
    found = new_rows(batch, held.lazy(), ["k"], "b.csv")
    assert (found.repeated, found.conflicting) == (0, 1)  # its 'v' went missing: not the same row
    assert found.frame.equals(batch)
    text = pl.DataFrame({"k": ["1"], "v": ["a"]})
    assert new_rows(text, held.lazy(), ["k"], "b.csv").repeated == 1  # a broken version: compared as text
