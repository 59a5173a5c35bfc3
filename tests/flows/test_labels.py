"""Labels: from files and clients, late, early, repeated, corrected and taken back; joined to predictions when read."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mlops_tui.adapters.catalogue import watch as rows
from mlops_tui.errors import InvalidInput, NotFound
from mlops_tui.flows import keep, lookup
from mlops_tui.flows.build import datasets
from mlops_tui.flows.watch import answers, labels, predictions
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import Input, LabelPart, Signature
from tests import workspaces
from tests.flows.test_predictions import INPUTS, LATE, NAME, ONE, START, labelled, request, serve, spool


@pytest.fixture
def answered(empty: Workspace) -> Workspace:
    """A workspace whose deployment answered requests r0, r1 and r2, of two rows each: flights F0 to F5."""
    serve(empty)
    spool(empty, *(request(number, 2) for number in range(3)))
    predictions.gather(empty, NAME)
    return empty


def file(workspace: Workspace, text: str, name: str = "labels.csv") -> Path:
    """A file of labels."""
    path = workspace.root / name
    path.write_text(text, encoding="utf-8")
    return path


def add(workspace: Workspace, text: str) -> tuple[int, int, int, int]:
    """Add a file of labels; returns how many are new, corrected, repeated and without a prediction."""
    found = labels.add(workspace, NAME, file(workspace, text))
    assert found.new + found.corrected + found.repeated == found.rows
    return found.new, found.corrected, found.repeated, found.unmatched


def joined(workspace: Workspace, ref: str = ONE) -> list[object]:
    """The label of every prediction of a model version, in the order of rows."""
    frame = labels.joined(workspace, NAME, lookup.model_version(workspace, ref), answers.frame(workspace, NAME, ref))
    return frame.sort("distance")["late"].to_list()


def parts(workspace: Workspace) -> list[LabelPart]:
    """The parts of the deployment's labels."""
    with workspace.catalogue.read() as act:
        return rows.label_parts(act, NAME)


def test_labels_by_request_and_by_key_are_joined_and_repeated_ones_add_nothing(answered: Workspace) -> None:
    by_request = "request_id,row,late\nr0,1,true\nr1,0,false\n"
    assert add(answered, by_request) == (2, 0, 0, 0)
    assert joined(answered) == [None, True, False, None, None, None]
    assert add(answered, by_request) == (0, 0, 2, 0)
    assert len(parts(answered)) == 1
    assert add(answered, "flight_id,label\nF5,1\nF1,0\n") == (2, 0, 0, 0)
    assert joined(answered) == [None, False, False, None, None, True]
    assert [(part.number, part.rows, part.source) for part in parts(answered)] == [
        (1, 2, "labels.csv"), (2, 2, "labels.csv"),
    ]  # fmt: skip
    hashes = {part.hash for part in parts(answered)}
    with answered.catalogue.read() as act:
        assert hashes <= set(keep.named(act)), "gc leaves what is named"


def test_labels_are_corrected_and_taken_back_and_their_history_is_kept(answered: Workspace) -> None:
    assert add(answered, "flight_id,late\nF0,true\nF1,true\nF2,\n") == (2, 0, 1, 0)
    assert add(answered, "flight_id,late\nF0,true\nF0,false\nF1,\n") == (0, 2, 1, 0)
    assert joined(answered) == [False, None, None, None, None, None]
    assert add(answered, "flight_id,late\nF0,true\nF1,true\n") == (0, 2, 0, 0)
    assert joined(answered)[:2] == [True, True]
    assert [one.label for one in labels.history(answered, NAME, {"flight_id": "F1"})] == ["true", None, "true"]
    spool(answered, labelled(1, {"request_id": "r0", "label": False}))
    predictions.gather(answered, NAME)
    (given,) = labels.history(answered, NAME, {"request_id": "r0"})
    assert (given.label, given.at, given.source) == ("false", START + timedelta(seconds=1), "endpoint")
    assert joined(answered)[:2] == [False, True]
    assert labels.history(answered, NAME, {"flight_id": "F9"}) == []


