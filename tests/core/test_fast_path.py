"""The short way of a request: what it reads, the long way reads alike, and every matrix is the one of training."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import lightgbm as lgb
import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_tui.config import Features
from mlops_tui.core.decode import Decoder, columns
from mlops_tui.core.features import encode, learn, learn_inputs
from mlops_tui.core.inputs import Watch, seen_categories
from mlops_tui.core.matrix import Encoder
from mlops_tui.core.requests import BadRows, columns_of, rows_to_frame, to_json_rows
from mlops_tui.core.single_row import SingleRow
from mlops_tui.records import InputPolicy, Signature, Transform
from tests.core.test_features import FRAME

SETTINGS = Features(
    derive={"half": "small / 2", "late": "CASE WHEN number > 2 THEN 1 ELSE 0 END"}, categorical=["small", "text"]
)


def made(frame: pl.DataFrame, features: Features) -> tuple[Signature, Transform]:
    transform = learn(frame, features, ())
    return Signature("regression", "y", "Float64", learn_inputs(frame, transform), extras=("key",)), transform


SIGNATURE, TRANSFORM = made(FRAME, SETTINGS)
DECODER, ENCODER = Decoder(SIGNATURE), Encoder(TRANSFORM, SIGNATURE)
MOMENTS = st.datetimes(dt.datetime(1, 1, 2), dt.datetime(9999, 12, 30)).map(lambda at: at.isoformat())
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "number": st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**60), 2**60),
    "small": st.integers(-5, 5) | st.integers(-(2**70), 2**70) | st.sampled_from([1.0, 2.5]),
    "price": st.floats(-1e6, 1e6),
    "flag": st.booleans() | st.integers(0, 1),
    "text": st.sampled_from(["a", "b", "c", ""]) | st.text(max_size=4),
    "enum": st.sampled_from(["x", "y", "z"]),
    "moment": MOMENTS | st.just("2024-01-01T00:00:00Z"),
    "zoned": MOMENTS.map(lambda at: f"{at}+01:00") | MOMENTS,
    "day": st.dates().map(lambda day: day.isoformat()) | st.just("2024-13-01"),
    "clock": st.times().map(lambda at: at.isoformat()),
    "span": st.floats(-1e12, 1e12) | st.integers(-(10**15), 10**15),
    "key": st.none() | st.integers() | st.lists(st.text(max_size=2), max_size=2),
    "other": st.integers(),
}
SOUND = {name: one for name, one in VALUES.items() if name != "other"}
ROWS = st.lists(
    st.fixed_dictionaries({}, optional={name: st.none() | one for name, one in VALUES.items()})
    | st.fixed_dictionaries({name: st.none() | one for name, one in SOUND.items()}),
    min_size=1,
    max_size=3,
)


@settings(max_examples=300, deadline=None)
@given(rows=ROWS, named=st.booleans())
def test_what_the_short_way_reads_the_long_way_reads_alike(rows: list[dict[str, Any]], named: bool) -> None:
    body = json.dumps({"rows": rows} if named else rows).encode()
    read = DECODER.rows(body)
    if read is None:
        return
    quick = read[0]
    slow = columns_of(SIGNATURE, json.loads(body)) if not named else columns_of(SIGNATURE, json.loads(body)["rows"])
    assert columns(quick) == slow
    assert [list(map(type, one)) for one in columns(quick)] == [list(map(type, one)) for one in slow]


@settings(max_examples=300, deadline=None)
@given(rows=ROWS)
def test_the_matrix_of_a_request_has_the_bits_of_the_matrix_of_training(rows: list[dict[str, Any]]) -> None:
    try:
        read = columns_of(SIGNATURE, json.loads(json.dumps(rows)))
    except BadRows:
        return
    expected = encode(TRANSFORM, rows_to_frame(SIGNATURE, json.loads(json.dumps(rows)))).to_numpy()
    assert np.array_equal(ENCODER(read), expected, equal_nan=True)
    alone = np.array([list(ENCODER.row(row)) for row in zip(*read, strict=True)], dtype=np.float64)
    assert np.array_equal(alone, expected, equal_nan=True)


@settings(max_examples=300, deadline=None)
@given(rows=ROWS)
def test_what_is_read_as_usual_holds_nothing_odd_but_nulls(rows: list[dict[str, Any]]) -> None:
    known, watch = Decoder(SIGNATURE, seen_categories(SIGNATURE, TRANSFORM)), Watch(SIGNATURE, TRANSFORM, InputPolicy())
    read = known.rows(json.dumps(rows).encode())
    assert (read is None) == (DECODER.rows(json.dumps(rows).encode()) is None)
    if read is None:
        return
    found = watch.columns(columns(read[0]))
    odd = {finding for _, finding in found.counts} if found else set()
    assert not read[1] or odd <= {"null"}


def test_the_usual_rows_take_the_short_way() -> None:
    rows = to_json_rows(FRAME)
    assert DECODER.rows(json.dumps({"rows": rows}).encode()) is not None
    assert DECODER.rows(json.dumps(rows).encode()) is not None
    for odd in (b"", b"[]", b"7", b'{"rows":[]}', b'{"rows":{}}', b'[{"x":1}]', b"[" * 9999, b'[{"number":NaN}]'):
        assert DECODER.rows(odd) is None


def test_plain_numbers_go_into_the_matrix_as_they_are() -> None:
    frame = pl.DataFrame({"a": [1.0, None], "b": [2.0, 3.5]})
    signature, transform = made(frame, Features())
    encoder, decoder = Encoder(transform, signature), Decoder(signature)
    assert encoder.takes_all
    read = decoder.rows(b'[{"a":null,"b":1},{"b":-0.0,"a":1e-300}]')
    assert read is not None
    rows, usual = read
    assert not usual
    assert np.array_equal(encoder.rows(rows), [[np.nan, 1.0], [1e-300, -0.0]], equal_nan=True)
    assert encoder.row(rows[0]) is rows[0]
    assert not ENCODER.takes_all


@pytest.mark.parametrize("objective", ["binary", "multiclass", "regression"])
def test_one_row_alone_has_the_bits_of_a_batch(objective: str) -> None:
    rng = np.random.default_rng(3)
    matrix = rng.normal(size=(400, 6))
    matrix[rng.random(matrix.shape) < 0.2] = np.nan
    target = rng.integers(0, 3 if objective == "multiclass" else 2, 400)
    params = {"objective": objective, "verbosity": -1, "num_threads": 1} | (
        {"num_class": 3} if objective == "multiclass" else {}
    )
    booster = lgb.train(params, lgb.Dataset(matrix, target), 20)
    single, expected = SingleRow(booster), np.asarray(booster.predict(matrix)).reshape(400, -1)
    found = np.array([single([None if np.isnan(one) else one for one in row]) for row in matrix.tolist()])
    assert found.tobytes() == np.ascontiguousarray(expected).tobytes()
    with pytest.raises(ValueError, match="6 values, not 2"):
        single([1.0, 2.0])


def test_a_body_keeps_its_order_of_rows_whatever_the_order_of_keys() -> None:
    body = msgspec.json.encode([{"b": 1, "a": 2}, {"a": 3, "b": 4}])
    signature, _ = made(pl.DataFrame({"a": [1, 2], "b": [3, 4]}), Features())
    assert Decoder(signature).rows(body) == ([(2, 1), (3, 4)], False)
