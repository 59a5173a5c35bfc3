"""Features: what is learned, what is refused, and rows that come back as they were."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_tui.config import Features
from mlops_tui.core.features import (
    categorical_indices,
    encode,
    input_columns,
    learn,
    learn_inputs,
    monotone,
)
from mlops_tui.core.openapi import About, openapi
from mlops_tui.core.requests import BadRows, frame_for, rows_to_frame, to_json_rows
from mlops_tui.errors import InvalidInput
from mlops_tui.records import Input, Signature, from_json, to_json
from mlops_tui.records import Transform as TransformRecord

NOON = dt.datetime(2024, 3, 4, 12, 30)  # a Monday
FRAME = pl.DataFrame(
    {
        "number": [1.5, None, float("inf"), 4.0],
        "small": pl.Series([1, 2, 3, 4], dtype=pl.Int8),
        "price": pl.Series([Decimal("1.25")] * 4, dtype=pl.Decimal(10, 2)),
        "flag": [True, False, None, True],
        "text": ["b", "a", "b", None],
        "enum": pl.Series(["x", "y", "x", "x"], dtype=pl.Enum(["x", "y"])),
        "moment": pl.Series([NOON] * 4, dtype=pl.Datetime("us")),
        "zoned": pl.Series([NOON] * 4).dt.replace_time_zone("Europe/Berlin"),
        "day": [NOON.date()] * 4,
        "clock": [dt.time(1, 0, 1)] * 4,
        "span": [dt.timedelta(minutes=2)] * 4,
    }
)


def signature_of(frame: pl.DataFrame, features: Features | None = None) -> Signature:
    transform = learn(frame, features or Features(), ())
    return Signature("regression", "y", "Float64", learn_inputs(frame, transform), extras=("key",))


def test_every_kind_of_column_becomes_numbers() -> None:
    transform = learn(FRAME, Features(), ())
    matrix = encode(transform, FRAME)
    found = {one.name: matrix[f"f{at}"].to_list() for at, one in enumerate(transform.features)}
    assert found["number"] == [1.5, None, None, 4.0]
    assert found["price"] == [1.25] * 4
    assert found["flag"] == [1.0, 0.0, None, 1.0]
    assert found["text"] == [1.0, 0.0, 1.0, None]
    assert found["enum"] == [0.0, 1.0, 0.0, 0.0]
    assert [found[f"moment.{part}"][0] for part in ("hour", "weekday", "month", "day")] == [12.0, 1.0, 3.0, 4.0]
    assert found["zoned.hour"][0] == 12.0
    assert (found["clock.seconds"][0], found["span.seconds"][0]) == pytest.approx((3601.0, 120.0))
    assert set(matrix.dtypes) == {pl.Float64()}
    assert from_json(to_json(transform), TransformRecord) == transform


def test_categories_are_the_most_frequent_and_others_are_missing() -> None:
    frame = pl.DataFrame({"c": ["a", "b", "b", "c", "c", "d"], "zip": [7, 7, 8, 8, 9, 9]})
    transform = learn(frame, Features(max_categories=2, categorical=["zip"]), ())
    assert [one.categories for one in transform.features] == [("b", "c"), ("7", "8")]
    assert categorical_indices(transform) == [0, 1]
    asked = pl.DataFrame({"c": ["c", "a", "new"], "zip": [8, 9, None]})
    assert encode(transform, asked).rows() == [(1.0, 1.0), (None, None), (None, None)]


def test_derived_features_read_raw_columns_only() -> None:
    derive = {
        "tens": "small // 10",
        "ratio": "number / (small - 1)",
        "word": "CASE WHEN small > 2 THEN 'hi' ELSE 'lo' END",
    }
    transform = learn(FRAME, Features(include=["flag"], derive=derive, monotone={"tens": 1}), ())
    assert input_columns(transform) == ("flag", "number", "small")
    assert monotone(transform) == [0, 0, 1, 0]
    matrix = encode(transform, FRAME)
    assert matrix["f1"].to_list() == [None, None, None, 4.0 / 3]  # division by zero is missing
    assert matrix["f3"].to_list() == [1.0, 1.0, 0.0, 0.0]


def test_the_order_of_derived_features_in_the_file_is_of_no_matter() -> None:
    """A run keeps its settings as canonical JSON, sorted; trained again from them, it must be the same model."""
    derive = {"tens": "small // 10", "ratio": "number / (small - 1)"}
    turned = dict(reversed(derive.items()))
    assert learn(FRAME, Features(derive=derive), ()) == learn(FRAME, Features(derive=turned), ())


def test_a_row_alone_gives_the_same_bits_as_among_others() -> None:
    frame = pl.DataFrame(
        {"a": [at * 0.37 - 50 for at in range(300)], "span": [dt.timedelta(seconds=at) for at in range(300)]}
    )
    transform = learn(frame, Features(derive={"tenth": "a / 10", "odd": "a / 3.7", "grown": "EXP(a / 9)"}), ())
    alone = pl.concat([encode(transform, frame.slice(at, 1)) for at in range(300)])
    assert alone.equals(encode(transform, frame))
    same = frame.head(1).select(pl.repeat(pl.col(name).first(), 50).alias(name) for name in frame.columns)
    assert encode(transform, same).row(3) == encode(transform, frame).row(0)
    chunked = pl.concat([frame.slice(at, 1) for at in range(300)], rechunk=False)
    assert encode(transform, chunked).equals(encode(transform, frame))


@pytest.mark.parametrize(
    ("features", "words"),
    [
        ({"include": ["txt"]}, "did you mean 'text'"),
        ({"exclude": ["nope"]}, "no column 'nope'"),
        ({"categorical": ["number"]}, "Float64"),
        ({"monotone": {"text": 1}}, "only numbers"),
        ({"monotone": {"gone": 1}}, "no feature 'gone'"),
        ({"derive": {"text": "small + 1"}}, "there is a column 'text' already"),
        ({"derive": {"x": "small +"}}, "cannot read the expression"),
        ({"derive": {"x": "smal + 1"}}, "did you mean 'small'"),
        ({"derive": {"x": "text > 1"}}, "features.derive.x"),
        ({"derive": {"x": "number - AVG(number)"}}, "depends on other rows"),
        ({"derive": {"x": "SUM(small) OVER ()"}}, "depends on other rows"),
        ({"derive": {"x": "LAG(small) OVER (ORDER BY small)"}}, "depends on other rows"),
        ({"derive": {"x": "COUNT(*)"}}, "reads no column"),
        ({"derive": {"x": "CASE WHEN day < CURRENT_DATE THEN 1 ELSE 0 END"}}, r"reads the clock \(CURRENT_DATE\)"),
        ({"derive": {"x": "number + 1", "z": "x + 1"}}, "reads the derived feature 'x'"),
        ({"derive": {"x": "y + 1"}}, "reads the target"),
        ({"include": ["y"]}, "target 'y' cannot be a feature"),
    ],
)
def test_settings_that_do_not_fit_are_told(features: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        learn(FRAME.with_columns(y=pl.lit(1.0)), Features.model_validate(features), ("y",), "y")


def test_columns_without_values_are_left_out_and_lists_refused() -> None:
    frame = pl.DataFrame({"a": [1, 2], "empty": [None, None]})
    assert [one.name for one in learn(frame, Features(), ()).features] == ["a"]
    with pytest.raises(InvalidInput, match="no feature is left"):
        learn(frame, Features(include=["empty"]), ())
    with pytest.raises(InvalidInput, match="cannot be a feature"):
        learn(pl.DataFrame({"tags": [["a"], ["b"]]}), Features(), ())


def test_inputs_tell_what_training_saw() -> None:
    inputs = {one.name: one for one in signature_of(FRAME).inputs}
    assert inputs["number"] == Input("number", "Float64", True, 1.5, 4.0)
    assert inputs["small"] == Input("small", "Int64", False, 1.0, 4.0)
    assert inputs["text"] == Input("text", "String", True, None, None, ("a", "b"))
    assert inputs["day"].min == NOON.replace(hour=0, minute=0, tzinfo=dt.UTC).timestamp()


def test_rows_survive_json() -> None:
    signature = signature_of(FRAME)
    rows = json.loads(json.dumps(to_json_rows(FRAME)))
    transform = learn(FRAME, Features(), ())
    assert encode(transform, rows_to_frame(signature, rows)).equals(encode(transform, FRAME))
    document = openapi(signature, About("flights", "3", rows))
    assert json.loads(json.dumps(document))["components"]["schemas"]["Row"]["properties"].keys() == rows[0].keys() | {
        "key"
    }


def test_times_that_no_client_can_send_become_null() -> None:
    last = dt.datetime(9999, 12, 31, 23, 59, 59)
    micros = (last - dt.datetime(1970, 1, 1)) // dt.timedelta(microseconds=1)
    moments = pl.Series("at", [0, micros, micros + 10_000_000, -(2**62), None]).cast(pl.Datetime("us"))
    days = pl.Series("on", [0, 2932896, 2932897, -800_000, None]).cast(pl.Date)
    frame = pl.DataFrame([moments, days, moments.dt.replace_time_zone("UTC").alias("zoned")])
    late = frame["zoned"].dt.convert_time_zone("Asia/Tokyo").alias("tokyo")
    rows = to_json_rows(frame.with_columns(late, late.dt.convert_time_zone("America/Lima").alias("lima")))
    assert [row["at"] for row in rows] == ["1970-01-01T00:00:00", "9999-12-31T23:59:59", None, None, None]
    assert [row["on"] for row in rows] == ["1970-01-01", "9999-12-31", None, None, None]
    assert [row["zoned"] is None for row in rows] == [False, False, True, True, True]
    assert [row["tokyo"] is None for row in rows] == [False, True, True, True, True]
    assert [row["lima"] is None for row in rows] == [False, False, True, True, True]
    assert (
        rows_to_frame(signature_of(frame[:2]), [{key: row[key] for key in frame.columns} for row in rows]).height == 5
    )


LONG = pl.DataFrame({"x": [1.0] * 70 + [7.0] * 200 + [1.0] * 70, "c": ["a"] * 340, "day": [NOON.date()] * 340})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        *((f"x / {one}(x)", "depends on other rows") for one in ("MAX", "AVG", "COUNT", "FIRST", "MEDIAN", "STDDEV")),
        ("QUANTILE_CONT(x, 0.9) - x", "depends on other rows"),
        ("ROW_NUMBER() OVER (ORDER BY x) + x", "depends on other rows"),
        ("x + COUNT(*)", "depends on other rows"),
        ("day < CURRENT_DATE", "reads the clock .CURRENT_DATE"),
        ("day < now ()", "reads the clock .NOW"),
        ("CURRENT_TIMESTAMP > day", "reads the clock .CURRENT_TIMESTAMP"),
        ("CASE WHEN day > localtimestamp THEN 1 END", "reads the clock .LOCALTIMESTAMP"),
    ],
)
def test_what_these_rows_do_not_show_is_refused_as_well(text: str, words: str) -> None:
    for frame in (LONG, LONG.with_columns(x=pl.lit(7.0))):
        with pytest.raises(InvalidInput, match=words):
            learn(frame, Features(derive={"made": text}), ())


@pytest.mark.parametrize(
    "text",
    ["CASE WHEN c = 'now()' THEN x ELSE 0 END", "CASE WHEN c IN ('Agg', 'Len') THEN 1 ELSE 0 END",
     "COALESCE(x, 1) /* NOW() */", "LENGTH(c) + x", "GREATEST(x, 2)",
     "day < DATE '2020-01-01'", "EXTRACT(YEAR FROM day)", "ROUND(POW(x, 2), 1)",
     "c LIKE 'a%'", "CONCAT(c, 'b')", "x BETWEEN 1 AND 2", "CAST(x AS INT) % 3", "NULLIF(x, 7)"],
)  # fmt: skip
def test_what_reads_one_row_is_taken(text: str) -> None:
    assert "made" in {feature.column for feature in learn(LONG, Features(derive={"made": text}), ()).features}


def test_a_column_may_be_named_as_the_clock() -> None:
    frame = LONG.rename({"x": "current_date", "c": "now"})
    derive = {"one": '"current_date" + 1', "two": "CONCAT(now, 'x')"}
    assert len(learn(frame, Features(include=["day"], derive=derive), ()).features) == 5


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"small": True}, "a whole number of 64 bits, found true"),
        ({"small": 2**63}, "a whole number"),
        ({"small": 1.5}, "found 1.5"),
        ({"small": 1e300}, "a whole number"),
        ({"number": "1.5"}, "found the text '1.5'"),
        ({"number": float("nan")}, "finite"),
        ({"number": 2**53 + 1}, "64 bits can hold"),
        ({"day": "2024-13-01"}, "a date"),
        ({"moment": "2024-01-01T00:00:00Z"}, "without an offset"),
        ({"zoned": "2024-01-01T00:00:00"}, "with an offset"),
        ({"text": "\ud800"}, "a text"),
        ({"numbr": 1}, "did you mean 'number'"),
    ],
)
def test_a_wrong_value_is_named(change: dict[str, Any], words: str) -> None:
    with pytest.raises(BadRows, match=words) as caught:
        rows_to_frame(signature_of(FRAME), [to_json_rows(FRAME)[0] | change])
    str(caught.value).encode()
    assert len(caught.value.problems) == 1


def test_a_key_may_be_absent_only_where_training_saw_nulls() -> None:
    signature = signature_of(FRAME.select("number", "small"))
    assert rows_to_frame(signature, [{"small": 1}, {"small": None, "number": 2, "key": "k"}]).rows() == [
        (None, 1),
        (2.0, None),
    ]
    with pytest.raises(BadRows, match="the key is missing"):
        rows_to_frame(signature, [{"number": 1.0}])
    with pytest.raises(BadRows) as caught:
        rows_to_frame(signature, [{}] * 50)
    assert len(caught.value.problems) == 20


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["2024-01-01", "0001-01-01T00:00:00+14:00"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*FRAME.columns, "key", "x"]), inner, max_size=11)
    ),
    max_leaves=30,
)
SIGNATURE = signature_of(FRAME)
TRANSFORM = learn(FRAME, Features(), ())


@settings(max_examples=80)
@given(rows=JSON | st.lists(st.fixed_dictionaries(dict.fromkeys(FRAME.columns, JSON)), min_size=1, max_size=2))
def test_any_json_is_a_frame_or_bad_rows(rows: Any) -> None:
    found = read(rows)
    if isinstance(found, BadRows):
        assert 1 <= len(found.problems) <= 20
        str(found).encode()
    else:
        assert encode(TRANSFORM, found).height == len(rows)


def read(rows: Any) -> pl.DataFrame | BadRows:
    try:
        return rows_to_frame(SIGNATURE, rows)
    except BadRows as error:
        return error


def test_files_are_cast_where_nothing_is_lost() -> None:
    signature = signature_of(FRAME.select("number", "small"))
    file = pl.DataFrame({"number": [1, 2], "small": [3.0, None], "other": ["x", "y"]})
    assert frame_for(signature, file).rows() == [(1.0, 3), (2.0, None)]
    assert frame_for(signature, file.select("small"))["number"].to_list() == [None, None]
    for wrong in (file.with_columns(small=pl.lit(1.5)), file.with_columns(small=pl.lit("3"))):
        with pytest.raises(InvalidInput, match="trained on Int64"):
            frame_for(signature, wrong)
    with pytest.raises(InvalidInput, match="no column 'small'"):
        frame_for(signature, file.select("number"))