def test_labels_that_come_before_their_predictions_are_joined_later(answered: Workspace) -> None:
    text = "flight_id,late\n" + "".join(f"F{number},true\n" for number in range(4, 14))
    found = labels.add(answered, NAME, file(answered, text))
    assert (found.new, found.unmatched) == (10, 8)
    assert found.examples == tuple(f"flight_id=F{number}" for number in range(6, 11))
    found = labels.add(answered, NAME, file(answered, "request_id,row,late\nr9,1,true\n"))
    assert (found.unmatched, found.examples) == (1, ("request_id=r9, row=1",))
    spool(answered, request(3, 2), request(9, 2))
    assert add(answered, text) == (0, 0, 10, 6), "what lies in the spool counts"
    assert joined(answered) == [None, None, None, None, True, True, True, True, None, True]


def test_labels_of_clients_are_joined_in_the_order_they_came(answered: Workspace) -> None:
    spool(
        answered,
        labelled(5, {"flight_id": "F0", "label": True}, {"request_id": "r1", "row": 1, "label": True}),
        request(3, 2),
        labelled(6, {"request_id": "r0", "label": False}, {"flight_id": "F6", "label": 1}),
        labelled(7, {"flight_id": "F3", "label": None}),
    )
    assert predictions.gather(answered, NAME).labels == 5
    assert joined(answered) == [False, None, None, None, None, None, True, None]


def test_what_clients_sent_one_after_the_other_is_few_parts_in_its_order(answered: Workspace) -> None:
    for number in range(30):
        spool(
            answered, labelled(number, {"flight_id": "F0", "label": number % 2 == 0}, {"flight_id": "F1", "label": 1})
        )
        predictions.gather(answered, NAME)
        if number == 19:
            add(answered, "flight_id,late\nF1,false\n")
    found = parts(answered)
    assert len(found) <= 5 + 1 + 4, "log2 of what came before the file, the file, and after it"
    assert [part.number for part in found] == sorted(part.number for part in found)
    assert [part.source for part in found].count("labels.csv") == 1
    assert sum(part.rows for part in found) == 61
    said = [one.label for one in labels.history(answered, NAME, {"flight_id": "F0"})]
    assert said == [str(number % 2 == 0).lower() for number in range(30)]
    assert [one.label for one in labels.history(answered, NAME, {"flight_id": "F1"})] == ["1"] * 20 + ["false"] + [
        "1"
    ] * 10
    assert joined(answered)[:2] == [False, True]
    assert add(answered, "flight_id,late\nF1,true\n") == (0, 0, 1, 0), "1 and true are one label"


def test_a_label_that_a_service_took_is_kept_whatever_is_served_since(empty: Workspace) -> None:
    old = Signature("multiclass", "grade", "String", INPUTS, ("a", "b", "c"), extras=LATE.extras)
    scores = {"prediction": "a", "probabilities": {"a": 0.5, "b": 0.3, "c": 0.2}}
    serve(empty, old)
    spool(empty, request(0, 3, answer={"predictions": [scores] * 3, "model": ONE}))
    given = [{"request_id": "r0", "row": at, "label": label} for at, label in enumerate("abc")]
    spool(empty, labelled(1, *given, {"older_key": "x", "label": "c"}))
    serve(empty, replace(old, classes=("a", "b"), extras=()), version=2)
    found = predictions.gather(empty, NAME)
    assert (found.labels, found.unreadable) == (4, 0)
    frame = answers.frame(empty, NAME, ONE)
    by = {ref: lookup.model_version(empty, ref) for ref in (ONE, f"{NAME}:2")}
    assert labels.joined(empty, NAME, by[ONE], frame)["grade"].to_list() == ["a", "b", "c"]
    assert labels.joined(empty, NAME, by[f"{NAME}:2"], frame)["grade"].to_list() == ["a", "b", None]


