"""Labels: the same value is the same text wherever it comes from, and the last label of a row stands."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_tui.core import labels
from mlops_tui.core.requests import to_json_rows
from mlops_tui.records import Input, Signature

INPUTS = (Input("distance", "Int64", False), Input("carrier", "String", True))
LATE = Signature("binary", "late", "Boolean", INPUTS, ("false", "true"), extras=("flight_id", "time_hour"))
GRADE = Signature("multiclass", "grade", "Float64", INPUTS, ("1.0", "2.0", "2.5"))
DELAY = Signature("regression", "delay", "Float64", INPUTS)
COUNT = Signature("regression", "count", "Int64", INPUTS)
RANK = Signature("ranking", "relevance", "Int64", INPUTS)
NOW = datetime(2026, 11, 23, tzinfo=UTC)


# ── values as text ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None), (True, "true"), (7, "7"), (7.0, "7"), (-0.0, "0"), (0.1, "0.1"), (float("nan"), None),
        (Decimal("7.00"), "7"), (Decimal("12345678901234567890"), "12345678901234567890"), (Decimal("0.1"), "0.1"),
        ("00501", "00501"), ("7.0", "7.0"), ("", ""), (date(2013, 1, 31), "2013-01-31"), (time(12, 30), "12:30:00"),
        (datetime(2013, 1, 1, 5), "2013-01-01T05:00:00Z"), ("2013-01-01 05:00", "2013-01-01T05:00:00Z"),
        (datetime(2013, 1, 1, 6, tzinfo=timezone(timedelta(hours=1))), "2013-01-01T05:00:00Z"),
        ("2013-01-01T06:00:00+0100", "2013-01-01T05:00:00Z"), ("2013-01-01T05:00:00.5Z", "2013-01-01T05:00:00.500000Z"),
        ("2013-01-01T25:00:00Z", "2013-01-01T25:00:00Z"), ("0001-01-01T00:00+01:00", "0001-01-01T00:00+01:00"),
        (timedelta(minutes=1.5), "90"),
    ],
)  # fmt: skip
def test_a_value_has_one_text(value: Any, text: str | None) -> None:
    assert labels.text_of(value) == text
    assert labels.text_of(text) == text


MOMENTS = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29))
COLUMNS: dict[pl.DataType, st.SearchStrategy[Any]] = {
    pl.Int64(): st.integers(-(2**63), 2**63 - 1),
    pl.UInt8(): st.integers(0, 255),
    pl.Float64(): st.floats(),
    pl.Boolean(): st.booleans(),
    pl.String(): st.text() | MOMENTS.map(str) | MOMENTS.map(lambda moment: f"{moment.isoformat()}+05:30"),
    pl.Date(): st.dates(),
    pl.Datetime("us"): MOMENTS,
    pl.Datetime("us", "Europe/Vienna"): MOMENTS.map(lambda moment: moment.replace(tzinfo=UTC)),
    pl.Time(): st.times(),
}


@pytest.mark.parametrize("kind", COLUMNS, ids=str)
@given(data=st.data())
def test_a_column_has_the_texts_of_its_values(kind: pl.DataType, data: st.DataObject) -> None:
    column = pl.Series("key", data.draw(st.lists(COLUMNS[kind] | st.none())), kind)
    text = labels.as_text(column)
    assert text.to_list() == [labels.text_of(value) for value in column.to_list()]
    assert labels.as_text(text).equals(text)
    assert pl.DataFrame([column]).select(labels.texts(["key"])).to_series().equals(text, null_equal=True)


@pytest.mark.parametrize("kind", [kind for kind in COLUMNS if kind != pl.UInt8()], ids=str)
@given(data=st.data())
def test_a_column_has_the_texts_that_its_values_have_in_a_request(kind: pl.DataType, data: st.DataObject) -> None:
    finite = {pl.Float64(): st.floats(allow_nan=False, allow_infinity=False)}
    column = pl.Series("key", data.draw(st.lists(finite.get(kind, COLUMNS[kind]) | st.none())), kind)
    sent = [labels.text_of(row["key"]) for row in to_json_rows(column.to_frame())]
    assert sent == labels.as_text(column).to_list()


# ── what may be a label ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("signature", "good", "bad"),
    [
        (LATE, {"true": True, "0": False, "True": True, "FALSE": False}, ["yes", "2", "", "None"]),
        (GRADE, {"1": 1.0, "2.5": 2.5, "1.0": 1.0}, ["3", "a"]),
        (DELAY, {"1.5": 1.5, "-3": -3.0, "1e-07": 1e-07}, ["inf", "nan", "soon", "1e16"]),
        (COUNT, {"12": 12}, ["1.5", "x"]),
        (RANK, {"0": 0, "30": 30}, ["31", "-1", "1.5"]),
    ],
)
def test_a_label_is_what_the_model_knows(signature: Signature, good: dict[str, Any], bad: list[str]) -> None:
    given = pl.Series("label", [*good, None, *bad], pl.String())
    found = labels.typed(labels.known(given, signature), signature)
    assert labels.known(labels.known(given, signature), signature).equals(labels.known(given, signature))
    assert found.name == signature.target
    assert str(found.dtype) == signature.target_dtype
    assert found.to_list() == [*good.values(), None, *([None] * len(bad))]
    assert labels.expected(signature)


def test_labels_from_clients_name_a_request_or_a_key() -> None:
    sent = [
        {"request_id": "a", "label": True},
        {"flight_id": 7.0, "label": 0},
        {"request_id": "a", "row": 2, "label": None},
        {"flight_id": "x", "carrier": "UA", "label": False},
    ]
    found = labels.from_requests([(one, NOW) for one in sent])
    assert found.columns == ["__request", "__row", "__label", "__at", "flight_id", "carrier"]
    assert found.drop("__at").rows() == [
        ("a", 0, "true", None, None), (None, None, "0", "7", None),
        ("a", 2, None, None, None), (None, None, "false", "x", "UA"),
    ]  # fmt: skip
    assert labels.ways(found) == [("__request", "__row"), ("flight_id",), ("flight_id", "carrier")]


@pytest.mark.parametrize(
    "sent",
    [
        {"label": True}, {"request_id": "a"}, {"request_id": 7, "label": True}, {"__order": 1, "label": True},
        {"request_id": "a", "row": -1, "label": True}, {"request_id": "a", "row": True, "label": True},
        {"flight_id": None, "label": True}, {"__at": "x", "label": True}, {"request_id": "a", "row": 2**31, "label": 1},
    ],
)  # fmt: skip
def test_labels_from_clients_that_say_nothing_are_refused(sent: dict[str, Any]) -> None:
    with pytest.raises((ValueError, KeyError)):
        labels.from_requests([(sent, NOW)])


# ── which label stands ───────────────────────────────────────────────────────────────────────────

Batch = list[tuple[str, bool | None]]
BATCHES = st.lists(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from([True, False, None]))), max_size=6)


def frame_of(batch: Batch) -> pl.DataFrame:
    """A file of labels by key."""
    text = [None if label is None else str(label).lower() for _, label in batch]
    at = pl.Series("__at", [None] * len(batch), labels.OWN["__at"])
    return pl.DataFrame(
        [pl.Series("id", [key for key, _ in batch], pl.String()), pl.Series("__label", text, pl.String()), at]
    )


def history_of(frames: list[pl.DataFrame]) -> pl.DataFrame:
    """What is kept, in its order."""
    empty = pl.DataFrame(schema=labels.OWN)
    return pl.concat([empty, *frames], how="diagonal").with_row_index("__order")


@given(BATCHES)
def test_the_last_label_stands_and_the_same_batch_again_changes_nothing(batches: list[Batch]) -> None:
    kept: list[pl.DataFrame] = []
    stands: dict[str, bool | None] = {}
    for batch in batches:
        changed = {key: label for key, label in dict(batch).items() if stands.get(key) != label}
        corrected = len(changed.keys() & stands.keys())
        found = labels.changes(frame_of(batch), history_of(kept), ["id"])
        assert (found.new, found.corrected) == (len(changed) - corrected, corrected)
        assert found.new + found.corrected + found.repeated == len(batch)
        kept.append(found.frame)
        stands |= changed
        again = labels.changes(frame_of(batch), history_of(kept), ["id"])
        assert (again.new, again.corrected, again.frame.height) == (0, 0, 0)
    rows = pl.DataFrame({"id": ["d", "c", "b", "a", "z"]})
    attached = labels.typed(labels.attach(rows, history_of(kept))["__label"], LATE)
    assert attached.to_list() == [stands.get(key) for key in "dcbaz"]


@given(BATCHES, st.integers(1, 5))
def test_how_labels_are_cut_into_files_does_not_matter(batches: list[Batch], size: int) -> None:
    whole = [one for batch in batches for one in batch]
    rows = pl.DataFrame({"id": list("abcd")})

    def stands(cut: list[Batch]) -> list[str | None]:
        kept: list[pl.DataFrame] = []
        for batch in cut:
            kept.append(labels.changes(frame_of(batch), history_of(kept), ["id"]).frame)
        return labels.attach(rows, history_of(kept))["__label"].to_list()

    assert stands(batches) == stands([whole]) == stands([whole[at : at + size] for at in range(0, len(whole), size)])


def test_of_labels_told_in_two_ways_the_later_stands_and_one_taken_back_is_told_from_none() -> None:
    rows = pl.DataFrame({"__request": ["r", "r", "s", "t"], "__row": [0, 1, 0, 0], "flight": [1, 2, 3, 4]})
    rows = rows.cast({"__row": pl.Int32})
    sent = [
        {"request_id": "r", "row": 0, "label": True}, {"flight": 1, "label": False},
        {"flight": 2, "label": True}, {"request_id": "r", "row": 1, "label": False},
        {"flight": 3, "label": True}, {"request_id": "s", "label": None},
    ]  # fmt: skip
    history = labels.from_requests([(one, NOW) for one in sent]).with_row_index("__order")
    found = labels.attach(rows, history)
    assert found["__label"].to_list() == ["false", "false", None, None]
    assert found["__order"].to_list() == [1, 3, 5, None]
    assert labels.attach(rows.clear(), history).is_empty()
    assert labels.attach(rows, history.clear())["__order"].null_count() == 4