@pytest.mark.parametrize("way", ["file", "service"])
def test_classes_that_are_numbers_are_joined(empty: Workspace, way: str) -> None:
    serve(empty, Signature("multiclass", "grade", "Float64", INPUTS, ("1.0", "2.5"), extras=LATE.extras))
    scores = {"prediction": 1.0, "probabilities": {"1.0": 0.6, "2.5": 0.4}}
    spool(empty, request(0, 2, answer={"predictions": [scores] * 2, "model": ONE}))
    if way == "file":
        assert add(empty, "request_id,row,grade\nr0,0,1\nr0,1,2.5\n") == (2, 0, 0, 0)
    else:
        given = [{"request_id": "r0", "row": at, "label": label} for at, label in enumerate((1.0, 2.5))]
        spool(empty, labelled(1, *given))
        predictions.gather(empty, NAME)
    frame = labels.joined(empty, NAME, lookup.model_version(empty, ONE), answers.frame(empty, NAME, ONE))
    assert frame["grade"].to_list() == [1.0, 2.5]


def test_a_request_id_that_clients_used_twice_labels_both(answered: Workspace) -> None:
    spool(answered, request(0, 2))
    add(answered, "request_id,late\nr0,true\n")
    assert joined(answered) == [True, True, None, None, None, None, None, None]


@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl"])
def test_keys_match_whatever_file_and_type_they_come_in(empty: Workspace, ending: str) -> None:
    path = workspaces.write_pipeline(empty)
    text = path.read_text(encoding="utf-8").replace(
        'key = ["flight_id"]', 'key = ["time_hour", "distance", "ok", "day"]'
    )
    path.write_text(text, encoding="utf-8")
    inputs = (
        Input("distance", "Float64", False),
        Input("time_hour", "Datetime(time_unit='us', time_zone='UTC')", False),
    )
    serve(empty, Signature("regression", "delay", "Float64", inputs, extras=("ok", "day")))
    sent = [
        {"distance": at, "time_hour": f"2013-01-01T0{at}:00:00+01:00", "ok": at == 1, "day": f"2013-01-0{at}"}
        for at in (1, 2, 3)
    ]
    answer = {"predictions": [{"prediction": 1.5}] * 3, "model": f"{NAME}:1"}
    spool(empty, request(0, body=sent, answer=answer))
    hours = [datetime(2013, 1, 1, number - 1, tzinfo=UTC) for number in (1, 2, 3)]
    given: dict[str, Any] = {
        "time_hour": hours, "distance": [1, 2, 3], "ok": [True, False, False], "delay": [10.0, -3.5, None],
        "day": [f"2013-01-0{number}" for number in (1, 2, 3)],
    }  # fmt: skip
    frame = pl.DataFrame(given).with_columns(pl.col("day").str.to_date())
    target = empty.root / f"labels.{ending}"
    {"csv": frame.write_csv, "parquet": frame.write_parquet, "jsonl": frame.write_ndjson}[ending](target)
    found = labels.add(empty, NAME, target)
    assert (found.new, found.repeated, found.unmatched) == (2, 1, 0)
    frame = labels.joined(empty, NAME, lookup.model_version(empty, ONE), answers.frame(empty, NAME, ONE))
    assert frame["delay"].to_list() == [10.0, -3.5, None]


def test_what_a_dataset_says_is_joined_where_nobody_said_otherwise(empty: Workspace) -> None:
    workspaces.arrive(empty, 1)
    data = lookup.pipeline(empty, NAME)[0].data
    datasets.refresh(empty, data)
    known = lookup.frame(empty, lookup.dataset_version(empty, "flights")).select("flight_id", "late").collect()
    known = pl.concat([known.filter(pl.col("late")).head(3), known.filter(pl.col("late").is_null()).head(1)])
    serve(empty)
    sent = [{"distance": number, "flight_id": id_} for number, id_ in enumerate([*known["flight_id"], "unknown"])]
    answer = {"predictions": [{"prediction": True, "probability": 0.5}] * 5, "model": f"{NAME}:1"}
    spool(empty, request(0, body=sent, answer=answer))
    predictions.gather(empty, NAME)
    assert joined(empty) == [True, True, True, None, None]
    assert add(empty, "request_id,row,late\nr0,0,false\nr0,1,true\n") == (2, 0, 0, 0)
    assert joined(empty) == [False, True, True, None, None]
    assert add(empty, "request_id,row,late\nr0,0,\n") == (0, 1, 0, 0)
    assert joined(empty) == [None, True, True, None, None], "taken back is said, too"
    assert add(empty, "request_id,row,late\nr0,4,true\n") == (1, 0, 0, 0)
    assert joined(empty) == [None, True, True, None, True]


def test_the_rows_of_a_dataset_are_a_file_of_labels(empty: Workspace) -> None:
    workspaces.arrive(empty, 1)
    serve(empty)
    found = labels.add(empty, NAME, empty.root / "data" / "flights" / "2013-01.parquet")
    assert (found.new + found.repeated, found.corrected) == (found.rows, 0)
    assert found.unmatched == found.rows


def test_a_model_without_a_pipeline_has_labels_by_request(empty: Workspace) -> None:
    serve(empty, model="imported")
    spool(empty, request(0, model="imported:1"))
    assert add(empty, "request_id,late\nr0,true\n") == (1, 0, 0, 0)
    assert joined(empty, "imported:1") == [True]
    with pytest.raises(InvalidInput, match="there is no key here"):
        add(empty, "flight_id,late\nF0,true\n")


def test_a_class_that_the_model_does_not_know_is_refused_or_left_out(answered: Workspace) -> None:
    add(answered, "flight_id,late\nF0,true\n")
    serve(answered, Signature("multiclass", "late", "String", INPUTS, ("no", "yes"), extras=("flight_id",)), version=2)
    assert add(answered, "flight_id,late\nF1,yes\n") == (1, 0, 0, 0)
    assert joined(answered)[:2] == [True, None], "each version knows its own classes"
    frame = answers.frame(answered, NAME, ONE)
    second = labels.joined(answered, NAME, lookup.model_version(answered, f"{NAME}:2"), frame)
    assert second.sort("distance")["late"].to_list()[:2] == [None, "yes"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("flight_id,lat\nF0,true\n", r"no column 'late' or 'label'; did you mean 'lat'\?"),
        ("flight_id,late,label\nF0,true,true\n", "both 'late' and 'label' are there"),
        ("flight,late\nF0,true\n", r"it needs 'request_id', or the key 'flight_id'; did you mean 'flight'\?"),
        (
            "flight_id,late\nF0,true\nF1,maybe\nF2,no\n",
            r"row 2: 'maybe' is no label of 'late': false, true \(and 1 more\)",
        ),
        ("flight_id,late\nF0,true\n,true\n", "row 2: 'flight_id' is empty"),
        ("request_id,late\n,true\n", "row 1: 'request_id' is empty"),
        ("request_id,row,late\nr0,0,true\nr0,-1,true\n", "row 2: 'row' is a row's number"),
        ("request_id,row,late\nr0,1.5,true\n", "row 1: 'row' is a row's number"),
        ("request_id,row,late\nr0,first,true\n", "row 1: 'row' is a row's number"),
        ("flight_id,late\n", "no rows"),
    ],
)
def test_a_file_that_is_wrong_is_refused_whole(answered: Workspace, text: str, told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        add(answered, text)
    assert parts(answered) == []


def test_an_unknown_deployment_or_file_is_told(answered: Workspace) -> None:
    with pytest.raises(NotFound, match="no deployment 'nobody'"):
        labels.add(answered, "nobody", file(answered, "flight_id,late\nF0,true\n"))
    with pytest.raises(NotFound, match=r"no file .*missing\.csv"):
        labels.add(answered, NAME, answered.root / "missing.csv")


def test_the_time_that_a_file_gives_is_kept(answered: Workspace) -> None:
    add(answered, "flight_id,late,at\nF0,true,2026-11-24T08:00:00Z\nF1,true,\n")
    (first,), (second,) = (labels.history(answered, NAME, {"flight_id": name}) for name in ("F0", "F1"))
    assert first.at == datetime(2026, 11, 24, 8, tzinfo=UTC)
    assert second.at is None
    assert first.added_at.tzinfo is not None
